import type { Backend, Call, Change, Description, Granted, Interest, JsonObject, Outcome, Watcher } from '../../../../src/gateway/contract.ts'
import { silent } from '../../../../src/gateway/log.ts'
import type { Channel, Message, RequestId } from '../../../../src/transports/channel.ts'
import type { McpError } from '../../../../src/gateway/errors.ts'
import type { ServeOptions } from '../../../../src/eras/options.ts'

export const version = '2026-07-28'
export const key = {
  version: 'io.modelcontextprotocol/protocolVersion',
  client: 'io.modelcontextprotocol/clientInfo',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  logLevel: 'io.modelcontextprotocol/logLevel',
  server: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
} as const

/** The per-request fields of a client with these capabilities. */
export const meta = (capabilities: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
  [key.version]: version,
  [key.client]: { name: 'tester', version: '1' },
  [key.capabilities]: capabilities,
  ...more,
})

/** One end of a channel, spoken by hand. */
export class Wire {
  readonly received: Message[] = []
  readonly channel: Channel
  closed = false
  /** Answers requests as they come; undefined = leaves them open. */
  onRequest: ((message: Message) => JsonObject | { error: JsonObject } | undefined | void) | undefined
  private waiting: { match: (message: Message) => boolean; found: (message: Message) => void }[] = []
  private ids = 0

  constructor(channel: Channel) {
    this.channel = channel
    channel.open({
      message: message => this.take(message),
      closed: (_reason: McpError | undefined) => {
        this.closed = true
      },
    })
  }

  private take(message: Message): void {
    this.received.push(message)
    const hits = this.waiting.filter(({ match }) => match(message))
    this.waiting = this.waiting.filter(each => !hits.includes(each))
    for (const { found } of hits) found(message)
    if (message.method === undefined || message.id === undefined) return
    const answer = this.onRequest?.(message)
    if (!answer) return
    if ('error' in answer) this.send({ id: message.id as RequestId, error: answer['error'] as { code: number; message: string } })
    else this.send({ id: message.id as RequestId, result: answer })
  }

  send(message: Omit<Message, 'jsonrpc'>): void {
    this.channel.send({ jsonrpc: '2.0', ...message } as Message)
  }

  /** The next message that fits, or one that came already. */
  next(match: (message: Message) => boolean): Promise<Message> {
    const there = this.received.find(match)
    if (there) return Promise.resolve(there)
    return new Promise(found => this.waiting.push({ match, found }))
  }

  /** Sends a request and resolves with the answer to it. */
  ask(method: string, params?: JsonObject, id: RequestId = `r${++this.ids}`): Promise<Message> {
    this.send({ id, method, ...(params ? { params } : {}) })
    return this.next(message => message.method === undefined && message.id === id)
  }

  of(method: string): Message[] {
    return this.received.filter(message => message.method === method)
  }
}

/** Lets everything that is on its way arrive. */
export const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
}

export interface Ear {
  readonly watcher: Watcher
  interest: Interest
  open: boolean
  tell(change: Change): void
}

/** A gateway whose answers the test gives. */
export class FakeGateway implements Backend {
  readonly name = 'gateway'
  readonly calls: Call[] = []
  readonly notified: { method: string; params: JsonObject | undefined }[] = []
  readonly ears: Ear[] = []
  description: Description = {
    info: { name: 'gw', version: '9' },
    capabilities: { tools: {} },
    instructions: undefined,
    era: undefined,
    revision: undefined,
  }
  answer: (call: Call) => Outcome | Promise<Outcome> = () => ({ kind: 'complete', result: {} })
  grant: (interest: Interest) => Granted | Promise<Granted> = interest => ({
    lists: interest.lists,
    resources: interest.resources,
    refused: new Map(),
    extra: interest.extra,
  })

  handle = async (call: Call): Promise<Outcome> => {
    this.calls.push(call)
    return this.answer(call)
  }
  describe = async (): Promise<Description> => this.description
  watch(watcher: Watcher) {
    const ear: Ear = { watcher, interest: watcher.interest, open: true, tell: change => watcher.change(change) }
    this.ears.push(ear)
    return {
      granted: Promise.resolve(this.grant(watcher.interest)),
      update: async (interest: Interest) => this.grant((ear.interest = interest)),
      close: () => void (ear.open = false),
    }
  }
  notify(method: string, params: JsonObject | undefined): void {
    this.notified.push({ method, params })
  }
  async close(): Promise<void> {}
}

export const serveOptions = (gateway: Backend, more: Partial<ServeOptions> = {}): ServeOptions => ({
  gateway,
  principal: 'local',
  log: silent,
  sealKey: Buffer.alloc(32, 7),
  nameAsker: false,
  asks: { rounds: 10, waitMs: 60_000, parked: 16 },
  ...more,
})
