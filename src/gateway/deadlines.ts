/**
 * Deadlines of all calls of one instance on a single timer: thousands of calls a second must not arm one each. The
 * timer stands at the earliest end anybody can have; most times it fires, those calls are long answered.
 */
import type { Flight } from './flight.ts'

export interface Limits {
  /** Milliseconds of silence; 0 = no limit. */
  readonly call: number
  /** Milliseconds altogether; 0 = no limit. */
  readonly max: number
}

export interface Expired {
  readonly flight: Flight
  /** Its silence was too long; else it used up its whole time. */
  readonly silent: boolean
}

/** A timer this late means the process itself stood still (sleep, SIGSTOP): answers may lie unread in our pipes. */
const stallMs = 1000
/** So long those answers have, once we run again, to be read. */
const wakeMs = 500
const longestTimerMs = 2 ** 31 - 1

export class Deadlines {
  /** Each flight knows its place: a Set of what churns like this costs more than the calls (see SlotMap). */
  private readonly flights: Flight[] = []
  private readonly callMs: number
  private readonly maxMs: number
  private readonly expired: (flights: readonly Expired[]) => void
  private timer: NodeJS.Timeout | undefined
  private armedFor = Infinity

  /** `expired` must have forgotten the flights when it returns. */
  constructor(limits: Limits, expired: (flights: readonly Expired[]) => void) {
    this.callMs = limits.call > 0 ? limits.call : Infinity
    this.maxMs = limits.max > 0 ? limits.max : Infinity
    this.expired = expired
  }

  /** Watches a flight from its arrival; called again when it is handed over. */
  watch(flight: Flight): void {
    if (flight.place < 0) flight.place = this.flights.push(flight) - 1
    const due = this.dueAt(flight)
    if (due < this.armedFor) this.arm(due)
  }

  forget(flight: Flight): void {
    if (!this.has(flight)) return
    const { place } = flight
    flight.place = -1
    const last = this.flights.pop() as Flight
    if (last === flight) return
    this.flights[place] = last
    last.place = place
  }

  /** Not so once another instance has taken it on. */
  has(flight: Flight): boolean {
    return this.flights[flight.place] === flight
  }

  /** Everything on the way or waiting. */
  all(): Iterable<Flight> {
    return this.flights
  }

  close(): void {
    clearTimeout(this.timer)
    for (const flight of this.flights) flight.place = -1
    this.flights.length = 0
  }

  private dueAt(flight: Flight): number {
    const end = flight.arrivedAt + this.maxMs
    return flight.carrier ? Math.min(end, flight.activeAt + this.callMs) : end
  }

  private arm(at: number): void {
    clearTimeout(this.timer)
    this.armedFor = at
    if (at === Infinity) return
    this.timer = setTimeout(() => this.sweep(), Math.min(longestTimerMs, Math.max(1, Math.ceil(at - performance.now()))))
    this.timer.unref()
  }

  private sweep(): void {
    const now = performance.now()
    const late = now - this.armedFor
    this.armedFor = Infinity
    const over: Expired[] = []
    let next = Infinity
    for (const flight of this.flights) {
      if (late > stallMs) {
        flight.arrivedAt += late + wakeMs
        flight.activeAt += late + wakeMs
      }
      const due = this.dueAt(flight)
      if (due <= now) over.push({ flight, silent: due < flight.arrivedAt + this.maxMs })
      else next = Math.min(next, due)
    }
    if (over.length > 0) this.expired(over)
    // Settling them may have handed over others, which armed the timer for themselves.
    if (next < this.armedFor) this.arm(next)
  }
}
