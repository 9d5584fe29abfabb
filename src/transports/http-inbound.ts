/**
 * Bodies and events of a remote server as messages: parsed once, checked, handed on with the request they came for. Owns
 * what becomes of those that are none; knows neither requests nor streams.
 */
import { isUtf8 } from 'node:buffer'
import { McpError } from '../gateway/errors.ts'
import type { Message, Receiver, RequestId } from './channel.ts'
import { broken, faultOf, isDeeper, isFields, sortBatch, traceOf, type Broken } from './envelope.ts'
import { lineDefaults, rawBytes } from './lines.ts'
import { peek } from './peek.ts'
import { scanAnswer } from './raw-scan.ts'

const replacement = '\ufffd'

export class Inbound {
  private readonly receiver: () => Receiver | undefined
  readonly maxBytes: number

  /** `maxBytes`: of one message. */
  constructor(receiver: () => Receiver | undefined, maxBytes: number) {
    this.receiver = receiver
    this.maxBytes = maxBytes
  }

  /** Hands on what stands in `bytes`. Returns whether the answer to `awaited` was among it. `relatedTo`: whose stream it came on. */
  take(bytes: Buffer, relatedTo: RequestId | undefined, awaited: RequestId | undefined): boolean {
    const raw = bytes.length >= rawBytes ? scanAnswer(bytes, 0, bytes.length, lineDefaults.maxDepth) : undefined
    if (raw) return this.deliver(raw, relatedTo, awaited)
    const text = bytes.toString('utf8')
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      this.report(broken('something that is not JSON', traceOf(undefined), 'backend'))
      return false
    }
    if (text.includes(replacement) && !isUtf8(bytes)) return this.report(broken('a message that is not valid UTF-8', traceOf(value), 'backend'), awaited)
    if (typeof value !== 'object' || value === null) {
      this.report(broken('JSON that is no message', traceOf(undefined), 'backend'))
      return false
    }
    if (bytes.length > 2 * lineDefaults.maxDepth && isDeeper(value, lineDefaults.maxDepth))
      return this.report(broken(`JSON nested deeper than ${lineDefaults.maxDepth} levels`, traceOf(value), 'backend'), awaited)
    return Array.isArray(value) ? this.batch(value, relatedTo, awaited) : this.single(value as Fields, relatedTo, awaited)
  }

  /** Reports a message over the cap, of which only the ends are left. Returns as `take` does. */
  oversized(head: Buffer, tail: Buffer, awaited: RequestId | undefined): boolean {
    const fault = `a message of more than ${this.maxBytes} bytes`
    return this.report(broken(fault, peek(head, tail), 'backend', 'MESSAGE_TOO_LARGE'), awaited)
  }

  /** Fails our own request `id`. */
  fail(id: RequestId, error: McpError): void {
    this.receiver()?.malformed?.(error, id, 'answer')
  }

  private single(value: Fields, relatedTo: RequestId | undefined, awaited: RequestId | undefined): boolean {
    const fault = faultOf(value)
    if (fault !== undefined) return this.report(broken(fault, traceOf(value), 'backend'), awaited)
    return this.deliver(value as Message, relatedTo, awaited)
  }

  /** 2025-03-26 lets servers put several answers into one. */
  private batch(values: readonly unknown[], relatedTo: RequestId | undefined, awaited: RequestId | undefined): boolean {
    if (values.length > lineDefaults.maxBatch) return this.report(broken('too large a batch', traceOf(undefined), 'backend'), awaited)
    const { messages, rest } = sortBatch(values, 'backend')
    let answered = false
    for (const message of messages) answered = this.deliver(message, relatedTo, awaited) || answered
    for (const one of rest) answered = this.report(one, awaited) || answered
    return answered
  }

  private deliver(message: Message, relatedTo: RequestId | undefined, awaited: RequestId | undefined): boolean {
    this.receiver()?.message(message, relatedTo)
    return awaited !== undefined && message.method === undefined && message.id === awaited
  }

  private report({ error, id, part }: Broken, awaited?: RequestId): boolean {
    this.receiver()?.malformed?.(error, id, part)
    return awaited !== undefined && id === awaited && part !== 'request'
  }
}

type Fields = { [key: string]: unknown }

/**
 * The error answer in the body of a refused request, as the answer to `id`; undefined when the body is none. A server that
 * could not read whose request it refuses leaves the id out (JSON-RPC 2.0, 5.1).
 */
export function refusalIn(body: Buffer, id: RequestId): { readonly message: Message; readonly named: boolean } | undefined {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  if (Array.isArray(value) && value.length === 1) value = value[0]
  if (!isFields(value) || !isFields(value['error']) || isDeeper(value, lineDefaults.maxDepth)) return undefined
  const named = value['id'] === id
  // Some put a word of their own there; but what has another number answers another request.
  if (!named && typeof value['id'] === 'number') return undefined
  const message = { ...value, id } as Fields
  return faultOf(message) === undefined && message['method'] === undefined ? { message: message as unknown as Message, named } : undefined
}
