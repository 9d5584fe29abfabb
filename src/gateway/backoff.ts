/** When a server that fell may be started again: exponential backoff with full jitter, and when it is held back. */
import type { RestartPolicy } from './policy.ts'

const crashWindowMs = 60_000
/** How long a server that crashes all the time is left alone before it gets one more chance. */
export const holdMs = 300_000

export class Backoff {
  /** Monotonic time before which no start may be made; 0 = any time. */
  dueAt = 0
  held = false
  private readonly policy: RestartPolicy
  private readonly random: () => number
  private attempts = 0
  private startedAt: number | undefined
  private crashes: number[] = []
  /** Was held and has not been healthy since: one crash is enough to be held again. */
  private probation = false

  constructor(policy: RestartPolicy, random: () => number) {
    this.policy = policy
    this.random = random
  }

  /** The server is up. */
  started(now: number): void {
    this.startedAt = now
    this.held = false
  }

  /** The server went, or did not come. `crash`: it counts towards being held back. */
  fell(now: number, crash: boolean): void {
    const { backoff, maxBackoff, resetAfter, holdAfter } = this.policy
    if (this.startedAt !== undefined && now - this.startedAt >= resetAfter) this.forget()
    this.startedAt = undefined
    this.held = false
    if (crash && holdAfter > 0) {
      this.crashes = this.crashes.filter(at => now - at < crashWindowMs)
      this.crashes.push(now)
      if (this.probation || this.crashes.length >= holdAfter) {
        this.held = this.probation = true
        this.crashes = []
        this.dueAt = now + holdMs
        return
      }
    }
    // The exponent is bounded because 0 × Infinity is no delay at all but NaN.
    this.dueAt = now + this.random() * Math.min(maxBackoff, backoff * 2 ** Math.min(this.attempts, 30))
    this.attempts++
  }

  /** It ended in good order, or has been healthy long enough. */
  forget(): void {
    this.attempts = 0
    this.crashes = []
    this.startedAt = undefined
    this.held = this.probation = false
    this.dueAt = 0
  }
}
