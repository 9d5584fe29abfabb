/**
 * How many servers may be starting at a time, across all members: a start costs a core for a second. Whoever has a call
 * waiting goes first, and one that hangs does not keep the others out.
 */
const defaultLimit = 4
const defaultPatienceMs = 3000

export interface SpawnTicket {
  /** Resolves when the start may begin. */
  readonly ready: Promise<void>
  /** Somebody is waiting for this one: it goes before those nobody waits for. */
  hurry(): void
  /** The start is over, or is not wanted any more. Idempotent. */
  release(): void
}

export class SpawnSlots {
  private readonly limit: number
  private readonly patienceMs: number
  private readonly urgent: Ticket[] = []
  private readonly patient: Ticket[] = []
  private taken = 0

  /** `patienceMs`: a start that takes longer no longer counts, or a few silent servers would block all others. */
  constructor(limit: number = defaultLimit, patienceMs: number = defaultPatienceMs) {
    this.limit = limit
    this.patienceMs = patienceMs
  }

  take(): SpawnTicket {
    const ticket = new Ticket(this)
    this.patient.push(ticket)
    this.next()
    return ticket
  }

  hurry(ticket: Ticket): void {
    if (remove(this.patient, ticket)) this.urgent.push(ticket)
  }

  leave(ticket: Ticket): void {
    if (!remove(this.patient, ticket)) remove(this.urgent, ticket)
  }

  free(): void {
    this.taken--
    this.next()
  }

  private next(): void {
    while (this.taken < this.limit) {
      const ticket = this.urgent.shift() ?? this.patient.shift()
      if (!ticket) return
      this.taken++
      ticket.enter(this.patienceMs)
    }
  }
}

class Ticket implements SpawnTicket {
  readonly ready: Promise<void>
  private readonly slots: SpawnSlots
  private go!: () => void
  private timer: NodeJS.Timeout | undefined
  private place: 'waiting' | 'in' | 'out' = 'waiting'

  constructor(slots: SpawnSlots) {
    this.slots = slots
    this.ready = new Promise(resolve => (this.go = resolve))
  }

  enter(patienceMs: number): void {
    this.place = 'in'
    this.timer = setTimeout(() => this.release(), patienceMs)
    this.timer.unref()
    this.go()
  }

  hurry(): void {
    if (this.place === 'waiting') this.slots.hurry(this)
  }

  release(): void {
    const { place } = this
    this.place = 'out'
    clearTimeout(this.timer)
    if (place === 'in') this.slots.free()
    else if (place === 'waiting') {
      this.slots.leave(this)
      this.go()
    }
  }
}

function remove<T>(list: T[], item: T): boolean {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
  return index >= 0
}
