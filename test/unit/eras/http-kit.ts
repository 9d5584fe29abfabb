/** An HTTP front without HTTP: exchanges that record their answers, in front of a backend of a few lines. */
import type { Backend, Call, JsonObject, Outcome, Watcher } from '../../../src/gateway/contract.ts'
import { silent } from '../../../src/gateway/log.ts'
import { openHttp } from '../../../src/eras/http.ts'
import type { HttpOptions } from '../../../src/eras/options.ts'
import type { Message } from '../../../src/transports/channel.ts'
import type { Content, EventOptions, EventStream, Exchange, HeaderFields } from '../../../src/transports/exchange.ts'
import { accepts } from '../../../src/transports/http-guard.ts'

export class FakeExchange implements Exchange, EventStream {
  readonly method: string
  readonly principal: string
  readonly query: string
  readonly content: Content | undefined
  onGone: (() => void) | undefined
  onQuiet: (() => void) | undefined
  status: number | undefined
  text = ''
  fields: HeaderFields = {}
  readonly events: { data: string; id?: string | undefined }[] = []
  open = false
  private readonly headers: Record<string, string>

  constructor(method: string, headers: Record<string, string>, body?: JsonObject | JsonObject[], more: { principal?: string; query?: string } = {}) {
    this.method = method
    this.headers = { accept: 'application/json, text/event-stream', ...headers }
    this.principal = more.principal ?? 'ann'
    this.query = more.query ?? ''
    this.content = body === undefined ? undefined
      : Array.isArray(body) ? { kind: 'batch', messages: body as unknown as Message[], rest: [] } : { kind: 'message', message: body as unknown as Message }
  }
  header(name: string): string | undefined {
    return this.headers[name]
  }
  accepts(type: string): boolean {
    return accepts(this.headers['accept'], type)
  }
  json(status: number, text: string, fields: HeaderFields = {}): void {
    if (this.status !== undefined) return
    Object.assign(this, { status, text, fields })
  }
  empty(status: number, fields?: HeaderFields): void {
    this.json(status, '', fields)
  }
  stream(fields: HeaderFields = {}): EventStream {
    if (this.status === undefined) Object.assign(this, { status: 200, fields, open: true })
    return this
  }
  send(data: string, { id }: EventOptions = {}): boolean {
    if (this.open) this.events.push({ data, id })
    return this.open
  }
  end(): void {
    this.open = false
  }
  /** The client goes away. */
  leave(): void {
    this.open = false
    this.onGone?.()
  }
  get messages(): JsonObject[] {
    return this.text === '' ? this.events.filter(({ data }) => data !== '').map(({ data }) => JSON.parse(data) as JsonObject) : [JSON.parse(this.text) as JsonObject].flat()
  }
}

/** Calls wait until they are answered by `finish`, which takes the name they were made under. */
export function createFront(options: Partial<HttpOptions> = {}) {
  const calls = new Map<string, { call: Call; resolve: (outcome: Outcome) => void }>()
  const watchers = new Set<Watcher>()
  const gateway: Backend = {
    name: 'gateway',
    handle: call => call.method !== 'tools/call'
      ? Promise.resolve({ kind: 'complete', result: {} })
      : new Promise(resolve => calls.set(String(call.params['name']), { call, resolve })),
    describe: async () => ({ info: { name: 'g', version: '1' }, capabilities: { tools: {} }, instructions: undefined, era: undefined, revision: undefined }),
    watch: watcher => {
      watchers.add(watcher)
      const granted = { lists: watcher.interest.lists, resources: watcher.interest.resources, refused: new Map() }
      return { granted: Promise.resolve(granted), update: async () => granted, close: () => void watchers.delete(watcher) }
    },
    notify() {},
    close: async () => {},
  }
  const front = openHttp({
    serve: principal => ({ gateway, principal, log: silent, sealKey: Buffer.alloc(32), nameAsker: false, asks: { rounds: 8, waitMs: 1000, parked: 8 } }),
    tool: () => undefined,
    messagesPath: '/messages',
    log: silent,
    ...options,
  })
  const send = (exchange: FakeExchange): FakeExchange => {
    front.endpoint(exchange)
    return exchange
  }
  return {
    front, calls, watchers, send,
    post: (body: JsonObject | JsonObject[], headers: Record<string, string> = {}, principal?: string) =>
      send(new FakeExchange('POST', headers, body, principal === undefined ? {} : { principal })),
    get: (headers: Record<string, string>, principal?: string) => send(new FakeExchange('GET', headers, undefined, principal === undefined ? {} : { principal })),
    remove: (headers: Record<string, string>, principal?: string) => send(new FakeExchange('DELETE', headers, undefined, principal === undefined ? {} : { principal })),
    finish: (name: string, text = name) => calls.get(name)?.resolve({ kind: 'complete', result: { content: [{ type: 'text', text }] } }),
    async begin(principal?: string, revision = '2025-11-25') {
      const opening = this.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: revision, capabilities: {} } }, {}, principal)
      await settle()
      const headers = { 'mcp-session-id': opening.fields['mcp-session-id'] as string }
      this.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers, principal)
      return headers
    },
  }
}

export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
export const toolCall = (name: string, id: string | number = 1, meta: JsonObject = {}): JsonObject => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {}, _meta: meta } })
