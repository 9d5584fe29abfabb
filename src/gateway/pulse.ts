/**
 * Looks after one live connection with a single timer: pings it when it has been quiet, and says when it has been idle
 * long enough to be stopped. With traffic it costs nothing but a look every half minute.
 */
import type { Connection } from './contract.ts'

/** What happens on a connection. Monotonic milliseconds. */
export interface Traffic {
  /** When a call last began or ended. */
  readonly usedAt: number
  /** When the server last answered. */
  readonly heardAt: number
  /** Calls on the way. */
  readonly flying: number
}

export interface PulseOptions {
  readonly traffic: Traffic
  /** Milliseconds of quiet after which it may be stopped; 0 = never. */
  readonly idleAfter: () => number
  /** It must not be stopped now, however quiet. */
  readonly needed: () => boolean
  readonly idle: () => void
  /** Pings in a row that were not answered. */
  readonly missed: (error: unknown, misses: number) => void
  readonly answered: () => void
}

const pingEveryMs = 30_000
const pingAgainMs = 5000
const pingLimitMs = 5000

export class Pulse {
  private readonly connection: Connection
  private readonly options: PulseOptions
  private readonly bornAt = performance.now()
  private aliveAt = this.bornAt
  private misses = 0
  private timer: NodeJS.Timeout | undefined
  /** When the timer is due; monotonic milliseconds. */
  private dueAt = 0
  private pinging = false
  private stopped = false

  constructor(connection: Connection, options: PulseOptions) {
    this.connection = connection
    this.options = options
    this.arm()
  }

  /** Looks again: whether it is needed may have changed. */
  review(): void {
    if (!this.pinging && !this.stopped) this.beat()
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  private beat(): void {
    const { traffic, idleAfter, needed, idle } = this.options
    const now = performance.now()
    const limit = idleAfter()
    if (limit > 0 && now - Math.max(this.bornAt, traffic.usedAt) >= limit && !needed()) return idle()
    if (traffic.heardAt > this.aliveAt) this.alive(traffic.heardAt)
    const wait = this.misses > 0 ? pingAgainMs : pingEveryMs
    // A server at work may be too busy to answer; the deadlines of its calls watch over it then.
    if (now - this.aliveAt >= wait && traffic.flying === 0) void this.ping()
    else this.arm()
  }

  private async ping(): Promise<void> {
    this.pinging = true
    const { traffic, missed, answered } = this.options
    const startedAt = performance.now()
    try {
      await this.connection.ping(pingLimitMs)
      if (this.stopped) return
      this.alive(performance.now())
      answered()
    } catch (error) {
      if (this.stopped) return
      if (traffic.flying === 0 && traffic.heardAt < startedAt) missed(error, ++this.misses)
    } finally {
      this.pinging = false
    }
    this.arm()
  }

  private alive(at: number): void {
    this.aliveAt = at
    if (this.misses === 0) return
    this.misses = 0
    this.options.answered()
  }

  private arm(): void {
    if (this.stopped) return
    const { traffic, idleAfter } = this.options
    const now = performance.now()
    const quiet = now - Math.max(this.bornAt, traffic.usedAt)
    const untilPing = this.misses > 0 ? pingAgainMs : Math.max(this.aliveAt, traffic.heardAt) + pingEveryMs - now
    const limit = idleAfter()
    const untilIdle = limit > 0 ? (quiet < limit ? limit - quiet : limit) : Infinity
    const wait = Math.max(10, Math.ceil(Math.min(untilPing > 0 ? untilPing : pingEveryMs, untilIdle)))
    // Node keeps a list for each length of a timer until that time is over: clients that come and go must not make one each.
    if (this.timer && this.dueAt < now + wait + 1) return
    clearTimeout(this.timer)
    this.dueAt = now + wait
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.beat()
    }, wait)
    this.timer.unref()
  }
}
