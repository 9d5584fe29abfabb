import { describe, expect, it } from 'vitest'
import { ChannelLink } from '../../../../src/eras/link.ts'
import { openModernConnection } from '../../../../src/eras/modern/backend-side.ts'
import type { ConnectOptions } from '../../../../src/eras/options.ts'
import { CancelSource, never } from '../../../../src/gateway/cancellation.ts'
import type { Call, ClientProfile, Connection, JsonObject } from '../../../../src/gateway/contract.ts'
import { silent } from '../../../../src/gateway/log.ts'
import { memoryPair, type Channel, type Message, type SendOptions } from '../../../../src/transports/channel.ts'
import { key, quiet, version, Wire } from './rig.ts'

const self = { name: 'mcp-proxy', version: '0' }
const options = (more: Partial<ConnectOptions> = {}): ConnectOptions => ({
  name: 'files',
  dial: () => Promise.reject(new Error('not here')),
  log: silent,
  self,
  timeouts: { probe: 50, start: 500, call: 1000 },
  asks: { rounds: 3, waitMs: 1000, parked: 4 },
  ...more,
})
const profile = (more: Partial<ClientProfile> = {}): ClientProfile => ({
  id: 'c1', principal: 'local', info: { name: 'tester', version: '1', icons: [] }, capabilities: {}, revision: version, logLevel: undefined, ...more,
})
const call = (method: string, params: JsonObject = {}, more: Partial<Call> = {}): Call => ({ method, params, client: profile(), cancellation: never, ...more })

interface Rig {
  server: Wire
  connection: Connection
  sent: { message: Message; options: SendOptions | undefined }[]
}

function open(more: Partial<ConnectOptions> = {}, discovered: JsonObject = {}, wantsHeaders = false): Rig {
  const [ours, theirs] = memoryPair()
  const sent: Rig['sent'] = []
  const channel: Channel = Object.assign(Object.create(ours) as Channel, {
    wantsHeaders,
    send: (message: Message, sendOptions?: SendOptions) => {
      sent.push({ message, options: sendOptions })
      ours.send(message, sendOptions)
    },
    open: ours.open.bind(ours),
    close: ours.close.bind(ours),
  })
  const server = new Wire(theirs)
  const answer = { supportedVersions: [version], capabilities: { tools: {} }, ...discovered }
  return { server, connection: openModernConnection(new ChannelLink(channel), options(more), answer, version), sent }
}

const result = (server: Wire, answer: JsonObject | ((message: Message) => JsonObject)) =>
  (server.onRequest = message => (typeof answer === 'function' ? answer(message) : answer))
const failure = (promise: Promise<unknown>) => promise.then(() => expect.unreachable(), error => error)

describe('what the server says of itself', () => {
  it('is described, unknown capabilities included', async () => {
    const discovered = {
      capabilities: { tools: {}, extensions: { 'acme/x': {} }, vendor: 1 },
      instructions: 'read me',
      _meta: { [key.server]: { name: 'srv', version: '2', title: 'T' } },
    }
    expect(await open({}, discovered).connection.describe()).toEqual({
      info: { name: 'srv', version: '2', title: 'T' },
      capabilities: discovered.capabilities,
      instructions: 'read me',
      era: 'modern',
      revision: version,
    })
  })

  it('may stand where earlier drafts had it, or nowhere', async () => {
    expect((await open({}, { serverInfo: { name: 'old' } }).connection.describe()).info).toEqual({ name: 'old' })
    expect((await open().connection.describe()).info).toBeUndefined()
  })
})

describe('a call', () => {
  it('carries the per-request fields of its client beside all that travels', async () => {
    const { server, connection } = open()
    result(server, {})
    const capabilities = {
      sampling: { tools: {} }, elicitation: { url: {} }, roots: { listChanged: true, vendor: 1 }, tasks: { requests: {} },
      extensions: { 'acme/x': { y: 1 } }, experimental: { z: {} },
    }
    const client = profile({ capabilities, logLevel: 'warning', revision: '2025-11-25' })
    const params = { name: 'a', arguments: { x: 1 }, vendor: [1], _meta: { traceparent: '00-1', 'acme/y': 2 } }
    await connection.handle(call('tools/call', params, { client, extra: { topLevel: true } }))
    const { tasks: _tasks, ...told } = capabilities
    expect(server.received[0]).toEqual({
      jsonrpc: '2.0',
      id: expect.any(Number),
      method: 'tools/call',
      topLevel: true,
      params: {
        ...params,
        _meta: {
          ...params._meta,
          [key.version]: version,
          [key.client]: client.info,
          [key.capabilities]: { ...told, roots: { vendor: 1 } },
          [key.logLevel]: 'warning',
        },
      },
    })
    expect(params).toEqual({ name: 'a', arguments: { x: 1 }, vendor: [1], _meta: { traceparent: '00-1', 'acme/y': 2 } })
  })

  it('is made in our name for a client that has none', async () => {
    const { server, connection } = open()
    result(server, {})
    await connection.handle(call('tools/list', {}, { client: profile({ info: undefined }) }))
    expect(server.received[0]?.params?.['_meta']).toEqual({ [key.version]: version, [key.client]: self, [key.capabilities]: {} })
  })

  it('brings answers and state back to the byte, and no state where there was none', async () => {
    const { server, connection } = open()
    result(server, {})
    const inputResponses = { who: { action: 'accept', content: {} } }
    await connection.handle(call('tools/call', { name: 'a' }, { inputResponses, requestState: '{"x": 1}' }))
    await connection.handle(call('tools/call', { name: 'a' }, { inputResponses }))
    expect(server.received[0]?.params).toMatchObject({ name: 'a', inputResponses, requestState: '{"x": 1}' })
    expect(server.received[1]?.params).not.toHaveProperty('requestState')
    expect(server.received[1]?.id).not.toBe(server.received[0]?.id)
  })

  it('asks for progress with a token of this hop and hears it without', async () => {
    const { server, connection } = open()
    const heard: JsonObject[] = []
    server.onRequest = ({ params }) => {
      const token = (params?.['_meta'] as JsonObject)['progressToken']
      server.send({ method: 'notifications/progress', params: { progressToken: token, progress: 1, vendor: 2 } })
      return {}
    }
    await connection.handle(call('tools/call', {}, { progress: params => heard.push(params) }))
    expect(heard).toEqual([{ progress: 1, vendor: 2 }])
  })

  it('is cancelled at the server', async () => {
    const { server, connection } = open()
    const cancellation = new CancelSource()
    const pending = failure(connection.handle(call('tools/call', {}, { cancellation })))
    await quiet()
    cancellation.cancel('enough')
    expect(await pending).toMatchObject({ code: 'CANCELLED' })
    const { params } = await server.next(({ method }) => method === 'notifications/cancelled')
    expect(params).toEqual({ requestId: server.received[0]?.id, reason: 'enough' })
  })
})

describe('a result', () => {
  const outcome = async (answer: JsonObject, method = 'tools/call', client: Partial<ClientProfile> = {}) => {
    const { server, connection } = open()
    result(server, answer)
    return connection.handle(call(method, {}, { client: profile(client) }))
  }
  const all = { capabilities: { elicitation: {}, sampling: {}, roots: {} } }

  it('loses its kind and nothing else', async () => {
    const content = { content: [{ type: 'new' }], structuredContent: null, _meta: { [key.server]: { name: 's' } }, vendor: 1 }
    expect(await outcome({ ...content, resultType: 'complete' })).toEqual({ kind: 'complete', result: content })
    expect(await outcome(content)).toEqual({ kind: 'complete', result: content })
  })

  it('keeps unknown keys beside it', async () => {
    const { server, connection } = open()
    const pending = connection.handle(call('tools/call'))
    await quiet()
    server.send({ id: server.received[0]?.id as number, result: {}, upper: { a: 1 } })
    expect(await pending).toEqual({ kind: 'complete', result: {}, extra: { upper: { a: 1 } } })
  })

  it.each([
    [{ ttlMs: 500, cacheScope: 'public' }, { ttlMs: 500, scope: 'public' }],
    [{ ttlMs: 500 }, { ttlMs: 500, scope: 'private' }],
    [{ ttlMs: -1, cacheScope: 'everyone' }, { ttlMs: 0, scope: 'private' }],
    [{ ttlMs: 'x', cacheScope: 'public' }, { ttlMs: 0, scope: 'public' }],
    [{}, undefined],
  ])('with the hints %j is fresh for %j', async (hints, freshness) => {
    const told = await outcome({ resources: [], resultType: 'complete', ...hints }, 'resources/list')
    expect(told).toEqual({ kind: 'complete', result: { resources: [] }, ...(freshness ? { freshness } : {}) })
  })

  it('keeps fields named like hints where they are none', async () => {
    expect(await outcome({ taskId: 't', ttlMs: 5, resultType: 'complete' }, 'tasks/get')).toEqual({ kind: 'complete', result: { taskId: 't', ttlMs: 5 } })
  })

  it('of an extension’s kind needs the extension', async () => {
    const tasks = { capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } }
    const created = { resultType: 'task', taskId: 't', ttlMs: null }
    expect(await outcome(created, 'tools/call', tasks)).toEqual({ kind: 'complete', variant: 'task', result: { taskId: 't', ttlMs: null } })
    expect(await failure(outcome(created))).toMatchObject({ code: 'BACKEND_PROTOCOL', details: { backend: 'files' } })
    expect(await failure(outcome({ resultType: 'acme' }))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(await failure(outcome({ resultType: 5 }, 'tools/call', tasks))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(await outcome({ resultType: 'acme' }, 'tools/call', { capabilities: { extensions: { 'acme/x': {} } } })).toMatchObject({ variant: 'acme' })
  })

  const form = { method: 'elicitation/create', params: { message: 'm' } }
  it.each(['tools/call', 'prompts/get', 'resources/read'])('of %s may demand input', async method => {
    const demand = { resultType: 'input_required', inputRequests: { a: { ...form, vendor: 1 } }, requestState: ' s ', _meta: { x: 1 }, other: 2 }
    expect(await outcome(demand, method, all)).toEqual({
      kind: 'inputRequired',
      requests: { a: { ...form, vendor: 1 } },
      requestState: ' s ',
      rest: { _meta: { x: 1 }, other: 2 },
    })
  })

  it.each([
    ['state alone', { requestState: 's' }],
    ['asks alone', { inputRequests: { a: form } }],
  ])('may demand %s', async (_title, demand) => {
    expect(await outcome({ resultType: 'input_required', ...demand }, 'tools/call', all)).toMatchObject({ kind: 'inputRequired' })
  })

  it.each([
    ['nothing', {}, all],
    ['no asks', { inputRequests: {} }, all],
    ['asks that are no object', { inputRequests: [form] }, all],
    ['an ask that is none', { inputRequests: { a: 'b' } }, all],
    ['an ask of another kind', { inputRequests: { a: { method: 'tools/call' } } }, all],
    ['an ask with odd params', { inputRequests: { a: { ...form, params: [] } } }, all],
    ['state that is no text', { requestState: {} }, all],
    ['what the client did not declare', { inputRequests: { a: form } }, { capabilities: { sampling: {} } }],
    ['a mode the client did not declare', { inputRequests: { a: { ...form, params: { mode: 'url' } } } }, all],
  ])('may not demand %s', async (_title, demand, client) => {
    expect(await failure(outcome({ resultType: 'input_required', ...demand }, 'tools/call', client))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
  })

  it.each(['tools/list', 'completion/complete', 'tasks/get'])('of %s may not demand input', async method => {
    expect(await failure(outcome({ resultType: 'input_required', requestState: 's' }, method, all))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
  })
})

describe('an error', () => {
  const error = async (rpc: JsonObject, client: Partial<ClientProfile> = {}) => {
    const { server, connection } = open()
    server.onRequest = () => ({ error: { message: 'said', ...rpc } })
    return failure(connection.handle(call('tools/call', {}, { client: profile(client) })))
  }

  it('of the server comes as it is', async () => {
    const rpc = { code: -32602, message: 'unknown', data: { a: 1 }, vendor: 2 }
    expect(await error(rpc)).toMatchObject({ code: 'BACKEND_ERROR', details: { rpc, backend: 'files' } })
  })

  it('about a capability names the part the client lacks', async () => {
    const data = { requiredCapabilities: { elicitation: { url: {} }, sampling: {} } }
    const told = await error({ code: -32021, data }, { capabilities: { elicitation: { form: {} }, sampling: {} } })
    expect(told).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires: { elicitation: { url: {} } } } })
    expect(told.details.rpc).toBeUndefined()
  })

  it.each([
    ['a capability the client has', { code: -32021, data: { requiredCapabilities: { sampling: {} } } }],
    ['a capability it does not name', { code: -32021 }],
    ['our headers', { code: -32020 }],
    ['our version', { code: -32022, data: { supported: ['2027-01-01'] } }],
  ])('about %s is between us and the server', async (_title, rpc) => {
    const told = await error(rpc, { capabilities: { sampling: {} } })
    expect(told).toMatchObject({ code: 'BACKEND_PROTOCOL', message: 'files: said' })
    expect(told.toRpc().code).toBe(-32603)
  })
})

describe('configured roots', () => {
  const roots = [{ uri: 'file:///data' }]
  const ask = { method: 'roots/list' }
  const form = { method: 'elicitation/create', params: { message: 'm' } }

  it('answer the server without the client', async () => {
    const { server, connection } = open({ roots })
    server.onRequest = ({ params }) =>
      params?.['inputResponses'] ? { content: [params['inputResponses']] } : { resultType: 'input_required', inputRequests: { r: ask }, requestState: 's' }
    const outcome = await connection.handle(call('tools/call', { name: 'a' }))
    expect(outcome).toMatchObject({ kind: 'complete', result: { content: [{ r: { roots } }] } })
    expect(server.received[1]?.params).toMatchObject({ name: 'a', requestState: 's' })
    expect((server.received[0]?.params?.['_meta'] as JsonObject)[key.capabilities]).toEqual({ roots: {} })
  })

  it('join the client’s answers where the server asks for more', async () => {
    const { server, connection } = open({ roots })
    const client = profile({ capabilities: { elicitation: {} } })
    server.onRequest = ({ params }) =>
      params?.['inputResponses']
        ? { got: params['inputResponses'], state: params['requestState'] ?? 'none' }
        : { resultType: 'input_required', inputRequests: { r: ask, f: form } }
    const demand = await connection.handle(call('tools/call', {}, { client }))
    expect(demand).toMatchObject({ kind: 'inputRequired', requests: { f: form } })
    expect(demand.kind === 'inputRequired' && Object.keys(demand.requests ?? {})).toEqual(['f'])
    const requestState = demand.kind === 'inputRequired' ? demand.requestState : undefined
    const done = await connection.handle(call('tools/call', {}, { client, requestState, inputResponses: { f: { action: 'accept' } } }))
    expect(done).toMatchObject({ result: { got: { r: { roots }, f: { action: 'accept' } }, state: 'none' } })
  })

  it('are not given without end', async () => {
    const { server, connection } = open({ roots })
    result(server, { resultType: 'input_required', inputRequests: { r: ask } })
    expect(await failure(connection.handle(call('tools/call')))).toMatchObject({ code: 'TOO_MANY_ROUNDS' })
  })
})

describe('header fields', () => {
  const tool = (type: string) => ({ name: 't', inputSchema: { type: 'object', properties: { r: { type, 'x-mcp-header': 'R' } } } })
  const headersOf = (rig: Rig, method: string) => rig.sent.filter(({ message }) => message.method === method).map(({ options }) => options?.headers)

  it('are given where the transport has some, tool parameters as listed', async () => {
    const rig = open({}, {}, true)
    result(rig.server, ({ method }) => (method === 'tools/list' ? { tools: [tool('string'), { ...tool('number'), name: 'bad' }], nextCursor: 'n' } : {}))
    expect(await rig.connection.handle(call('tools/list'))).toMatchObject({ result: { tools: [tool('string')], nextCursor: 'n' } })
    await rig.connection.handle(call('tools/call', { name: 't', arguments: { r: 'ü' } }))
    rig.connection.notify('notifications/acme', {}, profile())
    expect(headersOf(rig, 'tools/call')).toEqual([
      { 'MCP-Protocol-Version': version, 'Mcp-Method': 'tools/call', 'Mcp-Name': 't', 'Mcp-Param-R': '=?base64?w7w=?=' },
    ])
    expect(headersOf(rig, 'notifications/acme')).toEqual([{ 'MCP-Protocol-Version': version, 'Mcp-Method': 'notifications/acme' }])
  })

  it('are learnt anew, once, when the server refuses them', async () => {
    const rig = open({}, {}, true)
    let calls = 0
    rig.server.onRequest = ({ method, params }) => {
      if (method === 'tools/list') return params?.['cursor'] ? { tools: [tool('string')] } : { tools: [], nextCursor: '2' }
      return ++calls === 1 ? { error: { code: -32020, message: 'missing' } } : { ok: true }
    }
    const args = { name: 't', arguments: { r: 'x' } }
    expect(await rig.connection.handle(call('tools/call', args))).toMatchObject({ result: { ok: true } })
    expect(headersOf(rig, 'tools/call').map(headers => headers?.['Mcp-Param-R'])).toEqual([undefined, 'x'])
    rig.server.onRequest = ({ method }) => (method === 'tools/list' ? { tools: [] } : { error: { code: -32020, message: 'missing' } })
    expect(await failure(rig.connection.handle(call('tools/call', args)))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(headersOf(rig, 'tools/call')).toHaveLength(4)
  })

  it('are left out elsewhere; there faulty annotations go and their tools stay', async () => {
    const rig = open()
    const vendor = { name: 'v', inputSchema: { type: 'object', properties: {} }, vendor: 1 }
    result(rig.server, { tools: [tool('number'), tool('string'), vendor, 'odd'] })
    expect(await rig.connection.handle(call('tools/list'))).toMatchObject({
      result: { tools: [{ name: 't', inputSchema: { type: 'object', properties: { r: { type: 'number' } } } }, tool('string'), vendor, 'odd'] },
    })
    expect(headersOf(rig, 'tools/list')).toEqual([undefined])
  })
})

describe('log lines', () => {
  const talk = (rig: Rig, id = 'c1') => {
    const heard: JsonObject[] = []
    const pending = rig.connection.handle(call('tools/call', {}, { client: profile({ id, logLevel: 'info' }), log: params => heard.push(params) }))
    return { heard, pending }
  }
  const line = { level: 'info', data: 'x' }

  it('go to the one call that wants them, while it is open', async () => {
    const rig = open()
    const { heard, pending } = talk(rig)
    await quiet()
    rig.server.send({ method: 'notifications/message', params: line })
    await quiet()
    rig.server.send({ id: rig.server.received[0]?.id as number, result: {} })
    await pending
    rig.server.send({ method: 'notifications/message', params: line })
    await quiet()
    expect(heard).toEqual([line])
  })

  it('are not given to a guess between clients', async () => {
    const rig = open()
    const [one, two] = [talk(rig, 'c1'), talk(rig, 'c2')]
    await quiet()
    rig.server.send({ method: 'notifications/message', params: line })
    await quiet()
    expect([one.heard, two.heard]).toEqual([[], []])
  })
})

describe('watching', () => {
  const watching = async (capabilities: JsonObject = { tools: { listChanged: true }, resources: { subscribe: true } }) => {
    const rig = open({}, { capabilities })
    const heard: unknown[] = []
    const interest = { lists: ['tools'] as const, resources: ['a:1'], logLevel: undefined, roots: undefined }
    const watch = rig.connection.watch({ client: profile(), interest, change: change => heard.push(change) })
    const listen = await rig.server.next(({ method }) => method === 'subscriptions/listen')
    const stamp = { [key.subscription]: listen.id }
    const notifications = { toolsListChanged: true, resourceSubscriptions: ['a:1'] }
    rig.server.send({ method: 'notifications/subscriptions/acknowledged', params: { notifications, _meta: stamp } })
    return { ...rig, heard, watch, listen, stamp }
  }

  it('listens in our own name and tells what comes, without the mark of the stream', async () => {
    const { server, watch, listen, stamp, heard } = await watching()
    expect(listen.params).toEqual({
      notifications: { toolsListChanged: true, resourceSubscriptions: ['a:1'] },
      _meta: { [key.version]: version, [key.client]: self, [key.capabilities]: {} },
    })
    expect(await watch.granted).toMatchObject({ lists: ['tools'], resources: ['a:1'] })
    server.send({ method: 'notifications/tools/list_changed', params: { _meta: stamp } })
    server.send({ method: 'notifications/resources/updated', params: { uri: 'a:1', x: 1, _meta: { ...stamp, 'acme/y': 1 } } })
    server.send({ method: 'notifications/tools/list_changed', params: { _meta: { [key.subscription]: 'other' } } })
    server.send({ method: 'notifications/message', params: { level: 'error', data: 'none of a call' } })
    await quiet()
    expect(heard).toEqual([
      { kind: 'list', list: 'tools' },
      { kind: 'resource', params: { uri: 'a:1', x: 1, _meta: { 'acme/y': 1 } } },
    ])
  })

  it('takes the end of a stream by notification', async () => {
    const { server, watch, listen } = await watching()
    await watch.granted
    server.send({ method: 'notifications/cancelled', params: { requestId: listen.id } })
    await quiet()
    expect(server.of('notifications/cancelled')).toHaveLength(1)
  })

  it('lets the stream go with its last watcher', async () => {
    const { server, watch, listen } = await watching()
    await watch.granted
    watch.close()
    expect((await server.next(({ method }) => method === 'notifications/cancelled')).params).toEqual({ requestId: listen.id })
  })
})

describe('the connection', () => {
  it('shows a sign of life, an error included', async () => {
    const { server, connection } = open()
    result(server, { supportedVersions: [version], capabilities: {} })
    await connection.ping(100)
    expect(server.received[0]).toMatchObject({ method: 'server/discover', params: { _meta: { [key.version]: version, [key.capabilities]: {} } } })
    server.onRequest = () => ({ error: { code: -32603, message: 'busy' } })
    await connection.ping(100)
    server.onRequest = undefined
    expect(await failure(connection.ping(5))).toMatchObject({ code: 'BACKEND_TIMEOUT' })
  })

  it('passes notifications of extensions on, and none that this revision lacks', async () => {
    const { server, connection } = open()
    connection.notify('notifications/acme', { a: 1 }, profile())
    connection.notify('notifications/roots/list_changed', undefined, profile())
    connection.notify('notifications/initialized', undefined, profile())
    await quiet()
    expect(server.received).toEqual([{ jsonrpc: '2.0', method: 'notifications/acme', params: { a: 1 } }])
  })

  it('answers no requests of the server', async () => {
    const { server } = open()
    server.send({ id: 1, method: 'ping' })
    server.send({ id: 2, method: 'sampling/createMessage', params: {} })
    await quiet()
    expect(server.received).toEqual([])
  })

  it('ends with its channel, and its calls with it', async () => {
    const { server, connection } = open()
    const pending = failure(connection.handle(call('tools/call')))
    await quiet()
    await server.channel.close()
    expect(await pending).toMatchObject({ code: 'BACKEND_DIED' })
    expect(await connection.closed).toMatchObject({ code: 'BACKEND_DIED' })
  })

  it('ends when closed', async () => {
    const { connection } = open()
    await connection.close()
    expect(await connection.closed).toBeUndefined()
  })
})
