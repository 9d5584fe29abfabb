/**
 * A pair of byte streams as messages in and out: what a pipe to a client and a pipe to a backend have in common. Owns
 * delivery to the receiver and its end; must not know who is at the other end or when to give up on it.
 */
import type { Readable, Writable } from 'node:stream'
import { McpError, rpcCodes } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'
import { RawMessage, type Message, type MessagePart, type Receiver, type RequestId } from './channel.ts'
import type { Author } from './envelope.ts'
import type { Redact } from './last-words.ts'
import { LineWriter, type WriterLimits } from './line-writer.ts'
import { LineReader, type LineLimits } from './lines.ts'
import { sparse } from './sparse-log.ts'

export interface PipeLimits extends LineLimits, WriterLimits {
  /** Takes secrets out of what is no message, before it is logged. */
  readonly redact?: Redact | undefined
}

/** Of a line that is no message, in the log. */
const noiseChars = 500
/** JSON-RPC 2.0 §5.1: what cannot be parsed is answered under no id. So many of these in so long, milliseconds. */
const parseError = `${JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: rpcCodes.parse, message: 'Parse error: the line is not JSON' } })}\n`
const parseErrors = { lines: 10, perMs: 1000 }

export interface PipeEvents {
  /** A message is about to be delivered. */
  received?(message: Message): void
  /** The other end will send no more. Once, after its last message. */
  ended(): void
  /** The other end reads too slowly to wait for. Once. */
  stuck(): void
  /** The way out broke. Once. */
  broke(error: Error): void
}

export class LinePipe {
  private readonly input: Readable
  private readonly author: Author
  private readonly events: PipeEvents
  private readonly reader: LineReader
  private readonly writer: LineWriter
  private receiver: Receiver | undefined
  /** Set once the pipe is over: what `closed` says. */
  private over: { readonly reason: McpError | undefined } | undefined
  private inputEnded = false

  constructor(input: Readable, output: Writable, author: Author, events: PipeEvents, log: Log, limits: PipeLimits) {
    this.input = input
    this.author = author
    this.events = events
    const noise = sparse((text, left) => {
      const line = (limits.redact?.(text) ?? text).slice(0, noiseChars)
      log.warn({ line, ...(left > 0 && { left }) }, `not a message, on the ${author}'s standard output`)
    })
    const answer = sparse(() => this.over || this.writer.push(parseError, 'parse error'), parseErrors)
    this.reader = new LineReader(
      author,
      {
        message: message => this.deliver(message),
        malformed: (error, id, part) => this.malformed(error, id, part),
        batch: messages => this.batch(messages),
        noise: (text, garbled) => {
          noise(text)
          if (garbled && author === 'client') answer(text)
        },
      },
      limits,
    )
    this.writer = new LineWriter(
      output,
      {
        stuck: () => events.stuck(),
        broke: error => events.broke(error),
        // A client that does not take its answers is not heard with new calls. A backend's output is always drained:
        // its other callers must not wait for one slow pipe.
        pressure: full => author === 'client' && (full ? input.pause() : input.resume()),
      },
      limits,
    )
  }

  open(receiver: Receiver): void {
    this.receiver = receiver
    if (this.over) return queueMicrotask(() => receiver.closed(this.over?.reason))
    this.input.on('data', (chunk: Buffer) => this.reader.push(chunk))
    this.input.on('end', () => this.end())
    this.input.on('close', () => this.end())
    this.input.on('error', () => this.end())
  }

  send(message: Message): void {
    if (this.over) return
    if (message instanceof RawMessage)
      return this.writer.push([`{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":`, ...message.raw.pieces(), '}\n'])
    const { id, method } = message
    const isRequest = method !== undefined && id !== undefined && id !== null
    if (isRequest && this.author === 'backend' && this.writer.full)
      return this.refuse(
        new McpError('BACKEND_BUSY', 'the backend does not read its input fast enough', { retryAfterMs: 1000 }),
        id,
      )
    let text: string
    try {
      text = JSON.stringify(message) + '\n'
    } catch (cause) {
      const error = new McpError('MESSAGE_TOO_LARGE', 'the message cannot be written as JSON', { cause })
      if (method !== undefined || id === undefined) return this.refuse(error, isRequest ? id : undefined)
      // Whoever waits for an answer gets one.
      text = JSON.stringify({ jsonrpc: '2.0', id, error: error.toRpc() }) + '\n'
    }
    this.writer.push(text, isRequest ? undefined : method)
  }

  /** Ends delivery: the receiver hears `closed` next, and nothing else. The first reason counts. */
  finish(reason: McpError | undefined): void {
    if (this.over) return
    this.over = { reason }
    this.reader.stop()
    // Never from inside a call of the receiver's own, such as send().
    if (this.receiver) queueMicrotask(() => this.receiver?.closed(reason))
  }

  get finished(): boolean {
    return this.over !== undefined
  }

  /** Writes what waits and ends the way out. Resolves when that is done or will not happen. */
  flush(): Promise<void> {
    return this.writer.end()
  }

  /** Gives up what waits to be written. */
  drop(): void {
    this.writer.stop()
  }

  /** Takes what has arrived as all there is. */
  end(): void {
    if (this.inputEnded) return
    this.inputEnded = true
    this.reader.end()
    this.events.ended()
  }

  private deliver(message: Message): void {
    if (this.over) return
    this.events.received?.(message)
    this.receiver?.message(message)
  }

  private batch(messages: readonly Message[]): boolean {
    if (this.over) return true
    if (!this.receiver?.batch) return false
    if (this.events.received) for (const message of messages) this.events.received(message)
    return this.receiver.batch(messages)
  }

  private malformed(error: McpError, id: RequestId | undefined, part: MessagePart | undefined): void {
    if (!this.over) this.receiver?.malformed?.(error, id, part)
  }

  private refuse(error: McpError, id: RequestId | undefined): void {
    queueMicrotask(() => this.malformed(error, id, 'answer'))
  }
}
