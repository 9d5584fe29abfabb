/**
 * The body of a POST as JSON-RPC: read under a cap, decoded, parsed once, and refused with the exact error where it is no
 * message. Knows nothing of what messages mean.
 */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { rpcCodes, type RpcError } from '../gateway/errors.ts'
import type { Message, RequestId } from './channel.ts'
import { faultOf, isFields, isRequestId, sortBatch } from './envelope.ts'
import type { Content } from './exchange.ts'
import { scanJson } from './json-scan.ts'

export const maxDepth = 100
export const maxBatch = 100

/** A refusal: what to answer, with which status. */
export interface Refusal {
  readonly status: number
  readonly error: RpcError
  readonly id?: RequestId | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export const refusal = (status: number, message: string, more?: Partial<Refusal>): Refusal => ({
  status,
  error: { code: rpcCodes.invalidRequest, message },
  ...more,
})

/** A client hears a refusal best after it has said all; beyond this many caps it is cut off. */
const maxOverrun = 4

/** Reads the whole body; calls back with the bytes, or with undefined as soon as there are more than `maxBytes`. */
export function readBody(request: IncomingMessage, maxBytes: number, done: (body: Buffer | undefined) => void): void {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return done(undefined)
  let only: Buffer | undefined
  let chunks: Buffer[] | undefined
  let size = 0
  let over = false
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (over) {
      if (size > maxBytes * maxOverrun) request.destroy()
    } else if (size > maxBytes) {
      over = true
      only = chunks = undefined
      done(undefined)
    } else if (chunks) chunks.push(chunk)
    else if (only) chunks = [only, chunk]
    else only = chunk
  })
  request.on('end', () => {
    if (!over) done(chunks ? Buffer.concat(chunks, size) : (only ?? Buffer.alloc(0)))
  })
}

const parseError = (message: string): Refusal => ({ status: 400, error: { code: rpcCodes.parse, message } })

/** Bytes to messages. Returns a refusal for whatever is not JSON-RPC. */
export function readContent(body: Buffer): Content | Refusal {
  if (!isUtf8(body)) return parseError('the body is not valid UTF-8')
  const text = body.toString('utf8')
  const fault = scanJson(text, maxDepth)
  if (fault === 'depth') return refusal(400, `the body nests deeper than ${maxDepth} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return parseError('the body is not valid JSON')
  }
  // Readers differ in which of two equal keys they believe, so what one checked another might not run.
  if (fault === 'duplicate') return refusal(400, 'a key stands twice in the message', { id: idOf(value) })
  return Array.isArray(value) ? readBatch(value) : readMessage(value)
}

function readMessage(value: unknown): Content | Refusal {
  if (!isFields(value)) return refusal(400, 'the body is not a JSON-RPC message')
  const fault = misspelt(value) ?? faultOf(value)
  if (fault !== undefined) return refusal(400, `the client sent ${fault}`, { id: idOf(value) })
  return { kind: 'message', message: value as Message }
}

function readBatch(values: readonly unknown[]): Content | Refusal {
  if (values.length === 0) return refusal(400, 'the batch is empty')
  if (values.length > maxBatch) return refusal(400, `the batch has more than ${maxBatch} messages`)
  for (const value of values) {
    const fault = isFields(value) ? misspelt(value) : undefined
    if (fault !== undefined) return refusal(400, `the client sent ${fault}`, { id: idOf(value) })
  }
  return { kind: 'batch', ...sortBatch(values, 'client') }
}

const envelope: readonly string[] = ['jsonrpc', 'id', 'method', 'params', 'result', 'error']
const lengths: ReadonlySet<number> = new Set(envelope.map(({ length }) => length))

/** A key of the envelope in other letters: readers that fold case would see another message. */
function misspelt(value: object): string | undefined {
  for (const key in value) {
    if (!lengths.has(key.length) || envelope.includes(key)) continue
    if (envelope.includes(key.toLowerCase())) return `the key "${key}" where only its lower-case form is known`
  }
  return undefined
}

const idOf = (value: unknown): RequestId | undefined => (isFields(value) && isRequestId(value['id']) ? value['id'] : undefined)

/** A refusal as the text of a JSON-RPC error answer; `id` is null where the request's could not be read (JSON-RPC 2.0 §5). */
export const refusalText = ({ error, id }: Pick<Refusal, 'error' | 'id'>): string => JSON.stringify({ jsonrpc: '2.0', id: id ?? null, error })
