/**
 * Lines out, to a reader that may be slow, stuck or gone: one write per turn of the event loop, a bounded queue, and a
 * deadline. Owns what waits and what is shed; knows of a message only which lane it is in.
 */
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

export const writerDefaults = { queueBytes: 1024 * 1024, maxQueueBytes: 64 * 1024 * 1024, stallMs: 30_000 } as const

export interface WriterLimits {
  /** Beyond this much waiting the queue counts as full: sheddable lines make way, and `full` asks for patience. */
  readonly queueBytes?: number | undefined
  /** Beyond this much waiting the reader is given up. A single line may be of any length. */
  readonly maxQueueBytes?: number | undefined
  /** A reader that takes nothing for this long is given up. */
  readonly stallMs?: number | undefined
}

export interface WriterEvents {
  /** The reader was given up; nothing is written any more. Once. */
  stuck(): void
  /** The stream broke (EPIPE and the like); nothing is written any more. Once. */
  broke(error: Error): void
  /** The queue became full, or is no longer. */
  pressure?(full: boolean): void
}

/** A line, or what it consists of. */
export type Line = string | readonly (string | Buffer)[]

interface Entry {
  line: Line
  /** What it counts for in the queue; 0 once it is shed. */
  size: number
  readonly lane: string | undefined
  /** Written, or given up for a newer line of its lane. */
  gone: boolean
}

/** Progress of a reader shows once a write is through, so one write must not be more than a slow reader can take. */
const writeBytes = 65_536

/**
 * Where lines are put together for a pipe that takes them at once: a buffer for each write would make V8 collect the whole
 * heap for the sake of what is outside it. Undefined while a write may still read from it.
 */
let scratch: Buffer | undefined

export class LineWriter {
  /** Lines dropped because the reader was too slow. */
  dropped = 0
  private readonly output: Writable
  private readonly events: WriterEvents
  private readonly limits: { queueBytes: number; maxQueueBytes: number; stallMs: number }
  private queue: Entry[] = []
  private next = 0
  /** Waiting in `queue`: bytes, or UTF-16 units of text, which for what is mostly ASCII is the same. */
  private size = 0
  /** What is left of a line longer than one write, the next first. */
  private rest: Buffer[] = []
  /** Waiting lines that may be shed, by lane; kept only while the queue is full. */
  private lanes: Map<string, Entry[]> | undefined
  private scheduled = false
  private blocked = false
  private over = false
  private ending: (() => void) | undefined
  private ended: Promise<void> | undefined
  private timer: NodeJS.Timeout | undefined
  private pressed = false

  constructor(output: Writable, events: WriterEvents, limits: WriterLimits = {}) {
    this.output = output
    this.events = events
    this.limits = {
      queueBytes: limits.queueBytes ?? writerDefaults.queueBytes,
      maxQueueBytes: limits.maxQueueBytes ?? writerDefaults.maxQueueBytes,
      stallMs: limits.stallMs ?? writerDefaults.stallMs,
    }
    output.on('drain', () => this.drained())
    output.on('error', error => this.broke(error))
    output.on('close', () => this.broke(new Error('the stream was closed')))
  }

  /** More waits than `queueBytes`. */
  get full(): boolean {
    return this.size > this.limits.queueBytes
  }

  /**
   * Queues a line, newline included. A line with a `lane` may be dropped while the queue is full: at once if the newest
   * of its lane says the same, else in exchange for the oldest of its lane, so that one noisy lane cannot push out another.
   */
  push(line: Line, lane?: string): void {
    if (this.over || this.ending) return
    if (this.full) {
      if (lane !== undefined && !this.makeWay(line, lane)) return void this.dropped++
      if (this.size > this.limits.maxQueueBytes) return this.giveUp()
    }
    const entry: Entry = { line, size: sizeOf(line), lane, gone: false }
    this.queue.push(entry)
    this.size += entry.size
    if (this.lanes && lane !== undefined) this.lane(lane).push(entry)
    if (!this.pressed && this.full) this.press(true)
    if (this.scheduled || this.blocked) return
    this.scheduled = true
    setImmediate(this.flush)
  }

  /** Writes what waits, then ends the stream. Resolves when all is written, or nothing more will be. */
  end(): Promise<void> {
    if (this.over) return Promise.resolve()
    return (this.ended ??= new Promise(resolve => {
      this.ending = resolve
      if (!this.blocked) this.flush()
    }))
  }

  /** Forgets what waits; nothing is written any more. */
  stop(): void {
    this.over = true
    clearTimeout(this.timer)
    this.queue = []
    this.next = 0
    this.size = 0
    this.rest = []
    this.lanes = undefined
    this.ending?.()
  }

  private readonly flush = (): void => {
    this.scheduled = false
    while (!this.over && !this.blocked) {
      const piece = this.take()
      if (piece === undefined) break
      const taken = this.output.write(piece)
      if (scratch && typeof piece !== 'string' && piece.buffer === scratch.buffer && this.output.writableLength > 0) scratch = undefined
      if (!taken) this.block()
    }
    if (!this.over && this.rest.length === 0 && this.size === 0) this.emptied()
  }

  /** The next bytes to write: whole lines up to one write's worth, or a part of a longer one. */
  private take(): string | Buffer | undefined {
    if (this.rest.length === 0) {
      let text = ''
      let pieces: (string | Buffer)[] | undefined
      let size = 0
      for (let entry = this.queue[this.next]; entry !== undefined; entry = this.queue[this.next]) {
        if (size > 0 && size + entry.size > writeBytes) break
        this.next++
        size += entry.size
        const { line } = entry
        if (typeof line === 'string' && !pieces) text += line
        else if (typeof line === 'string') pieces?.push(line)
        else (pieces ??= [text]).push(...line)
        entry.line = ''
        entry.gone = true
      }
      this.size -= size
      this.compact()
      if (!pieces && size <= writeBytes) return text === '' ? undefined : text
      pieces ??= [text]
      if (size <= writeBytes) return joined(pieces, this.output instanceof Socket)
      this.rest = pieces.filter(piece => piece.length > 0).map(piece => (typeof piece === 'string' ? Buffer.from(piece) : piece))
    }
    return this.takeOfRest()
  }

  /** Long pieces are written from where they are, what stands before and after them in one write with a part of them. */
  private takeOfRest(): Buffer | undefined {
    const taken: Buffer[] = []
    let size = 0
    for (let piece = this.rest[0]; piece !== undefined && size < writeBytes; piece = this.rest[0]) {
      const part = piece.subarray(0, writeBytes - size)
      taken.push(part)
      size += part.length
      if (part.length === piece.length) this.rest.shift()
      else this.rest[0] = piece.subarray(part.length)
    }
    return taken.length > 1 ? Buffer.concat(taken, size) : taken[0]
  }

  private compact(): void {
    if (this.next === this.queue.length) this.queue = []
    else if (this.next > 1024 && this.next * 2 > this.queue.length) this.queue.splice(0, this.next)
    else return
    this.next = 0
  }

  private block(): void {
    this.blocked = true
    this.timer = setTimeout(() => this.giveUp(), this.limits.stallMs)
  }

  private drained(): void {
    if (!this.blocked) return
    this.blocked = false
    clearTimeout(this.timer)
    if (this.pressed && !this.full) this.press(false)
    this.flush()
  }

  private emptied(): void {
    this.lanes = undefined
    if (this.pressed) this.press(false)
    if (this.ending && !this.blocked) {
      this.over = true
      this.output.end()
      this.ending()
    }
  }

  private press(full: boolean): void {
    this.pressed = full
    this.events.pressure?.(full)
  }

  private lane(name: string): Entry[] {
    const lanes = (this.lanes ??= new Map<string, Entry[]>())
    let waiting = lanes.get(name)
    if (!waiting) lanes.set(name, (waiting = []))
    return waiting
  }

  /** Room for one more line of a lane in a full queue; false = the line is not worth queueing. */
  private makeWay(line: Line, name: string): boolean {
    if (!this.lanes)
      for (const entry of this.queue) if (entry.lane !== undefined && !entry.gone) this.lane(entry.lane).push(entry)
    const waiting = this.lane(name)
    const newest = waiting.at(-1)
    if (newest && !newest.gone && newest.line === line) return false
    let oldest = waiting.shift()
    while (oldest?.gone) oldest = waiting.shift()
    // A lane with nothing waiting may go beyond the limit, but only so far.
    if (!oldest) return this.size <= 2 * this.limits.queueBytes
    this.dropped++
    this.size -= oldest.size
    oldest.size = 0
    oldest.line = ''
    oldest.gone = true
    return true
  }

  private giveUp(): void {
    if (this.over) return
    this.stop()
    this.events.stuck()
  }

  private broke(error: Error): void {
    if (this.over) return
    this.stop()
    this.events.broke(error)
  }
}

const sizeOf = (line: Line): number => (typeof line === 'string' ? line.length : line.reduce((sum, piece) => sum + piece.length, 0))

/** `passing`: whether who gets the bytes is done with them once none of them wait. */
function joined(pieces: readonly (string | Buffer)[], passing: boolean): Buffer {
  let size = 0
  for (const piece of pieces) size += typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
  const isScratch = passing && size <= writeBytes
  const all = isScratch ? (scratch ??= Buffer.allocUnsafeSlow(writeBytes)).subarray(0, size) : Buffer.allocUnsafe(size)
  let at = 0
  for (const piece of pieces) at += typeof piece === 'string' ? all.write(piece, at) : piece.copy(all, at)
  return all
}
