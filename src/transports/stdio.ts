/**
 * Our own standard input and output as a channel, or any other pair of streams with a client at the other end (a
 * socket's two halves). Owns when the client counts as gone; never blocks, and never ends because a backend did.
 */
import type { Readable, Writable } from 'node:stream'
import { McpError } from '../gateway/errors.ts'
import { silent, type Log } from '../gateway/log.ts'
import type { Channel, Message, Receiver, RequestId } from './channel.ts'
import { LinePipe, type PipeLimits } from './line-pipe.ts'

export const stdioDefaults = { lingerMs: 6_000, flushMs: 2_000 } as const

export interface StdioOptions extends PipeLimits {
  /**
   * After the client has closed its end: how long what it asked may still be answered, in ms since its last request.
   * Serves `printf … | mcp-proxy run`; a request that has been open for longer keeps nobody.
   */
  readonly lingerMs?: number | undefined
  readonly log?: Log | undefined
  /**
   * After we have closed our end: how long the other one is given to close its own, in ms; 0 by default. Who writes to a
   * socket that is gone may lose what it has not read of it yet.
   */
  readonly partMs?: number | undefined
  /** What to be called in status; `stdio` by default. */
  readonly transport?: string | undefined
}

/**
 * `closed` tells: undefined = the client closed its end or we ours; CLIENT_GONE = it broke off or stopped reading.
 * A client that reads too slowly loses notifications before anything else, then is not heard, then is cut.
 */
export const stdioChannel = (input: Readable, output: Writable, options: StdioOptions = {}): Channel =>
  new StdioChannel(input, output, options)

class StdioChannel implements Channel {
  readonly transport: string
  readonly cancelsByClosing = false
  private readonly input: Readable
  private readonly pipe: LinePipe
  private readonly lingerMs: number
  private readonly partMs: number
  /** Requests of the client that have no answer yet, by id how many: of two with one id each is answered. */
  private readonly unanswered = new Map<RequestId, number>()
  private lastRequestAt = -Infinity
  private ended = false
  private receiver: Receiver | undefined
  private timer: NodeJS.Timeout | undefined
  private closing: Promise<void> | undefined

  constructor(input: Readable, output: Writable, options: StdioOptions) {
    this.transport = options.transport ?? 'stdio'
    this.input = input
    this.lingerMs = options.lingerMs ?? stdioDefaults.lingerMs
    this.partMs = options.partMs ?? 0
    this.pipe = new LinePipe(
      input,
      output,
      'client',
      {
        received: message => this.received(message),
        ended: () => this.inputEnded(),
        stuck: () => this.pipe.finish(new McpError('CLIENT_GONE', 'the client stopped reading')),
        broke: cause => this.pipe.finish(new McpError('CLIENT_GONE', 'the client closed the connection', { cause })),
      },
      options.log ?? silent,
      options,
    )
  }

  open(receiver: Receiver): void {
    this.receiver = receiver
    this.pipe.open(receiver)
  }

  send(message: Message): void {
    this.pipe.send(message)
    if (message.method !== undefined || message.id === undefined || message.id === null) return
    const owed = this.unanswered.get(message.id) ?? 0
    if (owed > 1) this.unanswered.set(message.id, owed - 1)
    else this.unanswered.delete(message.id)
    if (this.ended && this.unanswered.size === 0) this.leave()
  }

  abandon(): void {}

  close(): Promise<void> {
    return (this.closing ??= this.shut())
  }

  private async shut(): Promise<void> {
    clearTimeout(this.timer)
    this.pipe.finish(undefined)
    if (this.partMs === 0) this.input.pause()
    await this.flush()
    if (this.partMs > 0) await this.parted()
    this.input.destroy()
  }

  /** Settles when the other end has read all and closed; what it still says is not heard. */
  private parted(): Promise<void> {
    const { input } = this
    if (input.readableEnded || input.destroyed) return Promise.resolve()
    return new Promise(resolve => {
      const timer = setTimeout(resolve, this.partMs)
      const gone = (): void => {
        clearTimeout(timer)
        resolve()
      }
      input.once('end', gone).once('close', gone).resume()
    })
  }

  private async flush(): Promise<void> {
    const deadline = setTimeout(() => this.pipe.drop(), stdioDefaults.flushMs)
    await this.pipe.flush()
    clearTimeout(deadline)
  }

  private received(message: Message): void {
    if (message.method === undefined) return
    if (message.id !== undefined && message.id !== null) {
      this.lastRequestAt = performance.now()
      return void this.unanswered.set(message.id, (this.unanswered.get(message.id) ?? 0) + 1)
    }
    // A request that the client takes back gets no answer, so nobody must wait for one.
    const takenBack = message.params?.['requestId']
    if (takenBack !== undefined) this.unanswered.delete(takenBack as RequestId)
  }

  private inputEnded(): void {
    if (this.closing) return
    this.receiver?.leaving?.()
    this.ended = true
    const patience = this.lastRequestAt + this.lingerMs - performance.now()
    if (this.unanswered.size === 0 || patience <= 0) this.leave()
    else this.timer = setTimeout(() => this.leave(), patience)
  }

  private leave(): void {
    clearTimeout(this.timer)
    if (!this.closing) void this.flush().then(() => this.pipe.finish(undefined))
  }
}
