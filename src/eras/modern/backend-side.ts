/**
 * A server of revision 2026-07-28 as a Connection: writes the per-request fields and headers onto each call, reads each
 * result into an Outcome, listens for changes on behalf of its watchers. Stateless but for what it learnt of the tools.
 */
import { CancelSource } from '../../gateway/cancellation.ts'
import type {
  Call,
  ClientProfile,
  Connection,
  Description,
  Handler,
  JsonObject,
  Outcome,
  Watch,
  Watcher,
} from '../../gateway/contract.ts'
import { McpError, toMcpError } from '../../gateway/errors.ts'
import { SlotMap } from '../../gateway/slot-map.ts'
import type { Message, RequestId } from '../../transports/channel.ts'
import { withoutFaults } from '../annotations.ts'
import { isObject } from '../asks.ts'
import type { ConnectOptions, Link } from '../options.ts'
import type { Answer, Incoming, RequestOptions } from '../peer.ts'
import { Envelopes } from './envelope.ts'
import { fromServer } from './failures.ts'
import { RequestHeaders } from './headers.ts'
import { readOutcome } from './outcomes.ts'
import { answeringRoots } from './roots.ts'
import { Subscriptions } from './subscriptions.ts'
import { acknowledgedMethod, discoverMethod, headerMismatch, hopNotifications, listenMethod, metaKeys } from './wire.ts'

/** Pages of a tool list fetched to learn its header annotations. */
const maxPages = 64

/** `discovered`: the server's answer to `server/discover` at `version`. Takes the link's messages from here on. */
export function openModernConnection(link: Link, options: ConnectOptions, discovered: JsonObject, version: string): Connection {
  return new ModernConnection(link, options, discovered, version)
}

/** The request that both probes for this era and opens it. */
export function discoverRequest(options: ConnectOptions, version: string, wantsHeaders: boolean) {
  const params = new Envelopes(version, options.self, options.roots !== undefined).onto({}, ownProfile(options, version))
  const headers = wantsHeaders ? new RequestHeaders(version, options.log).of(discoverMethod, params) : undefined
  return { method: discoverMethod, params, headers }
}

/** For requests that come from no call: of the one client there is, else in our own name, which can do nothing. */
const ownProfile = (options: ConnectOptions, revision: string): ClientProfile =>
  options.client ?? { id: options.name, principal: 'local', info: options.self, capabilities: {}, revision, logLevel: undefined }

class ModernConnection implements Connection {
  readonly name: string
  readonly handle: Handler
  readonly closed: Promise<Error | undefined>
  private readonly link: Link
  private readonly options: ConnectOptions
  private readonly description: Description
  private readonly own: ClientProfile
  private readonly envelopes: Envelopes
  /** Undefined where the transport has no header fields. */
  private readonly headers: RequestHeaders | undefined
  private readonly subscriptions: Subscriptions
  /** Open calls that want log lines. */
  private readonly talkative = new SlotMap<RequestId, Call>()
  private settleClosed: (reason: Error | undefined) => void = () => {}

  constructor(link: Link, options: ConnectOptions, discovered: JsonObject, version: string) {
    this.link = link
    this.options = options
    this.name = options.name
    this.description = describe(discovered, version)
    this.own = ownProfile(options, version)
    this.envelopes = new Envelopes(version, options.self, options.roots !== undefined)
    this.headers = link.channel.wantsHeaders ? new RequestHeaders(version, options.log) : undefined
    const relay: Handler = call => this.relay(call)
    this.handle = options.roots ? answeringRoots(relay, options.roots, options.asks.rounds) : relay
    this.closed = new Promise(resolve => (this.settleClosed = resolve))
    this.subscriptions = new Subscriptions({
      capabilities: this.description.capabilities,
      log: options.log,
      listen: (notifications, extensions, cancellation, sent) => {
        const needed = Object.keys(extensions).length > 0 ? { extensions } : {}
        const client = { ...this.own, capabilities: { ...this.own.capabilities, ...needed } }
        return this.send(listenMethod, this.envelopes.onto({ notifications }, client), { cancellation, sent })
      },
    })
    link.attach({
      request: incoming => this.asked(incoming),
      notification: (method, params, _message, relatedTo) => this.told(method, params, relatedTo),
      closed: reason => this.gone(reason),
      stray: (what, message) => this.strayed(what, message),
    })
  }

  describe(): Promise<Description> {
    return Promise.resolve(this.description)
  }

  watch(watcher: Watcher): Watch {
    return this.subscriptions.watch(watcher)
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (hopNotifications.has(method)) return
    this.link.peer.notify(method, params, { headers: this.headers?.of(method, params) })
  }

  /** There is no ping in this era; any answer to the one request every server must know is as good. */
  async ping(timeoutMs: number): Promise<void> {
    const cancellation = new CancelSource()
    const timer = setTimeout(() => cancellation.cancel('no answer in time'), timeoutMs)
    try {
      await this.send(discoverMethod, this.envelopes.onto({}, this.own), { cancellation })
    } catch (error) {
      if (cancellation.cancelled)
        throw new McpError('BACKEND_TIMEOUT', `${this.name} did not answer within ${timeoutMs} ms`, { backend: this.name })
      if (toMcpError(error).code !== 'BACKEND_ERROR') throw error
    } finally {
      clearTimeout(timer)
    }
  }

  get pid(): number | undefined {
    return this.link.channel.pid
  }

  close(): Promise<void> {
    return this.link.channel.close()
  }

  /** No async function on the way of an ordinary call: each costs a promise and turns of the microtask queue. */
  private relay(call: Call): Promise<Outcome> {
    const { method, client } = call
    const params = this.envelopes.onto(call.params, client)
    if (call.inputResponses) params['inputResponses'] = call.inputResponses
    if (call.requestState !== undefined) params['requestState'] = call.requestState
    const declared = this.envelopes.of(client)[metaKeys.capabilities] as JsonObject
    const read = (answer: Answer): Outcome => {
      const outcome = readOutcome(call, answer, this.name, declared)
      return method === 'tools/list' ? this.offered(outcome) : outcome
    }
    return this.sendCall(call, params).then(read, async (error: unknown) => {
      let answer: Answer
      try {
        answer = await this.again(call, params, error)
      } catch (failure) {
        throw fromServer(toMcpError(failure), this.name, declared)
      }
      return read(answer)
    })
  }

  /** Refused before it ran for fields we did not know of, a call may be sent again once we know today's annotations. */
  private async again(call: Call, params: JsonObject, error: unknown): Promise<Answer> {
    const refused = error instanceof McpError && error.details.rpc?.code === headerMismatch
    if (!this.headers || !refused || call.method !== 'tools/call') throw error
    await this.relearn(call, this.headers)
    return this.sendCall(call, params)
  }

  private sendCall(call: Call, params: JsonObject): Promise<Answer> {
    const { method, cancellation, progress, extra } = call
    return call.log ? this.sendTalkative(call, params) : this.send(method, params, { cancellation, progress, extra })
  }

  private async sendTalkative(call: Call, params: JsonObject): Promise<Answer> {
    const { method, cancellation, progress, extra } = call
    let id: RequestId | undefined
    const sent = (given: RequestId): void => {
      id = given
      this.talkative.set(given, call)
    }
    try {
      return await this.send(method, params, { cancellation, progress, extra, sent })
    } finally {
      if (id !== undefined) this.talkative.delete(id)
    }
  }

  private send(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    const { peer } = this.link
    return peer.request(method, params, this.headers ? { ...options, headers: this.headers.of(method, params) } : options)
  }

  private async relearn({ client, cancellation }: Call, headers: RequestHeaders): Promise<void> {
    let page: JsonObject = {}
    for (let pages = 0; pages < maxPages; pages++) {
      const { result } = await this.send('tools/list', this.envelopes.onto(page, client), { cancellation })
      if (Array.isArray(result['tools'])) headers.learn(result['tools'])
      const cursor = result['nextCursor']
      if (typeof cursor !== 'string') return
      page = { cursor }
    }
  }

  /** Clients over HTTP must drop tools whose annotations break the rules; those rules never bound a stdio server. */
  private offered(outcome: Outcome): Outcome {
    if (outcome.kind !== 'complete' || !Array.isArray(outcome.result['tools'])) return outcome
    const listed = outcome.result['tools'] as unknown[]
    const tools = this.headers
      ? this.headers.learn(listed)
      : listed.map(tool => (isObject(tool) ? withoutFaults(tool) : tool))
    const same = tools.length === listed.length && tools.every((tool, index) => tool === listed[index])
    return same ? outcome : { ...outcome, result: { ...outcome.result, tools } }
  }

  /** Servers of this era send no requests, and their clients no answers (basic/transports/stdio). */
  private asked(incoming: Incoming): void {
    this.options.log.warn({ method: incoming.method }, 'the server sent a request, which this revision forbids')
    incoming.drop()
  }

  private told(method: string, params: JsonObject | undefined, relatedTo: RequestId | undefined): void {
    const { stamp, rest } = unstamped(params)
    if (method === 'notifications/message' && stamp === undefined) return this.logged(rest ?? {}, relatedTo)
    const stream = stamp ?? (this.subscriptions.has(relatedTo) ? relatedTo : undefined)
    if (method === acknowledgedMethod) this.subscriptions.acknowledged(stream, rest)
    else if (!this.subscriptions.notified(stream, method, rest)) this.strayed('a notification on no open stream')
  }

  /** A log line goes to the call it demonstrably belongs to; on a shared channel that takes there being no choice. */
  private logged(params: JsonObject, relatedTo: RequestId | undefined): void {
    const open = this.talkative.values()
    const call = relatedTo === undefined ? open.at(-1) : this.talkative.get(relatedTo)
    const alone = relatedTo !== undefined || open.every(({ client }) => client.id === call?.client.id)
    if (call && alone) call.log?.(params)
    else this.strayed('a log line of no known call')
  }

  private strayed(what: string, message?: Message): void {
    // Ending a stream with this notification is one of the two ways the specification knows (basic/patterns/cancellation).
    if (message?.method === 'notifications/cancelled') this.subscriptions.ended(message.params?.['requestId'])
    else this.options.log.debug({ method: message?.method }, what)
  }

  private gone(reason: McpError | undefined): void {
    this.subscriptions.close()
    this.settleClosed(reason)
  }
}

function describe(discovered: JsonObject, version: string): Description {
  const { _meta, capabilities, instructions, serverInfo } = discovered
  const info = isObject(_meta) && isObject(_meta[metaKeys.server]) ? _meta[metaKeys.server] : serverInfo
  return {
    info: isObject(info) ? info : undefined,
    capabilities: isObject(capabilities) ? capabilities : {},
    instructions: typeof instructions === 'string' ? instructions : undefined,
    era: 'modern',
    revision: version,
  }
}

/** Params without the mark of the stream they came on. */
function unstamped(params: JsonObject | undefined): { stamp: unknown; rest: JsonObject | undefined } {
  const meta = params?.['_meta']
  if (!isObject(meta) || !Object.hasOwn(meta, metaKeys.subscription)) return { stamp: undefined, rest: params }
  const { [metaKeys.subscription]: stamp, ...others } = meta
  const { _meta, ...rest } = params as JsonObject
  return { stamp, rest: Object.keys(others).length > 0 ? { ...rest, _meta: others } : rest }
}
