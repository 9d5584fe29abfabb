/**
 * The legacy protocol towards a server: `initialize`, then calls as requests. What the server asks, says and announces
 * in between goes to the parts that know whose it is. A conversation with memory: it dies with its channel.
 */
import { isDeepStrictEqual } from 'node:util'
import { CancelSource } from '../../gateway/cancellation.ts'
import type {
  Call, ClientProfile, Complete, Connection, Description, Handler, JsonObject, Outcome, Watch, Watcher,
} from '../../gateway/contract.ts'
import { McpError, toMcpError } from '../../gateway/errors.ts'
import { RawComplete } from '../../gateway/raw.ts'
import { SlotMap } from '../../gateway/slot-map.ts'
import type { Message, RequestId } from '../../transports/channel.ts'
import { everyAbility } from '../abilities.ts'
import { isObject } from '../asks.ts'
import type { ConnectOptions, Link, OpenConnection } from '../options.ts'
import type { Answer, Incoming, Peer } from '../peer.ts'
import { Shortfalls } from '../shortfalls.ts'
import { readersOf } from './attribution.ts'
import { beginSession, keepSession, sessionHeaders } from './http-session-backend.ts'
import { Interests } from './interests.ts'
import { unmet, type Lacking } from './lacking.ts'
import { OpenCall, type Desk } from './open-call.ts'
import { Ownership } from './ownership.ts'
import { RequiredTasks } from './required-tasks.ts'
import { asksOfRefusal, beforeRetry } from './required-urls.ts'
import { ServerAsks } from './server-asks.ts'
import { isInteractive, isOfNewerServer, isRevision, lists, newestRevision } from './wire.ts'
import { answerWithin } from './within.ts'

/** Rejects, with the channel closed, when the server cannot be talked to in this era. */
export const openLegacyConnection: OpenConnection = async (link, options) => {
  let connection: LegacyConnection | undefined
  let end: (reason: Error | undefined) => void
  const closed = new Promise<Error | undefined>(resolve => (end = resolve))
  const early: (() => void)[] = []
  const whenOpen = (act: (connection: LegacyConnection) => void): void => {
    if (connection) act(connection)
    else early.push(() => act(connection as LegacyConnection))
  }
  link.attach({
    request: incoming => {
      if (incoming.method === 'ping') incoming.respond({})
      else whenOpen(connection => connection.asked(incoming))
    },
    notification: (method, params, _message, relatedTo) => whenOpen(connection => connection.told(method, params, relatedTo)),
    closed: reason => {
      connection?.lost()
      end(reason)
    },
    stray: (what, message) => connection?.stray(what, message),
  })
  try {
    const description = await initialize(link, options)
    connection = new LegacyConnection(link, options, description, closed)
    connection.started()
    for (const act of early.splice(0)) act()
    return connection
  } catch (error) {
    void link.channel.close()
    throw error
  }
}

async function initialize({ peer, channel }: Link, options: ConnectOptions): Promise<Description> {
  const { name, self, timeouts } = options
  beginSession(channel)
  const limit = new CancelSource()
  const timer = setTimeout(() => limit.cancel(), timeouts.start)
  const params = { protocolVersion: newestRevision, capabilities: capabilitiesFor(options), clientInfo: self }
  try {
    const { result } = await peer.request('initialize', params, { cancellation: limit, silentCancel: true, opens: true })
    const revision = result['protocolVersion']
    if (!isRevision(revision)) {
      const told = String(JSON.stringify(revision)).slice(0, 40)
      throw new McpError('BACKEND_PROTOCOL', `${name} speaks protocol version ${told}, which we do not`, { backend: name })
    }
    const { capabilities, serverInfo, instructions } = result
    return {
      info: isObject(serverInfo) ? serverInfo : undefined,
      capabilities: isObject(capabilities) ? capabilities : {},
      instructions: typeof instructions === 'string' ? instructions : undefined,
      era: 'legacy',
      revision,
    }
  } catch (error) {
    if (!limit.cancelled) throw error
    const words = channel.lastWords?.()
    throw new McpError('BACKEND_TIMEOUT', `${name} did not answer initialize within ${timeouts.start} ms`, { backend: name, hint: words && `it last wrote: ${words}` })
  } finally {
    clearTimeout(timer)
  }
}

/** A server hears once what its client can do: of its one client, of clients all alike, or of whoever may come. */
function capabilitiesFor({ client, abilities, roots }: ConnectOptions): JsonObject {
  if (client) return roots && !client.capabilities['roots'] ? { ...client.capabilities, roots: {} } : client.capabilities
  return {
    ...(abilities ?? everyAbility),
    extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
  }
}

/** Everything one connection is made of. */
class LegacyConnection implements Connection, Desk {
  readonly name: string
  readonly peer: Peer
  readonly calls = new SlotMap<RequestId, OpenCall>()
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly closed: Promise<Error | undefined>
  readonly toldOnce = true
  readonly callMs: number
  private readonly link: Link
  private readonly options: ConnectOptions
  private readonly description: Description
  private readonly ownership = new Ownership()
  private readonly interests: Interests
  private readonly asks: ServerAsks
  private readonly tasks: RequiredTasks | undefined
  private readonly lacking: Lacking

  constructor(link: Link, options: ConnectOptions, description: Description, closed: Promise<Error | undefined>) {
    this.link = link
    this.options = options
    this.description = description
    this.closed = closed
    this.name = options.name
    this.callMs = options.timeouts.call
    this.peer = link.peer
    this.headers = sessionHeaders(link.channel, description.revision)
    this.interests = new Interests(this, description.capabilities, options.roots ? undefined : () => this.rootsChanged())
    this.asks = new ServerAsks(options, this, this.interests, this.ownership)
    this.tasks = RequiredTasks.of(this, this.ownership, description.capabilities)
    const { name: backend, shortfalls = new Shortfalls(), client, abilities } = options
    this.lacking = { backend, shortfalls, told: (client ?? abilities) !== undefined }
  }

  /** The handshake is over: calls may follow. */
  started(): void {
    this.peer.notify('notifications/initialized', undefined, { headers: this.headers, opens: true, ahead: true })
    keepSession(this.link.channel, this.headers, { renew: () => this.renew(), missed: () => this.interests.announce() })
  }

  readonly handle: Handler = call => {
    if (call.requestState !== undefined) return this.asks.parked.resume(call)
    if (call.client.logLevel !== undefined) this.interests.raise(call.client.logLevel)
    return call.inputResponses ? this.retry(call) : this.begin(call)
  }

  holds(call?: Call): boolean {
    if (!call) return this.ownership.unfinished
    const { requestState, params } = call
    return requestState !== undefined ? this.asks.parked.has(requestState) : this.ownership.task(params['taskId']) !== undefined
  }

  describe(): Promise<Description> {
    return Promise.resolve(this.description)
  }

  watch(watcher: Watcher): Watch {
    return this.interests.watch(watcher)
  }

  notify(method: string, params: JsonObject | undefined, _client: ClientProfile): void {
    this.peer.notify(method, params, { headers: this.headers })
  }

  /** An error is an answer too: some servers know no ping. */
  async ping(timeoutMs: number): Promise<void> {
    try {
      await answerWithin(timeoutMs, this, 'ping')
    } catch (error) {
      if (!(error instanceof McpError && error.code === 'BACKEND_ERROR')) throw error
    }
  }

  get pid(): number | undefined {
    return this.link.channel.pid
  }

  close(): Promise<void> {
    return this.link.channel.close()
  }

  asked(incoming: Incoming): void {
    this.asks.take(incoming)
  }

  told(method: string, params: JsonObject | undefined, relatedTo: RequestId | undefined): void {
    switch (method) {
      case 'notifications/message':
        return this.logged(params ?? {}, relatedTo)
      case 'notifications/resources/updated':
        return this.interests.tell({ kind: 'resource', params: params ?? {} })
      case 'notifications/tasks/status':
        return this.tellOwner(method, params, this.ownership.status(params)?.clientId)
      case 'notifications/elicitation/complete': {
        const owner = this.ownership.elicitation(params?.['elicitationId'])
        owner?.completed.cancel()
        return this.tellOwner(method, params, owner?.clientId)
      }
    }
    const list = lists.find(list => method === `notifications/${list}/list_changed`)
    if (list) return this.interests.tell({ kind: 'list', list })
    this.tellOwner(method, params, this.ownership.related(params)?.clientId)
  }

  stray(what: string, message: Message | undefined): void {
    if (message?.method === 'notifications/progress' && this.ownership.progress(message.params ?? {})) return
    this.options.log.debug({ backend: this.name, method: message?.method }, `${this.name} sent ${what}`)
  }

  lost(): void {
    this.asks.parked.clear()
  }

  /** The server has forgotten the session. What it was asked before must not be answered in the new one. */
  private async renew(): Promise<void> {
    this.peer.refuseAll(new McpError('BACKEND_DIED', 'the session is gone'), true)
    const now = await initialize(this.link, this.options)
    if (!isDeepStrictEqual(now, this.description)) throw new McpError('BACKEND_PROTOCOL', `${this.name} has become another server`)
    this.started()
    this.interests.renew()
  }

  private begin(call: Call): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const open = new OpenCall(this, call, resolve, reject)
      const answer = this.tasks?.concerns(call) ? this.tasks.run(open) : open.send(call.params)
      answer.then(
        answer => {
          try {
            this.answered(open, answer)
          } catch (error) {
            this.options.log.error({ error, method: call.method }, `an answer of ${this.name} could not be handled`)
            open.finish(undefined, error)
          }
        },
        error => this.failed(open, error),
      )
    })
  }

  private async retry(call: Call): Promise<Outcome> {
    return (await beforeRetry(call, this.ownership)) ?? this.begin(call)
  }

  private answered(open: OpenCall, answer: Answer): void {
    const { method, params, client } = open.first
    const { raw } = answer
    if (raw && isInteractive(method) && params['task'] === undefined) return this.complete(open, new RawComplete(raw))
    const { result, extra } = answer
    if (method === 'tools/list') this.tasks?.learn(params, result)
    const { task } = result
    if (params['task'] !== undefined && isObject(task) && typeof task['taskId'] === 'string') {
      const { id: token, progress } = open
      this.ownership.addTask({ taskId: task['taskId'], clientId: client.id, open: undefined, token, progress })
    }
    this.complete(open, extra ? { kind: 'complete', result, extra } : { kind: 'complete', result })
  }

  private complete(open: OpenCall, outcome: Complete): void {
    const error = unmet(open, outcome, this.lacking)
    open.finish(error ? undefined : outcome, error)
  }

  private failed(open: OpenCall, error: unknown): void {
    // Another server answers at that address now: whoever dials again will find out which.
    if (isOfNewerServer(error)) void this.close()
    try {
      const asks = asksOfRefusal(open.call, error, this.ownership)
      open.finish(asks, asks ? error : (unmet(open, toMcpError(error), this.lacking) ?? error))
    } catch (refusal) {
      open.finish(undefined, refusal)
    }
  }

  private logged(params: JsonObject, relatedTo: RequestId | undefined): void {
    const readers = readersOf({ calls: this.calls, watchers: this.interests.watchers }, relatedTo, this.ownership.related(params))
    if ('may' in readers) return this.interests.tell({ kind: 'log', params }, readers.may)
    if (readers.open.log(params)) return
    // A list is nobody's secret, and those who fetch lists for everybody read no logs.
    if (readers.open.first.method.endsWith('/list')) this.interests.tell({ kind: 'log', params })
  }

  private tellOwner(method: string, params: JsonObject | undefined, clientId: string | undefined): void {
    const change = { kind: 'other', method, params } as const
    this.interests.tell(change, clientId === undefined ? undefined : ({ id }) => id === clientId)
  }

  private rootsChanged(): void {
    const { client, abilities } = this.options
    const told = client?.capabilities ?? abilities
    if (told && !isObject(told['roots'])) return
    this.peer.notify('notifications/roots/list_changed', undefined, { headers: this.headers })
  }
}
