/**
 * A client's pipe on one side, the daemon of the moment on the other: lines through, and when the daemon is gone, another one told
 * what this client had said. Looks at envelopes only. Owns that the client's pipe stays open and no request stays unanswered.
 */
import type { Readable, Writable } from 'node:stream'
import { Replay } from '../eras/replay.ts'
import { McpError } from '../gateway/errors.ts'
import type { Message, RequestId } from '../transports/channel.ts'
import { isGoodbye, readGoodbye, type Goodbye } from './hello.ts'
import { envelopes } from './observe.ts'
import { Splitter, type Piece } from './splitter.ts'

/** Somebody who serves one client. */
export interface Way {
  readonly from: Readable
  readonly to: Writable
  close(): void
}

export interface RelayOptions {
  readonly input: Readable
  readonly output: Writable
  readonly first: Way
  /** Another one to take the place of one that is gone, which said so if it could. Rejects when there is none for now. */
  readonly again: (goodbye: Goodbye | undefined) => Promise<Way>
}

interface Held {
  readonly bytes: Buffer
  readonly messages: readonly Message[]
}

/** A client's line beyond this is passed on in pieces; the daemon will refuse it anyway. */
const maxLineBytes = 17 * 1024 * 1024
/** Requests wait so long for the next daemon; later ones are refused until it is there, milliseconds. */
const patienceMs = 10_000
/** Between two attempts to find one, milliseconds; the last one repeats. */
const retryMs = [200, 1_000, 2_000, 5_000, 10_000]
const newline = Buffer.from('\n')

export class Relay {
  /** Settles when the client is gone or has been served. */
  readonly over: Promise<void>
  private readonly options: RelayOptions
  private readonly replay = new Replay()
  private readonly said = new Splitter(maxLineBytes)
  private readonly inFlight = new Set<RequestId>()
  /** Requests of the daemon that the client has not answered. */
  private readonly asked = new Set<RequestId>()
  private held: Held[] = []
  private way: Way | undefined
  /** Whether the way has been told everything, so that new lines may go. */
  private isOpen = false
  private leaving: Goodbye | undefined
  /** Requests are refused, since waiting has been in vain. */
  private refuses = false
  private isSearching = false
  private inputEnded = false
  private finish = (): void => {}
  private isOver = false

  constructor(options: RelayOptions) {
    this.options = options
    this.over = new Promise(resolve => (this.finish = resolve))
    const { input, output, first } = options
    // After a stop, what the client still says is for nobody.
    input.on('data', (chunk: Buffer) => this.inputEnded || this.fromClient(this.said.push(chunk)))
    input.on('end', () => this.clientEnded())
    input.on('error', () => this.clientEnded())
    output.on('drain', () => this.way?.from.resume())
    output.on('close', () => this.end())
    this.take(first)
  }

  /** Takes nothing new, waits for what is in flight. `now`: does not wait. */
  stop(now: boolean): void {
    if (now || !this.way) return this.end()
    this.options.input.pause()
    this.clientEnded()
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    this.options.input.pause()
    this.way?.close()
    this.finish()
  }

  private take(way: Way): void {
    this.way = way
    this.leaving = undefined
    const lines = new Splitter(Infinity)
    way.from.on('data', (chunk: Buffer) => this.way === way && this.fromDaemon(lines.push(chunk)))
    way.from.on('end', () => this.lost(way))
    way.from.on('close', () => this.lost(way))
    way.from.on('error', () => this.lost(way))
    way.to.on('error', () => this.lost(way))
    way.to.on('drain', () => this.options.input.resume())
    const send = (message: Message): void => void (this.way === way && way.to.write(`${JSON.stringify(message)}\n`))
    this.replay.tell(send, () => {
      if (this.way !== way) return
      this.isOpen = true
      this.refuses = false
      this.release()
    })
    way.from.resume()
  }

  /** What waited goes, in order. */
  private release(): void {
    for (const { bytes, messages } of this.held.splice(0)) this.forward(bytes, messages)
    this.options.input.resume()
    if (this.inputEnded) this.way?.to.end()
  }

  private fromClient(pieces: readonly Piece[]): void {
    for (const { bytes, isWhole } of pieces) {
      if (!isWhole) {
        if (this.isOpen) this.write(bytes)
        continue
      }
      const messages = envelopes(bytes)
      const isRequest = messages.some(({ method, id }) => method !== undefined && id !== undefined)
      const isAnswer = messages.length > 0 && messages.every(({ method }) => method === undefined)
      if (this.isOpen && !(this.leaving && isRequest)) this.forward(bytes, messages)
      // An answer to a question of one that is gone is for nobody.
      else if (!isAnswer) this.hold({ bytes, messages })
    }
  }

  private forward(bytes: Buffer, messages: readonly Message[]): void {
    for (const message of messages) {
      const { method, id } = message
      if (method === undefined) this.asked.delete(id as RequestId)
      else if (id !== undefined && id !== null) this.inFlight.add(id)
      else if (method === 'notifications/cancelled') this.inFlight.delete(message.params?.['requestId'] as RequestId)
      if (method !== undefined) this.replay.sent(message)
    }
    this.write(bytes)
  }

  private write(bytes: Buffer): void {
    if (this.way?.to.write(bytes) === false) this.options.input.pause()
  }

  private hold(one: Held): void {
    if (this.refuses) return this.refuse([one])
    this.held.push(one)
    if (!this.way && !this.isSearching) void this.search()
  }

  private fromDaemon(pieces: readonly Piece[]): void {
    const kept: Buffer[] = []
    for (const { bytes } of pieces) {
      if (isGoodbye(bytes)) {
        this.leaving = readGoodbye(bytes)
        this.replay.leaving()
        continue
      }
      const messages = envelopes(bytes)
      if (messages.length === 1 && this.replay.heard(messages[0] as Message)) continue
      for (const { method, id, params } of messages) {
        if (method === undefined) this.inFlight.delete(id as RequestId)
        else if (id !== undefined && id !== null) this.asked.add(id)
        else if (method === 'notifications/cancelled') this.asked.delete(params?.['requestId'] as RequestId)
      }
      kept.push(bytes)
    }
    if (kept.length === 0) return
    if (!this.options.output.write(kept.length === 1 ? kept[0] : Buffer.concat(kept))) this.way?.from.pause()
  }

  private clientEnded(): void {
    if (this.inputEnded) return
    this.inputEnded = true
    const rest = this.said.rest()
    if (rest) this.fromClient([{ bytes: Buffer.concat([rest, newline]), isWhole: true }])
    if (this.isOpen && this.held.length === 0) this.way?.to.end()
    else if (!this.way && this.held.length === 0) this.end()
  }

  private lost(way: Way): void {
    if (this.way !== way || this.isOver) return
    this.way = undefined
    this.isOpen = false
    way.close()
    this.replay.broken()
    const gone = [...this.inFlight].filter(id => !this.replay.keeps(id))
    this.inFlight.clear()
    for (const id of gone) this.fail(id)
    for (const requestId of this.asked)
      this.tell({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, reason: 'who asked is gone' } })
    this.asked.clear()
    if (this.inputEnded && this.held.length === 0) return this.end()
    // Stopped by somebody: nothing runs again before it is needed.
    if (this.leaving !== 'stop' || this.held.length > 0) void this.search()
  }

  private async search(): Promise<void> {
    this.isSearching = true
    const timer = setTimeout(() => {
      this.refuses = true
      this.refuse(this.held.splice(0))
    }, patienceMs)
    for (let attempt = 0; !this.isOver; attempt++) {
      try {
        const way = await this.options.again(this.leaving)
        this.isSearching = false
        if (this.isOver) way.close()
        else this.take(way)
        break
      } catch {
        if (this.inputEnded && this.held.length === 0) this.end()
        await new Promise(resolve => setTimeout(resolve, retryMs[attempt] ?? retryMs.at(-1)))
      }
    }
    clearTimeout(timer)
  }

  private refuse(held: readonly Held[]): void {
    for (const { messages } of held)
      for (const { method, id } of messages) if (method !== undefined && id !== undefined && id !== null) this.fail(id)
  }

  private fail(id: RequestId): void {
    const error = new McpError('DAEMON_DIED', 'the shared mcp-proxy process ended before it answered', {
      retryAfterMs: 1000,
      hint: 'the call may have been carried out; a new process takes over',
    })
    this.tell({ jsonrpc: '2.0', id, error: error.toRpc() })
  }

  private tell(message: Message): void {
    this.options.output.write(`${JSON.stringify(message)}\n`)
  }
}
