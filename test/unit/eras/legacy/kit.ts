/** Scripted peers on in-memory channels: a legacy server for the backend side, a legacy client for the client side. */
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import type {
  Backend, Call, Change, ClientProfile, Granted, Interest, JsonObject, Outcome, Watch, Watcher,
} from '../../../../src/gateway/contract.ts'
import { silent } from '../../../../src/gateway/log.ts'
import { openLegacyConnection } from '../../../../src/eras/legacy/backend-side.ts'
import { openLegacyFront } from '../../../../src/eras/legacy/client-side.ts'
import type { ConnectOptions, Front, Link, ServeOptions } from '../../../../src/eras/options.ts'
import { Peer, type PeerHandlers } from '../../../../src/eras/peer.ts'
import { memoryPair, type Channel, type Message, type Receiver, type RequestId } from '../../../../src/transports/channel.ts'

type Reply = JsonObject | { error: { code: number; message: string; data?: unknown } } | undefined

/** One raw end of a channel: keeps what it got, answers by script, says what it is told to. */
export class Raw {
  readonly got: Message[] = []
  readonly channel: Channel
  closed = false
  private readonly script = new Map<string, (message: Message) => Reply>()
  private readonly answers = new Map<RequestId, (message: Message) => void>()
  private readonly waiting = new Set<() => void>()
  private nextId = 1000

  constructor(channel: Channel) {
    this.channel = channel
    channel.open({ message: message => this.receive(message), closed: () => (this.closed = true) })
  }

  /** Answers `method` with what `reply` returns; undefined = not yet. */
  on(method: string, reply: (message: Message) => Reply): this {
    this.script.set(method, reply)
    return this
  }
  say(method: string, params?: JsonObject): void {
    this.channel.send(params ? { jsonrpc: '2.0', method, params } : { jsonrpc: '2.0', method })
  }
  answer(id: RequestId | null | undefined, reply: NonNullable<Reply>): void {
    const message: Message = { jsonrpc: '2.0', id: id as RequestId }
    if ('error' in reply) message.error = reply.error as NonNullable<Message['error']>
    else message.result = reply
    this.channel.send(message)
  }
  /** Sends a request; resolves with the whole answer message. */
  ask(method: string, params?: JsonObject, id: RequestId = ++this.nextId): Promise<Message> {
    return new Promise(resolve => {
      this.answers.set(id, resolve)
      this.channel.send(params ? { jsonrpc: '2.0', id, method, params } : { jsonrpc: '2.0', id, method })
    })
  }
  all(method: string): Message[] {
    return this.got.filter(message => message.method === method)
  }
  /** The `count`-th message of this method, once it is there. */
  async next(method: string, count = 1): Promise<Message> {
    while (this.all(method).length < count)
      await new Promise<void>(resolve => {
        const go = (): void => {
          this.waiting.delete(go)
          resolve()
        }
        this.waiting.add(go)
      })
    return this.all(method)[count - 1] as Message
  }
  private receive(message: Message): void {
    this.got.push(message)
    for (const go of [...this.waiting]) go()
    if (message.method === undefined) return this.answers.get(message.id as RequestId)?.(message)
    if (message.id === undefined) return
    const reply = this.script.get(message.method)?.(message)
    if (reply) this.answer(message.id, reply)
  }
}

export const quiet = (ms = 20): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export const limits = { rounds: 4, waitMs: 500, parked: 3 }

export const legacyClient = (over: Partial<ClientProfile> = {}): ClientProfile => ({
  id: 'ada',
  principal: 'local',
  info: { name: 'host', version: '1' },
  capabilities: { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} },
  revision: '2025-11-25',
  logLevel: undefined,
  ...over,
})
export const modernClient = (over: Partial<ClientProfile> = {}): ClientProfile =>
  legacyClient({ id: 'mod', revision: '2026-07-28', ...over })

export function callOf(method: string, params: JsonObject = {}, over: Partial<Call> = {}): Call & { source: CancelSource } {
  const source = new CancelSource()
  return { method, params, client: modernClient(), cancellation: source, ...over, source }
}
export const toolCall = (name = 'greet', over: Partial<Call> = {}) => callOf('tools/call', { name, arguments: {} }, over)

export const everything: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  logging: {},
}

export function link(channel: Channel): Link {
  let handlers: PeerHandlers | undefined
  const peer = new Peer(channel, {
    request: incoming => handlers?.request(incoming),
    notification: (...told) => handlers?.notification(...told),
    closed: reason => handlers?.closed(reason),
    stray: (...what) => handlers?.stray?.(...what),
  })
  return { channel, peer, attach: given => (handlers = given) }
}

export const connectOptions = (over: Partial<ConnectOptions> = {}): ConnectOptions => ({
  name: 'files',
  dial: () => Promise.reject(new Error('not used')),
  log: silent,
  self: { name: 'mcp-proxy', version: '0' },
  timeouts: { probe: 100, start: 200, call: 1000 },
  asks: limits,
  ...over,
})

/** A scripted server and our connection to it. */
export async function connected(options: Partial<ConnectOptions> = {}, capabilities = everything, revision = '2025-11-25') {
  const [ours, theirs] = memoryPair()
  let receiver: Receiver
  const open = ours.open.bind(ours)
  ours.open = given => open((receiver = given))
  const server = new Raw(theirs).on('initialize', () => ({
    protocolVersion: revision,
    capabilities,
    serverInfo: { name: 'srv', version: '1', vendor: true },
    instructions: 'be kind',
  }))
  const connection = await openLegacyConnection(link(ours), connectOptions(options))
  await server.next('notifications/initialized')
  /** What the server says on the stream of our request `relatedTo`, as over HTTP. */
  const onStream = (relatedTo: Message['id'], message: Omit<Message, 'jsonrpc'>): void =>
    receiver.message({ jsonrpc: '2.0', ...message }, relatedTo as RequestId)
  return { server, connection, onStream }
}

export class FakeWatcher implements Watcher {
  readonly heard: Change[] = []
  readonly asked: { method: string; params: unknown; from: string | undefined }[] = []
  readonly client: ClientProfile
  readonly interest: Interest
  ask?: NonNullable<Watcher['ask']>

  constructor(client: ClientProfile, interest: Partial<Interest> = {}, answer?: (method: string) => Promise<JsonObject>) {
    this.client = client
    this.interest = interestOf(interest)
    if (answer)
      this.ask = ({ method, params, from }) => {
        this.asked.push({ method, params, from })
        return answer(method)
      }
  }
  change(change: Change): void {
    this.heard.push(change)
  }
}

export const interestOf = (over: Partial<Interest> = {}): Interest => ({
  lists: ['tools', 'prompts', 'resources'],
  resources: [],
  logLevel: undefined,
  roots: undefined,
  ...over,
})

/** A gateway that answers by function and keeps what it got. */
export class FakeGateway implements Backend {
  readonly name = 'gateway'
  readonly calls: Call[] = []
  readonly notices: { method: string; params: JsonObject | undefined; client: ClientProfile }[] = []
  readonly interests: Interest[] = []
  watcher: Watcher | undefined
  watchClosed = 0
  capabilities: JsonObject = { tools: {}, resources: { subscribe: true }, completions: {}, tasks: { list: {} }, logging: {} }
  refuse = new Map<string, Error>()
  answer: (call: Call) => Outcome | Promise<Outcome> = () => ({ kind: 'complete', result: {} })

  readonly handle = async (call: Call): Promise<Outcome> => {
    this.calls.push(call)
    return this.answer(call)
  }
  async describe() {
    return {
      info: { name: 'mcp-proxy', version: '9', title: 'Proxy' },
      capabilities: this.capabilities,
      instructions: 'two servers',
      era: undefined,
      revision: undefined,
    }
  }
  watch(watcher: Watcher): Watch {
    this.watcher = watcher
    const grant = async (interest: Interest): Promise<Granted> => {
      this.interests.push(interest)
      return { lists: interest.lists, resources: interest.resources.filter(uri => !this.refuse.has(uri)), refused: this.refuse }
    }
    return { granted: grant(watcher.interest), update: grant, close: () => void this.watchClosed++ }
  }
  notify(method: string, params: JsonObject | undefined, client: ClientProfile): void {
    this.notices.push({ method, params, client })
  }
  async close(): Promise<void> {}
}

export function served(gateway: Backend = new FakeGateway(), options: Partial<ServeOptions> = {}) {
  const [ours, theirs] = memoryPair()
  const given: ServeOptions = {
    gateway,
    principal: 'local',
    log: silent,
    sealKey: Buffer.alloc(32),
    nameAsker: false,
    asks: limits,
    ...options,
  }
  let front: Front
  const peer = new Peer(ours, {
    request: incoming => front.request(incoming),
    notification: (method, params) => front.notification(method, params),
    closed: () => front.closed(),
  })
  front = openLegacyFront(peer, given, 'ada')
  return { client: new Raw(theirs), gateway: gateway as FakeGateway, peer }
}

export async function opened(
  revision = '2025-11-25',
  capabilities: JsonObject = { elicitation: { form: {}, url: {} }, sampling: {} },
  gateway: Backend = new FakeGateway(),
  options: Partial<ServeOptions> = {},
) {
  const setting = served(gateway, options)
  const answer = await setting.client.ask('initialize', {
    protocolVersion: revision,
    capabilities,
    clientInfo: { name: 'host', version: '1', vendor: 'x' },
  })
  setting.client.say('notifications/initialized')
  await quiet(2)
  return { ...setting, answer }
}
