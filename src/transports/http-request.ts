/**
 * One HTTP request to a remote server, redirects included. Owns where a request may be sent on to and what it takes
 * along; hands on status, fields and bytes and judges none of them.
 */
import type { Dispatcher } from 'undici'
import { McpError } from '../gateway/errors.ts'
import { exchangeFailure } from './http-failures.ts'
import type { HttpPools, Lease, PoolOptions } from './http-pools.ts'

export type Fields = Readonly<Record<string, string>>

/** The way to one server. */
export interface Road {
  readonly pools: HttpPools
  readonly pool: PoolOptions
  /** Fields that are only for the configured origin, such as credentials. */
  readonly secret: Fields
}

/** A URL in the parts a request needs: its getters make them anew each time. */
export interface Address {
  readonly url: URL
  readonly origin: string
  /** With the query. */
  readonly path: string
}

export const addressOf = (url: URL): Address => ({ url, origin: url.origin, path: url.pathname + url.search })

export interface RequestSpec {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly address: Address
  /** Fields that go along wherever the request is sent on to. */
  readonly fields: Fields
  /** All fields, those that are only for the configured origin among them. */
  readonly all: Fields
  readonly body?: string | undefined
  /** Without a byte for so long it is given up with BACKEND_TIMEOUT; milliseconds. Checked by `look`. */
  readonly idleMs: number
}

/** What becomes of a request: one `response`, then any `data`, then one `end` or `failed`; or `failed` alone. */
export interface ResponseSink {
  response(status: number, fields: IncomingFields): void
  data(chunk: Buffer): void
  end(): void
  failed(error: McpError): void
}

export type IncomingFields = Readonly<Record<string, string | string[] | undefined>>

const maxRedirects = 3
const redirects = new Set([301, 302, 303, 307, 308])

export const fieldOf = (fields: IncomingFields, name: string): string | undefined => {
  const value = fields[name]
  return typeof value === 'string' ? value : value?.[0]
}

type Controller = Dispatcher.DispatchController

export class HttpRequest implements Dispatcher.DispatchHandler {
  private readonly road: Road
  private readonly spec: RequestSpec
  private readonly sink: ResponseSink
  private address: Address
  private hops = 0
  /** It has been at another origin: where it goes from there is not for our secrets. */
  private strayed = false
  private lease: Lease | undefined
  private controller: Controller | undefined
  private heardAt = performance.now()
  /** Set while the answer is a redirect: where to. */
  private next: URL | undefined
  private over = false

  constructor(road: Road, spec: RequestSpec, sink: ResponseSink) {
    this.road = road
    this.spec = spec
    this.sink = sink
    this.address = spec.address
  }

  /** `dispatcher`: that of the request's own origin. */
  start(dispatcher: Dispatcher): void {
    this.dispatch(dispatcher)
  }

  /** Ends it; nothing more is told. */
  abort(): void {
    if (this.over) return
    this.finish()
    this.controller?.abort(new Error('given up'))
  }

  /** Gives up what has been silent for too long; `now`: of the monotonic clock. */
  look(now: number): void {
    if (this.over || now - this.heardAt < this.spec.idleMs) return
    const { controller } = this
    this.fail(new McpError('BACKEND_TIMEOUT', 'the server has been silent for too long'))
    controller?.abort(new Error('silent'))
  }

  onRequestStart(controller: Controller): void {
    this.controller = controller
    if (this.over) controller.abort(new Error('given up'))
  }

  onResponseStart(controller: Controller, status: number, fields: IncomingFields): void {
    this.heardAt = performance.now()
    if (this.over || status < 200) return
    if (redirects.has(status)) {
      const where = this.redirected(status, fieldOf(fields, 'location'))
      if (where instanceof McpError) {
        this.fail(where)
        return controller.abort(where)
      }
      this.next = where
      return
    }
    const encoding = fieldOf(fields, 'content-encoding')
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      const error = new McpError('BACKEND_PROTOCOL', 'the server compressed its answer, which we did not ask for')
      this.fail(error)
      return controller.abort(error)
    }
    this.sink.response(status, fields)
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.over || this.next) return
    this.heardAt = performance.now()
    this.sink.data(chunk)
  }

  onResponseEnd(): void {
    if (this.over) return
    if (this.next) return this.follow(this.next)
    this.finish()
    this.sink.end()
  }

  onResponseError(_controller: Controller, thrown: Error): void {
    this.fail(exchangeFailure(thrown))
  }

  private dispatch(dispatcher: Dispatcher): void {
    const { method, fields, all, body = null } = this.spec
    const { origin, path } = this.address
    const headers = this.strayed ? fields : all
    try {
      dispatcher.dispatch({ origin, path, method, headers, body }, this)
    } catch (thrown) {
      queueMicrotask(() => this.fail(exchangeFailure(thrown)))
    }
  }

  private follow(next: URL): void {
    this.next = undefined
    this.address = addressOf(next)
    this.lease?.release()
    try {
      const guarded = next.origin !== this.spec.address.origin
      this.strayed ||= guarded
      this.lease = this.road.pools.take(next.origin, { ...this.road.pool, guarded })
      this.dispatch(this.lease.dispatcher)
    } catch (thrown) {
      this.fail(exchangeFailure(thrown))
    }
  }

  /** Where to, or why not. A POST that became a GET would lose its message. */
  private redirected(status: number, location: string | undefined): URL | McpError {
    const refuse = (why: string, hint?: string): McpError => new McpError('BACKEND_HTTP', `the server sent us elsewhere (${status}) ${why}`, { hint })
    const here = this.address.url
    if (++this.hops > maxRedirects) return refuse('again and again')
    if (location === undefined || !URL.canParse(location, here.href)) return refuse('without saying where')
    const next = new URL(location, here)
    const hint = 'use the url of the MCP endpoint itself'
    if (this.spec.method !== 'GET' && status !== 307 && status !== 308) return refuse('in a way that loses the message', hint)
    if (next.origin === here.origin) return next
    if (here.protocol !== 'https:' || next.protocol !== 'https:') return refuse('over a connection that is not secure', hint)
    // What stands in a url to sign in with was not meant for our secrets' sake.
    next.username = next.password = ''
    return next
  }

  private fail(error: McpError): void {
    if (this.over) return
    this.finish()
    this.sink.failed(error)
  }

  private finish(): void {
    this.over = true
    this.lease?.release()
    this.lease = undefined
  }
}
