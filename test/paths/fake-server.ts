/**
 * A server of any revision, built fluently and spoken to over a channel in memory. One handler serves both eras: where a
 * legacy server asks and waits, a modern one answers `input_required` and is called again.
 */
import { memoryPair, type Channel, type Message } from '../../src/transports/channel.ts'

export type Fields = { [key: string]: unknown }
export type Revision = (typeof revisions)[number]
export const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const
export const isModern = (revision: string): boolean => revision >= '2026'
const meta = (key: string): string => `io.modelcontextprotocol/${key}`

export interface Turn {
  readonly params: Fields
  /** The whole request as it came. */
  readonly message: Message
  /** Puts a request to the client and waits for its answer. */
  ask(method: string, params: Fields): Promise<Fields>
  progress(value: number, rest?: Fields): void
  log(level: string, data: unknown): void
  /** Settles when the client has cancelled this request. */
  readonly cancelled: Promise<void>
}

export type Work = (turn: Turn) => unknown
class NeedsInput extends Error {
  readonly key: string
  readonly ask: Fields
  constructor(key: string, ask: Fields) {
    super(key)
    this.key = key
    this.ask = ask
  }
}
/** Thrown by a handler to answer with a JSON-RPC error as it stands. */
export class Refusal extends Error {
  readonly error: Fields
  constructor(error: Fields) {
    super(String(error['message']))
    this.error = error
  }
}

export class FakeServer {
  /** Every message that arrived, in order. */
  readonly heard: Message[] = []
  private readonly revision: Revision
  private readonly work = new Map<string, Work>()
  private readonly lists: Record<string, Fields[]> = { tools: [], prompts: [], resources: [], resourceTemplates: [] }
  private capabilities: Fields = {
    tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, logging: {}, completions: {},
  }
  private channel: Channel | undefined
  private readonly cancels = new Map<unknown, () => void>()
  private readonly waiting = new Map<unknown, { resolve(result: Fields): void; reject(error: Error): void }>()
  private readonly listens = new Map<unknown, Fields>()
  private readonly states = new Map<string, Fields>()
  private ids = 0

  constructor(revision: Revision) {
    this.revision = revision
  }

  tool(name: string, work: Work, rest: Fields = {}): this {
    this.lists['tools']!.push({ name, inputSchema: { type: 'object' }, ...rest })
    return this.on(`tools/call ${name}`, work)
  }
  prompt(name: string, work: Work): this {
    this.lists['prompts']!.push({ name })
    return this.on(`prompts/get ${name}`, work)
  }
  resource(uri: string, work: Work): this {
    this.lists['resources']!.push({ uri, name: uri })
    return this.on(`resources/read ${uri}`, work)
  }
  template(uriTemplate: string): this {
    this.lists['resourceTemplates']!.push({ uriTemplate, name: uriTemplate })
    return this
  }
  on(method: string, work: Work): this {
    this.work.set(method, work)
    return this
  }
  claims(capabilities: Fields): this {
    this.capabilities = { ...this.capabilities, ...capabilities }
    return this
  }
  /** Adds a tool while running and says so. */
  grow(name: string): void {
    this.tool(name, () => ({ content: [] }))
    this.announce('notifications/tools/list_changed', {}, filter => filter['toolsListChanged'] === true)
  }
  updated(uri: string): void {
    const subscribed = (filter: Fields): boolean => ((filter['resourceSubscriptions'] as string[] | undefined) ?? []).includes(uri)
    this.announce('notifications/resources/updated', { uri }, subscribed)
  }
  say(method: string, params: Fields): void {
    this.announce(method, params, () => true)
  }
  of(method: string): Message[] {
    return this.heard.filter(message => message.method === method)
  }

  /** A fresh channel to this server. */
  dial(): Channel {
    const [mine, theirs] = memoryPair()
    this.channel = mine
    mine.open({ message: message => this.receive(message), closed: () => {} })
    return theirs
  }

  private announce(method: string, params: Fields, wanted: (filter: Fields) => boolean): void {
    if (!isModern(this.revision)) return this.channel!.send({ jsonrpc: '2.0', method, params })
    for (const [id, filter] of this.listens)
      if (wanted(filter)) this.channel!.send({ jsonrpc: '2.0', method, params: { ...params, _meta: { [meta('subscriptionId')]: id } } })
  }

  private receive(message: Message): void {
    this.heard.push(message)
    const { id, method, params } = message
    if (method === 'notifications/cancelled') {
      this.listens.delete(params?.['requestId'])
      return this.cancels.get(params?.['requestId'])?.()
    }
    if (method === undefined) {
      const asked = this.waiting.get(id)
      if (message.error) asked?.reject(new Error(message.error.message))
      else asked?.resolve(message.result ?? {})
      return
    }
    if (id === undefined || id === null) return
    void this.answer(message).then(
      result => result && this.channel!.send({ jsonrpc: '2.0', id, result: result as Fields }),
      (error: unknown) => {
        const refusal = error instanceof Refusal ? error.error : { code: -32603, message: String((error as Error).message) }
        this.channel!.send({ jsonrpc: '2.0', id, error: refusal as never })
      },
    )
  }

  private async answer(message: Message): Promise<unknown> {
    const method = message.method as string
    const params = message.params ?? {}
    const modern = isModern(this.revision)
    if (modern && (params['_meta'] as Fields | undefined)?.[meta('protocolVersion')] === undefined)
      throw new Refusal({ code: -32602, message: 'no envelope' })
    const own = { name: 'fake', version: '1' }
    switch (method) {
      case 'initialize':
        if (modern) break
        return { protocolVersion: this.revision, capabilities: this.capabilities, serverInfo: own }
      case 'server/discover':
        if (!modern) break
        return this.complete({ supportedVersions: [this.revision], capabilities: this.capabilities, ttlMs: 0, cacheScope: 'private', _meta: { [meta('serverInfo')]: own } })
      case 'subscriptions/listen': {
        if (!modern) break
        this.listens.set(message.id, params['notifications'] as Fields)
        this.channel!.send({
          jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged',
          params: { notifications: params['notifications'], _meta: { [meta('subscriptionId')]: message.id } },
        })
        return undefined
      }
      case 'ping':
      case 'logging/setLevel':
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        if (modern) break
        return {}
      case 'tools/list':
      case 'prompts/list':
      case 'resources/list':
      case 'resources/templates/list': {
        const key = method === 'resources/templates/list' ? 'resourceTemplates' : method.split('/')[0]!
        // Two items a page, so that whoever does not drain the pages loses some.
        const from = Number(params['cursor'] ?? 0)
        const items = this.lists[key]!
        const page = { [key]: items.slice(from, from + 2), ...(from + 2 < items.length ? { nextCursor: String(from + 2) } : {}) }
        return this.complete(modern ? { ...page, ttlMs: 5000, cacheScope: 'private' } : page)
      }
    }
    const work = this.work.get(`${method} ${String(params['name'] ?? params['uri'] ?? '')}`) ?? this.work.get(method)
    if (!work) throw new Refusal({ code: -32601, message: `no such method: ${method}` })
    return this.perform(message, params, work)
  }

  private async perform(message: Message, params: Fields, work: Work): Promise<unknown> {
    const modern = isModern(this.revision)
    const token = (params['_meta'] as Fields | undefined)?.['progressToken']
    const level = (params['_meta'] as Fields | undefined)?.[meta('logLevel')]
    const given = { ...this.states.get(String(params['requestState'])), ...(params['inputResponses'] as Fields | undefined) }
    let asks = 0
    const cancelled = new Promise<void>(resolve => this.cancels.set(message.id, resolve))
    const turn: Turn = {
      params, message, cancelled,
      ask: async (method, body) => {
        if (modern) {
          const key = `ask-${++asks}`
          if (given[key]) return given[key] as Fields
          throw new NeedsInput(key, { method, params: body })
        }
        const id = `s${++this.ids}`
        const answer = new Promise<Fields>((resolve, reject) => this.waiting.set(id, { resolve, reject }))
        this.channel!.send({ jsonrpc: '2.0', id, method, params: body })
        return answer
      },
      progress: (value, rest = {}) => {
        if (token !== undefined) this.channel!.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: value, ...rest } })
      },
      log: (severity, data) => {
        if (!modern || level !== undefined) this.channel!.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: severity, data } })
      },
    }
    try {
      return this.complete(await work(turn) as Fields)
    } catch (thrown) {
      if (!(thrown instanceof NeedsInput)) throw thrown
      const state = `state-${++this.ids}`
      this.states.set(state, given)
      return { resultType: 'input_required', inputRequests: { [thrown.key]: thrown.ask }, requestState: state }
    }
  }

  private complete(result: Fields): Fields {
    return isModern(this.revision) ? { resultType: 'complete', ...result } : result
  }
}
