/**
 * What a client has told its server that a new one in its place must hear again: who it is, the log level, what it follows. Loaded
 * alone by a relay that speaks neither era, so it imports nothing of them but types.
 */
import { randomBytes } from 'node:crypto'
import type { Message, RequestId } from '../transports/channel.ts'

type Params = Message['params']

/** A server that does not answer what is told again is taken as it is, milliseconds. */
const patienceMs = 10_000

export class Replay {
  /** Ids of what is told again: none of a client's own may be equal. */
  private readonly prefix = `replay-${randomBytes(6).toString('hex')}-`
  private ids = 0
  private opening: { id: RequestId; params: Params; answered: boolean } | undefined
  private confirmed: { params: Params } | undefined
  private level: Params
  private readonly followed = new Map<unknown, Params>()
  /** Open requests that are subscriptions, and whether the client has the confirmation of each. */
  private readonly streams = new Map<unknown, { readonly message: Message; isConfirmed: boolean }>()
  private isLeaving = false
  private awaited: { readonly id: RequestId; readonly next: () => void; readonly timer: NodeJS.Timeout } | undefined

  /** The client said this. */
  sent(message: Message): void {
    const { method, id, params } = message
    switch (method) {
      case 'initialize':
        // The second word of a client that opens twice counts, and with it all begins anew.
        if (id === undefined || id === null) return
        this.forget()
        this.opening = { id, params, answered: false }
        return
      case 'notifications/initialized':
        this.confirmed = { params }
        return
      case 'logging/setLevel':
        this.level = params
        return
      case 'resources/subscribe':
        return void this.followed.set(params?.['uri'], params)
      case 'resources/unsubscribe':
        return void this.followed.delete(params?.['uri'])
      case 'subscriptions/listen':
        return void (id !== undefined && id !== null && this.streams.set(id, { message, isConfirmed: false }))
      case 'notifications/cancelled':
        return void this.streams.delete(params?.['requestId'])
      default:
    }
  }

  /** The server said this. True = it is not for the client. */
  heard(message: Message): boolean {
    const { id, method } = message
    if (method !== undefined) return this.isSecondConfirmation(message)
    if (id === undefined || id === null) return false
    if (this.opening?.id === id && !this.opening.answered) this.opening.answered = true
    // A server that leaves ends its streams; they go on with the next one.
    if (this.isLeaving && this.streams.has(id)) return true
    this.streams.delete(id)
    if (!this.isOurs(id)) return false
    if (this.awaited?.id === id) this.awaited.next()
    return true
  }

  /** The server ends soon, in good order, and another one takes its place. */
  leaving(): void {
    this.isLeaving = true
  }

  /** Whether this open request is asked again, so that its answer is still to come, or is none of the client's. */
  keeps(id: RequestId): boolean {
    return this.streams.has(id) || this.isOurs(id) || (this.opening?.id === id && !this.opening.answered)
  }

  /** Whether the client still waits to be told who its server is. */
  get isOpening(): boolean {
    return this.opening !== undefined && !this.opening.answered
  }

  /** No server will be told of an opening that is not answered yet. Returns its id; undefined = there is none. */
  giveUp(): RequestId | undefined {
    if (!this.isOpening) return undefined
    const id = this.opening?.id
    this.forget()
    return id
  }

  /** Tells a new server all of it. `done` is called once it may hear more. */
  tell(send: (message: Message) => void, done: () => void): void {
    this.isLeaving = false
    const { opening } = this
    const rest = (): void => {
      this.tellRest(send)
      done()
    }
    if (!opening) return rest()
    if (!opening.answered) {
      send({ jsonrpc: '2.0', id: opening.id, method: 'initialize', ...(opening.params && { params: opening.params }) })
      // What the client has said since, it said without waiting for the answer either.
      return rest()
    }
    const id = this.nextId()
    const timer = setTimeout(() => this.awaited?.next(), patienceMs)
    const next = (): void => {
      clearTimeout(timer)
      this.awaited = undefined
      rest()
    }
    this.awaited = { id, next, timer }
    send({ jsonrpc: '2.0', id, method: 'initialize', ...(opening.params && { params: opening.params }) })
  }

  /** The server that was being told is gone, too. */
  broken(): void {
    clearTimeout(this.awaited?.timer)
    this.awaited = undefined
  }

  private tellRest(send: (message: Message) => void): void {
    const say = (method: string, params: Params): void =>
      send({ jsonrpc: '2.0', id: this.nextId(), method, ...(params && { params }) })
    if (this.confirmed) send({ jsonrpc: '2.0', method: 'notifications/initialized', ...(this.confirmed.params && { params: this.confirmed.params }) })
    if (this.level) say('logging/setLevel', this.level)
    for (const params of this.followed.values()) say('resources/subscribe', params)
    for (const { message } of this.streams.values()) send(message)
  }

  private forget(): void {
    this.opening = undefined
    this.confirmed = undefined
    this.level = undefined
    this.followed.clear()
  }

  private isOurs(id: RequestId): boolean {
    return typeof id === 'string' && id.startsWith(this.prefix)
  }

  private nextId(): string {
    return `${this.prefix}${++this.ids}`
  }

  /** 2026-07-28 basic/utilities/subscriptions: each stream begins with exactly one confirmation. */
  private isSecondConfirmation({ method, params }: Message): boolean {
    if (method !== 'notifications/subscriptions/acknowledged') return false
    const meta = params?.['_meta'] as { [key: string]: unknown } | undefined
    const stream = this.streams.get(meta?.['io.modelcontextprotocol/subscriptionId'])
    if (!stream || stream.isConfirmed) return stream !== undefined
    stream.isConfirmed = true
    return false
  }
}
