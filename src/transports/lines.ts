/**
 * Newline framing: bytes in, JSON-RPC messages out, in linear time and bounded memory whatever arrives. Owns what a
 * line may be; must not know where the bytes come from or what a message means.
 * Spec: stdio messages are delimited by newlines and must not contain embedded newlines (basic/transports, stdio).
 */
import { isUtf8 } from 'node:buffer'
import type { McpError } from '../gateway/errors.ts'
import type { Message, MessagePart, RequestId } from './channel.ts'
import {
  broken,
  faultOf,
  isDeeper,
  isFields,
  looksLikeMessage,
  sortBatch,
  traceOf,
  type Author,
  type Broken,
} from './envelope.ts'
import { headBytes, peek, tailBytes } from './peek.ts'
import { scanAnswer } from './raw-scan.ts'

/** More than is shown, so that what is hidden in it can be found whole. */
export const noiseChars = 8_692

export const lineDefaults = { maxLineBytes: 16 * 1024 * 1024, maxDepth: 100, maxBatch: 100 } as const

export interface LineLimits {
  /** Bytes of one line without its newline; a longer one is skipped and reported. */
  readonly maxLineBytes?: number | undefined
  /** Levels of JSON nesting; deeper messages would overflow the stack of whoever serialises them again. */
  readonly maxDepth?: number | undefined
  /** Messages in one batch. */
  readonly maxBatch?: number | undefined
}

/** The line a message was read from. */
export interface Line {
  /** The raw bytes without the newline. Valid only while the callback runs; copy them to keep them. */
  bytes(): Buffer
}

/** Takes what a line turned out to be, in order. Must not throw. */
export interface LineSink {
  message(message: Message, line: Line): void
  malformed(error: McpError, id: RequestId | undefined, part: MessagePart | undefined): void
  /** A JSON-RPC batch; returns whether it was taken. */
  batch?(messages: readonly Message[]): boolean
  /**
   * A line that is no JSON-RPC at all: a banner, a log line. At most `noiseChars` of it; there may be secrets in it.
   * `garbled`: it is a whole line, and no JSON either.
   */
  noise(text: string, garbled: boolean): void
}

const newline = 0x0a
const noBytes = Buffer.alloc(0)
const keptStore = 1024 * 1024
/** A backend's answer from this length on is not parsed; below it, parsing costs less than looking. Bytes. */
export const rawBytes = 1024
/** A line put together from pieces is copied for an answer to refer to; from this length on the answer gets the original. Bytes. */
const givenBytes = 65_536
const replacement = '\ufffd'
/** JSON that is neither an object nor an array, near enough. */
const scalar = /^\s*(?:null|true|false|-?\d[\d.eE+-]*|"[^"]*")\s*$/

export class LineReader implements Line {
  private readonly sink: LineSink
  private readonly author: Author
  private readonly maxLineBytes: number
  private readonly maxDepth: number
  private readonly maxBatch: number
  /** The beginning of a line whose end has not come yet. Grows by doubling, so each byte is copied at most thrice. */
  private store: Buffer | undefined
  private held = 0
  /** The ends of a line over the cap, while the rest of it goes by. */
  private skipped: { readonly head: Buffer; tail: Buffer } | undefined
  private stopped = false
  private ended = false
  private current: { buffer: Buffer; start: number; end: number } = { buffer: noBytes, start: 0, end: 0 }

  constructor(author: Author, sink: LineSink, limits: LineLimits = {}) {
    this.author = author
    this.sink = sink
    this.maxLineBytes = limits.maxLineBytes ?? lineDefaults.maxLineBytes
    this.maxDepth = limits.maxDepth ?? lineDefaults.maxDepth
    this.maxBatch = limits.maxBatch ?? lineDefaults.maxBatch
  }

  /** Takes the next bytes. They must stay as they are: an answer may refer to them. */
  push(chunk: Buffer): void {
    let start = 0
    while (start < chunk.length && !this.stopped) {
      const end = chunk.indexOf(newline, start)
      if (end === -1) return this.keep(chunk, start, chunk.length)
      if (this.held === 0 && this.skipped === undefined && end - start <= this.maxLineBytes) this.line(chunk, start, end)
      else {
        this.keep(chunk, start, end)
        this.finish()
      }
      start = end + 1
    }
  }

  /** No more bytes come. A last line without its newline counts if it is complete. */
  end(): void {
    this.ended = true
    if (!this.stopped) this.finish()
    this.stop()
  }

  /** Forgets everything and reports nothing further, not even the rest of a chunk that is being read. */
  stop(): void {
    this.stopped = true
    this.store = undefined
    this.held = 0
    this.skipped = undefined
  }

  bytes(): Buffer {
    const { buffer, start, end } = this.current
    return buffer.subarray(start, end)
  }

  private keep(chunk: Buffer, start: number, end: number): void {
    const length = end - start
    if (this.skipped) return this.skip(this.skipped, chunk.subarray(start, end))
    if (this.held + length > this.maxLineBytes) {
      const before = this.store?.subarray(0, this.held) ?? Buffer.alloc(0)
      const head = Buffer.concat([before.subarray(0, headBytes), chunk.subarray(start, Math.min(end, start + headBytes))])
      this.skipped = { head: head.subarray(0, headBytes), tail: Buffer.from(before.subarray(-tailBytes)) }
      this.store = undefined
      this.held = 0
      return this.skip(this.skipped, chunk.subarray(start, end))
    }
    const needed = this.held + length
    if (this.store === undefined || this.store.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.maxLineBytes, Math.max(needed * 2, 65_536))))
      this.store?.copy(grown, 0, 0, this.held)
      this.store = grown
    }
    chunk.copy(this.store, this.held, start, end)
    this.held = needed
  }

  private skip(skipped: { tail: Buffer }, bytes: Buffer): void {
    if (bytes.length >= tailBytes) skipped.tail = Buffer.from(bytes.subarray(-tailBytes))
    else skipped.tail = Buffer.concat([skipped.tail, bytes]).subarray(-tailBytes)
  }

  private finish(): void {
    const { skipped, store, held } = this
    this.skipped = undefined
    this.held = 0
    if (skipped) {
      const fault = `a message of more than ${this.maxLineBytes} bytes`
      this.report(broken(fault, peek(skipped.head, skipped.tail), this.author, 'MESSAGE_TOO_LARGE'))
    } else if (store) {
      const refers = this.author === 'backend' && held >= rawBytes
      if (store.length > keptStore || (refers && held >= givenBytes)) this.store = undefined
      if (refers && this.store) this.line(Buffer.from(store.subarray(0, held)), 0, held)
      else if (held > 0) this.line(store, 0, held)
    }
  }

  /** One whole line. The common case decodes straight from the chunk it came in. */
  private line(buffer: Buffer, start: number, end: number): void {
    if (end === start) return
    if (this.author === 'backend' && end - start >= rawBytes) {
      const answer = scanAnswer(buffer, start, end, this.maxDepth)
      if (answer) return this.deliver(answer, buffer, start, end)
    }
    const text = buffer.toString('utf8', start, end)
    const value = parse(text)
    if (typeof value !== 'object' || value === null) return this.noise(text, !this.ended && !scalar.test(text))
    // Only text with a replacement character can come of invalid UTF-8; most has none, and V8 knows so without looking.
    if (text.includes(replacement) && !isUtf8(buffer.subarray(start, end)))
      return this.report(broken('a message that is not valid UTF-8', traceOf(value), this.author))
    // That many levels need a bracket on either side each, so short lines need no walk.
    if (end - start > 2 * this.maxDepth && isDeeper(value, this.maxDepth))
      return this.report(broken(`JSON nested deeper than ${this.maxDepth} levels`, traceOf(value), this.author))
    if (Array.isArray(value)) return this.batch(value, text)
    const fault = faultOf(value as { [key: string]: unknown })
    if (fault === undefined) return this.deliver(value as Message, buffer, start, end)
    if (looksLikeMessage(value as { [key: string]: unknown })) this.report(broken(fault, traceOf(value), this.author))
    else this.noise(text)
  }

  private deliver(message: Message, buffer: Buffer, start: number, end: number): void {
    const { current } = this
    current.buffer = buffer
    current.start = start
    current.end = end
    this.sink.message(message, this)
    // It may be long, and the next one far off.
    current.buffer = noBytes
  }

  private batch(values: readonly unknown[], text: string): void {
    if (values.length > 0 && !values.some(value => isFields(value) && looksLikeMessage(value))) return this.noise(text)
    if (values.length === 0 || values.length > this.maxBatch) {
      const fault = values.length === 0 ? 'an empty batch' : `a batch of more than ${this.maxBatch} messages`
      return this.report(broken(fault, traceOf(undefined), this.author, 'INVALID_REQUEST'))
    }
    const { messages, rest } = sortBatch(values, this.author)
    if (messages.length > 0 && !this.sink.batch?.(messages))
      for (const message of messages) this.report(broken('a batch', traceOf(message), this.author, 'INVALID_REQUEST'))
    for (const one of rest) this.report(one)
  }

  private report({ error, id, part }: Broken): void {
    if (!this.stopped) this.sink.malformed(error, id, part)
  }

  private noise(text: string, garbled = false): void {
    const trimmed = text.trim()
    if (trimmed !== '' && !this.stopped) this.sink.noise(trimmed.slice(0, noiseChars), garbled)
  }
}

/** The parsed line; undefined when it is no JSON object or array. */
function parse(text: string): unknown {
  // A throwing parse captures a stack; a flood of banner lines must not cost that.
  const first = text.charCodeAt(0)
  if (first !== 0x7b && first !== 0x5b && !/^[\ufeff\s]*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(first === 0xfeff ? text.slice(1) : text)
  } catch {
    return undefined
  }
}
