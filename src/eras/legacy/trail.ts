/**
 * The streams of one session: their numbers, what was sent on them for clients that come back, and what waits for a
 * stream that is not open. Made with a session's first event, for most idle ones never have any.
 */
import type { SessionLimits } from '../options.ts'
import { EventStore, eventId, type StoredEvent } from './event-store.ts'
import type { Reply } from './reply.ts'

/** The stream a client opens by GET, for what belongs to none of its requests. */
export const standalone = 0
/** What waits for that stream while it is not open; a client that never opens it misses the rest. */
const maxWaiting = 64

/** The one text of what is said to thousands of sessions at once. */
const usual = new Map(['tools', 'prompts', 'resources'].map(list => {
  const text = JSON.stringify({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` })
  return [text, text]
}))

export class Trail {
  private readonly limits: SessionLimits
  private streams = standalone
  private sequence = 0
  private live: Map<number, Reply> | undefined
  private store: EventStore | undefined
  /** Texts for the standalone stream that have never been sent. */
  private waiting: readonly string[] | undefined

  constructor(limits: SessionLimits) {
    this.limits = limits
  }

  /** A number for a stream that begins. */
  begin(reply: Reply): number {
    const number = ++this.streams
    ;(this.live ??= new Map()).set(number, reply)
    return number
  }

  finished(reply: Reply): void {
    if (!this.live) return
    for (const [number, each] of this.live) if (each === reply) this.live.delete(number)
    if (this.live.size === 0) this.live = undefined
  }

  reply(stream: number): Reply | undefined {
    return this.live?.get(stream)
  }

  /** Keeps an event; returns its id. */
  keep(stream: number, text: string): string {
    const sequence = ++this.sequence
    this.store ??= new EventStore(this.limits)
    this.store.add({ stream, sequence, text, at: performance.now() })
    return eventId(stream, sequence)
  }

  /** The id of an event that says nothing. */
  mark(stream: number): string {
    return eventId(stream, ++this.sequence)
  }

  /** Whether a place is one there has been. */
  reaches(stream: number, sequence: number): boolean {
    return stream <= this.streams && sequence <= this.sequence
  }

  after(stream: number, sequence: number): readonly StoredEvent[] {
    return this.store?.after(stream, sequence) ?? []
  }

  wait(text: string, sheddable: boolean): void {
    const waiting = this.waiting ?? []
    // Saying the same twice to somebody who was away tells nothing new.
    if (sheddable && waiting.includes(text)) return
    const kept = waiting.length < maxWaiting ? waiting : waiting.slice(1)
    // Copied, for an array that grows in place takes room for many more.
    this.waiting = [...kept, usual.get(text) ?? text]
  }

  /** What has waited; it waits no longer. */
  takeWaiting(): readonly string[] {
    const waiting = this.waiting ?? []
    this.waiting = undefined
    return waiting
  }

  age(now: number): void {
    this.store?.age(now)
    if (this.store?.size === 0) this.store = undefined
  }
}
