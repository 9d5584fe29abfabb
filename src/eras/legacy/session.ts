/**
 * One session of Streamable HTTP, 2025-03-26 to 2025-11-25: the channel of a client that is made of many requests. Puts each
 * message on the stream it belongs to, and keeps what the client has missed. An idle one must cost next to nothing.
 */
import type { JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { SlotMap } from '../../gateway/slot-map.ts'
import { messageText, type Channel, type Message, type RequestId, type SendOptions } from '../../transports/channel.ts'
import type { EventStream, Exchange } from '../../transports/exchange.ts'
import type { Front, ServeOptions, SessionLimits } from '../options.ts'
import { Peer, type Incoming, type PeerHandlers } from '../peer.ts'
import { openLegacyFront } from './client-side.ts'
import { eventId, readEventId } from './event-store.ts'
import { Reply, type Streams } from './reply.ts'
import { standalone, Trail } from './trail.ts'
import { negotiate } from './wire.ts'

export const sessionHeader = 'mcp-session-id'

export interface SessionHost {
  readonly limits: SessionLimits
  ended(session: Session): void
}

export class Session implements Channel, PeerHandlers, Streams {
  readonly id: string
  /** Whole milliseconds, of `performance.now()`: when it was last of use. */
  usedAt = clock()
  private readonly host: SessionHost
  private readonly options: ServeOptions
  private readonly front: Front
  private readonly peer: Peer
  private revision = ''
  private opening: RequestId | undefined
  private opened = false
  private over = false
  private replies: SlotMap<RequestId, Reply> | undefined
  private listener: EventStream | undefined
  private trail: Trail | undefined

  constructor(id: string, host: SessionHost, options: ServeOptions) {
    this.id = id
    this.host = host
    this.options = options
    this.peer = new Peer(this, this)
    // Joined and not added up: a sum of texts keeps its parts.
    this.front = openLegacyFront(this.peer, options, ['session', id.slice(0, 8), (Session.count++).toString(36)].join('-'))
  }

  private static count = 0

  // Not fields of each: thousands would say the same.
  get transport(): string {
    return 'http'
  }
  get cancelsByClosing(): boolean {
    return false
  }
  get principal(): string {
    return this.options.principal
  }

  /** Header fields of every answer; undefined while it is not open. */
  get fields(): Readonly<Record<string, string>> | undefined {
    return this.opened ? { 'mcp-session-id': this.id } : undefined
  }

  get isIdle(): boolean {
    return !this.replies?.size && !this.listener
  }

  get inFlight(): number {
    return this.peer.serving
  }

  /** Whether batches are part of the revision that was agreed on (2025-06-18 changelog removed them). */
  get takesBatches(): boolean {
    return this.revision === '2025-03-26'
  }

  /** A POST with one message. */
  post(exchange: Exchange, message: Message): void {
    this.usedAt = clock()
    const { id, method } = message
    if (method === undefined || id === undefined || id === null) {
      this.take(message)
      this.peer.rest()
      return exchange.empty(202)
    }
    if (this.replies?.has(id)) {
      const error = new McpError('DUPLICATE_ID', 'a request with this id is still in flight').toRpc()
      return exchange.json(400, JSON.stringify({ jsonrpc: '2.0', id, error }))
    }
    const reply = new Reply(exchange, [id], this)
    this.begin(reply)
    // The answer that opens the session tells its id in a header field, which a stream begun before it could not.
    if (this.opened && prefersEvents(exchange.header('accept'))) reply.start()
    this.take(message)
  }

  /** A POST with several; `early` are answers there are already. Throws INVALID_REQUEST. */
  postBatch(exchange: Exchange, messages: readonly Message[], early: readonly string[]): void {
    this.usedAt = clock()
    const ids: RequestId[] = []
    for (const { id, method } of messages) {
      if (method === 'initialize') throw new McpError('INVALID_REQUEST', 'initialize must not be part of a batch')
      if (method === undefined || id === undefined || id === null) continue
      if (ids.includes(id) || this.replies?.has(id)) throw new McpError('DUPLICATE_ID', 'two requests of the batch, or one in flight, share an id')
      ids.push(id)
    }
    if (ids.length > 0) this.begin(new Reply(exchange, ids, this, early))
    for (const message of messages) this.take(message)
    if (ids.length > 0) return
    if (early.length > 0) exchange.json(400, `[${early.join(',')}]`)
    else exchange.empty(202)
  }

  /** A GET: the standalone stream, or the rest of one that broke. */
  listen(exchange: Exchange): void {
    this.usedAt = clock()
    const last = exchange.header('last-event-id')
    const cursor = last === undefined ? undefined : readEventId(last)
    if (last !== undefined && (!cursor || !this.trailed().reaches(cursor.stream, cursor.sequence)))
      return exchange.json(400, errorText('this Last-Event-ID is none of this session'))
    if (cursor && cursor.stream !== standalone) return this.resume(exchange, cursor)
    // A client that tells where it was cannot have the old stream any more, whatever our end of it believes.
    if (this.listener?.open && !cursor) return exchange.json(409, errorText('this session has its stream already'))
    this.listener?.end()
    const stream = this.attach(exchange, cursor === undefined)
    if (cursor) for (const event of this.trailed().after(standalone, cursor.sequence)) stream.send(event.text, { id: eventId(standalone, event.sequence) })
    for (const text of this.trail?.takeWaiting() ?? []) stream.send(text, { id: this.keep(standalone, text) })
  }

  /** Ends the session: its calls are cancelled, its streams closed. */
  end(): void {
    if (this.over) return
    this.over = true
    this.host.ended(this)
    for (const reply of new Set(this.replies?.values())) reply.abort(404, errorText('the session has ended'))
    this.listener?.end()
    this.peer.closed(undefined)
  }

  /** Forgets what nobody came back for. */
  age(now: number): void {
    this.trail?.age(now)
  }

  refuseAll(error: McpError): void {
    this.peer.refuseAll(error)
  }

  // Channel: what the peer has for the client.

  /** Its receiver is the peer, which it has made itself. */
  open(): void {}

  send(message: Message, options?: SendOptions): void {
    const { id } = message
    if (message.method === undefined && id !== undefined && id !== null) {
      const reply = this.replies?.get(id)
      this.replies?.delete(id)
      if (this.opening === id) this.settled(message)
      reply?.answer(id, message)
      // Nobody has been told the id of a session that could not be opened.
      return this.opened ? undefined : this.end()
    }
    const related = options?.relatedTo
    const reply = related === undefined ? undefined : this.replies?.get(related)
    if (reply) reply.send(message)
    else this.redirect(message)
  }

  abandon(): void {}

  async close(): Promise<void> {
    this.end()
  }

  // PeerHandlers: what the client has for us.

  request(incoming: Incoming): void {
    if (incoming.method === 'initialize') {
      this.opening = incoming.id
      this.revision = negotiate(incoming.params?.['protocolVersion'])
    }
    this.front.request(incoming)
  }

  notification(method: string, params: JsonObject | undefined): void {
    this.front.notification(method, params)
  }

  stray(what: string, message?: Message): void {
    this.options.log.debug({ method: message?.method, id: message?.id }, what)
  }

  closed(): void {
    this.front.closed()
  }

  // Streams: what replies need.

  numberStream(reply: Reply): number {
    return this.trailed().begin(reply)
  }

  keep(stream: number, text: string): string {
    return this.trailed().keep(stream, text)
  }

  /** Older clients try to read every event as a message. */
  prime(stream: number): string | undefined {
    return this.revision >= '2025-11-25' ? this.trailed().mark(stream) : undefined
  }

  /** With its last request an idle session lets go of what it needs for requests. */
  finished(reply: Reply): void {
    // A call may have taken longer than an idle session lives.
    this.usedAt = clock()
    for (const id of reply.open) this.replies?.delete(id)
    this.trail?.finished(reply)
    if (this.replies?.size !== 0) return
    this.replies = undefined
    this.peer.rest()
  }

  redirect(message: Message): void {
    const text = messageText(message)
    const sheddable = message.id === undefined
    if (this.listener?.open) this.listener.send(text, { id: this.keep(standalone, text), sheddable })
    else this.trailed().wait(text, sheddable)
  }

  private trailed(): Trail {
    return (this.trail ??= new Trail(this.host.limits))
  }

  private settled(answer: Message): void {
    this.opening = undefined
    if (answer.error === undefined) this.opened = true
  }

  private begin(reply: Reply): void {
    const replies = (this.replies ??= new SlotMap())
    for (const id of reply.open) replies.set(id, reply)
  }

  private take(message: Message): void {
    const cancelled = message.method === 'notifications/cancelled' ? (message.params?.['requestId'] as RequestId) : undefined
    this.peer.message(message)
    if (cancelled === undefined) return
    const reply = this.replies?.get(cancelled)
    this.replies?.delete(cancelled)
    reply?.cancelled(cancelled)
  }

  /** `isNew`: who comes back has a place already, and one ahead of what was missed would lose it. */
  private attach(exchange: Exchange, isNew: boolean): EventStream {
    const stream = exchange.stream(this.fields)
    this.listener = stream
    exchange.onGone = () => {
      if (this.listener === stream) this.listener = undefined
      this.usedAt = clock()
    }
    const first = isNew ? this.prime(standalone) : undefined
    if (first !== undefined) stream.send('', { id: first })
    return stream
  }

  private resume(exchange: Exchange, { stream: number, sequence }: { stream: number; sequence: number }): void {
    const missed = this.trailed().after(number, sequence)
    const reply = this.trail?.reply(number)
    // Nothing is left of it. This status, unlike an empty stream, keeps clients from asking again (HTML, "event streams").
    if (!reply && missed.length === 0) return exchange.empty(204)
    const stream = exchange.stream(this.fields)
    for (const event of missed) stream.send(event.text, { id: eventId(number, event.sequence) })
    if (reply) reply.resume(stream, exchange)
    else stream.end()
  }
}

/** Whole, for a fraction would be an object of its own in each session. */
const clock = (): number => Math.floor(performance.now())

/** Either form is ours to choose; a client that names event streams first is given one from the start. */
function prefersEvents(accept: string | undefined): boolean {
  const events = accept?.indexOf('text/event-stream') ?? -1
  return events >= 0 && events < (accept as string).indexOf('application/json')
}

/** An HTTP refusal as a JSON-RPC error that answers no request in particular. */
export const errorText = (message: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id: null, error: new McpError('INVALID_REQUEST', message).toRpc() })
