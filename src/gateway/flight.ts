/**
 * One call on its way through a member: its promise, its clock, and a cancellation of its own, so that a deadline can
 * cancel it at the server without touching the caller's. Knows nothing of queues and connections.
 */
import type { Cancellation } from './cancellation.ts'
import type { Call, Outcome } from './contract.ts'
import { McpError } from './errors.ts'

const nothing = () => {}

interface Listener {
  readonly run: (reason: string | undefined) => void
  readonly leaveCaller: () => void
}

export class Flight implements Cancellation {
  readonly call: Call
  /** Monotonic milliseconds. */
  arrivedAt: number
  /** When it was handed over or last heard of; means nothing while it waits. */
  activeAt = 0
  /** Whom it was handed to: from then on it may have taken effect. */
  carrier: object | undefined
  settled = false
  /** Where its deadlines keep it; -1 = nowhere. */
  place = -1
  /** The breaker's one probe. */
  probe = false
  /** Has had its one second try. */
  retried = false
  /** Only one instance knows the state it continues. */
  pinned = false
  /** Instances that have turned it away. */
  tried: object[] | undefined
  /** Takes back the wait for the caller's cancellation while it stands in a queue. */
  leaveQueue: (() => void) | undefined
  private readonly resolve: (outcome: Outcome) => void
  private readonly reject: (error: McpError) => void
  private expired: string | undefined
  private listeners: Listener[] | undefined

  constructor(call: Call, now: number, resolve: (outcome: Outcome) => void, reject: (error: McpError) => void) {
    this.call = call
    this.arrivedAt = now
    this.resolve = resolve
    this.reject = reject
  }

  /** Among whom the queue is fair. */
  get owner(): string {
    const { home, id } = this.call.client
    return home ?? id
  }

  get cancelled(): boolean {
    return this.expired !== undefined || this.call.cancellation.cancelled
  }

  get reason(): string | undefined {
    return this.expired ?? this.call.cancellation.reason
  }

  subscribe(run: (reason: string | undefined) => void): () => void {
    if (this.cancelled) {
      run(this.reason)
      return nothing
    }
    // Straight to the caller's own cancellation: a server that still holds a parked call must hear of it after
    // this flight has landed.
    const listener: Listener = { run, leaveCaller: this.call.cancellation.subscribe(run) }
    const listeners = (this.listeners ??= [])
    listeners.push(listener)
    return () => {
      listener.leaveCaller()
      const index = listeners.indexOf(listener)
      if (index >= 0) listeners.splice(index, 1)
    }
  }

  /** The call as a connection gets it. */
  relayed(): Call {
    const { call } = this
    const { progress } = call
    return {
      method: call.method,
      params: call.params,
      client: call.client,
      cancellation: this,
      progress: progress && (params => {
        this.activeAt = performance.now()
        progress(params)
      }),
      log: call.log,
      inputResponses: call.inputResponses,
      requestState: call.requestState,
      continues: call.continues,
      extra: call.extra,
    }
  }

  land(outcome: Outcome): void {
    this.settled = true
    this.resolve(outcome)
  }

  fail(error: McpError): void {
    this.settled = true
    this.reject(error)
  }

  /** Fails it and tells the server to stop. */
  expire(error: McpError): void {
    this.fail(error)
    if (this.cancelled) return
    this.expired = error.message
    for (const { run, leaveCaller } of this.listeners?.splice(0) ?? []) {
      leaveCaller()
      run(error.message)
    }
  }
}
