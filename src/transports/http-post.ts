/**
 * One message on its way to a remote server by POST, and what comes back: JSON, an event stream, or a refusal. Owns the
 * reading of the answer; what follows from a refusal or a broken stream is the channel's business.
 */
import { McpError } from '../gateway/errors.ts'
import type { Message, RequestId, SendOptions } from './channel.ts'
import type { Feed } from './http-feed.ts'
import { died, statusFailure, typeFailure } from './http-failures.ts'
import { refusalIn, type Inbound } from './http-inbound.ts'
import { fieldOf, type HttpRequest, type IncomingFields, type ResponseSink } from './http-request.ts'
import { SseReader, type EventSink } from './sse-reader.ts'

export const refusalBytes = 64 * 1024
/** A stream should end with its answer; one that does not is closed after so long, milliseconds. */
const lingerMs = 5000

/** What a refused message got. */
export interface Refused {
  readonly status: number
  /** The error answer in the body, if there was one; `named`: it bears our id. */
  readonly refusal: ReturnType<typeof refusalIn>
  readonly error: McpError
}

export interface PostHost {
  readonly inbound: Inbound
  /** True where answers come on another stream than that of the request. */
  readonly answersElsewhere: boolean
  /** The server has taken a message. */
  accepted(post: Post, fields: IncomingFields): void
  refused(post: Post, refused: Refused): void
  /** Its stream ended or broke without the answer, and can be taken up again after the reader's last event. */
  interrupted(post: Post, reader: SseReader, error: McpError): void
  /** The stream tells an address to send to: the server is of the older kind. */
  pointed(post: Post): void
  /** Nothing more comes; it is no longer open. */
  done(post: Post): void
}

type Mode = 'waiting' | 'ignored' | 'json' | 'stream' | 'refused'

export class Post implements ResponseSink, EventSink {
  readonly message: Message
  readonly options: SendOptions | undefined
  /** Our own request's id; undefined for notifications and answers. */
  readonly id: RequestId | undefined
  /** Place among the open ones; -1 = not open. */
  index = -1
  /** The echoed field it was sent with. */
  echoed: string | undefined
  /** It was refused for a forgotten conversation before, and not carried out. */
  retried = false
  request: HttpRequest | undefined
  /** Takes a broken stream up again. */
  feed: Feed | undefined
  /** Holds back what was sent after it. */
  holds = false
  private readonly host: PostHost
  private mode: Mode = 'waiting'
  private status = 0
  private retryAfter: string | undefined
  private chunks: Buffer[] = []
  private size = 0
  private reader: SseReader | undefined
  private answeredAt: number | undefined

  constructor(host: PostHost, message: Message, options: SendOptions | undefined) {
    this.host = host
    this.message = message
    this.options = options
    this.id = message.method !== undefined && message.id !== null ? message.id : undefined
  }

  /** Its answer is being read from a stream. */
  get streams(): boolean {
    return this.mode === 'stream' && this.answeredAt === undefined
  }

  /** Makes it fit to be sent again. */
  reset(): void {
    this.mode = 'waiting'
    this.chunks = []
    this.size = 0
    this.request = undefined
  }

  abort(): void {
    this.reader?.stop()
    this.request?.abort()
    this.feed?.stop()
    this.host.done(this)
  }

  /** Reports the failure of its request, if it is one. */
  fail(error: McpError): void {
    this.abort()
    if (this.id !== undefined && this.answeredAt === undefined) this.host.inbound.fail(this.id, error)
  }

  look(now: number): void {
    if (this.answeredAt !== undefined && now - this.answeredAt > lingerMs) this.abort()
    else this.request?.look(now)
  }

  response(status: number, fields: IncomingFields): void {
    this.status = status
    if (status >= 300) {
      this.mode = 'refused'
      this.retryAfter = fieldOf(fields, 'retry-after')
      return
    }
    this.host.accepted(this, fields)
    // Whoever was told may have given us up.
    if (this.index < 0) return
    if (this.id === undefined || this.host.answersElsewhere) {
      this.mode = 'ignored'
      return
    }
    const type = essence(fieldOf(fields, 'content-type'))
    if (type === 'text/event-stream') {
      this.mode = 'stream'
      this.reader = new SseReader(this, this.host.inbound.maxBytes)
    } else if (status === 202 || status === 204 || fieldOf(fields, 'content-length') === '0') this.fail(typeFailure(status, ''))
    else if (type !== 'application/json') this.fail(typeFailure(status, type))
    else if (Number(fieldOf(fields, 'content-length') ?? 0) > this.host.inbound.maxBytes) this.fail(this.tooLarge())
    else this.mode = 'json'
  }

  data(chunk: Buffer): void {
    if (this.reader) return this.reader.push(chunk)
    this.size += chunk.length
    if (this.mode === 'json') {
      if (this.size > this.host.inbound.maxBytes) this.fail(this.tooLarge())
      else this.chunks.push(chunk)
    } else if (this.size > refusalBytes) {
      // Whatever it is, it is no answer of ours.
      this.request?.abort()
      this.end()
    } else if (this.mode === 'refused') this.chunks.push(chunk)
  }

  end(): void {
    const { mode, id } = this
    if (mode === 'stream') return this.streamEnded(died('the server ended the stream before it had answered'))
    this.host.done(this)
    if (mode === 'refused') return this.host.refused(this, this.refusal())
    if (mode !== 'json' || id === undefined) return
    const { chunks } = this
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, this.size)
    this.chunks = []
    if (!this.host.inbound.take(body, id, id))
      this.host.inbound.fail(id, new McpError('BACKEND_PROTOCOL', 'the server answered with something that is no answer to the request'))
  }

  failed(error: McpError): void {
    if (this.mode === 'stream') return this.streamEnded(error)
    this.fail(error)
  }

  event(name: string, data: Buffer): void {
    if (name === 'endpoint') return this.host.pointed(this)
    if (name !== 'message' || data.length === 0) return
    if (this.host.inbound.take(data, this.id, this.id)) this.answeredAt ??= performance.now()
  }

  oversized(head: Buffer, tail: Buffer): void {
    // If it was not the answer, that is still to come.
    if (this.host.inbound.oversized(head, tail, this.id)) this.answeredAt ??= performance.now()
  }

  private streamEnded(error: McpError): void {
    const { reader } = this
    if (this.answeredAt !== undefined || !reader) return this.host.done(this)
    reader.stop()
    this.host.interrupted(this, reader, error)
  }

  private refusal(): Refused {
    const { status, id } = this
    const body = this.size > refusalBytes ? Buffer.alloc(0) : Buffer.concat(this.chunks)
    return { status, refusal: id === undefined ? undefined : refusalIn(body, id), error: statusFailure(status, this.retryAfter) }
  }

  private tooLarge(): McpError {
    return new McpError('MESSAGE_TOO_LARGE', `the backend sent a message of more than ${this.host.inbound.maxBytes} bytes`)
  }
}

/** A media type without its parameters. */
export const essence = (type: string | undefined): string => (type ?? '').split(';', 1)[0]!.trim().toLowerCase()
