/**
 * A remote server as a channel: each message a POST, each answer from wherever it comes, and what holds the single requests
 * together as one conversation. Owns order, renewal and the choice of transport; must not know what is said.
 */
import { rpcCodes, type McpError } from '../gateway/errors.ts'
import { silent, type Log } from '../gateway/log.ts'
import type { Channel, Message, Receiver, RequestId, SendOptions, Tuning } from './channel.ts'
import { died, statusFailure } from './http-failures.ts'
import { Feed } from './http-feed.ts'
import { Inbound } from './http-inbound.ts'
import { findPair } from './http-pair.ts'
import { Post, type PostHost, type Refused } from './http-post.ts'
import { fieldOf, type IncomingFields } from './http-request.ts'
import type { Way } from './http-way.ts'
import type { SseReader } from './sse-reader.ts'

export interface HttpChannelOptions {
  readonly way: Way
  /** Which of the two HTTP transports it is; undefined = to be found out. */
  readonly type: 'http' | 'sse' | undefined
  /** Lets the connections go. */
  readonly release: () => void
  readonly messageBytes: number
  readonly log?: Log | undefined
}

const resumeAttempts = 5
/** Refusals in a row that name no request, after which we take the conversation for forgotten. */
const suspicious = 2

export class HttpChannel implements Channel, PostHost {
  readonly wantsHeaders = true
  readonly inbound: Inbound
  private readonly options: HttpChannelOptions
  private readonly way: Way
  private readonly log: Log
  private receiver: Receiver | undefined
  private tuning: Tuning = {}
  /** The server is of the older kind: answers come on the feed. */
  private paired = false
  /** Gives the search for the older pair up, while it lasts. */
  private searching: (() => void) | undefined
  private renewing = false
  /** Messages on the way that others must not overtake. */
  private ahead = 0
  private suspicion = 0
  /** The server has taken a message. */
  private spoken = false
  private readonly posts: Post[] = []
  private held: Post[] = []
  private feed: Feed | undefined
  private readonly timer: NodeJS.Timeout
  private ending: Promise<void> | undefined

  constructor(options: HttpChannelOptions) {
    this.options = options
    this.way = options.way
    this.log = options.log ?? silent
    this.inbound = new Inbound(() => this.receiver, options.messageBytes)
    this.timer = setInterval(() => this.look(), this.way.timing.look).unref()
  }

  get transport(): string {
    return this.paired || this.options.type === 'sse' ? 'sse' : 'http'
  }
  get cancelsByClosing(): boolean {
    return this.tuning.resumes !== true && this.transport !== 'sse'
  }
  get answersElsewhere(): boolean {
    return this.paired
  }

  open(receiver: Receiver): void {
    this.receiver = receiver
    if (this.options.type === 'sse') this.search(undefined, error => this.finish(error))
  }

  tune(tuning: Tuning): void {
    this.tuning = { ...this.tuning, ...tuning }
    this.way.echo = this.tuning.echo
    this.way.common = this.tuning.headers
    if (tuning.listens && !this.feed && !this.ending) this.listen()
  }

  send(message: Message, options?: SendOptions): void {
    if (this.ending) return
    const post = new Post(this, message, options)
    if (this.holdsBack(post)) this.held.push(post)
    else this.dispatch(post)
  }

  abandon(id: RequestId): void {
    this.posts.find(post => post.id === id)?.abort()
    this.held = this.held.filter(post => post.id !== id)
  }

  close(): Promise<void> {
    return (this.ending ??= this.end(undefined))
  }

  accepted(post: Post, fields: IncomingFields): void {
    this.suspicion = 0
    this.spoken = true
    const { echo } = this.tuning
    if (post.options?.opens && echo !== undefined) this.way.echoed = fieldOf(fields, echo) ?? this.way.echoed
    this.letGo(post)
  }

  refused(post: Post, refused: Refused): void {
    const { status, refusal, error } = refused
    this.log.debug({ status }, 'the server refused a message')
    const isForgotten = this.isForgotten(post, refused)
    this.letGo(post)
    if (isForgotten) return this.forgotten(post)
    const tell = (): void => {
      // What is refused on the way or for who we are is no answer, whatever stands in it.
      const isAnswer = refusal && (error.code === 'BACKEND_HTTP' ? status >= 500 && this.spoken && refusal.named : error.code !== 'BACKEND_NEEDS_AUTH')
      if (isAnswer) this.receiver?.message(refusal.message, post.id)
      else if (post.id !== undefined) this.inbound.fail(post.id, error)
    }
    const mayBePair = this.tuning.triesPair && post.options?.opens && post.id !== undefined && this.options.type === undefined && !this.paired
    if (mayBePair && (status === 400 || status === 404 || status === 405)) this.search(post, tell)
    else tell()
  }

  interrupted(post: Post, { lastId, retryMs }: SseReader, error: McpError): void {
    if (!this.tuning.resumes || lastId === undefined || post.id === undefined) return post.fail(error)
    post.feed = new Feed({
      get: (fields, sink) => this.way.get(fields, sink),
      inbound: this.inbound,
      awaited: post.id,
      after: { lastId, retryMs },
      attempts: resumeAttempts,
      over: failure => (failure ? post.fail(error) : this.done(post)),
    })
    post.feed.start(false)
  }

  /** A message sent to the stream of the older pair: as good as a refusal. */
  pointed(post: Post): void {
    post.abort()
    this.refused(post, { status: 405, refusal: undefined, error: statusFailure(405, undefined) })
  }

  done(post: Post): void {
    this.letGo(post)
    const { posts } = this
    const { index } = post
    if (index < 0) return
    const last = posts.pop() as Post
    if (last !== post) {
      posts[index] = last
      last.index = index
    }
    post.index = -1
  }

  private holdsBack({ options }: Post): boolean {
    return this.searching !== undefined || (options?.opens !== true && (this.renewing || this.ahead > 0))
  }

  private dispatch(post: Post): void {
    const { message, options } = post
    const { noticeIdle, postIdle, ahead } = this.way.timing
    post.index = this.posts.push(post) - 1
    post.echoed = this.way.echoed
    if (options?.ahead) {
      post.holds = true
      this.ahead++
      setTimeout(() => this.letGo(post), ahead).unref()
    }
    post.request = this.way.post(JSON.stringify(message), options, post.id === undefined ? noticeIdle : postIdle, post)
  }

  private letGo(post: Post): void {
    if (!post.holds) return
    post.holds = false
    this.ahead--
    this.flush()
  }

  private flush(): void {
    while (this.held.length > 0 && !this.ending) {
      const next = this.held.findIndex(post => !this.holdsBack(post))
      if (next < 0) return
      const [post] = this.held.splice(next, 1)
      this.dispatch(post as Post)
    }
  }

  private listen(): void {
    // The older pair has its stream already.
    if (this.transport === 'sse') return
    this.feed = new Feed({
      get: (fields, sink) => this.way.get(fields, sink),
      inbound: this.inbound,
      attempts: Infinity,
      back: () => this.tuning.listens?.(),
      // Most often the server has no such stream; if it has forgotten us, the next message will tell.
      over: error => this.log.debug({ reason: error?.message }, 'the server offers no stream of its own'),
    })
    this.feed.start(true)
  }

  /** Looks for the older pair of endpoints; `otherwise` is what follows when it is not there. */
  private search(post: Post | undefined, otherwise: (error: McpError) => void): void {
    this.searching = findPair(this.way, this.inbound, {
      found: (target, feed) => {
        this.way.target = target
        this.paired = true
        this.searching = undefined
        this.feed = feed
        post?.reset()
        if (post) this.dispatch(post)
        this.flush()
      },
      missing: error => {
        this.searching = undefined
        otherwise(error)
        this.flush()
      },
      lost: error => this.finish(error),
    })
  }

  /**
   * Whether the server no longer knows the conversation: 404 says so (2025-11-25 basic/transports), some servers say 400, and
   * one that was replaced by another kind refuses whatever comes.
   */
  private isForgotten(post: Post, { status, refusal }: Refused): boolean {
    const named = refusal?.named === true
    if (status === 404 && post.echoed !== undefined) return !(named && refusal?.message.error?.code === rpcCodes.methodNotFound)
    const mayBe = this.spoken && !named && post.id !== undefined && !post.options?.opens
    return mayBe && (status === 400 || status === 404 || status === 405) && ++this.suspicion >= suspicious
  }

  /** A message was refused because the server does not know the conversation, so it was not carried out. */
  private forgotten(post: Post): void {
    const { renew } = this.tuning
    // An answer belongs to a question of the conversation that is gone.
    if (post.message.method === undefined) return
    if (!renew && this.spoken) return this.finish(died('the server does not speak with us any more'))
    if (!renew || post.retried || post.options?.opens) {
      if (post.id !== undefined) this.inbound.fail(post.id, died('the server has forgotten the session, and does so again and again'))
      return
    }
    post.retried = true
    post.reset()
    this.held.push(post)
    if (this.renewing || post.echoed !== this.way.echoed) return this.flush()
    this.renewing = true
    this.suspicion = 0
    this.way.echoed = undefined
    this.feed?.stop()
    this.feed = undefined
    this.held = this.held.filter(({ message }) => message.method !== undefined)
    // Those that have no status yet may still be told that they were not carried out.
    for (const open of [...this.posts]) if (open.streams) open.fail(died('the server ended the session before it had answered'))
    this.log.info({}, 'the server has forgotten the session: opening it anew')
    renew().then(
      () => {
        this.renewing = false
        if (this.ending) return
        if (this.tuning.listens && !this.feed) this.listen()
        this.flush()
      },
      (error: unknown) => this.finish(died('the server has forgotten the session, and no new one could be opened', error)),
    )
  }

  private look(): void {
    const now = performance.now()
    for (const post of [...this.posts]) {
      post.look(now)
      post.feed?.look(now)
    }
    this.feed?.look(now)
  }

  private finish(reason: McpError): void {
    this.ending ??= this.end(reason)
  }

  private async end(reason: McpError | undefined): Promise<void> {
    clearInterval(this.timer)
    this.held = []
    this.searching?.()
    this.feed?.stop()
    for (const post of [...this.posts]) post.abort()
    queueMicrotask(() => this.receiver?.closed(reason))
    if (!reason) await this.way.goodbye()
    this.options.release()
  }
}
