/**
 * One call that a legacy server is working on. Lives as long as the server's work does, which may span several calls of
 * the client: while nobody waits for it here it is parked. Knows nothing of who asks what.
 */
import type { Cancellation } from '../../gateway/cancellation.ts'
import type { Call, JsonObject, Outcome } from '../../gateway/contract.ts'
import type { SlotMap } from '../../gateway/slot-map.ts'
import type { RequestId } from '../../transports/channel.ts'
import type { Answer, Peer } from '../peer.ts'
import type { Parking } from './parked-calls.ts'
import { holdsOpen, passes } from './wire.ts'

/** The calls a connection has open, in the order they began, by the id of the request that carries each. */
export interface Desk {
  /** Of the backend. */
  readonly name: string
  readonly peer: Peer
  readonly calls: SlotMap<RequestId, OpenCall>
  /** Header fields of every request. */
  readonly headers: Readonly<Record<string, string>> | undefined
  /** How long the server may take for what no call has a deadline for, milliseconds. */
  readonly callMs: number
}

/** Stands in for the request's options and for its cancellation, which changes hands with each resumption. */
export class OpenCall implements Cancellation {
  /** The call as it began: what a resumption must be equal to. */
  readonly first: Call
  /** The call that waits now, or waited last. */
  call: Call
  id: RequestId | undefined
  /** What its client would have had to declare for asks that were refused, as `ClientCapabilities`. */
  lacking: JsonObject | undefined
  /** Present from the first ask on. */
  parking: Parking | undefined
  readonly progress: ((params: JsonObject) => void) | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  private readonly desk: Desk
  private resolve: (outcome: Outcome) => void
  private reject: (error: unknown) => void
  private listener: ((reason: string | undefined) => void) | undefined
  private release: (() => void) | undefined
  private givenUp: string | undefined

  constructor(desk: Desk, call: Call, resolve: (outcome: Outcome) => void, reject: (error: unknown) => void) {
    this.desk = desk
    this.first = call
    this.call = call
    this.resolve = resolve
    this.reject = reject
    this.headers = desk.headers
    this.progress = call.progress && (params => this.progressed(params))
  }

  get cancellation(): Cancellation {
    return this
  }
  get extra(): JsonObject | undefined {
    return this.first.extra
  }
  get cancelled(): boolean {
    return this.givenUp !== undefined || this.call.cancellation.cancelled
  }
  get reason(): string | undefined {
    return this.givenUp ?? this.call.cancellation.reason
  }

  /** One listener at a time: a call waits for one thing at a time. */
  subscribe(listener: (reason: string | undefined) => void): () => void {
    this.listener = listener
    this.release = this.call.cancellation.subscribe(listener)
    return () => this.unsubscribe()
  }

  sent(id: RequestId): void {
    if (this.id !== undefined) this.desk.calls.delete(this.id)
    this.id = id
    this.desk.calls.set(id, this)
  }

  /** Sends the request that stands for the call. */
  send(params: JsonObject): Promise<Answer> {
    return this.desk.peer.request(this.first.method, params, this)
  }

  /** Sends a further request on the call's behalf: it carries no progress token. */
  follow(method: string, params: JsonObject): Promise<Answer> {
    return this.desk.peer.request(method, params, { cancellation: this, headers: this.headers, sent: id => this.sent(id) })
  }

  /** Ends the server's work: it is told. */
  cancel(reason: string): void {
    this.givenUp = reason
    this.listener?.(reason)
  }

  /** Hands an outcome to the call that waits, while the server works on. */
  yield(outcome: Outcome): void {
    this.resolve(outcome)
  }

  /** A later call of the client takes the waiting over. */
  resume(call: Call, resolve: (outcome: Outcome) => void, reject: (error: unknown) => void): void {
    this.resolve = resolve
    this.reject = reject
    const same = call.cancellation === this.call.cancellation
    this.call = call
    if (same || !this.listener) return
    const { listener } = this
    this.unsubscribe()
    this.subscribe(listener)
  }

  finish(outcome: Outcome | undefined, error?: unknown): void {
    this.unsubscribe()
    if (this.id !== undefined) this.desk.calls.delete(this.id)
    if (this.parking) this.parking.finished(outcome, error)
    else this.deliver(outcome, error)
  }

  deliver(outcome: Outcome | undefined, error?: unknown): void {
    if (outcome) this.resolve(outcome)
    else this.reject(error)
  }

  /** A log message that belongs to this call. Returns whether the call takes any. */
  log(params: JsonObject): boolean {
    const { log, client } = this.call
    if (!log) return false
    if (!this.unheard && passes(client.logLevel, params)) log(params)
    return true
  }

  progressed(params: JsonObject): void {
    if (!this.unheard) this.call.progress?.(params)
  }

  /** Parked for a client that has no request open: there is nothing to send on, and nothing is kept for later. */
  private get unheard(): boolean {
    return this.parking !== undefined && this.parking.parked && !holdsOpen(this.call.client)
  }

  private unsubscribe(): void {
    this.listener = undefined
    this.release?.()
    this.release = undefined
  }
}
