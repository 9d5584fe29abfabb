/**
 * How a server stands with us, judged by what becomes of calls: whether its breaker is open and whether it wants a
 * sign-in. Says so when that changes.
 */
import { Breaker } from './breaker.ts'
import type { McpError } from './errors.ts'
import type { Flight } from './flight.ts'
import type { BreakerPolicy } from './policy.ts'
import { unavailable, verdictOn } from './refusals.ts'

export interface StandingOptions {
  readonly alias: string
  readonly breaker: BreakerPolicy
  readonly random: () => number
  /** The breaker opened (with what opened it) or closed. */
  readonly breakerMoved: (error: McpError | undefined) => void
  /** The server wants somebody to sign in; undefined = it answers again. */
  readonly signIn: (error: McpError | undefined) => void
}

export class Standing {
  private readonly options: StandingOptions
  private readonly breaker: Breaker
  private unauthorized = false
  /** A crash fails many calls at once and is one failure all the same. */
  private struck = false

  constructor(options: StandingOptions) {
    this.options = options
    this.breaker = new Breaker(options.breaker, options.random)
  }

  /** Calls pass without asking. */
  get good(): boolean {
    return this.breaker.closed
  }

  /** Milliseconds for which no call may pass. */
  blockedFor(now: number): number {
    return this.breaker.blockedFor(now)
  }

  /** Why no call may pass now; undefined = it may. */
  refusal(now: number): McpError | undefined {
    const wait = this.breaker.blockedFor(now)
    return wait > 0 ? unavailable(this.options.alias, 'failed several times in a row and is left alone for a while', wait) : undefined
  }

  /** Lets a flight pass that was not refused; it may be the breaker's probe. */
  admit(flight: Flight): void {
    flight.probe = this.breaker.admit()
  }

  /** The flight will prove nothing. */
  release(flight: Flight): void {
    if (!flight.probe) return
    flight.probe = false
    this.breaker.released()
  }

  answered(flight: Flight, now: number): void {
    if (this.unauthorized) {
      this.unauthorized = false
      this.options.signIn(undefined)
    }
    if (this.breaker.succeeded(now, flight.probe)) this.options.breakerMoved(undefined)
  }

  /** A flight failed. Returns whether it was an answer all the same, and whether the breaker opened over it. */
  failed(flight: Flight, error: McpError, now: number): { answered: boolean; opened: boolean } {
    const verdict = verdictOn(error)
    if (error.code === 'BACKEND_NEEDS_AUTH') {
      this.unauthorized = true
      this.options.signIn(error)
    }
    if (verdict === 'answered') this.answered(flight, now)
    if (verdict === 'neither') this.release(flight)
    return { answered: verdict === 'answered', opened: verdict === 'failed' && this.strike(flight, error, now) }
  }

  private strike(flight: Flight, error: McpError, now: number): boolean {
    if (error.code !== 'BACKEND_TIMEOUT') {
      if (this.struck && !flight.probe) return false
      this.struck = true
      setImmediate(() => (this.struck = false))
    }
    if (!this.breaker.failed(now, flight.probe)) return false
    this.options.breakerMoved(error)
    return true
  }
}
