/**
 * Our own HTTP port: accepts, guards, routes, reads bodies and hands out exchanges. Every path that no route names is
 * refused, and every route asks for the token unless it says that it is open. Knows no message's meaning.
 */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { AddressInfo, ListenOptions as NetListenOptions, Socket } from 'node:net'
import { getHeapStatistics } from 'node:v8'
import { McpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'
import type { Exchange } from './exchange.ts'
import { readBody, readContent, refusal, refusalText } from './http-body.ts'
import { HttpExchange, queueBytes } from './http-exchange.ts'
import { checkForm, createGuard, type Authenticate, type Guard } from './http-guard.ts'
import type { Tls } from './tls.ts'

export interface Route {
  /** Uppercase. */
  readonly methods: readonly string[]
  /** Whether it answers without a token. */
  readonly open?: boolean | undefined
  readonly serve: (exchange: Exchange) => void
}

export interface ListenerOptions {
  /** The route of a path as it was sent, undecoded and without the query; undefined = there is none. */
  readonly route: (path: string) => Route | undefined
  readonly authenticate: Authenticate
  readonly hosts: readonly string[]
  readonly origins: readonly string[]
  /** Header fields that pages of other origins may send and read. */
  readonly cors: { readonly allow: readonly string[]; readonly expose: readonly string[] }
  readonly log: Log
  readonly limits?: Partial<ListenerLimits> | undefined
  readonly tls?: Tls | undefined
}

export interface ListenerLimits {
  readonly bodyBytes: number
  readonly headerBytes: number
  readonly connections: number
  /** A connection's first byte to the end of its header, and to the end of the whole request; milliseconds. */
  readonly headersMs: number
  readonly requestMs: number
  readonly keepAliveMs: number
  /** Between two signs of life on a quiet stream, milliseconds. */
  readonly pulseMs: number
  /** What all clients together may leave unread; beyond it those who began first are cut. */
  readonly unreadBytes: number
}

export const listenerDefaults: ListenerLimits = {
  bodyBytes: 4 * 1024 * 1024,
  headerBytes: 16 * 1024,
  connections: 4096,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 30_000,
  pulseMs: 15_000,
  unreadBytes: Math.min(256 * 1024 * 1024, getHeapStatistics().heap_size_limit / 4),
}

/** A reader that takes nothing for two pulses is given up. */
const patience = 2

export interface Listening {
  /** Port bound, 0 for a socket file. */
  readonly port: number
  /** Address bound, as in a URL; empty for a socket file. */
  readonly host: string
  /** Takes no new connections; ends those with nothing on them now, the others after `ms`. */
  close(ms: number): Promise<void>
}

const notOurs = 'the host must be an address of this machine; left out, it is 127.0.0.1'
const hints: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there; choose another port, or 0 for any',
  EADDRNOTAVAIL: notOurs,
  ENOTFOUND: notOurs,
  EAI_AGAIN: notOurs,
}

/** Where to listen, or the number of a socket on which somebody listens for us. */
export type At = NetListenOptions | { readonly fd: number }

/** Binds. Rejects with LISTEN_FAILED. */
export async function listen(at: At, options: ListenerOptions): Promise<Listening> {
  const listener = new HttpListener(options, options.tls !== undefined)
  const { limits } = listener
  const settings: ServerOptions = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(5000, limits.headersMs),
    noDelay: true,
    // The guard answers this as it answers everything else.
    requireHostHeader: false,
  }
  const server = options.tls
    ? ((await import('node:https')).createServer({ ...settings, ...options.tls.current }) as unknown as Server)
    : createServer(settings)
  server.maxConnections = limits.connections
  server.on('request', (request, response) => listener.request(request, response))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => listener.broken(error, socket as Socket))
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, resolve)
  }).catch((cause: NodeJS.ErrnoException) => {
    const where = 'fd' in at ? 'the socket that was handed to us' : (at.path ?? `${at.host}:${at.port}`)
    throw new McpError('LISTEN_FAILED', `cannot listen on ${where}: ${cause.code ?? cause.message}`, { cause, hint: hints[cause.code ?? ''] })
  })
  const untie = options.tls?.watch(context => (server as unknown as { setSecureContext(with_: object): void }).setSecureContext(context))
  server.on('error', error => options.log.error({ reason: error.message }, 'the listener failed'))
  const bound = server.address()
  const address = typeof bound === 'object' && bound !== null ? (bound as AddressInfo) : undefined
  return {
    port: address?.port ?? 0,
    host: address ? (address.family === 'IPv6' ? `[${address.address}]` : address.address) : '',
    close: async ms => {
      untie?.()
      listener.stop()
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), ms)
      await closed
      clearTimeout(timer)
    },
  }
}

/** Exchanges in a chain: a Set with so much coming and going would keep what it held alive (see SlotMap). */
class Line {
  private first: HttpExchange | undefined

  add(exchange: HttpExchange): void {
    exchange.next = this.first
    if (this.first) this.first.previous = exchange
    this.first = exchange
  }

  remove(exchange: HttpExchange): void {
    const { next, previous } = exchange
    if (next) next.previous = previous
    if (previous) previous.next = next
    else if (this.first === exchange) this.first = next
    exchange.next = exchange.previous = undefined
  }

  each(visit: (exchange: HttpExchange) => void): void {
    for (let exchange = this.first; exchange; ) {
      const { next } = exchange
      visit(exchange)
      exchange = next
    }
  }
}

class HttpListener {
  readonly limits: ListenerLimits
  private readonly options: ListenerOptions
  private readonly guard: Guard
  /** Exchanges whose connection is not done with them. */
  private readonly alive = new Line()
  private readonly pulse: NodeJS.Timeout
  private stopping = false

  constructor(options: ListenerOptions, secure: boolean) {
    this.options = options
    this.limits = { ...listenerDefaults, ...options.limits }
    this.guard = createGuard({ hosts: options.hosts, origins: options.origins, secure })
    this.pulse = setInterval(() => {
      this.alive.each(exchange => exchange.look(patience))
    }, this.limits.pulseMs)
    this.pulse.unref()
  }

  stop(): void {
    this.stopping = true
    clearInterval(this.pulse)
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    const target = request.url as string
    const mark = target.indexOf('?')
    const exchange = new HttpExchange(request, response, mark < 0 ? '' : target.slice(mark + 1))
    this.alive.add(exchange)
    exchange.onBacklog = () => this.relieve()
    response.on('close', () => {
      this.alive.remove(exchange)
      exchange.closed()
    })
    // A connection that breaks while its request is read ends the response too; that is where it is heard.
    request.on('error', () => {})
    if (this.stopping) exchange.extra = { connection: 'close' }
    try {
      this.admit(request, exchange, mark < 0 ? target : target.slice(0, mark))
    } catch (error) {
      this.failed(exchange, error)
    }
  }

  /** What the parser refused before there was a request: a broken, oversized or overdue header. */
  broken({ code }: NodeJS.ErrnoException, socket: Socket): void {
    if (socket.destroyed || !socket.writable || code === 'ECONNRESET') return void socket.destroy()
    const [status, reason] =
      code === 'HPE_HEADER_OVERFLOW' ? ['431 Request Header Fields Too Large', 'the header is too large']
      : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ['408 Request Timeout', 'the request took too long to arrive']
      : ['400 Bad Request', 'this is not a valid HTTP request']
    const text = refusalText(refusal(400, reason as string))
    const head = ['content-type: application/json', `content-length: ${Buffer.byteLength(text)}`, 'x-content-type-options: nosniff', 'connection: close']
    socket.end(`HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${text}`)
    // What else the client sends is not read, and must not keep the connection.
    setTimeout(() => socket.destroy(), 1000).unref()
  }

  /** A client that does not read keeps its own answer waiting, but many of them must not fill our memory. */
  private relieve(): void {
    let total = 0
    const slow: HttpExchange[] = []
    this.alive.each(exchange => {
      total += exchange.waiting
      if (exchange.waiting > queueBytes) slow.push(exchange)
    })
    // The chain begins with the newest.
    while (total > this.limits.unreadBytes && slow.length > 1) {
      const oldest = slow.pop() as HttpExchange
      total -= oldest.waiting
      oldest.cut()
    }
  }

  private admit(request: IncomingMessage, exchange: HttpExchange, path: string): void {
    const refused = this.guard.check(request)
    if (refused) return exchange.refuse(refused)
    const { origin, authorization } = request.headers
    const route = this.options.route(path)
    if (this.guard.isForeign(origin)) {
      exchange.extra = { ...exchange.extra, ...this.corsHeaders(origin as string) }
      if (request.method === 'OPTIONS' && route) return this.preflight(exchange, route)
    }
    if (!route) return exchange.refuse(refusal(404, 'there is nothing at this path'))
    const principal = this.options.authenticate(authorization)
    if (principal !== undefined) exchange.principal = principal
    else if (!route.open) {
      const challenge = authorization === undefined ? 'Bearer realm="mcp-proxy"' : 'Bearer realm="mcp-proxy", error="invalid_token"'
      return exchange.refuse(refusal(401, 'a valid bearer token is needed', { headers: { 'www-authenticate': challenge } }))
    }
    const method = request.method as string
    if (!route.methods.includes(method))
      return exchange.refuse(refusal(405, `${method} is not allowed here`, { headers: { allow: route.methods.join(', ') } }))
    if (method !== 'POST') return route.serve(exchange)
    const form = checkForm(request)
    if (form) return exchange.refuse(form)
    readBody(request, this.limits.bodyBytes, body => this.received(body, exchange, route))
  }

  private received(body: Buffer | undefined, exchange: HttpExchange, route: Route): void {
    if (!body) return exchange.refuse(refusal(413, `the body is larger than ${this.limits.bodyBytes} bytes`))
    const content = readContent(body)
    if ('status' in content) return exchange.refuse(content)
    exchange.content = content
    try {
      route.serve(exchange)
    } catch (error) {
      this.failed(exchange, error)
    }
  }

  private failed(exchange: HttpExchange, cause: unknown): void {
    this.options.log.error({ reason: (cause as Error).message }, 'a request could not be served')
    exchange.json(500, refusalText({ error: new McpError('INTERNAL', 'internal error', { cause }).toRpc() }))
    exchange.end()
  }

  private corsHeaders(origin: string): Record<string, string> {
    return {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': this.options.cors.expose.join(', '),
      vary: 'Origin',
    }
  }

  private preflight(exchange: HttpExchange, { methods }: Route): void {
    exchange.empty(204, {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': this.options.cors.allow.join(', '),
      'access-control-max-age': '600',
    })
  }
}
