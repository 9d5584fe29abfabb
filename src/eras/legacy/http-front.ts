/**
 * The legacy revisions over HTTP: which session a request belongs to and whether it may use it, and the pair of paths of
 * 2024-11-05. Sessions are found by an unguessable id and open only to the principal that began them.
 */
import { randomBytes } from 'node:crypto'
import { McpError } from '../../gateway/errors.ts'
import type { Exchange } from '../../transports/exchange.ts'
import type { HttpOptions, ServeOptions, SessionLimits } from '../options.ts'
import { SseSession } from './old-sse.ts'
import { errorText, Session, sessionHeader, type SessionHost } from './session.ts'
import { isRevision } from './wire.ts'

export const sessionDefaults: SessionLimits = {
  count: 10_000,
  idleMs: 30 * 60_000,
  events: 256,
  eventChars: 1024 * 1024,
  eventMs: 5 * 60_000,
}
const maxSweepMs = 30_000

/** 192 random bits, in visible ASCII (2025-11-25 basic/transports, "Session Management"). */
const freshId = (): string => randomBytes(24).toString('base64url')

export class LegacyHttp implements SessionHost {
  readonly limits: SessionLimits
  private readonly options: HttpOptions
  private readonly sessions = new Map<string, Session>()
  private readonly old = new Map<string, SseSession>()
  /** By principal: what serves all sessions of one. */
  private readonly serving = new Map<string, ServeOptions>()
  private readonly sweeper: NodeJS.Timeout
  private stopping = false

  constructor(options: HttpOptions) {
    this.options = options
    this.limits = { ...sessionDefaults, ...options.sessions }
    this.sweeper = setInterval(() => this.sweep(performance.now()), Math.min(maxSweepMs, this.limits.idleMs / 2))
    this.sweeper.unref()
  }

  get inFlight(): number {
    let sum = 0
    for (const session of this.sessions.values()) sum += session.inFlight
    for (const session of this.old.values()) sum += session.inFlight
    return sum
  }

  get size(): number {
    return this.sessions.size + this.old.size
  }

  post(exchange: Exchange): void {
    const { content } = exchange
    const version = exchange.header('mcp-protocol-version')
    if (version !== undefined && !isRevision(version))
      return exchange.json(400, errorText(`the MCP-Protocol-Version ${String(version).slice(0, 40)} is not one that this server speaks`))
    if (content?.kind === 'batch') return this.postBatch(exchange, content)
    if (content?.kind !== 'message') return
    const { message } = content
    if (message.method !== undefined && message.id !== undefined && this.stopping) return this.refuse(exchange, 503, shuttingDown())
    if (message.method === 'initialize' && exchange.header(sessionHeader) === undefined) return this.begin(exchange)
    this.sessionOf(exchange)?.post(exchange, message)
  }

  /** GET and DELETE on the endpoint. */
  other(exchange: Exchange): void {
    // Without a session these mean nothing in any revision (2026-07-28 basic/transports, "Earlier Streamable HTTP Revisions").
    if (exchange.header(sessionHeader) === undefined) return exchange.json(405, errorText(`${exchange.method} needs a session`), { allow: 'POST' })
    const session = this.sessionOf(exchange)
    if (!session) return
    if (exchange.method === 'DELETE') {
      session.end()
      return exchange.empty(200)
    }
    if (!exchange.accepts('text/event-stream')) return exchange.json(406, errorText('the client must accept text/event-stream'))
    if (this.stopping) return this.refuse(exchange, 503, shuttingDown())
    session.listen(exchange)
  }

  /** GET of 2024-11-05: the stream on which all messages come. */
  openStream(exchange: Exchange): void {
    if (!exchange.accepts('text/event-stream')) return exchange.json(406, errorText('the client must accept text/event-stream'))
    if (this.stopping) return this.refuse(exchange, 503, shuttingDown())
    if (this.size >= this.limits.count && !this.evict()) return this.refuse(exchange, 503, full())
    const id = freshId()
    const session = new SseSession(exchange, `${this.options.messagesPath}?sessionId=${id}`, this.serve(exchange), () => this.old.delete(id))
    this.old.set(id, session)
  }

  /** POST of 2024-11-05: a message for the session that the query names. */
  postMessage(exchange: Exchange): void {
    const id = new URLSearchParams(exchange.query).get('sessionId')
    if (!id) return exchange.json(400, errorText('the sessionId is missing'))
    const session = this.old.get(id)
    if (!session || session.principal !== exchange.principal) return exchange.json(404, errorText('there is no such session'))
    const { content } = exchange
    if (content?.kind !== 'message') return exchange.json(400, errorText('batches are not part of this revision'))
    if (this.stopping && content.message.method !== undefined && content.message.id !== undefined)
      return this.refuse(exchange, 503, shuttingDown())
    session.post(exchange, content.message)
  }

  drain(): void {
    this.stopping = true
  }

  refuseAll(error: McpError): void {
    for (const session of [...this.sessions.values(), ...this.old.values()]) session.refuseAll(error)
  }

  close(): void {
    clearInterval(this.sweeper)
    for (const session of [...this.sessions.values(), ...this.old.values()]) session.end()
  }

  ended(session: Session): void {
    this.sessions.delete(session.id)
  }

  private serve({ principal }: Exchange): ServeOptions {
    let options = this.serving.get(principal)
    if (!options) this.serving.set(principal, (options = this.options.serve(principal)))
    return options
  }

  private begin(exchange: Exchange): void {
    if (this.size >= this.limits.count && !this.evict()) return this.refuse(exchange, 503, full())
    const { content } = exchange
    const session = new Session(freshId(), this, this.serve(exchange))
    this.sessions.set(session.id, session)
    if (content?.kind === 'message') session.post(exchange, content.message)
  }

  private postBatch(exchange: Exchange, content: Exchange['content'] & { kind: 'batch' }): void {
    const named = exchange.header(sessionHeader) !== undefined
    const session = named ? this.sessionOf(exchange) : undefined
    if (named && !session) return
    if (!session?.takesBatches) return exchange.json(400, errorText('batches are only part of revision 2025-03-26'))
    if (this.stopping) return this.refuse(exchange, 503, shuttingDown())
    const early = content.rest.map(({ error, id }) => JSON.stringify({ jsonrpc: '2.0', id: id ?? null, error: error.toRpc() }))
    try {
      session.postBatch(exchange, content.messages, early)
    } catch (error) {
      this.refuse(exchange, 400, error as McpError)
    }
  }

  /** The session a request names; answers and returns undefined where it may not have it. */
  private sessionOf(exchange: Exchange): Session | undefined {
    const id = exchange.header(sessionHeader)
    if (id === undefined) {
      this.refuse(exchange, 400, new McpError('INVALID_REQUEST', 'the Mcp-Session-Id is missing: send initialize first'))
      return undefined
    }
    const session = this.sessions.get(id)
    // Another's session and none look the same.
    if (session && session.principal === exchange.principal) return session
    this.refuse(exchange, 404, new McpError('INVALID_REQUEST', 'there is no such session'))
    return undefined
  }

  /** Refuses a POST under the id of its request. */
  private refuse(exchange: Exchange, status: number, error: McpError): void {
    const { content } = exchange
    const message = content?.kind === 'message' ? content.message : undefined
    const id = message?.method !== undefined ? (message.id ?? null) : null
    exchange.json(status, JSON.stringify({ jsonrpc: '2.0', id, error: error.toRpc() }), status === 503 ? { 'retry-after': '1' } : undefined)
  }

  private sweep(now: number): void {
    for (const session of this.sessions.values()) {
      session.age(now)
      if (session.isIdle && now - session.usedAt > this.limits.idleMs) session.end()
    }
  }

  /** Makes room by ending the session longest unused. */
  private evict(): boolean {
    let oldest: Session | undefined
    for (const session of this.sessions.values()) if (session.isIdle && (!oldest || session.usedAt < oldest.usedAt)) oldest = session
    oldest?.end()
    return oldest !== undefined
  }
}

const shuttingDown = (): McpError => new McpError('SHUTTING_DOWN', 'the gateway is shutting down')
const full = (): McpError => new McpError('BACKEND_BUSY', 'too many sessions are open', { retryAfterMs: 1000 })
