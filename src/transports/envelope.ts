/**
 * What makes parsed JSON a JSON-RPC message, and whose id a broken one carries. Owns the envelope only: method names,
 * params and results are others' business. Transports that do not frame by lines use it too.
 */
import { McpError, type ErrorCode } from '../gateway/errors.ts'
import type { Message, MessagePart, RequestId } from './channel.ts'

/** Who wrote what we read; it decides whose fault a broken message is. */
export type Author = 'client' | 'backend'

export interface Broken {
  readonly error: McpError
  readonly id: RequestId | undefined
  readonly part: MessagePart | undefined
}

type Fields = { [key: string]: unknown }

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Fractions and integers beyond 2^53 are refused: `JSON.parse` rounds the latter, and an answer would reach another call. */
export const isRequestId = (value: unknown): value is RequestId => typeof value === 'string' || Number.isSafeInteger(value)

/**
 * What is wrong with `value` as a message; undefined = nothing. Mends two harmless things in place: `params: null`
 * and a key named `__proto__`, which would set a prototype when the message is copied key by key.
 */
export function faultOf(value: Fields): string | undefined {
  const { id, method, params, error } = value
  if (Object.hasOwn(value, '__proto__')) delete value['__proto__']
  if (value['jsonrpc'] !== '2.0') return 'a message without "jsonrpc": "2.0"'
  if (method !== undefined) {
    if (typeof method !== 'string') return 'a method that is not a string'
    if (id !== undefined && !isRequestId(id)) return 'an id that is neither a string nor a safe integer'
    if (params === undefined || isFields(params)) return undefined
    if (params !== null) return 'params that are not an object'
    delete value['params']
    return undefined
  }
  if (error !== undefined && error !== null) {
    if (!isFields(error) || typeof error['code'] !== 'number' || typeof error['message'] !== 'string')
      return 'an error without a numeric code and a message'
    // JSON-RPC 2.0 §5: an error answer to a request whose id could not be read has the id null.
    if (id === null) return undefined
  } else if (value['result'] === undefined) return 'a message with neither method, result nor error'
  return isRequestId(id) ? undefined : 'an id that is neither a string nor a safe integer'
}

/** True for a JSON object that means to be JSON-RPC, as opposed to a log line that happens to be JSON. */
export const looksLikeMessage = (value: Fields): boolean =>
  'jsonrpc' in value || 'method' in value || 'result' in value || 'error' in value

/** The id of a broken message and whose it is, as far as they can be read. */
export function traceOf(value: unknown): Pick<Broken, 'id' | 'part'> {
  if (!isFields(value)) return { id: undefined, part: undefined }
  const part = 'method' in value ? 'request' : 'result' in value || 'error' in value ? 'answer' : undefined
  return { id: isRequestId(value['id']) ? value['id'] : undefined, part }
}

/** Reports `fault` under the code that fits: a request is refused as invalid, an answer breaks the protocol. */
export function broken(fault: string, trace: Pick<Broken, 'id' | 'part'>, author: Author, code?: ErrorCode): Broken {
  const { id, part } = trace
  const fits: ErrorCode = part === 'request' || author === 'client' ? 'INVALID_REQUEST' : 'BACKEND_PROTOCOL'
  return { error: new McpError(code ?? fits, `the ${author} sent ${fault}`), id, part }
}

/** True when `value` nests deeper than `levels`; the outermost object is level one. Never recurses further than that. */
export function isDeeper(value: object, levels: number): boolean {
  if (levels === 0) return true
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null && isDeeper(item, levels - 1)) return true
    return false
  }
  for (const key in value) {
    const item = (value as Fields)[key]
    if (typeof item === 'object' && item !== null && isDeeper(item, levels - 1)) return true
  }
  return false
}

/** A batch split into what are messages and what are not. */
export function sortBatch(values: readonly unknown[], author: Author): { messages: Message[]; rest: Broken[] } {
  const messages: Message[] = []
  const rest: Broken[] = []
  for (const value of values) {
    const fault = isFields(value) ? faultOf(value) : 'a batch element that is not an object'
    if (fault === undefined) messages.push(value as Message)
    else rest.push(broken(fault, traceOf(value), author))
  }
  return { messages, rest }
}
