/**
 * Channel: JSON-RPC messages in and out of one peer, and close. Owns no meaning: a transport frames and unframes,
 * an era understands. Also the in-memory pair that tests run on.
 */
import { McpError } from '../gateway/errors.ts'
import type { RawJson } from '../gateway/raw.ts'

export type RequestId = string | number

/** A JSON-RPC message as an object. Unknown keys at every level are kept. */
export interface Message {
  jsonrpc: '2.0'
  id?: RequestId | null
  method?: string
  params?: { [key: string]: unknown }
  result?: { [key: string]: unknown }
  error?: { code: number; message: string; data?: unknown; [key: string]: unknown }
  [key: string]: unknown
}

/**
 * An answer whose result nobody has had to parse. Reads like any other message (`result` parses it then); what frames
 * messages may write `raw` instead.
 */
export class RawMessage implements Message {
  readonly jsonrpc = '2.0'
  readonly id: RequestId;
  [key: string]: unknown
  readonly #raw: RawJson

  constructor(id: RequestId, raw: RawJson) {
    this.id = id
    this.#raw = raw
  }

  get raw(): RawJson {
    return this.#raw
  }
  get result(): { [key: string]: unknown } {
    return this.#raw.value()
  }
  toJSON(): Message {
    return { jsonrpc: '2.0', id: this.id, result: this.result }
  }
}

/** The JSON text of a message. */
export const messageText = (message: Message): string =>
  message instanceof RawMessage
    ? `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":${message.raw.text()}}`
    : JSON.stringify(message)

/** Which side's id a message carries: a `request` bears its sender's, an `answer` its reader's. */
export type MessagePart = 'request' | 'answer'

export interface SendOptions {
  /** The peer's request this message belongs to; HTTP answers travel on that request's stream. */
  readonly relatedTo?: RequestId | undefined
  /** HTTP header fields for a request; ignored by transports without headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Opens the conversation: goes out even while it is being opened anew and everything else waits (see `Tuning.renew`). */
  readonly opens?: boolean | undefined
  /** What is sent after this must not overtake it; HTTP sends each message on a way of its own. */
  readonly ahead?: boolean | undefined
}

/** How a transport of many single requests (HTTP) is to hold one conversation together. The era that speaks says so. */
export interface Tuning {
  /** Lower-case header field: what an answer to an opening message carries there, every later request repeats. */
  readonly echo?: string | undefined
  /** Header fields of every request from now on, also of those that carry no message. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Leaving a request's stream does not cancel the request, and a stream that breaks is taken up again where it broke. */
  readonly resumes?: boolean | undefined
  /** An address that refuses messages may be that of the older pair of endpoints, one to listen and one to send. */
  readonly triesPair?: boolean | undefined
  /**
   * Holds a stream open for what the peer says unasked, where it offers one. Called back whenever that stream is back and
   * something may have been missed meanwhile.
   */
  readonly listens?: (() => void) | undefined
  /**
   * The peer has forgotten the conversation: opens it anew with messages marked `opens`. What the peer had refused to take
   * for that reason is sent again afterwards, once. A rejection ends the channel.
   */
  readonly renew?: (() => Promise<void>) | undefined
}

/** What a channel tells its user. Calls come in wire order and never overlap. Neither may throw. */
export interface Receiver {
  /**
   * A well-formed message: a JSON object whose id is a string or safe integer if it has one (an error answer to
   * something unreadable may carry `null`).
   * `relatedTo`: our own request on whose stream it came, where the transport can tell (HTTP); else undefined.
   */
  message(message: Message, relatedTo?: RequestId): void
  /**
   * Something arrived that is not a message. `id` is the request it answers or is, if that could be read:
   * e.g. a line over the cap, invalid UTF-8, JSON nested too deep. The channel lives on.
   * `part` says whose id it is: the peer's (`request`) or one of ours (`answer`); undefined = could not be told.
   */
  malformed?(error: McpError, id?: RequestId, part?: MessagePart): void
  /**
   * A JSON-RPC batch, for receivers whose revision has them. Returns whether it was taken; otherwise, and without
   * this hook, its messages are reported as malformed. Elements that are no messages are reported so in either case.
   */
  batch?(messages: readonly Message[]): boolean
  /** The other end sends nothing more, and the channel is gone once what it asked is answered: open streams may end now. */
  leaving?(): void
  /** The channel is gone, once, and no message follows. undefined = closed by our side. */
  closed(reason: McpError | undefined): void
}

export interface Channel {
  /** For logs and status: `stdio`, `http`, `sse`, `memory`. */
  readonly transport: string
  /** Process id of the peer, where there is one. */
  readonly pid?: number | undefined
  /** True where ending a request's own stream cancels it, so that no message needs to say so. */
  readonly cancelsByClosing: boolean
  /** True where `SendOptions.headers` reach the peer and requests should carry them. */
  readonly wantsHeaders?: boolean | undefined
  /** Starts delivery; messages that came earlier are kept until then. Called once. */
  open(receiver: Receiver): void
  /**
   * Queues a message. Never throws and never waits; a message that cannot be delivered ends in
   * `Receiver.closed`, or, if it alone is at fault (too large), in `Receiver.malformed` with its id.
   */
  send(message: Message, options?: SendOptions): void
  /** Present where there is something to tune. Later calls add to earlier ones. */
  tune?(tuning: Tuning): void
  /** Gives up our request `id`: its stream is closed where it has one of its own. */
  abandon(id: RequestId): void
  /** Ends the channel in good order (child processes: the stop ladder). Idempotent; resolves when all is gone. */
  close(): Promise<void>
  /** What the peer last wrote for people (stderr), for error texts. Bounded. */
  lastWords?(): string
}

/** Opens a channel to one server. Rejects with an McpError that says what to do. */
export type Dial = () => Promise<Channel>

/** Two channels joined back to back, each message copied through JSON and delivered in a microtask. */
export function memoryPair(): [Channel, Channel] {
  class End implements Channel {
    readonly transport = 'memory'
    readonly cancelsByClosing = false
    peer!: End
    private receiver: Receiver | undefined
    private early: Message[] = []
    private ended = false

    open(receiver: Receiver): void {
      this.receiver = receiver
      for (const message of this.early.splice(0)) receiver.message(message)
    }
    send(message: Message): void {
      const copy = JSON.parse(JSON.stringify(message)) as Message
      queueMicrotask(() => this.peer.deliver(copy))
    }
    abandon(): void {}
    private deliver(message: Message): void {
      if (this.ended) return
      if (this.receiver) this.receiver.message(message)
      else this.early.push(message)
    }
    end(reason: McpError | undefined): void {
      if (this.ended) return
      this.ended = true
      queueMicrotask(() => this.receiver?.closed(reason))
    }
    async close(): Promise<void> {
      this.end(undefined)
      // Behind what was sent before.
      queueMicrotask(() => this.peer.end(new McpError('BACKEND_DIED', 'the peer closed the channel')))
    }
  }
  const [a, b] = [new End(), new End()]
  a.peer = b
  b.peer = a
  return [a, b]
}
