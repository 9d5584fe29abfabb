/** A client of any revision over a channel in memory: answers what it is asked, and remembers everything it hears. */
import { memoryPair, type Channel, type Message } from '../../src/transports/channel.ts'
import { isModern, type Fields, type Revision } from './fake-server.ts'

const meta = (key: string): string => `io.modelcontextprotocol/${key}`
const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } }

export class FakeClient {
  readonly heard: Message[] = []
  /** What it answers, by method. */
  readonly answers = new Map<string, (params: Fields) => Fields | Promise<Fields>>()
  readonly revision: Revision
  private readonly channel: Channel
  private readonly pending = new Map<unknown, (message: Message) => void>()
  private ids = 0
  private level: string | undefined

  constructor(revision: Revision) {
    const [mine, theirs] = memoryPair()
    this.revision = revision
    this.channel = mine
    this.other = theirs
    mine.open({ message: message => this.receive(message), closed: () => {} })
  }
  /** The gateway's end. */
  readonly other: Channel

  get modern(): boolean {
    return isModern(this.revision)
  }

  async open(): Promise<Fields> {
    if (this.modern) return this.request('server/discover')
    const result = await this.request('initialize', { protocolVersion: this.revision, capabilities, clientInfo: { name: 'fake', version: '1' } })
    this.notify('notifications/initialized')
    return result
  }

  /** Sends a request and answers in rounds until it is complete. Rejects with the JSON-RPC error object. */
  async call(method: string, params: Fields = {}): Promise<Fields> {
    let more: Fields = {}
    for (let round = 0; round < 10; round++) {
      const result = await this.request(method, { ...params, ...more })
      if (result['resultType'] !== 'input_required') return result
      const inputResponses: Fields = {}
      for (const [key, ask] of Object.entries((result['inputRequests'] ?? {}) as Record<string, { method: string; params: Fields }>))
        inputResponses[key] = await this.answer(ask.method, ask.params)
      more = { inputResponses, ...('requestState' in result ? { requestState: result['requestState'] } : {}) }
    }
    throw new Error('too many rounds')
  }

  async request(method: string, params: Fields = {}, id: string | number = ++this.ids): Promise<Fields> {
    const answer = new Promise<Message>(resolve => this.pending.set(id, resolve))
    this.channel.send({ jsonrpc: '2.0', id, method, params: this.dressed(params) })
    const message = await answer
    if (message.error) throw message.error
    return message.result as Fields
  }

  send(message: Message): void {
    this.channel.send(message)
  }
  notify(method: string, params?: Fields): void {
    this.channel.send({ jsonrpc: '2.0', method, ...(params ? { params } : {}) })
  }
  lastId(): number {
    return this.ids
  }

  /** Asks for log lines the way its era does. */
  async logging(level: string): Promise<void> {
    if (this.modern) this.level = level
    else await this.request('logging/setLevel', { level })
  }

  /** Asks for news the way its era does. Resolves when they are honoured. */
  async listen(uri: string): Promise<void> {
    if (!this.modern) return void (await this.request('resources/subscribe', { uri }))
    const id = ++this.ids
    this.channel.send({
      jsonrpc: '2.0', id, method: 'subscriptions/listen',
      params: this.dressed({ notifications: { toolsListChanged: true, resourceSubscriptions: [uri] } }),
    })
    await this.hears('notifications/subscriptions/acknowledged')
  }

  /** The first notification of a method, now or later. */
  async hears(method: string, count = 1): Promise<Message> {
    for (let i = 0; i < 400; i++) {
      const found = this.heard.filter(message => message.method === method)
      if (found.length >= count) return found[count - 1] as Message
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    throw new Error(`${this.revision} client never heard ${method}`)
  }

  close(): Promise<void> {
    return this.channel.close()
  }

  private dressed(params: Fields): Fields {
    if (!this.modern) return params
    return {
      ...params,
      _meta: {
        [meta('protocolVersion')]: this.revision, [meta('clientCapabilities')]: capabilities, [meta('clientInfo')]: { name: 'fake', version: '1' },
        ...(this.level ? { [meta('logLevel')]: this.level } : {}), ...(params['_meta'] as Fields | undefined),
      },
    }
  }

  private async answer(method: string, params: Fields): Promise<Fields> {
    const answer = this.answers.get(method)
    if (!answer) throw new Error(`nobody answers ${method}`)
    return answer(params)
  }

  private receive(message: Message): void {
    this.heard.push(message)
    if (message.method === undefined) return this.pending.get(message.id)?.(message)
    if (message.id === undefined || message.id === null) return
    const { id } = message
    void this.answer(message.method, message.params ?? {}).then(
      result => this.channel.send({ jsonrpc: '2.0', id, result }),
      (error: Error) => this.channel.send({ jsonrpc: '2.0', id, error: { code: -1, message: error.message } }),
    )
  }
}
