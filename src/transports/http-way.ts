/**
 * The requests of one conversation with a remote server: what each carries so that the server knows them for one. Owns
 * fields and addresses; what is sent and what comes of it is the channel's.
 */
import type { Dispatcher } from 'undici'
import type { SendOptions } from './channel.ts'
import { HttpRequest, type Fields, type ResponseSink, type Road } from './http-request.ts'

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

export class Way {
  /** Where messages go. */
  target: URL
  /** The field that is repeated, and its value while there is one. */
  echo: string | undefined
  echoed: string | undefined
  /** Fields of every request. */
  common: Fields | undefined
  readonly timing: HttpTiming
  readonly url: URL
  private readonly road: Road
  private readonly dispatcher: Dispatcher

  constructor(url: URL, road: Road, dispatcher: Dispatcher, timing: Partial<HttpTiming> | undefined) {
    this.url = url
    this.target = url
    this.road = road
    this.dispatcher = dispatcher
    this.timing = { ...httpTiming, ...timing }
  }

  post(body: string, options: SendOptions | undefined, idleMs: number, sink: ResponseSink): HttpRequest {
    const fields = { ...postFields, ...options?.headers, ...this.common }
    return this.start({ method: 'POST', url: this.target, fields, own: this.own(), body, idleMs }, sink)
  }

  get(further: Fields, sink: ResponseSink): HttpRequest {
    const fields = { ...getFields, ...this.common }
    return this.start({ method: 'GET', url: this.url, fields, own: { ...this.own(), ...further }, idleMs: this.timing.feedIdle }, sink)
  }

  /** Tells a server that keeps something for us that it may forget it (2025-11-25 basic/transports, "Session Management"). */
  goodbye(): Promise<void> {
    if (this.echoed === undefined) return Promise.resolve()
    return new Promise(resolve => {
      const idleMs = this.timing.goodbye
      const limit = setTimeout(resolve, idleMs)
      const done = (): void => {
        clearTimeout(limit)
        resolve()
      }
      this.start({ method: 'DELETE', url: this.target, fields: { ...this.common }, own: this.own(), idleMs }, { response() {}, data() {}, end: done, failed: done })
    })
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
