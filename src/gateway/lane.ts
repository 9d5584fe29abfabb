/**
 * The way of calls to one instance: at most so many at a time, the others in a fair queue, none past its deadline, none
 * while the breaker is open. Knows the connection it is given, not how it is made. This is the hot path: an ordinary call
 * costs one promise, one flight and two clock readings here, and no timer.
 */
import { Company } from './company.ts'
import type { Connection, Outcome } from './contract.ts'
import { Deadlines, type Expired } from './deadlines.ts'
import { McpError } from './errors.ts'
import type { Flight } from './flight.ts'
import { Meter } from './meter.ts'
import type { MemberPolicy } from './policy.ts'
import { FairQueue } from './queue.ts'
import { busy, closing, died, named, overheard, timedOut } from './refusals.ts'
import { Standing, type StandingOptions } from './standing.ts'

export interface LaneOptions extends Pick<StandingOptions, 'alias' | 'random' | 'breakerMoved' | 'signIn'> {
  readonly policy: Pick<MemberPolicy, 'breaker' | 'timeouts' | 'limits'>
  /** Sees to it that a connection is there soon; returns why not. */
  readonly demand: () => McpError | undefined
  /** Takes back a flight that was never handed over and cannot go from this lane. */
  readonly turnedAway: (flight: Flight, error: McpError) => void
  /** Whether a call that was handed over may be handed over again. */
  readonly repeatable: (flight: Flight) => boolean
  /** Principals of those who listen to the server without calling it. */
  readonly listeners: () => Iterable<string>
}

export class Lane {
  /** Calls handed over and not yet answered. */
  flying = 0
  /** When a call last began or ended. Monotonic milliseconds, as are the next two. */
  usedAt = performance.now()
  /** When the server last answered. */
  heardAt = 0
  /** When the server last asked something back that has not been answered. */
  askedAt = -Infinity
  readonly meter = new Meter()
  private readonly options: LaneOptions
  private readonly concurrency: number
  private readonly standing: Standing
  private readonly queue = new FairQueue<Flight>()
  private readonly deadlines: Deadlines
  private connection: Connection | undefined
  private doubted: Connection | undefined
  private company: Company | undefined
  private closed = false

  constructor(options: LaneOptions) {
    this.options = options
    this.concurrency = options.policy.limits.concurrency
    this.standing = new Standing({ ...options, breaker: options.policy.breaker })
    this.deadlines = new Deadlines(options.policy.timeouts, over => this.expire(over))
  }

  /** Calls here, on the way or waiting. */
  get load(): number {
    return this.flying + this.queue.size
  }

  /** Those calls, in no particular order. */
  get flights(): Iterable<Flight> {
    return this.deadlines.all()
  }

  get waiting(): number {
    return this.queue.size
  }

  /** Milliseconds for which the breaker lets no call pass. */
  blockedFor(now: number): number {
    return this.standing.blockedFor(now)
  }

  /** Takes a flight on; it ends landed, failed, or turned away. */
  admit(flight: Flight): void {
    const { connection } = this
    if (connection && this.standing.good && this.flying < this.concurrency && this.queue.size === 0)
      // Who has waited elsewhere did not come just now: that wait was no silence of this server.
      this.handOver(flight, connection, flight.tried || flight.retried ? performance.now() : flight.arrivedAt)
    else this.line(flight)
  }

  /** A connection is there: whoever waits goes. */
  open(connection: Connection): void {
    this.connection = connection
    this.doubted = undefined
    if (this.company?.connection !== connection) this.company = new Company(connection)
    this.pump()
  }

  /**
   * The connection is gone. `error`: no start follows from it for those that wait (it is why). Without it they wait on if
   * a restart is near.
   */
  shut(error?: McpError): void {
    const gone = this.connection ?? this.doubted
    this.connection = this.doubted = undefined
    if (gone) setImmediate(() => this.failRest(gone))
    if (this.queue.size === 0) return
    const refusal = error ?? this.options.demand()
    if (refusal) for (const flight of this.queue.drain()) this.turnAway(flight, refusal)
  }

  /** Fails everything. */
  close(): void {
    this.closed = true
    this.connection = this.doubted = undefined
    const error = closing(this.options.alias)
    for (const flight of this.queue.drain()) {
      this.leave(flight)
      flight.fail(error)
    }
    for (const flight of [...this.deadlines.all()]) flight.expire(error)
    this.flying = 0
    this.deadlines.close()
  }

  /** The slow path: whoever cannot go at once. */
  private line(flight: Flight): void {
    const { alias, policy } = this.options
    const { cancellation } = flight.call
    if (this.closed) return flight.fail(closing(alias))
    if (cancellation.cancelled) return flight.fail(new McpError('CANCELLED', cancellation.reason ?? 'cancelled'))
    const refusal = this.standing.refusal(performance.now()) ?? this.options.demand()
    if (refusal) return this.options.turnedAway(flight, refusal)
    // What is not in use of the concurrency may wait as well: before the first connection that is all of it.
    if (this.queue.size >= policy.limits.queue + this.concurrency - this.flying)
      return this.options.turnedAway(flight, busy(alias, this.queue.size))
    this.standing.admit(flight)
    this.queue.push(flight.owner, flight)
    flight.leaveQueue = cancellation.subscribe(reason => {
      if (!this.queue.remove(flight.owner, flight)) return
      this.leave(flight)
      flight.fail(new McpError('CANCELLED', reason ?? 'cancelled'))
    })
    this.deadlines.watch(flight)
    this.pump()
  }

  private pump(): void {
    while (this.connection && this.flying < this.concurrency) {
      const flight = this.queue.shift()
      if (!flight) return
      flight.leaveQueue?.()
      flight.leaveQueue = undefined
      this.handOver(flight, this.connection, performance.now())
    }
  }

  private handOver(flight: Flight, connection: Connection, now: number): void {
    this.flying++
    flight.carrier = connection
    if (this.company?.principal !== flight.call.client.principal) this.company?.meet(flight.call.client.principal)
    this.usedAt = flight.activeAt = now
    this.deadlines.watch(flight)
    let answer: Promise<Outcome>
    try {
      answer = connection.handle(flight.relayed())
    } catch (thrown) {
      answer = Promise.reject(thrown)
    }
    answer.then(
      outcome => this.landed(flight, outcome),
      (thrown: unknown) => this.failed(flight, thrown),
    )
  }

  private landed(flight: Flight, outcome: Outcome): void {
    if (flight.settled) return
    this.free(flight)
    this.heardAt = this.usedAt
    this.standing.answered(flight, this.usedAt)
    if (outcome.kind === 'inputRequired') this.askedAt = this.heardAt
    else if (flight.call.inputResponses !== undefined) this.askedAt = -Infinity
    flight.land(outcome)
    if (this.queue.size > 0) this.pump()
  }

  private failed(flight: Flight, thrown: unknown): void {
    if (flight.settled) return
    this.free(flight)
    const error = overheard(this.readable(thrown), this.isAlone(flight))
    this.judge(flight, error)
    if (error.code === 'BACKEND_DIED') this.doubt()
    if (error.code === 'BACKEND_DIED' && this.mayRepeat(flight)) this.repeat(flight, error)
    else flight.fail(error)
    if (this.queue.size > 0) this.pump()
  }

  /**
   * The calls of a dead connection fail before it says that it is gone. Nothing more is handed to it until that is
   * known, or calls that were never written would fail with the others.
   */
  private doubt(): void {
    const { connection } = this
    if (!connection) return
    this.connection = undefined
    this.doubted = connection
    setImmediate(() => {
      if (this.doubted === connection) this.open(connection)
    })
  }

  private mayRepeat(flight: Flight): boolean {
    const { call } = flight
    // A call that continues another belongs to a state that died with the connection.
    if (flight.retried || flight.cancelled || call.requestState !== undefined || call.inputResponses !== undefined) return false
    return this.options.repeatable(flight)
  }

  private repeat(flight: Flight, error: McpError): void {
    flight.retried = true
    flight.carrier = undefined
    flight.probe = false
    setImmediate(() => {
      if (flight.settled) return
      if (flight.cancelled) return flight.fail(new McpError('CANCELLED', flight.reason ?? 'cancelled'))
      const refusal = this.options.demand()
      if (refusal) flight.fail(new McpError(error.code, error.message, { ...refusal.details, ...error.details }))
      else this.admit(flight)
    })
  }

  private free(flight: Flight): void {
    this.flying--
    this.usedAt = performance.now()
    this.meter.record(this.usedAt - flight.arrivedAt, this.usedAt)
    this.deadlines.forget(flight)
  }

  private judge(flight: Flight, error: McpError): void {
    const { answered, opened } = this.standing.failed(flight, error, this.usedAt)
    if (answered) this.heardAt = this.usedAt
    const refusal = opened ? this.standing.refusal(this.usedAt) : undefined
    if (refusal) for (const waiting of this.queue.drain()) this.turnAway(waiting, refusal)
  }

  private expire(over: readonly Expired[]): void {
    const { alias, policy } = this.options
    for (const { flight, silent } of over) {
      const error = silent
        ? timedOut(alias, 'did not answer', policy.timeouts.call)
        : timedOut(alias, flight.carrier ? 'did not finish' : 'had no place for this call', policy.timeouts.max)
      if (this.queue.remove(flight.owner, flight)) {
        this.leave(flight)
        flight.fail(error)
      } else if (this.deadlines.has(flight)) {
        this.free(flight)
        flight.expire(error)
        this.judge(flight, error)
      }
    }
    // Not between them: what hangs should open the breaker before it is given the next ones.
    this.pump()
  }

  /** A connection that ended without failing its calls must not take them with it. */
  private failRest(connection: Connection): void {
    if (this.connection === connection || this.closed) return
    for (const flight of [...this.deadlines.all()])
      if (flight.carrier === connection) this.failed(flight, died(this.options.alias))
  }

  private leave(flight: Flight): void {
    flight.leaveQueue?.()
    flight.leaveQueue = undefined
    this.standing.release(flight)
    this.deadlines.forget(flight)
  }

  private turnAway(flight: Flight, error: McpError): void {
    this.leave(flight)
    this.options.turnedAway(flight, error)
  }

  /** Whether all who had to do with the server that took this call are its caller's principal. */
  private isAlone({ carrier, call }: Flight): boolean {
    const { company } = this
    const { principal } = call.client
    if (company?.connection !== carrier || !company?.isOnly(principal)) return false
    for (const other of this.options.listeners()) if (other !== principal) return false
    return true
  }

  /** A connection that is closed while nobody closes us has died, whatever it calls that. */
  private readable(thrown: unknown): McpError {
    const error = named(this.options.alias, thrown)
    return error.code === 'SHUTTING_DOWN' && !this.closed ? died(this.options.alias) : error
  }
}
