/**
 * The other end of a channel, as both eras see it: our requests with their answers, its requests with ours.
 * Owns ids, progress tokens and cancellation of one hop; knows no method beyond those three.
 * An id never crosses a hop: ours are fresh integers, the peer's are kept typed (`1` is not `"1"`).
 */
import type { Cancellation } from '../gateway/cancellation.ts'
import { CancelSource } from '../gateway/cancellation.ts'
import type { JsonObject } from '../gateway/contract.ts'
import { McpError, toMcpError, type RpcError } from '../gateway/errors.ts'
import { RawJson } from '../gateway/raw.ts'
import { SlotMap } from '../gateway/slot-map.ts'
import { RawMessage, type Channel, type Message, type MessagePart, type Receiver, type RequestId, type SendOptions } from '../transports/channel.ts'
import { Pending } from './pending.ts'

export interface RequestOptions extends Pick<SendOptions, 'opens' | 'ahead'> {
  readonly cancellation?: Cancellation | undefined
  /** Takes params of progress notifications without the token; its presence is what asks for progress. */
  readonly progress?: ((params: JsonObject) => void) | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly relatedTo?: RequestId | undefined
  /** Unknown top-level keys to send along. */
  readonly extra?: JsonObject | undefined
  /** Tells the id as soon as the request is sent. */
  readonly sent?: ((id: RequestId) => void) | undefined
  /** Cancelling must not be told to the peer (an opening request may not be cancelled). */
  readonly silentCancel?: boolean | undefined
}

/** A request of the peer, to be answered exactly once; answering late, twice or after cancellation does nothing. */
export interface Incoming {
  readonly id: RequestId
  readonly method: string
  readonly params: JsonObject | undefined
  readonly message: Message
  readonly relatedTo: RequestId | undefined
  readonly cancellation: Cancellation
  respond(result: JsonObject | RawJson, extra?: JsonObject): void
  fail(error: unknown): void
  /** Forgets it without an answer, where the protocol allows none. */
  drop(): void
  /** Sends a notification on this request's own stream; nothing once it is answered or cancelled. */
  notify(method: string, params: JsonObject | undefined): void
}

export interface PeerHandlers {
  request(incoming: Incoming): void
  notification(method: string, params: JsonObject | undefined, message: Message, relatedTo?: RequestId): void
  /** The peer sends nothing more and waits for its answers only. */
  leaving?(): void
  /** Once; every request of ours has been failed before. */
  closed(reason: McpError | undefined): void
  /** Something the peer sent that belongs to no request of ours; for logs. */
  stray?(what: string, message?: Message): void
}

/** The answer to a request of ours: its result, and unknown top-level keys if there were any. */
export interface Answer {
  readonly result: JsonObject
  readonly extra: JsonObject | undefined
  /** The result in bytes, where it came so: reading `result` parses it. */
  readonly raw?: RawJson | undefined
}

/** Thousands of peers may be idle at once; these stand in for what they do not need then, and stay empty. */
const noPending = new SlotMap<RequestId, Pending>()
const noIncoming = new SlotMap<RequestId, CancelSource>()

export class Peer implements Receiver {
  private readonly channel: Channel
  private readonly handlers: PeerHandlers
  private pending: SlotMap<RequestId, Pending> = noPending
  private incoming: SlotMap<RequestId, CancelSource> = noIncoming
  private nextId: number
  private gone: McpError | undefined

  /** Opens the channel: messages flow from here on, by way of `through`. Ids of our own requests count on from `lastId`. */
  constructor(channel: Channel, handlers: PeerHandlers, lastId = 0, through?: (receiver: Receiver) => Receiver) {
    this.channel = channel
    this.handlers = handlers
    this.nextId = lastId
    channel.open(through ? through(this) : this)
  }

  /** Requests of ours that are open. */
  get inFlight(): number {
    return this.pending.size
  }
  /** Requests of the peer that are open. */
  get serving(): number {
    return this.incoming.size
  }

  /**
   * Sends a request. Rejects with the peer's error as BACKEND_ERROR (its `details.rpc` is the wire error), CANCELLED
   * when `cancellation` fires, or what ended the channel.
   */
  request(method: string, params: JsonObject | undefined, options: RequestOptions = {}): Promise<Answer> {
    if (this.gone) return Promise.reject(this.gone)
    const { cancellation } = options
    if (cancellation?.cancelled) return Promise.reject(new McpError('CANCELLED', cancellation.reason ?? 'cancelled'))
    const id = ++this.nextId
    return new Promise<Answer>((resolve, reject) => {
      const entry = new Pending(this, id, options, resolve, reject)
      if (this.pending === noPending) this.pending = new SlotMap()
      this.pending.set(id, entry)
      const sent = options.progress
        ? { ...params, _meta: { ...(params?.['_meta'] as JsonObject | undefined), progressToken: id } }
        : params
      const message: Message = sent ? { jsonrpc: '2.0', id, method, params: sent } : { jsonrpc: '2.0', id, method }
      if (options.extra) Object.assign(message, options.extra)
      this.channel.send(message, options as SendOptions)
      options.sent?.(id)
      if (cancellation) entry.unsubscribe = cancellation.subscribe(entry.cancel)
    })
  }

  /** Gives a request of ours up; the peer is told, unless it must not be. */
  withdraw(id: RequestId, entry: Pending, reason: string | undefined): void {
    if (!this.pending.delete(id)) return
    if (!entry.options.silentCancel) {
      if (!this.channel.cancelsByClosing)
        this.notify('notifications/cancelled', { requestId: id, ...(reason === undefined ? {} : { reason }) }, { relatedTo: entry.options.relatedTo })
      // Also where closing says nothing: no answer comes, and its stream might stay open for ever.
      this.channel.abandon(id)
    }
    entry.reject(new McpError('CANCELLED', reason ?? 'cancelled'))
  }

  notify(method: string, params: JsonObject | undefined, options?: SendOptions): void {
    if (this.gone) return
    const message: Message = { jsonrpc: '2.0', method }
    if (params) message.params = params
    this.channel.send(message, options)
  }

  /** Cancels what the peer still has open with us and answers it with `error`, unless the peer has forgotten it. */
  refuseAll(error: McpError, isForgotten = false): void {
    for (const [id, source] of this.incoming) {
      if (isForgotten) this.incoming.delete(id)
      else this.settle(id, source, undefined, error.toRpc())
      source.cancel(error.message)
    }
  }

  /** Lets go of what is only needed while something is open. */
  rest(): void {
    if (this.pending.size === 0) this.pending = noPending
    if (this.incoming.size === 0) this.incoming = noIncoming
  }

  // Receiver: what the channel brings.

  message(message: Message, relatedTo?: RequestId): void {
    if (message.method === undefined) return this.answered(message)
    if (message.id === undefined || message.id === null) return this.notified(message, relatedTo)
    this.asked(message, message.id, relatedTo)
  }

  private answered(message: Message): void {
    const id = message.id
    const entry = id === undefined || id === null ? undefined : this.pending.get(id)
    if (!entry) return void this.handlers.stray?.('an answer to no open request', message)
    this.pending.delete(id as RequestId)
    entry.unsubscribe?.()
    if (message instanceof RawMessage) return entry.land(message.raw)
    if (!message.error && (typeof message.result !== 'object' || message.result === null || Array.isArray(message.result)))
      return entry.reject(new McpError('BACKEND_PROTOCOL', 'an answer with neither a result object nor an error'))
    entry.settle(message)
  }

  private notified(message: Message, relatedTo: RequestId | undefined): void {
    const { method, params } = message
    if (method === 'notifications/progress') {
      const { progressToken, ...rest } = params ?? {}
      const entry = this.pending.get(progressToken as RequestId)
      if (entry?.options.progress) entry.options.progress(rest)
      else this.handlers.stray?.('progress of no open request', message)
      return
    }
    if (method === 'notifications/cancelled') {
      const source = this.incoming.get(params?.['requestId'] as RequestId)
      if (!source) return void this.handlers.stray?.('cancellation of no open request', message)
      this.incoming.delete(params?.['requestId'] as RequestId)
      const reason = params?.['reason']
      return source.cancel(typeof reason === 'string' ? reason : undefined)
    }
    this.handlers.notification(method as string, params, message, relatedTo)
  }

  private asked(message: Message, id: RequestId, relatedTo: RequestId | undefined): void {
    if (this.incoming.has(id))
      return this.answer(id, undefined, new McpError('DUPLICATE_ID', 'a request with this id is still in flight').toRpc())
    const source = new CancelSource()
    if (this.incoming === noIncoming) this.incoming = new SlotMap()
    this.incoming.set(id, source)
    this.handlers.request(new IncomingRequest(this, message, id, relatedTo, source))
  }

  /** Whether that very request of the peer is still open. */
  isOpen(id: RequestId, source: CancelSource): boolean {
    return this.incoming.get(id) === source
  }

  forget(id: RequestId, source: CancelSource): void {
    if (this.isOpen(id, source)) this.incoming.delete(id)
  }

  /** Answers one request of the peer if it is still open. */
  settle(id: RequestId, source: CancelSource, result: JsonObject | RawJson | undefined, error: RpcError | undefined, extra?: JsonObject): void {
    if (!this.isOpen(id, source)) return
    this.incoming.delete(id)
    this.answer(id, result, error, extra)
  }

  private answer(id: RequestId, result: JsonObject | RawJson | undefined, error: RpcError | undefined, extra?: JsonObject): void {
    if (this.gone) return
    if (result instanceof RawJson) {
      if (!extra) return this.channel.send(new RawMessage(id, result), { relatedTo: id })
      result = result.value()
    }
    const message: Message = error ? { jsonrpc: '2.0', id, error } : { jsonrpc: '2.0', id, result: result ?? {} }
    if (extra) Object.assign(message, extra, { jsonrpc: '2.0', id })
    this.channel.send(message, { relatedTo: id })
  }

  malformed(error: McpError, id?: RequestId, part?: MessagePart): void {
    // Both sides count from 1: a bad request of the peer must not end a request of ours that has the same number.
    if (part === 'request') {
      this.handlers.stray?.(error.message)
      if (id !== undefined) this.answer(id, undefined, error.toRpc())
      return
    }
    const entry = id === undefined ? undefined : this.pending.get(id)
    if (!entry) return void this.handlers.stray?.(error.message)
    this.pending.delete(id as RequestId)
    entry.unsubscribe?.()
    entry.reject(error)
  }

  leaving(): void {
    this.handlers.leaving?.()
  }

  closed(reason: McpError | undefined): void {
    if (this.gone) return
    this.gone = reason ?? new McpError('SHUTTING_DOWN', 'the connection was closed')
    const open = this.pending.values()
    this.pending.clear()
    for (const entry of open) {
      entry.unsubscribe?.()
      entry.reject(this.gone)
    }
    const served = this.incoming.values()
    this.incoming.clear()
    for (const source of served) source.cancel('the connection is gone')
    this.handlers.closed(reason)
  }
}

class IncomingRequest implements Incoming {
  readonly id: RequestId
  readonly message: Message
  readonly relatedTo: RequestId | undefined
  readonly cancellation: CancelSource
  private readonly peer: Peer

  constructor(peer: Peer, message: Message, id: RequestId, relatedTo: RequestId | undefined, source: CancelSource) {
    this.peer = peer
    this.message = message
    this.id = id
    this.relatedTo = relatedTo
    this.cancellation = source
  }
  get method(): string {
    return this.message.method as string
  }
  get params(): JsonObject | undefined {
    return this.message.params
  }
  respond(result: JsonObject | RawJson, extra?: JsonObject): void {
    this.peer.settle(this.id, this.cancellation, result, undefined, extra)
  }
  fail(error: unknown): void {
    this.peer.settle(this.id, this.cancellation, undefined, toMcpError(error).toRpc())
  }
  drop(): void {
    this.peer.forget(this.id, this.cancellation)
  }
  notify(method: string, params: JsonObject | undefined): void {
    if (this.peer.isOpen(this.id, this.cancellation)) this.peer.notify(method, params, { relatedTo: this.id })
  }
}

/** Unknown top-level keys of a request, to travel with the call. */
export function requestExtra(message: Message): JsonObject | undefined {
  let extra: JsonObject | undefined
  for (const key in message)
    if (key !== 'jsonrpc' && key !== 'id' && key !== 'method' && key !== 'params') (extra ??= {})[key] = message[key]
  return extra
}
