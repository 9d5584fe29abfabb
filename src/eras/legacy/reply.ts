/**
 * What becomes of one POST that carries requests: a JSON answer, or a stream of events as soon as something comes before
 * the answer. Outlives its connection, for a client may come back for the rest. Knows its session's cursor and no more.
 */
import { messageText, type Message, type RequestId } from '../../transports/channel.ts'
import type { EventStream, Exchange } from '../../transports/exchange.ts'

/** The session as a reply sees it. */
export interface Streams {
  /** A number for a stream that begins, unique in the session. */
  numberStream(reply: Reply): number
  /** Header fields of every answer in this session. */
  readonly fields: Readonly<Record<string, string>> | undefined
  /** Keeps an event; returns its id. */
  keep(stream: number, text: string): string
  /** The id to begin a stream with, where clients of this revision take an event that has no message. */
  prime(stream: number): string | undefined
  finished(reply: Reply): void
  /** For what can no longer reach the client on the request's own stream. */
  redirect(message: Message): void
}

export class Reply {
  /** Requests that have no answer yet. */
  readonly open: RequestId[]
  private readonly streams: Streams
  private readonly isBatch: boolean
  private readonly answers: string[]
  private exchange: Exchange | undefined
  private stream: EventStream | undefined
  private number: number | undefined
  private over = false

  /** `early`: answers there are already, to elements of a batch that were no messages. */
  constructor(exchange: Exchange, ids: Iterable<RequestId>, streams: Streams, early?: readonly string[]) {
    this.exchange = exchange
    this.open = [...ids]
    this.streams = streams
    this.isBatch = early !== undefined
    this.answers = early ? [...early] : []
    exchange.onGone = () => this.gone()
    exchange.onQuiet = () => this.start()
  }

  /** A notification or a request of ours that belongs to one of these requests. */
  send(message: Message): void {
    if (this.over) return
    if (!this.exchange && this.number === undefined) {
      // It was never a stream, so nobody can come back for it. A question still needs its answer.
      if (message.id !== undefined) this.streams.redirect(message)
      return
    }
    this.start()
    const sheddable = message.method === 'notifications/progress' || message.method === 'notifications/message'
    this.emit(messageText(message), sheddable)
  }

  answer(id: RequestId, message: Message): void {
    if (!this.take(id) || this.over) return
    const text = messageText(message)
    if (this.number !== undefined) this.emit(text, false)
    else this.answers.push(text)
    if (this.open.length === 0) this.finish()
  }

  /** The client took the request back: no answer will come. */
  cancelled(id: RequestId): void {
    if (this.take(id) && this.open.length === 0) this.finish()
  }

  /** The client has come back on another connection for what it missed after `events` of this stream. */
  resume(stream: EventStream, exchange: Exchange): void {
    this.stream?.end()
    this.exchange = exchange
    this.stream = stream
    exchange.onGone = () => {
      if (this.stream === stream) this.gone()
    }
  }

  /** Ends it without what is missing. */
  abort(status: number, text: string): void {
    this.over = true
    if (this.stream) this.stream.end()
    else this.exchange?.json(status, text)
    this.streams.finished(this)
  }

  /** Makes it a stream, from now on if it was none. */
  start(): void {
    if (this.number !== undefined || !this.exchange) return
    this.number = this.streams.numberStream(this)
    this.stream = this.exchange.stream(this.streams.fields)
    const first = this.streams.prime(this.number)
    if (first !== undefined) this.stream.send('', { id: first })
    for (const text of this.answers.splice(0)) this.emit(text, false)
  }

  private emit(text: string, sheddable: boolean): void {
    const id = this.streams.keep(this.number as number, text)
    this.stream?.send(text, { id, sheddable })
  }

  private take(id: RequestId): boolean {
    const at = this.open.indexOf(id)
    if (at < 0) return false
    const last = this.open.pop() as RequestId
    if (at < this.open.length) this.open[at] = last
    return true
  }

  private finish(): void {
    this.over = true
    const { answers, exchange, stream } = this
    // V8 puts such objects among the old ones early, where a dead one keeps what it refers to until the next full collection.
    this.exchange = this.stream = undefined
    if (stream) stream.end()
    else if (exchange && answers.length > 0) exchange.json(200, this.isBatch ? `[${answers.join(',')}]` : (answers[0] as string), this.streams.fields)
    // All was taken back: there is nothing to say, and an event stream may say nothing.
    else exchange?.stream().end()
    this.streams.finished(this)
  }

  /** Not a wish to cancel (2025-11-25 basic/transports, "Sending Messages to the Server"). */
  private gone(): void {
    this.exchange = this.stream = undefined
  }
}
