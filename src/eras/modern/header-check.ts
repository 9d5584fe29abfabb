/**
 * Whether the header fields of a POST say what its body says (2026-07-28 basic/transports/streamable-http, "Server
 * Validation"). The body is the truth; a field that differs from it may have led somebody on the way astray.
 */
import type { JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { readAnnotations, type Annotation } from '../annotations.ts'
import { isObject } from '../asks.ts'
import { headerMismatch, metaKeys, nameSources } from './wire.ts'

/** A header field by its lower-case name. */
export type Fields = (name: string) => string | undefined

/** -32020, in words that quote no more of either side than a line. */
function mismatch(what: string): McpError {
  const message = `Header mismatch: ${what}`
  return new McpError('INVALID_REQUEST', message, { rpc: { code: headerMismatch, message } })
}

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const invalid = /[^\x20-\x7e\t]/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What a field stands for, the sentinel decoded ("Value Encoding"); undefined = it stands for nothing. */
export function decodeHeader(value: string): string | undefined {
  if (invalid.test(value)) return undefined
  if (!value.startsWith('=?base64?') || !value.endsWith('?=') || value.length < 11) return value
  const body = value.slice(9, -2)
  if (!base64.test(body)) return undefined
  try {
    return utf8.decode(Buffer.from(body, 'base64'))
  } catch {
    return undefined
  }
}

function checkField(name: string, value: string | undefined, wanted: string): void {
  if (value === undefined) throw mismatch(`${name} is missing`)
  const decoded = decodeHeader(value)
  if (decoded === undefined) throw mismatch(`${name} contains characters or an encoding that it must not`)
  if (decoded !== wanted) throw mismatch(`${name} says ${shown(decoded)}, the body says ${shown(wanted)}`)
}

/** The fields every request carries. Throws -32020 for the first that is missing or differs. */
export function checkStandardFields(method: string, params: JsonObject | undefined, field: Fields): void {
  const meta = params?.['_meta']
  const claimed = isObject(meta) ? meta[metaKeys.version] : undefined
  const version = field('mcp-protocol-version')
  if (typeof claimed !== 'string') {
    // The body does not say what it must; it is told so instead, but for the one request that would be of the other era.
    if (method === 'initialize') throw mismatch(`MCP-Protocol-Version says ${shown(version)}, and initialize is of an earlier one`)
    return
  }
  if (version === undefined) throw mismatch('MCP-Protocol-Version is missing')
  if (claimed !== version)
    throw mismatch(`MCP-Protocol-Version says ${shown(version)}, the body says ${shown(claimed)}`)
  const named = field('mcp-method')
  if (named === undefined) throw mismatch('Mcp-Method is missing')
  if (named !== method) throw mismatch(`Mcp-Method says ${shown(named)}, the body says ${shown(method)}`)
  const source = Object.hasOwn(nameSources, method) ? nameSources[method] : undefined
  const name = source === undefined ? undefined : params?.[source]
  if (typeof name === 'string') checkField('Mcp-Name', field('mcp-name'), name)
}

const mirrored = new WeakMap<JsonObject, readonly (Annotation & { readonly field: string })[]>()

function mirroredBy(tool: JsonObject) {
  let known = mirrored.get(tool)
  if (!known) {
    known = readAnnotations(tool['inputSchema']).valid.map(each => ({ ...each, field: `mcp-param-${each.name.toLowerCase()}` }))
    mirrored.set(tool, known)
  }
  return known
}

const decimal = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/** The fields that mirror a tool's arguments. Throws -32020 for the first that is missing or differs. */
export function checkParamFields(tool: JsonObject, args: unknown, field: Fields): void {
  for (const { path, name, field: lower } of mirroredBy(tool)) {
    let value: unknown = args
    for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
    const sent = field(lower)
    const full = `Mcp-Param-${name}`
    if (value === undefined || value === null) {
      if (sent !== undefined) throw mismatch(`${full} was sent, and the body has no such argument`)
    } else if (typeof value === 'number' && sent !== undefined && decimal.test(sent)) {
      // `42.0` and `42` are the same number.
      if (Number(sent) !== value) throw mismatch(`${full} says ${shown(sent)}, the body says ${value}`)
    } else if (typeof value !== 'object') checkField(full, sent, String(value))
    else if (sent !== undefined) throw mismatch(`${full} was sent for an argument that has no text form`)
  }
}
