/**
 * What a relay has written to one daemon and has no answer to, and how far each request reaches into the bytes written: so
 * that it is known which of them a daemon that leaves has never read. Knows no method.
 */
import type { Message, RequestId } from '../transports/channel.ts'

/** A line of the client, and what is in it. */
export interface Held {
  readonly bytes: Buffer
  readonly messages: readonly Message[]
}

interface Entry {
  /** Bytes written up to the end of its line. */
  readonly end: number
  readonly line: Held
}

export class Ledger {
  private written = 0
  private readonly open = new Map<RequestId, Entry>()
  private readonly takenBack = new Set<RequestId>()

  wrote(line: Held): void {
    this.written += line.bytes.length
    for (const { id, method } of line.messages)
      if (method !== undefined && id !== undefined && id !== null) this.open.set(id, { end: this.written, line })
  }

  /** Answered, or not wanted any more. */
  settled(id: RequestId): void {
    this.open.delete(id)
  }

  /** Lines whose requests end beyond `heard` bytes, in order, without those that are told again anyway. */
  takeBack(heard: number, isToldAgain: (id: RequestId) => boolean): Held[] {
    const lines = new Set<Held>()
    for (const [id, { end, line }] of [...this.open].sort(([, one], [, other]) => one.end - other.end)) {
      if (end <= heard) continue
      this.open.delete(id)
      this.takenBack.add(id)
      if (!isToldAgain(id)) lines.add(line)
    }
    return [...lines]
  }

  /** Whether this answers a request that was taken back, and is nobody's therefore. */
  isTakenBack({ id, method }: Message): boolean {
    return method === undefined && this.takenBack.delete(id as RequestId)
  }

  /** The daemon is gone: forgets it all. Returns what was open. */
  close(): RequestId[] {
    const ids = [...this.open.keys()]
    this.open.clear()
    this.takenBack.clear()
    this.written = 0
    return ids
  }
}
