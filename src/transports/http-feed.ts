/**
 * An event stream from a remote server by GET, opened again whenever it ends, after the last event that came. Owns when to
 * come back and when to give up; what the events mean is told to whoever wanted them.
 */
import { McpError } from '../gateway/errors.ts'
import type { RequestId } from './channel.ts'
import { died, statusFailure, typeFailure } from './http-failures.ts'
import type { Inbound } from './http-inbound.ts'
import { essence } from './http-post.ts'
import { fieldOf, type Fields, type HttpRequest, type IncomingFields, type ResponseSink } from './http-request.ts'
import { SseReader, type EventSink } from './sse-reader.ts'

export interface FeedOptions {
  /** Starts a GET with these further fields. */
  readonly get: (fields: Fields, sink: ResponseSink) => HttpRequest
  readonly inbound: Inbound
  /** Our request whose answer is on this stream; undefined = the stream is nobody's. */
  readonly awaited?: RequestId | undefined
  /** Where an earlier stream broke off. */
  readonly after?: { readonly lastId: string | undefined; readonly retryMs: number | undefined } | undefined
  /** Failures in a row, none of which brought an event, before it is given up. */
  readonly attempts: number
  /** It is up again, and the server does not know what was missed. */
  readonly back?: (() => void) | undefined
  /** The server tells an address. */
  readonly pointed?: ((address: string) => void) | undefined
  /** It is over: `error` says why; undefined = the awaited answer came. `status`: if that was the reason. */
  readonly over: (error: McpError | undefined, status?: number) => void
}

/** Milliseconds: the first pause, unless the server names one, the longest, and the shortest that a server may name. */
const pauses = { first: 1000, longest: 60_000, shortest: 50 } as const
/** Ids that can stand in a header field. */
const sendable = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

export class Feed implements ResponseSink, EventSink {
  private readonly options: FeedOptions
  private request: HttpRequest | undefined
  private reader: SseReader | undefined
  private lastId: string | undefined
  private retryMs: number | undefined
  private failures = 0
  private opened = 0
  private timer: NodeJS.Timeout | undefined
  private status = 0
  private retryAfter: string | undefined
  private stopped = false

  constructor(options: FeedOptions) {
    this.options = options
    this.lastId = options.after?.lastId
    this.retryMs = options.after?.retryMs
  }

  /** Opens it now, or after the pause the server wants. */
  start(now: boolean): void {
    if (now) this.open()
    else this.later()
  }

  /** Ends it; nothing more is told. */
  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
    this.reader?.stop()
    this.request?.abort()
  }

  look(now: number): void {
    this.request?.look(now)
  }

  response(status: number, fields: IncomingFields): void {
    this.status = status
    if (status !== 200) {
      this.retryAfter = fieldOf(fields, 'retry-after')
      return
    }
    const type = essence(fieldOf(fields, 'content-type'))
    if (type !== 'text/event-stream') return this.conclude(typeFailure(status, type))
    this.reader = new SseReader(this, this.options.inbound.maxBytes)
    if (this.opened++ > 0 && this.lastId === undefined) this.options.back?.()
  }

  data(chunk: Buffer): void {
    this.reader?.push(chunk)
  }

  end(): void {
    if (this.status === 200) return this.lost(died('the server ended the stream'))
    const error = statusFailure(this.status, this.retryAfter)
    if (error.code === 'BACKEND_HTTP') this.lost(error)
    else this.conclude(error, this.status)
  }

  failed(error: McpError): void {
    this.lost(error)
  }

  event(name: string, data: Buffer): void {
    this.failures = 0
    if (name === 'endpoint') return this.options.pointed?.(data.toString('utf8'))
    if (name !== 'message' || data.length === 0) return
    const { inbound, awaited } = this.options
    if (inbound.take(data, awaited, awaited)) this.conclude(undefined)
  }

  oversized(head: Buffer, tail: Buffer): void {
    const { inbound, awaited } = this.options
    if (inbound.oversized(head, tail, awaited)) this.conclude(undefined)
  }

  private open(): void {
    this.status = 0
    this.reader = undefined
    const fields: Fields = this.lastId !== undefined && sendable.test(this.lastId) ? { 'last-event-id': this.lastId } : {}
    this.request = this.options.get(fields, this)
  }

  private lost(error: McpError): void {
    if (this.stopped) return
    const { reader } = this
    reader?.stop()
    if (reader?.lastId !== undefined) this.lastId = reader.lastId
    if (reader?.retryMs !== undefined) this.retryMs = reader.retryMs
    if (this.failures >= this.options.attempts) return this.conclude(error)
    this.failures++
    this.later(error.details.retryAfterMs)
  }

  /** The pause the server named is a duty; beyond it each failure in a row doubles ours. */
  private later(atLeast = 0): void {
    const grown = Math.min(pauses.first * 2 ** Math.max(0, this.failures - 1), pauses.longest)
    const usual = this.retryMs ?? grown * (0.5 + Math.random() / 2)
    const pause = Math.max(usual, pauses.shortest, this.failures > 1 ? grown : 0, Math.min(atLeast, pauses.longest))
    this.timer = setTimeout(() => this.open(), pause).unref()
  }

  private conclude(error: McpError | undefined, status?: number): void {
    if (this.stopped) return
    this.stop()
    this.options.over(error, status)
  }
}
