/**
 * Which era a message belongs to: a client's request by its form, a server by its answer to the probe. Pure.
 * Knows the two eras' opening words and nothing else of them.
 */
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import type { Message } from '../transports/channel.ts'
import { isObject } from './asks.ts'
import { discoverMethod, listenMethod, metaKeys, revision, revisions, unsupportedVersion } from './modern/wire.ts'

export type Era = 'legacy' | 'modern'

/** Revisions are ISO dates, so they sort as text; what is no date belongs to no era. */
const isRevision = (value: unknown): value is string => typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value)
const isModern = (version: string): boolean => version >= revision

/**
 * The era of a client's request. Each request says it by itself; only requests without the per-request fields depend
 * on whether this connection has opened with `initialize` (2026-07-28 basic/versioning).
 */
export function eraOfRequest(method: string, params: JsonObject | undefined, handshaken: boolean): Era {
  const meta = params?.['_meta']
  const claimed = isObject(meta) && Object.hasOwn(meta, metaKeys.version)
  // The handshake stays what it always was unless a complete modern request merely has its name.
  if (method === 'initialize') {
    const version = claimed ? meta[metaKeys.version] : undefined
    return isRevision(version) && isModern(version) && isObject((meta as JsonObject)[metaKeys.capabilities]) ? 'modern' : 'legacy'
  }
  if (claimed) return 'modern'
  if (handshaken) return 'legacy'
  // Words the older revisions do not have: their sender forgot the fields and must be told which.
  return method === discoverMethod || method === listenMethod ? 'modern' : 'legacy'
}

/** The era of a client's notification; they carry no fields of their own, so the connection's history speaks. */
export function eraOfNotification(params: JsonObject | undefined, handshaken: boolean): Era {
  const meta = params?.['_meta']
  if (isObject(meta) && Object.hasOwn(meta, metaKeys.version)) return 'modern'
  return handshaken ? 'legacy' : 'modern'
}

/**
 * The era of a message that came alone, by HTTP POST: the body is the truth, the version header only speaks where the body
 * says nothing (2026-07-28 basic/transports/streamable-http). An answer to a server's request is of the older era.
 */
export function eraOfPost({ id, method, params }: Pick<Message, 'id' | 'method' | 'params'>, versionHeader: string | undefined): Era {
  if (method === undefined) return 'legacy'
  const meta = params?.['_meta']
  const claimed = isObject(meta) && Object.hasOwn(meta, metaKeys.version)
  const opens = method === 'initialize' && id !== undefined
  if (claimed && !opens) return 'modern'
  const named = versionHeader !== undefined && isRevision(versionHeader) && isModern(versionHeader)
  // An opening under the header of the newer era contradicts itself, and only that era has words for it.
  if (opens) return named ? 'modern' : eraOfRequest(method, params, false)
  return named ? 'modern' : 'legacy'
}

export type ProbeVerdict =
  | { readonly kind: 'modern'; readonly version: string; readonly discovered: JsonObject }
  /** Ask again at this version: the server is modern and said so. */
  | { readonly kind: 'again'; readonly version: string }
  | { readonly kind: 'legacy' }
  /** Modern, but none of its revisions is ours. */
  | { readonly kind: 'foreign'; readonly supported: readonly string[] }
  /** No evidence either way: the way to the server failed, not the server. */
  | { readonly kind: 'none' }

/** What a server's answer to `server/discover` says of it (2026-07-28 basic/transports/stdio, "Backward Compatibility"). */
export function readProbe(answer: JsonObject | McpError): ProbeVerdict {
  if (!(answer instanceof McpError)) {
    const supported = versionList(answer['supportedVersions'])
    // Some old servers answer every method; only the real shape is evidence.
    if (!supported || !isObject(answer['capabilities'])) return { kind: 'legacy' }
    const common = choose(supported)
    return common.kind === 'again' ? { kind: 'modern', version: common.version, discovered: answer } : common
  }
  switch (answer.code) {
    case 'BACKEND_ERROR': {
      if (answer.details.rpc?.code !== unsupportedVersion) return { kind: 'legacy' }
      const detail = answer.details.rpc.data
      const supported = isObject(detail) ? versionList(detail['supported']) : undefined
      return supported ? choose(supported) : { kind: 'legacy' }
    }
    // Unknown reply means legacy: old servers answer unknown methods in any way they like.
    case 'BACKEND_PROTOCOL':
    case 'MESSAGE_TOO_LARGE':
      return { kind: 'legacy' }
    default:
      return { kind: 'none' }
  }
}

function choose(supported: readonly string[]): Exclude<ProbeVerdict, { kind: 'modern' }> {
  const version = revisions.find(each => supported.includes(each))
  if (version !== undefined) return { kind: 'again', version }
  return supported.some(each => isRevision(each) && !isModern(each)) ? { kind: 'legacy' } : { kind: 'foreign', supported }
}

function versionList(value: unknown): string[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  return value.every(each => typeof each === 'string') ? value : undefined
}
