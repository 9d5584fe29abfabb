/**
 * Server-sent events: bytes in, events out, in linear time and bounded memory whatever arrives. Owns the form of the
 * stream (WHATWG HTML, "Server-sent events"); must not know what an event's data means.
 */
import { headBytes, tailBytes } from './peek.ts'

/** Takes what a stream turned out to be, in order. Must not throw. */
export interface EventSink {
  /** One event with data. `name` is `message` unless the stream says otherwise. The bytes may be kept. */
  event(name: string, data: Buffer): void
  /** An event of more than the cap; only its ends are left. */
  oversized(head: Buffer, tail: Buffer): void
}

const lf = 0x0a
const cr = 0x0d
const colon = 0x3a
const space = 0x20
const bom = Buffer.from([0xef, 0xbb, 0xbf])
const newline = Buffer.from('\n')
const none = Buffer.alloc(0)
/** Names, ids and pauses are short; a line that is no data and longer than this is no line of ours. */
const maxFieldBytes = 4096
/** So many lines of data are put together: a line of one byte costs a hundred as a buffer of its own. */
const maxParts = 1024
const longestRetryMs = 10 * 60_000

export class SseReader {
  /** The id of the last event; undefined = the server gave none, or took it back. */
  lastId: string | undefined
  /** How long the server wants us to wait before we come back, milliseconds. */
  retryMs: number | undefined
  private readonly sink: EventSink
  private readonly maxBytes: number
  /** Pieces of a line whose end has not come yet. */
  private held: Buffer[] = []
  private heldBytes = 0
  /** Data lines of the event that is being read. */
  private parts: Buffer[] = []
  /** Those before, put together. */
  private blocks: Buffer[] = []
  private size = 0
  private name = ''
  /** Set while the rest of an event over the cap goes by. */
  private over: { head: Buffer; tail: Buffer } | undefined
  /** The line being held is over the cap, so that its rest is dropped. */
  private dropping = false
  private afterCr = false
  private first = true
  private stopped = false

  /** `maxBytes`: of one event's data. */
  constructor(sink: EventSink, maxBytes: number) {
    this.sink = sink
    this.maxBytes = maxBytes
  }

  /** Takes the next bytes; they may be kept. What is incomplete when the stream ends is no event, by the standard. */
  push(chunk: Buffer): void {
    let start = 0
    if (this.afterCr && chunk.length > 0) {
      if (chunk[0] === lf) start = 1
      this.afterCr = false
    }
    let nextLf = chunk.indexOf(lf, start)
    let nextCr = chunk.indexOf(cr, start)
    while (start < chunk.length && !this.stopped) {
      const isCr = nextCr >= 0 && (nextLf < 0 || nextCr < nextLf)
      const end = isCr ? nextCr : nextLf
      if (end < 0) return this.hold(chunk.subarray(start))
      if (this.heldBytes === 0 && !this.dropping) this.line(chunk.subarray(start, end))
      else {
        this.hold(chunk.subarray(start, end))
        this.release()
      }
      start = end + 1
      if (isCr) {
        if (start === chunk.length) this.afterCr = true
        else if (chunk[start] === lf) start++
        nextCr = chunk.indexOf(cr, start)
      }
      if (nextLf >= 0 && nextLf < start) nextLf = chunk.indexOf(lf, start)
    }
  }

  /** Reports nothing further, not even the rest of a chunk that is being read. */
  stop(): void {
    this.stopped = true
    this.held = []
    this.parts = []
    this.blocks = []
    this.over = undefined
  }

  private hold(piece: Buffer): void {
    if (piece.length === 0) return
    if (this.dropping) return this.skip(piece)
    this.held.push(piece)
    this.heldBytes += piece.length
    if (this.size + this.heldBytes <= this.maxBytes + maxFieldBytes) return
    // Whatever field it is, no event can come of it any more.
    const line = Buffer.concat(this.held, this.heldBytes)
    this.held = []
    this.heldBytes = 0
    this.dropping = true
    const { start } = fieldOf(line)
    this.exceed(line.subarray(start))
  }

  private release(): void {
    if (this.dropping) {
      this.dropping = false
      return
    }
    const { held, heldBytes } = this
    this.held = []
    this.heldBytes = 0
    this.line(held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held, heldBytes))
  }

  private line(bytes: Buffer): void {
    let line = bytes
    if (this.first) {
      this.first = false
      if (line.subarray(0, 3).equals(bom)) line = line.subarray(3)
    }
    if (line.length === 0) return this.dispatch()
    // A comment: only a sign of life.
    if (line[0] === colon) return
    const { name, start } = fieldOf(line)
    switch (name) {
      case 'data':
        return this.data(line.subarray(start))
      case 'event':
        this.name = line.length - start <= maxFieldBytes ? line.toString('utf8', start) : ''
        return
      case 'id':
        // A NUL would make the id unusable in a header field; the standard ignores such an id.
        if (line.length - start <= maxFieldBytes && !line.includes(0, start)) this.lastId = line.toString('utf8', start) || undefined
        return
      case 'retry': {
        const text = line.toString('latin1', start)
        if (/^\d{1,9}$/.test(text)) this.retryMs = Math.min(Number(text), longestRetryMs)
      }
    }
  }

  private data(value: Buffer): void {
    if (this.over) return this.skip(value)
    this.size += value.length + 1
    if (this.size - 1 > this.maxBytes) return this.exceed(value)
    this.parts.push(value)
    if (this.parts.length === maxParts) this.blocks.push(joined(this.taken()))
  }

  private taken(): Buffer[] {
    const { parts } = this
    this.parts = []
    return parts
  }

  private exceed(last: Buffer): void {
    const all = this.over ? [] : [...this.blocks, ...this.parts]
    this.parts = []
    this.blocks = []
    if (this.over) return this.skip(last)
    const head = Buffer.concat([...all, last.subarray(0, headBytes)].map(part => part.subarray(0, headBytes))).subarray(0, headBytes)
    this.over = { head: Buffer.from(head), tail: none }
    this.skip(last)
  }

  private skip(bytes: Buffer): void {
    const { over } = this
    if (!over) return
    over.tail = bytes.length >= tailBytes ? Buffer.from(bytes.subarray(-tailBytes)) : Buffer.concat([over.tail, bytes]).subarray(-tailBytes)
  }

  private dispatch(): void {
    const { blocks, name, over } = this
    this.size = 0
    this.name = ''
    this.over = undefined
    if (over) {
      this.parts = []
      return this.sink.oversized(over.head, over.tail)
    }
    const parts = blocks.length === 0 ? this.taken() : [...blocks, ...this.taken()]
    if (parts.length === 0) return
    if (blocks.length > 0) this.blocks = []
    this.sink.event(name === '' ? 'message' : name, joined(parts))
  }
}

const joined = (lines: readonly Buffer[]): Buffer =>
  lines.length === 1 ? (lines[0] as Buffer) : Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [newline, line])))

/** Name of a line's field, and where its value begins. One space after the colon belongs to the form. */
function fieldOf(line: Buffer): { name: string; start: number } {
  // Almost every line is data, and comparing bytes is cheaper than making a string of them.
  const isData = line[0] === 0x64 && line[1] === 0x61 && line[2] === 0x74 && line[3] === 0x61
  if (isData && line[4] === colon) return { name: 'data', start: line[5] === space ? 6 : 5 }
  const at = line.subarray(0, 16).indexOf(colon)
  if (at < 0) return { name: line.length <= 16 ? line.toString('latin1') : '', start: line.length }
  return { name: line.toString('latin1', 0, at), start: line[at + 1] === space ? at + 2 : at + 1 }
}
