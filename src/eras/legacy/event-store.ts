/**
 * Events of one session's streams, kept for clients that come back for what they missed (2025-11-25 basic/transports,
 * "Resumability and Redelivery"). Bounded in number, size and age; the oldest go first.
 */
import type { SessionLimits } from '../options.ts'

export interface StoredEvent {
  readonly stream: number
  readonly sequence: number
  readonly text: string
  readonly at: number
}

/** The cursor of an event: its stream, and its place among all events of the session. */
export const eventId = (stream: number, sequence: number): string => `${stream}_${sequence}`

/** Undefined = none of ours. */
export function readEventId(text: string): { stream: number; sequence: number } | undefined {
  const match = /^(\d{1,15})_(\d{1,15})$/.exec(text)
  return match ? { stream: Number(match[1]), sequence: Number(match[2]) } : undefined
}

export class EventStore {
  private readonly limits: SessionLimits
  private events: StoredEvent[] = []
  private chars = 0

  constructor(limits: SessionLimits) {
    this.limits = limits
  }

  get size(): number {
    return this.events.length
  }

  add(event: StoredEvent): void {
    if (event.text.length > this.limits.eventChars) return
    this.events.push(event)
    this.chars += event.text.length
    while (this.events.length > this.limits.events || this.chars > this.limits.eventChars) this.drop()
  }

  /** What a stream has sent after a place, in order. */
  after(stream: number, sequence: number): StoredEvent[] {
    return this.events.filter(event => event.stream === stream && event.sequence > sequence)
  }

  /** Forgets what is older than allowed. `now`: as in `at`. */
  age(now: number): void {
    while (this.events[0] && now - this.events[0].at > this.limits.eventMs) this.drop()
  }

  private drop(): void {
    this.chars -= (this.events.shift() as StoredEvent).text.length
  }
}
