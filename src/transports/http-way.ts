/**
 * The requests of one conversation with a remote server: what each carries so that the server knows them for one. Owns
 * fields and addresses; what is sent and what comes of it is the channel's.
 */
import type { Dispatcher } from 'undici'
import type { SendOptions } from './channel.ts'
import { addressOf, HttpRequest, type Address, type Fields, type ResponseSink, type Road } from './http-request.ts'

/** Milliseconds. */
export interface HttpTiming {
  /** How long a request may be silent; people are asked on some of them. */
  readonly postIdle: number
  readonly noticeIdle: number
  readonly feedIdle: number
  /** How often that is looked at. */
  readonly look: number
  /** How long the address of the older pair is waited for. */
  readonly pair: number
  /** How long a message marked `ahead` may hold the others up. */
  readonly ahead: number
  /** How long the goodbye may take. */
  readonly goodbye: number
}
export const httpTiming: HttpTiming = {
  postIdle: 15 * 60_000, noticeIdle: 60_000, feedIdle: 15 * 60_000, look: 15_000, pair: 5000, ahead: 2000, goodbye: 1000,
}

const postFields: Fields = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const getFields: Fields = { accept: 'text/event-stream' }
const noFields: Fields = {}

/** The header fields of a message, put together once for all that bring the same. */
interface Written {
  readonly fields: Fields
  /** For the configured origin. */
  readonly all: Fields
  readonly common: Fields | undefined
  readonly echo: string | undefined
  readonly echoed: string | undefined
}

export class Way {
  private address: Address
  /** The field that is repeated, and its value while there is one. */
  echo: string | undefined
  echoed: string | undefined
  /** Fields of every request. */
  common: Fields | undefined
  readonly timing: HttpTiming
  readonly url: URL
  private readonly road: Road
  private readonly dispatcher: Dispatcher
  private readonly written = new WeakMap<Fields, Written>()

  constructor(url: URL, road: Road, dispatcher: Dispatcher, timing: Partial<HttpTiming> | undefined) {
    this.url = url
    this.address = addressOf(url)
    this.road = road
    this.dispatcher = dispatcher
    this.timing = { ...httpTiming, ...timing }
  }

  /** Where messages go. */
  set target(url: URL) {
    this.address = addressOf(url)
  }

  post(body: string, options: SendOptions | undefined, idleMs: number, sink: ResponseSink): HttpRequest {
    const { fields, all } = this.fieldsWith(options?.headers ?? noFields)
    return this.start({ method: 'POST', address: this.address, fields, all, body, idleMs }, sink)
  }

  get(further: Fields, sink: ResponseSink): HttpRequest {
    const fields = { ...getFields, ...this.common }
    const all = { ...fields, ...this.road.secret, ...this.own(), ...further }
    return this.start({ method: 'GET', address: addressOf(this.url), fields, all, idleMs: this.timing.feedIdle }, sink)
  }

  /** Tells a server that keeps something for us that it may forget it (2025-11-25 basic/transports, "Session Management"). */
  goodbye(): Promise<void> {
    if (this.echoed === undefined) return Promise.resolve()
    return new Promise(resolve => {
      const idleMs = this.timing.goodbye
      // Nobody looks after it any more: what is not given up here would keep its connection for ever.
      const limit = setTimeout(() => {
        request.abort()
        resolve()
      }, idleMs)
      const done = (): void => {
        clearTimeout(limit)
        resolve()
      }
      const fields = { ...this.common }
      const all = { ...fields, ...this.road.secret, ...this.own() }
      const request = this.start({ method: 'DELETE', address: this.address, fields, all, idleMs }, { response() {}, data() {}, end: done, failed: done })
    })
  }

  /** The same object for the same `brought`, which must not change any more, as long as the conversation's own stay. */
  private fieldsWith(brought: Fields): Written {
    const { common, echo, echoed } = this
    const known = this.written.get(brought)
    if (known && known.common === common && known.echo === echo && known.echoed === echoed) return known
    const fields = { ...postFields, ...brought, ...common }
    const written = { fields, all: { ...fields, ...this.road.secret, ...this.own() }, common, echo, echoed }
    this.written.set(brought, written)
    return written
  }

  private own(): Fields | undefined {
    return this.echo !== undefined && this.echoed !== undefined ? { [this.echo]: this.echoed } : undefined
  }

  private start(spec: ConstructorParameters<typeof HttpRequest>[1], sink: ResponseSink): HttpRequest {
    const request = new HttpRequest(this.road, spec, sink)
    request.start(this.dispatcher)
    return request
  }
}
