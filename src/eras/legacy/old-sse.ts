/**
 * The transport of 2024-11-05: one event stream carries everything to the client, and each POST brings one message from it.
 * The session lives as long as its stream.
 */
import type { McpError } from '../../gateway/errors.ts'
import { McpError as Failure } from '../../gateway/errors.ts'
import { messageText, type Channel, type Message, type Receiver, type RequestId } from '../../transports/channel.ts'
import type { EventStream, Exchange } from '../../transports/exchange.ts'
import type { ServeOptions } from '../options.ts'
import { Peer } from '../peer.ts'
import { openLegacyFront } from './client-side.ts'

let opened = 0

export class SseSession implements Channel {
  readonly transport = 'sse'
  readonly cancelsByClosing = false
  readonly principal: string
  private readonly stream: EventStream
  private readonly peer: Peer
  private readonly over: () => void
  private readonly unanswered = new Set<RequestId>()
  private receiver!: Receiver
  private ended = false

  /** `endpoint`: where the client sends its messages. `over` is called once. */
  constructor(exchange: Exchange, endpoint: string, options: ServeOptions, over: () => void) {
    this.principal = options.principal
    this.over = over
    this.stream = exchange.stream()
    this.stream.send(endpoint, { event: 'endpoint' })
    exchange.onGone = () => this.end()
    const { log } = options
    this.peer = new Peer(this, {
      request: incoming => front.request(incoming),
      notification: (method, params) => front.notification(method, params),
      stray: (what, message) => log.debug({ method: message?.method, id: message?.id }, what),
      closed: () => front.closed(),
    })
    const front = openLegacyFront(this.peer, options, `sse-${++opened}`)
  }

  get inFlight(): number {
    return this.peer.serving
  }

  post(exchange: Exchange, message: Message): void {
    const { id, method } = message
    if (method !== undefined && id !== undefined && id !== null) {
      if (this.unanswered.has(id)) {
        const error = new Failure('DUPLICATE_ID', 'a request with this id is still in flight').toRpc()
        return exchange.json(400, JSON.stringify({ jsonrpc: '2.0', id, error }))
      }
      this.unanswered.add(id)
    } else if (method === 'notifications/cancelled') this.unanswered.delete(message.params?.['requestId'] as RequestId)
    exchange.empty(202)
    this.receiver.message(message)
  }

  refuseAll(error: McpError): void {
    this.peer.refuseAll(error)
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    this.over()
    this.stream.end()
    this.receiver.closed(undefined)
  }

  open(receiver: Receiver): void {
    this.receiver = receiver
  }

  send(message: Message): void {
    const { id, method } = message
    if (method === undefined && id !== undefined && id !== null) this.unanswered.delete(id)
    const sheddable = method === 'notifications/progress' || method === 'notifications/message'
    this.stream.send(messageText(message), { sheddable })
  }

  abandon(): void {}

  async close(): Promise<void> {
    this.end()
  }
}
