/**
 * A client's pipe on one side, the daemon of the moment on the other: lines through, and when the daemon is gone, another one told
 * what this client had said. Looks at envelopes only. Owns that the client's pipe stays open and no request stays unanswered.
 */
import type { Readable, Writable } from 'node:stream'
import { Replay } from '../eras/replay.ts'
import { McpError } from '../gateway/errors.ts'
import type { Message, RequestId } from '../transports/channel.ts'
import { CatchUp } from './catch-up.ts'
import { isGoodbye, readGoodbye, type Farewell, type Goodbye } from './hello.ts'
import { Ledger, lookMs, type Held } from './ledger.ts'
import { lineOf } from './long-line.ts'
import { envelopes } from './observe.ts'
import { Splitter, type Piece } from './splitter.ts'

/** Somebody who serves one client. */
export interface Way {
  readonly from: Readable
  readonly to: Writable
  /** To end `to` ends `from` as well, after a moment: so it is with the pipes of Windows. */
  readonly isWhole?: boolean | undefined
  close(): void
}

export interface RelayOptions {
  readonly input: Readable
  readonly output: Writable
  readonly first: Way
  /** Another one to take the place of one that is gone, which said so if it could. Rejects when there is none for now. */
  readonly again: (goodbye: Goodbye | undefined) => Promise<Way>
}

/** A client's line beyond this is passed on in pieces; the daemon will refuse it anyway. */
const maxLineBytes = 17 * 1024 * 1024
/** Requests wait so long for the next daemon; later ones are refused until it is there, milliseconds. */
const patienceMs = 10_000
/** Between two attempts to find one, milliseconds; the last one repeats. */
const retryMs = [200, 1_000, 2_000, 5_000, 10_000]
/** What waits for the next daemon, before the client is not read any more. */
const maxHeldBytes = 32 * 1024 * 1024
const notCarriedOut = 'the call was not carried out: call again'
const newline = Buffer.from('\n')

export class Relay {
  /** Settles when the client is gone or has been served. */
  readonly over: Promise<void>
  private readonly options: RelayOptions
  private readonly replay = new Replay()
  private readonly catchUp = new CatchUp()
  private readonly said = new Splitter(maxLineBytes)
  /** Of the way there is. */
  private readonly ledger = new Ledger(id => this.replay.keeps(id))
  /** Requests of the daemon that the client has not answered. */
  private readonly asked = new Set<RequestId>()
  private held: Held[] = []
  /** Of all lines held since they were last taken. */
  private heldBytes = 0
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
    input.on('data', (chunk: Buffer) => this.inTurn(() => this.fromClient(this.said.push(chunk))))
    input.on('end', () => this.inTurn(() => this.clientEnded()))
    input.on('error', () => this.inTurn(() => this.clientEnded()))
    output.on('drain', () => this.way?.from.resume())
    output.on('close', () => this.end())
    this.take(first)
  }

  /** Takes nothing new, waits for what is in flight. `now`: does not wait. */
  stop(now: boolean): void {
    if (now || !this.way) return this.end()
    this.options.input.pause()
    this.inTurn(() => this.clientEnded())
  }

  /**
   * To write to a daemon that is gone closes the socket, and with it is lost what that one said it had read of us. So its last
   * word comes first. After a stop, what the client still says is for nobody.
   */
  private inTurn(hear: () => void): void {
    this.catchUp.inTurn(() => this.inputEnded || this.isOver || hear(), () => this.listen())
    if (this.catchUp.isBehind) this.options.input.pause()
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
    way.to.on('drain', () => this.listen())
    const send = (message: Message): void => {
      if (this.way !== way) return
      const bytes = lineOf(message)
      this.ledger.wrote({ bytes, messages: [message] })
      way.to.write(bytes)
    }
    this.replay.tell(send, () => {
      if (this.way !== way) return
      this.isOpen = true
      this.refuses = false
      this.release()
    })
    way.from.resume()
  }

  /** What waited goes, in order, unless this one leaves as well. */
  private release(): void {
    if (this.leaving) return
    for (const line of this.taken()) this.forward(line)
    if (this.inputEnded) this.part(this.way)
  }

  private fromClient(pieces: readonly Piece[]): void {
    for (const { bytes, isWhole } of pieces) {
      if (!isWhole) {
        if (this.isOpen) this.write({ bytes, messages: [] })
        continue
      }
      const messages = envelopes(bytes, 'client')
      if (this.held.length > 0 && messages.length === 1 && this.takenBack(messages[0] as Message)) continue
      const isRequest = messages.some(({ method, id }) => method !== undefined && id !== undefined)
      const isAnswer = messages.length > 0 && messages.every(({ method }) => method === undefined)
      if (this.isOpen && !(this.leaving && isRequest)) this.forward({ bytes, messages })
      // An answer to a question of one that is gone is for nobody.
      else if (!isAnswer) this.hold({ bytes, messages })
    }
  }

  private forward(line: Held): void {
    for (const message of line.messages) {
      const { method, id } = message
      if (method === undefined) this.asked.delete(id as RequestId)
      else this.replay.sent(message)
      if (method === 'notifications/cancelled') this.ledger.withdrawn(message.params?.['requestId'] as RequestId)
    }
    this.write(line)
  }

  private write(line: Held): void {
    this.ledger.wrote(line)
    if (this.way?.to.write(line.bytes) === false) this.options.input.pause()
  }

  /** A request that waits and is cancelled goes nowhere, and neither does the word of it. */
  private takenBack({ method, params }: Message): boolean {
    if (method !== 'notifications/cancelled') return false
    const id = params?.['requestId']
    const at = this.held.findIndex(({ messages: [message, ...more] }) => message?.method !== undefined && message.id === id && more.length === 0)
    if (at >= 0) this.held.splice(at, 1)
    return at >= 0
  }

  private hold(one: Held): void {
    if (this.refuses) return this.refuse([one])
    this.held.push(one)
    this.heldBytes += one.bytes.length
    if (this.heldBytes > maxHeldBytes) this.options.input.pause()
    if (!this.way && !this.isSearching) void this.search()
  }

  private fromDaemon(pieces: readonly Piece[]): void {
    const kept: Buffer[] = []
    for (const { bytes } of pieces) {
      if (isGoodbye(bytes)) {
        this.dismiss(readGoodbye(bytes))
        continue
      }
      const messages = envelopes(bytes, 'daemon')
      // Its refusal of what it was not asked any more.
      if (messages.length === 1 && this.ledger.isTakenBack(messages[0] as Message)) continue
      for (const { method, id } of messages) if (method === undefined) this.ledger.answered(id as RequestId)
      if (messages.length === 1 && this.replay.heard(messages[0] as Message)) continue
      for (const { method, id, params } of messages) {
        if (method === undefined) continue
        if (id !== undefined && id !== null) this.asked.add(id)
        else if (method === 'notifications/cancelled') this.asked.delete(params?.['requestId'] as RequestId)
      }
      kept.push(bytes)
    }
    if (kept.length === 0) return
    if (!this.options.output.write(kept.length === 1 ? kept[0] : Buffer.concat(kept))) this.way?.from.pause()
  }

  /** The daemon leaves: what it has not read is for the next one, and so is what the client asks from now on. */
  private dismiss({ why, heard }: Farewell): void {
    this.leaving = why
    this.replay.leaving()
    if (heard === undefined) return
    this.held = [...this.ledger.takeBack(heard).map(bytes => ({ bytes, messages: envelopes(bytes, 'client') })), ...this.held]
  }

  private listen(): void {
    if (!this.inputEnded && !this.isOver && !this.catchUp.isBehind) this.options.input.resume()
  }

  private clientEnded(): void {
    if (this.inputEnded) return
    this.inputEnded = true
    const rest = this.said.rest()
    if (rest) this.fromClient([{ bytes: Buffer.concat([rest, newline]), isWhole: true }])
    if (this.isOpen && this.held.length === 0) this.part(this.way)
    else if (!this.way && !this.isOwed) this.end()
  }

  /** Says that nothing more comes. */
  private part(way: Way | undefined): void {
    if (way?.isWhole && this.way === way && this.ledger.isOwed) setTimeout(() => this.part(way), lookMs)
    else way?.to.end()
  }

  private lost(way: Way): void {
    if (this.way !== way || this.isOver) return
    this.way = undefined
    this.isOpen = false
    way.close()
    this.replay.broken()
    for (const id of this.ledger.close()) this.fail(id, 'the call may have been carried out; a new process takes over')
    for (const requestId of this.asked)
      this.tell({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, reason: 'who asked is gone' } })
    this.asked.clear()
    if (this.inputEnded && !this.isOwed) return this.end()
    // It may have been about to take more, and will never say so now.
    this.listen()
    // Stopped by somebody: nothing runs again before it is needed.
    if (this.leaving !== 'stop' || this.isOwed) void this.search()
  }

  /** Whether the client waits for something that another daemon must say. */
  private get isOwed(): boolean {
    return this.held.length > 0 || this.replay.isOpening
  }

  private async search(): Promise<void> {
    this.isSearching = true
    const timer = setTimeout(() => {
      this.refuses = true
      const opening = this.replay.giveUp()
      if (opening !== undefined) this.fail(opening, notCarriedOut)
      this.refuse(this.taken())
      if (this.inputEnded) this.end()
    }, patienceMs)
    for (let attempt = 0; !this.isOver; attempt++) {
      try {
        const way = await this.options.again(this.leaving)
        this.isSearching = false
        if (this.isOver) way.close()
        else this.take(way)
        break
      } catch {
        if (this.inputEnded && !this.isOwed) this.end()
        await new Promise(resolve => setTimeout(resolve, retryMs[attempt] ?? retryMs.at(-1)))
      }
    }
    clearTimeout(timer)
  }

  private taken(): Held[] {
    this.heldBytes = 0
    this.listen()
    return this.held.splice(0)
  }

  private refuse(held: readonly Held[]): void {
    for (const { messages } of held)
      for (const { method, id } of messages) if (method !== undefined && id !== undefined && id !== null) this.fail(id, notCarriedOut)
  }

  private fail(id: RequestId, hint: string): void {
    const error = new McpError('DAEMON_DIED', 'the shared mcp-proxy process ended before it answered', { retryAfterMs: 1000, hint })
    this.tell({ jsonrpc: '2.0', id, error: error.toRpc() })
  }

  private tell(message: Message): void {
    this.options.output.write(`${JSON.stringify(message)}\n`)
  }
}
