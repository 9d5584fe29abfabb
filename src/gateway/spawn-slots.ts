/**
 * How many servers may be starting at a time, across all members: a start costs a core for a second. Whoever has a call
 * waiting goes first, then who has not been tried yet; and one that hangs does not keep the others out.
 */
const defaultLimit = 4
const defaultPatienceMs = 3000
/** Of what starts usually take, so much is allowed before one is taken for hanging. */
const leniency = 2
const leastPatienceMs = 500
/** How fast a slow start is forgotten: each one that comes sooner takes off this part of the difference. */
const forgetting = 1 / 8

export interface SpawnTicket {
  /** Resolves when the start may begin. */
  readonly ready: Promise<void>
  /** Somebody is waiting for this one: it goes before those nobody waits for. */
  hurry(): void
  /** The start is over, or is not wanted any more. `came`: the server is up. Idempotent. */
  release(came?: boolean): void
}

export class SpawnSlots {
  private readonly limit: number
  private readonly longestMs: number
  private readonly waiting: Ticket[] = []
  private readonly inside = new Set<Ticket>()
  /** What a start takes that ends well, near the slowest of the last ones; undefined = none has. */
  private usualMs: number | undefined

  /** `patienceMs`: a start that takes longer no longer counts, or a few silent servers would block all others. */
  constructor(limit: number = defaultLimit, patienceMs: number = defaultPatienceMs) {
    this.limit = limit
    this.longestMs = patienceMs
  }

  /** `again`: it was tried before and did not come. */
  take(again = false): SpawnTicket {
    const ticket = new Ticket(this, again)
    this.waiting.push(ticket)
    this.next()
    return ticket
  }

  leave(ticket: Ticket): void {
    const index = this.waiting.indexOf(ticket)
    if (index >= 0) this.waiting.splice(index, 1)
    if (this.inside.delete(ticket)) this.next()
  }

  /** A server is up, so many milliseconds after its start began. Others of its time are measured by that. */
  came(ms: number): void {
    const { usualMs } = this
    this.usualMs = usualMs === undefined || ms > usualMs ? ms : usualMs - (usualMs - ms) * forgetting
    for (const ticket of [...this.inside]) ticket.wait(this.patienceMs)
  }

  private get patienceMs(): number {
    if (this.usualMs === undefined) return this.longestMs
    return Math.min(this.longestMs, Math.max(leastPatienceMs, this.usualMs * leniency))
  }

  private next(): void {
    while (this.inside.size < this.limit && this.waiting.length > 0) {
      const first = this.waiting.reduce((best, each) => (each.rank < best.rank ? each : best))
      this.waiting.splice(this.waiting.indexOf(first), 1)
      this.inside.add(first)
      first.enter(this.patienceMs)
    }
  }
}

class Ticket implements SpawnTicket {
  readonly ready: Promise<void>
  private readonly slots: SpawnSlots
  private readonly again: boolean
  private urgent = false
  private go!: () => void
  private timer: NodeJS.Timeout | undefined
  /** Monotonic milliseconds; undefined = it waits. */
  private enteredAt: number | undefined
  private over = false

  constructor(slots: SpawnSlots, again: boolean) {
    this.slots = slots
    this.again = again
    this.ready = new Promise(resolve => (this.go = resolve))
  }

  /** The lowest goes first, of equals the one that came first. */
  get rank(): number {
    return (this.urgent ? 0 : 2) + (this.again ? 1 : 0)
  }

  enter(patienceMs: number): void {
    this.enteredAt = performance.now()
    this.wait(patienceMs)
    this.go()
  }

  /** Gives it so long since it entered. */
  wait(patienceMs: number): void {
    clearTimeout(this.timer)
    const left = (this.enteredAt ?? 0) + patienceMs - performance.now()
    this.timer = setTimeout(() => this.slots.leave(this), Math.max(0, left))
    this.timer.unref()
  }

  hurry(): void {
    this.urgent = true
  }

  release(came = false): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.timer)
    this.slots.leave(this)
    if (came && this.enteredAt !== undefined) this.slots.came(performance.now() - this.enteredAt)
    this.go()
  }
}
