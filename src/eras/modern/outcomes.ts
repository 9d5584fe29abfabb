/**
 * A server's result as an Outcome: lifts the kind and the caching hints off, checks what may be demanded of a client.
 * Everything else stays the object that came off the wire.
 */
import type { Ask, Call, Freshness, JsonObject, Outcome } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { RawComplete, type RawJson } from '../../gateway/raw.ts'
import { canAsk, elicitation, isObject, roots, sampling } from '../asks.ts'
import type { Answer } from '../peer.ts'
import { cacheable, resumable, tasksExtension, taskVariant } from './wire.ts'

const asksOfThisEra: ReadonlySet<unknown> = new Set([elicitation, sampling, roots])

/**
 * `declared`: what that server had been told the client can do. Throws BACKEND_PROTOCOL for a kind nobody negotiated and
 * for demands the specification forbids.
 */
export function readOutcome(call: Call, answer: Answer, backend: string, declared: JsonObject): Outcome {
  const unread = answer.raw && unparsed(call.method, answer.raw)
  if (unread) return unread
  const { result, extra } = answer
  const kind = result['resultType']
  switch (kind) {
    // Absent in results of servers that know only earlier revisions (basic/index, "ResultType").
    case undefined:
    case 'complete':
      return completed(call.method, kind === undefined ? result : without(result, 'resultType'), extra)
    case 'input_required':
      return demanded(call, result, backend, declared)
    default:
      if (!isNegotiated(kind, declared)) throw fault(backend, `unknown kind of result ${JSON.stringify(kind)?.slice(0, 64)}`)
      return { kind: 'complete', result: without(result, 'resultType'), variant: kind, extra }
  }
}

/** An ordinary result that came in bytes stays in them. */
function unparsed(method: string, raw: RawJson): Outcome | undefined {
  if (!resumable.has(method)) return undefined
  const kind = raw.get('resultType')
  if (kind !== undefined && kind !== 'complete') return undefined
  if (!cacheable.has(method) || !(raw.has('ttlMs') || raw.has('cacheScope'))) return new RawComplete(raw.edit(['resultType']))
  const freshness = freshnessOf(raw.get('ttlMs'), raw.get('cacheScope'))
  return new RawComplete(raw.edit(['resultType', 'ttlMs', 'cacheScope']), freshness)
}

function completed(method: string, result: JsonObject, extra: JsonObject | undefined): Outcome {
  if (!cacheable.has(method) || !('ttlMs' in result || 'cacheScope' in result)) return { kind: 'complete', result, extra }
  const { ttlMs, cacheScope, ...rest } = result
  return { kind: 'complete', result: rest, freshness: freshnessOf(ttlMs, cacheScope), extra }
}

/** Receivers take a missing or senseless hint for the most careful one (server/utilities/caching). */
function freshnessOf(ttlMs: unknown, scope: unknown): Freshness {
  const usable = typeof ttlMs === 'number' && Number.isFinite(ttlMs) && ttlMs > 0
  return { ttlMs: usable ? Math.floor(ttlMs) : 0, scope: scope === 'public' ? 'public' : 'private' }
}

/** Kinds beyond the core's need an extension both sides have; that of tasks is known, others we cannot tell apart. */
function isNegotiated(kind: unknown, declared: JsonObject): kind is string {
  const extensions = declared['extensions']
  if (typeof kind !== 'string' || !isObject(extensions)) return false
  return kind === taskVariant ? Object.hasOwn(extensions, tasksExtension) : Object.keys(extensions).length > 0
}

function demanded(call: Call, result: JsonObject, backend: string, declared: JsonObject): Outcome {
  const { resultType: _kind, inputRequests, requestState, ...rest } = result
  if (!resumable.has(call.method)) throw fault(backend, `${call.method} may not be answered with a demand for input`)
  if (requestState !== undefined && typeof requestState !== 'string') throw fault(backend, 'its request state is no string')
  if (inputRequests !== undefined) checkAsks(inputRequests, backend, declared)
  const requests = inputRequests as Record<string, Ask> | undefined
  if (requestState === undefined && (!requests || Object.keys(requests).length === 0))
    throw fault(backend, 'it demands input without saying which')
  return { kind: 'inputRequired', requests, requestState, ...(Object.keys(rest).length > 0 ? { rest } : {}) }
}

function checkAsks(inputRequests: unknown, backend: string, declared: JsonObject): void {
  if (!isObject(inputRequests)) throw fault(backend, 'its input requests are no object')
  for (const ask of Object.values(inputRequests)) {
    if (!isObject(ask) || !asksOfThisEra.has(ask['method']) || (ask['params'] !== undefined && !isObject(ask['params'])))
      throw fault(backend, 'one of its input requests is none that a client could answer')
    if (!canAsk(declared, ask as unknown as Ask))
      throw fault(backend, `it asks for ${String(ask['method'])}, which the client did not declare`)
  }
}

function without(result: JsonObject, key: string): JsonObject {
  const { [key]: _lifted, ...rest } = result
  return rest
}

const fault = (backend: string, what: string): McpError =>
  new McpError('BACKEND_PROTOCOL', `${backend} broke the protocol: ${what}`, { backend })
