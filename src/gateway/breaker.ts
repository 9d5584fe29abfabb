/**
 * Circuit breaker of one instance: refuses calls for a while after transport failures in a row. It is told what became
 * of calls; what counts as a failure is its user's business.
 */
import type { BreakerPolicy } from './policy.ts'

const longestMs = 300_000
/** While the one probe is out, others are told to come back after this long. */
const probeRetryMs = 1000

export class Breaker {
  /** The ordinary state: calls pass without asking. */
  closed = true
  private readonly policy: BreakerPolicy
  private readonly random: () => number
  private strikes = 0
  private ejections = 0
  private openUntil = 0
  private closedAt = 0
  private probing = false

  constructor(policy: BreakerPolicy, random: () => number) {
    this.policy = policy
    this.random = random
  }

  /** Milliseconds until a call may pass; 0 = now. Changes nothing. */
  blockedFor(now: number): number {
    if (this.closed) return 0
    if (now < this.openUntil) return this.openUntil - now
    return this.probing ? probeRetryMs : 0
  }

  /** Lets a call pass that `blockedFor` let. Returns whether it is the one probe. */
  admit(): boolean {
    if (this.closed) return false
    this.probing = true
    return true
  }

  /** A call was answered. A late answer to a call from before the opening proves nothing. Returns whether this closed it. */
  succeeded(now: number, probe: boolean): boolean {
    if (this.closed) {
      this.strikes = 0
      return false
    }
    if (!probe) return false
    this.closed = true
    this.probing = false
    this.strikes = 0
    this.closedAt = now
    return true
  }

  /** A call failed on the way. Returns whether this opened it. */
  failed(now: number, probe: boolean): boolean {
    if (this.closed) {
      if (this.policy.failures === 0 || ++this.strikes < this.policy.failures) return false
      // Long enough in order: the earlier openings are forgotten.
      if (now - this.closedAt >= longestMs) this.ejections = 0
    } else if (!probe) return false
    this.closed = false
    this.probing = false
    this.ejections++
    const span = Math.min(this.policy.openFor * this.ejections, Math.max(longestMs, this.policy.openFor))
    // Jitter only shortens, so that the configured time is also the longest one.
    this.openUntil = now + span * (1 - 0.2 * this.random())
    return true
  }

  /** The probe came to nothing either way (cancelled); the next call may be it. */
  released(): void {
    this.probing = false
  }
}
