/**
 * One request on node:http as an Exchange: plain answers, event streams, and what becomes of them when the client reads
 * slowly or goes. Owns the bytes of an answer; the listener owns when to look after it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Content, EventOptions, EventStream, Exchange, HeaderFields } from './exchange.ts'
import { refusalText, type Refusal } from './http-body.ts'
import { accepts } from './http-guard.ts'

/** Beyond this much waiting to be sent, events that may be shed are, and `onBacklog` hears of it. Bytes. */
export const queueBytes = 1024 * 1024
/** Beyond this much waiting the reader is given up: nothing it could still read is worth our memory. Bytes. */
const maxQueueBytes = 64 * 1024 * 1024

/** On every answer: nothing here is a document, and nothing may be kept by caches on the way. */
const always: readonly string[] = ['x-content-type-options', 'nosniff', 'cache-control', 'no-store']
const streamHeaders = {
  'x-content-type-options': 'nosniff',
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  // Reverse proxies would otherwise hold events back (2026-07-28 basic/transports/streamable-http, "Receiving Messages").
  'x-accel-buffering': 'no',
}

const lineBreak = /[\r\n]/
const lineBreaks = /\r\n|\r|\n/g

export class HttpExchange implements Exchange, EventStream {
  readonly query: string
  principal = ''
  content: Content | undefined
  onGone: (() => void) | undefined
  onQuiet: (() => void) | undefined
  /** Much of what was just written waits to be read. */
  onBacklog: (() => void) | undefined
  /** Header fields that go with whatever answer comes. */
  extra: HeaderFields | undefined
  /** Its neighbours among the listener's exchanges. */
  next: HttpExchange | undefined
  previous: HttpExchange | undefined
  /** Both let go once the connection is done with them: V8 would keep them with whatever else of a call it finds old. */
  private request: IncomingMessage | undefined
  private response: ServerResponse | undefined
  private answered = false
  private streaming = false
  /** Whether an event was sent since the last look. */
  private spoke = false
  private looks = 0
  private sentBytes = -1
  private stalled = 0

  constructor(request: IncomingMessage, response: ServerResponse, query: string) {
    this.request = request
    this.response = response
    this.query = query
  }

  get method(): string {
    return this.request?.method ?? ''
  }

  get open(): boolean {
    const { response } = this
    return this.streaming && response !== undefined && !response.destroyed && !response.writableEnded
  }

  /** Bytes that wait to be read. */
  get waiting(): number {
    return !this.response || this.response.destroyed ? 0 : this.response.writableLength
  }

  /** Gives the reader up. */
  cut(): void {
    this.response?.destroy()
  }

  header(name: string): string | undefined {
    const value = this.request?.headers[name]
    return typeof value === 'string' ? value : value?.join(', ')
  }

  accepts(type: string): boolean {
    return accepts(this.request?.headers.accept, type)
  }

  json(status: number, text: string, headers?: HeaderFields): void {
    const { response } = this
    if (this.answered || !response) return
    this.answered = true
    const length = Buffer.byteLength(text)
    // Names and values in turn, as they are written: node:http takes twice as long over an object.
    const fields = ['content-type', 'application/json', 'content-length', String(length), ...always]
    append(fields, this.extra)
    append(fields, headers)
    response.writeHead(status, fields)
    response.end(text)
    if (length > queueBytes) this.onBacklog?.()
  }

  empty(status: number, headers?: HeaderFields): void {
    const { response } = this
    if (this.answered || !response) return
    this.answered = true
    // 204 and 304 must not tell a length (RFC 9110 §8.6).
    const fields = status === 204 ? [...always] : [...always, 'content-length', '0']
    append(fields, this.extra)
    append(fields, headers)
    response.writeHead(status, fields)
    response.end()
  }

  stream(headers?: HeaderFields): EventStream {
    const { response } = this
    if (this.answered || !response) return closedStream
    this.answered = this.streaming = true
    response.writeHead(200, { ...streamHeaders, ...this.extra, ...headers })
    response.flushHeaders()
    return this
  }

  refuse(refusal: Refusal): void {
    this.json(refusal.status, refusalText(refusal), refusal.headers)
  }

  send(data: string, { id, event = 'message', sheddable }: EventOptions = {}): boolean {
    const { response } = this
    if (!response || !this.open) return false
    if (sheddable && response.writableLength > queueBytes) return false
    if (response.writableLength > maxQueueBytes) {
      response.destroy()
      return false
    }
    this.spoke = true
    // A server's own JSON may come with line breaks between its parts; each line is a line of the event.
    const lines = lineBreak.test(data) ? data.replace(lineBreaks, '\ndata: ') : data
    response.write(`event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${lines}\n\n`)
    if (response.writableLength > queueBytes) this.onBacklog?.()
    return true
  }

  end(): void {
    if (this.streaming) this.response?.end()
  }

  /** The connection is over: tells whoever answers, unless the answer was complete. */
  closed(): void {
    this.answered = true
    if (!this.response?.writableFinished) this.onGone?.()
    this.onGone = this.onQuiet = this.onBacklog = undefined
    this.request = this.response = this.content = undefined
  }

  /** A regular look at it: keeps a quiet stream alive, gives up a reader that has taken nothing for `patience` looks. */
  look(patience: number): void {
    const { response } = this
    if (!response) return
    if (response.writableLength > 0) {
      const sent = response.socket?.bytesWritten ?? 0
      this.stalled = sent === this.sentBytes ? this.stalled + 1 : 0
      this.sentBytes = sent
      if (this.stalled >= patience) response.destroy()
      return
    }
    this.stalled = 0
    if (this.open && !this.spoke) response.write(':\n\n')
    this.spoke = false
    // The first look may come right after the request did.
    if (this.answered || ++this.looks < 2) return
    const quiet = this.onQuiet
    this.onQuiet = undefined
    quiet?.()
  }
}

function append(list: string[], fields: HeaderFields | undefined): void {
  for (const name in fields) list.push(name, fields[name] as string)
}

const closedStream: EventStream = { open: false, send: () => false, end() {} }
