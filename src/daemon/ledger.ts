/**
 * What a relay has written to one daemon and has no answer to, and how far each request reaches into the bytes written: so
 * that it is known which of them a daemon that leaves has never read. Keeps bytes only as long as they may be needed for that,
 * and no more of them than a bound. Knows no method.
 */
import type { Message, RequestId } from '../transports/channel.ts'

/** A line of the client, and what is in it. */
export interface Held {
  readonly bytes: Buffer
  readonly messages: readonly Message[]
}

/** Of all lines kept; beyond it the oldest go, which are the likeliest to have been read. */
const maxUnreadBytes = 32 * 1024 * 1024

/** A client that says no more is owed answers until so long after its last request; as over stdio, milliseconds. */
const lingerMs = 6_000
/** How often to look whether it still is, milliseconds. */
export const lookMs = 20

export class Ledger {
  private readonly isToldAgain: (id: RequestId) => boolean
  private readonly maxBytes: number
  private written = 0
  /** Open requests, each with the bytes written up to the end of its line. */
  private readonly open = new Map<RequestId, number>()
  /** Lines with requests that the daemon may not have read, in order, by the bytes written up to their ends. */
  private readonly unread = new Map<number, Buffer>()
  private unreadBytes = 0
  private readonly takenBack = new Set<RequestId>()
  /** When the last request was written, monotonic milliseconds. */
  private askedAt = -Infinity

  /** `isToldAgain`: the next daemon is asked this open request without its line. */
  constructor(isToldAgain: (id: RequestId) => boolean, maxBytes = maxUnreadBytes) {
    this.isToldAgain = isToldAgain
    this.maxBytes = maxBytes
  }

  wrote({ bytes, messages }: Held): void {
    this.written += bytes.length
    let isNeeded = false
    for (const { id, method } of messages) {
      if (method === undefined || id === undefined || id === null) continue
      this.open.set(id, this.written)
      this.askedAt = performance.now()
      isNeeded ||= !this.isToldAgain(id)
    }
    if (!isNeeded) return
    this.unread.set(this.written, alone(bytes))
    this.unreadBytes += bytes.length
    for (const end of this.unread.keys()) {
      if (this.unreadBytes <= this.maxBytes) break
      this.drop(end)
    }
  }

  /** The daemon answered, so it has read all up to there: lines are read in order. */
  answered(id: RequestId): void {
    const read = this.open.get(id)
    if (read === undefined) return
    this.open.delete(id)
    for (const end of this.unread.keys()) {
      if (end > read) break
      this.drop(end)
    }
  }

  /** Whether a client that says no more still waits for an answer. */
  get isOwed(): boolean {
    return this.open.size > 0 && performance.now() - this.askedAt < lingerMs
  }

  /** The client does not want it any more. */
  withdrawn(id: RequestId): void {
    const end = this.open.get(id)
    if (end === undefined) return
    this.open.delete(id)
    if (![...this.open.values()].includes(end)) this.drop(end)
  }

  /** Lines whose requests end beyond `heard` bytes, in order, without those that are told again anyway. */
  takeBack(heard: number): Buffer[] {
    const ends = new Set<number>()
    for (const [id, end] of this.open) {
      const isToldAgain = this.isToldAgain(id)
      if (end <= heard || !(isToldAgain || this.unread.has(end))) continue
      this.open.delete(id)
      this.takenBack.add(id)
      if (!isToldAgain) ends.add(end)
    }
    const lines = [...this.unread].filter(([end]) => ends.has(end)).map(([, bytes]) => bytes)
    this.forget()
    return lines
  }

  /** Whether this answers a request that was taken back, and is nobody's therefore. */
  isTakenBack({ id, method }: Message): boolean {
    return method === undefined && this.takenBack.delete(id as RequestId)
  }

  /** The daemon is gone: forgets it all. Returns what was open and is not told again. */
  close(): RequestId[] {
    const ids = [...this.open.keys()].filter(id => !this.isToldAgain(id))
    this.open.clear()
    this.takenBack.clear()
    this.forget()
    this.written = 0
    return ids
  }

  private drop(end: number): void {
    this.unreadBytes -= this.unread.get(end)?.length ?? 0
    this.unread.delete(end)
  }

  private forget(): void {
    this.unread.clear()
    this.unreadBytes = 0
  }
}

/** A line without the rest of the chunk it came in. */
const alone = (bytes: Buffer): Buffer => (bytes.buffer.byteLength > 2 * bytes.length ? Buffer.from(bytes) : bytes)
