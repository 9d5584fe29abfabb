import { describe, expect, it, vi } from 'vitest'
import { openModernFront } from '../../../../src/eras/modern/client-side.ts'
import type { ServeOptions } from '../../../../src/eras/options.ts'
import { Peer } from '../../../../src/eras/peer.ts'
import type { Outcome } from '../../../../src/gateway/contract.ts'
import { backendError, McpError } from '../../../../src/gateway/errors.ts'
import { memoryPair, type Message } from '../../../../src/transports/channel.ts'
import { FakeGateway, key, meta, quiet, serveOptions, version, Wire } from './rig.ts'

function open(more: Partial<ServeOptions> = {}) {
  const [ours, theirs] = memoryPair()
  const gateway = new FakeGateway()
  const front = openModernFront(serveOptions(gateway, more), 'client-7')
  new Peer(ours, {
    request: incoming => front.request(incoming),
    notification: (method, params) => front.notification(method, params),
    closed: () => front.closed(),
  })
  return { gateway, front, client: new Wire(theirs), channel: ours }
}

const complete = (result: object, more: object = {}): Outcome => ({ kind: 'complete', result: { ...result }, ...more }) as Outcome
const code = (answer: Message) => answer.error?.code

describe('opening', () => {
  it('tells what the gateway is', async () => {
    const { client, gateway } = open()
    gateway.description = {
      ...gateway.description,
      capabilities: {
        tools: { 'acme/x': 1 }, prompts: {}, resources: { subscribe: true }, tasks: { list: {} },
        extensions: { 'io.modelcontextprotocol/tasks': {} },
      },
      instructions: 'be nice',
    }
    const { result } = await client.ask('server/discover', { _meta: meta() })
    expect(result).toEqual({
      resultType: 'complete',
      supportedVersions: [version],
      capabilities: {
        tools: { 'acme/x': 1, listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        extensions: { 'io.modelcontextprotocol/tasks': {} },
      },
      instructions: 'be nice',
      ttlMs: 0,
      cacheScope: 'private',
      _meta: { [key.server]: { name: 'gw', version: '9' } },
    })
  })

  it('says what stands in the way', async () => {
    const { client, gateway } = open()
    gateway.describe = async () => {
      throw new McpError('BACKEND_UNAVAILABLE', 'files is stopped', { backend: 'files' })
    }
    const { error } = await client.ask('server/discover', { _meta: meta() })
    expect(error).toEqual({ code: -32603, message: 'files is stopped', data: { code: 'BACKEND_UNAVAILABLE', backend: 'files' } })
  })

  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'tasks/list', 'tasks/result'])(
    'knows no %s',
    async method => {
      const { client, gateway } = open()
      expect(code(await client.ask(method, { _meta: meta() }))).toBe(-32601)
      expect(gateway.calls).toEqual([])
    },
  )

  it('refuses requests without their fields, and versions it does not speak', async () => {
    const { client, gateway } = open()
    const { error } = await client.ask('tools/list', {})
    expect(error).toMatchObject({ code: -32602, data: { code: 'ENVELOPE_INVALID' } })
    expect(code(await client.ask('tools/list'))).toBe(-32602)
    expect((await client.ask('tools/list', { _meta: meta({}, { [key.version]: '2099-01-01' }) })).error).toEqual({
      code: -32022,
      message: 'Unsupported protocol version',
      data: { supported: [version], requested: '2099-01-01' },
    })
    expect(gateway.calls).toEqual([])
  })
})

describe('a call', () => {
  it('reaches the middle without what belongs to the hop', async () => {
    const { client, gateway } = open()
    const _meta = meta({ sampling: {} }, { progressToken: 'p', [key.logLevel]: 'info', traceparent: '00-x', 'acme/y': [1] })
    client.send({ id: 5, method: 'tools/call', params: { name: 'echo', arguments: { a: 1 }, vendor: true, _meta }, topLevel: 1 })
    await client.next(message => message.id === 5)
    const [call] = gateway.calls
    expect(call).toMatchObject({
      method: 'tools/call',
      params: { name: 'echo', arguments: { a: 1 }, vendor: true, _meta: { traceparent: '00-x', 'acme/y': [1] } },
      client: { id: 'client-7', principal: 'local', info: { name: 'tester', version: '1' }, capabilities: { sampling: {} }, logLevel: 'info' },
      extra: { topLevel: 1 },
    })
    expect(Object.keys(call?.params['_meta'] as object)).toEqual(['traceparent', 'acme/y'])
    expect(call?.inputResponses).toBeUndefined()
    expect(call?.requestState).toBeUndefined()
  })

  it('has no _meta when nothing is left of it, and the same client object each time', async () => {
    const { client, gateway } = open()
    await client.ask('tools/call', { name: 'a', _meta: meta() })
    await client.ask('tools/call', { name: 'b', _meta: meta() })
    expect(gateway.calls[0]?.params).toEqual({ name: 'a' })
    expect(gateway.calls[1]?.client).toBe(gateway.calls[0]?.client)
  })

  it('gets its result with a kind and nothing else added', async () => {
    const { client, gateway } = open()
    const result = { content: [{ type: 'hologram', x: 1 }], structuredContent: [1], _meta: { 'acme/z': 1 }, vendor: { deep: null } }
    gateway.answer = () => complete(result, { extra: { upper: 2 } })
    const answer = await client.ask('tools/call', { name: 'a', _meta: meta() }, 1)
    expect(answer).toEqual({ jsonrpc: '2.0', id: 1, result: { ...result, resultType: 'complete' }, upper: 2 })
  })

  it('keeps the kind of an extension, and that extension’s own fields', async () => {
    const { client, gateway } = open()
    gateway.answer = () => complete({ taskId: 't', status: 'working', ttlMs: null }, { variant: 'task' })
    const { result } = await client.ask('tools/call', { name: 'a', _meta: meta() })
    expect(result).toEqual({ resultType: 'task', taskId: 't', status: 'working', ttlMs: null })
  })

  it('hears of progress under its own token, and of nothing once it is answered', async () => {
    const { client, gateway } = open()
    gateway.answer = async call => {
      call.progress?.({ progress: 1, total: 2, vendor: 'x' })
      setImmediate(() => call.progress?.({ progress: 2 }))
      return complete({})
    }
    await client.ask('tools/call', { name: 'a', _meta: meta({}, { progressToken: 0 }) })
    await quiet()
    expect(client.of('notifications/progress').map(({ params }) => params)).toEqual([{ progress: 1, total: 2, vendor: 'x', progressToken: 0 }])
    expect(client.received.map(({ method }) => method)).toEqual(['notifications/progress', undefined])
  })

  it('asks for no progress without a token', async () => {
    const { client, gateway } = open()
    await client.ask('tools/call', { name: 'a', _meta: meta() })
    await client.ask('tools/call', { name: 'a', _meta: meta({}, { progressToken: null }) })
    expect(gateway.calls.map(({ progress }) => progress)).toEqual([undefined, undefined])
  })

  it('hears log lines at or above the level it named, and none when it named none', async () => {
    const { client, gateway } = open()
    gateway.answer = call => {
      for (const level of ['debug', 'info', 'warning', 'emergency', 'nonsense']) call.log?.({ level, data: level, vendor: 1 })
      return complete({})
    }
    await client.ask('tools/call', { name: 'a', _meta: meta({}, { [key.logLevel]: 'warning' }) })
    expect(client.of('notifications/message').map(({ params }) => params)).toEqual([
      { level: 'warning', data: 'warning', vendor: 1 },
      { level: 'emergency', data: 'emergency', vendor: 1 },
    ])
    await client.ask('tools/call', { name: 'a', _meta: meta() })
    expect(client.of('notifications/message')).toHaveLength(2)
    expect(gateway.calls[1]?.log).toBeUndefined()
  })

  it('is cancelled by its client and then not answered', async () => {
    const { client, gateway } = open()
    gateway.answer = call => new Promise((_, reject) => call.cancellation.subscribe(why => reject(new McpError('CANCELLED', why ?? ''))))
    client.send({ id: 9, method: 'tools/call', params: { name: 'a', _meta: meta() } })
    await quiet()
    client.send({ method: 'notifications/cancelled', params: { requestId: 9, reason: 'enough' } })
    await quiet()
    expect(gateway.calls[0]?.cancellation).toMatchObject({ cancelled: true, reason: 'enough' })
    expect(client.received).toEqual([])
  })
})

describe('caching hints', () => {
  it.each(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'])('are on %s', async method => {
    const { client, gateway } = open()
    gateway.answer = () => complete({ x: 1 }, { freshness: { ttlMs: 500, scope: 'public' } })
    expect((await client.ask(method, { _meta: meta() })).result).toMatchObject({ resultType: 'complete', x: 1, ttlMs: 500, cacheScope: 'public' })
    gateway.answer = () => complete({ x: 1 })
    expect((await client.ask(method, { _meta: meta() })).result).toMatchObject({ ttlMs: 0, cacheScope: 'private' })
  })

  it('are on nothing else', async () => {
    const { client, gateway } = open()
    gateway.answer = () => complete({ x: 1 }, { freshness: { ttlMs: 500, scope: 'public' } })
    expect((await client.ask('prompts/get', { name: 'a', _meta: meta() })).result).toEqual({ x: 1, resultType: 'complete' })
  })

  it('let nobody keep what depends on answers', async () => {
    const { client, gateway } = open()
    gateway.answer = () => complete({}, { freshness: { ttlMs: 500, scope: 'public' } })
    const { result } = await client.ask('resources/read', { uri: 'a:1', inputResponses: {}, _meta: meta() })
    expect(result).toEqual({ resultType: 'complete', ttlMs: 0, cacheScope: 'private' })
  })

  it('stand beside our name on lists, which are ours, and only there', async () => {
    const { client, gateway } = open()
    expect((await client.ask('tools/list', { _meta: meta() })).result?.['_meta']).toEqual({ [key.server]: { name: 'gw', version: '9' } })
    gateway.answer = () => complete({ _meta: { 'acme/a': 1 } })
    expect((await client.ask('tools/list', { _meta: meta() })).result?.['_meta']).toMatchObject({ 'acme/a': 1 })
    expect((await client.ask('resources/read', { _meta: meta() })).result?.['_meta']).toEqual({ 'acme/a': 1 })
  })
})

describe('errors', () => {
  it.each([
    ['a backend’s own', { code: -32099 + 1000, message: 'own', data: [1], vendor: 'x' }, { code: -31099, message: 'own', data: [1], vendor: 'x' }],
    ['resource not found as it was', { code: -32002, message: 'gone', data: { uri: 'a:1' } }, { code: -32602, message: 'gone', data: { uri: 'a:1' } }],
    ['a demand to open a page as it was', { code: -32042, message: 'open' }, { code: -32603, message: 'open', data: { code: 'BACKEND_ERROR', backend: 'b' } }],
    ['a header mismatch of another hop', { code: -32020, message: 'h' }, { code: -32603, message: 'h', data: { code: 'BACKEND_ERROR', backend: 'b' } }],
    ['a capability of another hop', { code: -32021, message: 'c', data: {} }, { code: -32603, message: 'c', data: { code: 'BACKEND_ERROR', backend: 'b' } }],
    ['a version of another hop', { code: -32022, message: 'v', data: {} }, { code: -32603, message: 'v', data: { code: 'BACKEND_ERROR', backend: 'b' } }],
    ['a number that is none', { code: 'ENOENT' as never, message: 'm' }, { code: -32603, message: 'm', data: { code: 'BACKEND_ERROR', backend: 'b' } }],
  ])('%s', async (_title, rpc, told) => {
    const { client, gateway } = open()
    gateway.answer = () => {
      throw backendError(rpc, 'b')
    }
    expect((await client.ask('tools/call', { name: 'a', _meta: meta() })).error).toEqual(told)
  })

  it('name the capabilities a client would need', async () => {
    const { client, gateway } = open()
    gateway.answer = () => {
      throw new McpError('ASK_UNSUPPORTED', 'b needs sampling', { requires: { sampling: { tools: {} } }, backend: 'b' })
    }
    const { error } = await client.ask('tools/call', { name: 'a', _meta: meta() })
    expect(error).toEqual({ code: -32021, message: 'b needs sampling', data: { requiredCapabilities: { sampling: { tools: {} } } } })
  })

  it('say nothing of what we did not foresee', async () => {
    const { client, gateway } = open()
    gateway.answer = () => {
      throw new TypeError('secret path /home/ann')
    }
    const { error } = await client.ask('tools/call', { name: 'a', _meta: meta() })
    expect(error).toEqual({ code: -32603, message: 'internal error', data: { code: 'INTERNAL' } })
  })
})

describe('a demand for input', () => {
  const form = { method: 'elicitation/create', params: { message: 'Name?', requestedSchema: {} } }
  const able = { elicitation: {}, sampling: {}, roots: {} }
  const demand = (more: object = {}): Outcome => ({ kind: 'inputRequired', requests: { who: form }, requestState: 'inner', from: 'b', ...more })

  async function round(more: Partial<ServeOptions> = {}, outcome: Outcome = demand()) {
    const rig = open(more)
    rig.gateway.answer = call => (call.inputResponses ? complete({ done: true }) : outcome)
    const params = { name: 'a', arguments: { x: 1 }, _meta: meta(able) }
    const { result } = await rig.client.ask('tools/call', params)
    return { ...rig, result, params, state: result?.['requestState'] as string }
  }

  it('comes as a result of its own kind, whose retry brings answers and state to the middle', async () => {
    const { client, gateway, result, params, state } = await round({}, demand({ rest: { _meta: { 'acme/m': 1 }, vendor: 2 } }))
    expect(result).toEqual({
      resultType: 'input_required',
      inputRequests: { who: form },
      requestState: expect.stringMatching(/^[\w-]+$/),
      _meta: { 'acme/m': 1 },
      vendor: 2,
    })
    const inputResponses = { who: { action: 'accept', content: { name: 'Ann' } } }
    const retried = await client.ask('tools/call', { ...params, inputResponses, requestState: state })
    expect(retried.result).toEqual({ resultType: 'complete', done: true })
    expect(gateway.calls[1]).toMatchObject({ params: { name: 'a', arguments: { x: 1 } }, inputResponses, requestState: 'inner', continues: 'b' })
    expect(Object.keys(gateway.calls[1]?.params ?? {})).toEqual(['name', 'arguments'])
  })

  it('without state of the backend brings none back to it', async () => {
    const { client, gateway, params, state } = await round({}, demand({ requestState: undefined }))
    await client.ask('tools/call', { ...params, inputResponses: {}, requestState: state })
    expect(gateway.calls[1]).toMatchObject({ inputResponses: {}, continues: 'b' })
    expect(gateway.calls[1]?.requestState).toBeUndefined()
  })

  it('may carry nothing but state', async () => {
    const { result } = await round({}, demand({ requests: undefined }))
    expect(result).toEqual({ resultType: 'input_required', requestState: expect.any(String) })
  })

  it('names who asks where there are several', async () => {
    const { result } = await round({ nameAsker: true })
    expect(result?.['inputRequests']).toEqual({ who: { ...form, params: { ...form.params, message: '[b] Name?' } } })
  })

  it.each([[true, '[b] Name?'], [false, 'Name?']])('names who asks also where a task does (several: %s)', async (nameAsker, message) => {
    const { client, gateway } = open({ nameAsker })
    const inputRequests = { who: form, roots: { method: 'roots/list' }, odd: null }
    const asking = (more: object): Outcome => ({ kind: 'complete', result: { taskId: 'b.1', inputRequests: JSON.parse(JSON.stringify(inputRequests)), vendor: 1 }, from: 'b', ...more })
    const named = { ...inputRequests, who: { ...form, params: { ...form.params, message } } }
    for (const more of [{}, { variant: 'task' }]) {
      gateway.answer = () => asking(more)
      const { result } = await client.ask('tasks/get', { taskId: 'b.1', _meta: meta(able) })
      expect(result).toMatchObject({ inputRequests: named, vendor: 1 })
    }
    gateway.answer = () => ({ kind: 'complete', result: { taskId: 'b.1', inputRequests: 'none' }, from: 'b' })
    expect((await client.ask('tasks/get', { taskId: 'b.1', _meta: meta(able) })).result).toMatchObject({ inputRequests: 'none' })
  })

  it('shows nothing of this process', async () => {
    const live = { withdrawn: { cancelled: false, reason: undefined, subscribe: () => () => {} }, refuse: () => {} }
    const { result } = await round({}, demand({ requests: { who: { ...form, from: 'b', live, vendor: 1 } } }))
    expect(result?.['inputRequests']).toEqual({ who: { ...form, vendor: 1 } })
  })

  it.each([
    ['altered', (state: string) => ({ requestState: `${state}x` })],
    ['that is no text', () => ({ requestState: 7 })],
    ['of other arguments', (state: string) => ({ requestState: state, arguments: { x: 2 } })],
  ])('refuses a state %s, and tells the middle nothing', async (_title, alter) => {
    const { client, gateway, params, state } = await round()
    expect(code(await client.ask('tools/call', { ...params, inputResponses: {}, ...alter(state) }))).toBe(-32602)
    expect(gateway.calls).toHaveLength(1)
  })

  it('refuses the state of another principal, of another method and of yesterday', async () => {
    const { params, state } = await round()
    const retry = { ...params, inputResponses: {}, requestState: state }
    expect(code(await open({ principal: 'bob' }).client.ask('tools/call', retry))).toBe(-32602)
    expect(code(await open().client.ask('prompts/get', retry))).toBe(-32602)
    expect(code(await open().client.ask('tools/call', retry))).toBeUndefined()
    const late = await round({ asks: { rounds: 1, waitMs: -1, parked: 1 } })
    expect(code(await late.client.ask('tools/call', { ...late.params, inputResponses: {}, requestState: late.state }))).toBe(-32602)
  })

  it('takes a state however the clock of the machine was put meanwhile', async () => {
    const { client, params, state } = await round()
    const now = Date.now()
    const clock = vi.spyOn(Date, 'now').mockReturnValue(now + 24 * 3600_000)
    try {
      expect(code(await client.ask('tools/call', { ...params, inputResponses: {}, requestState: state }))).toBeUndefined()
    } finally {
      clock.mockRestore()
    }
  })

  it.each([[null], [7], [[]], [{ who: 12345 }]])('refuses answers like %j', async inputResponses => {
    const { client, gateway } = open()
    expect(code(await client.ask('tools/call', { name: 'a', inputResponses, _meta: meta() }))).toBe(-32602)
    expect(gateway.calls).toEqual([])
  })

  it('leaves parameters of these names alone where they are parameters', async () => {
    const { client, gateway } = open()
    const params = { taskId: 't', inputResponses: { a: 1 }, requestState: 'x' }
    await client.ask('tasks/update', { ...params, _meta: meta() })
    expect(gateway.calls[0]?.params).toEqual(params)
    expect(gateway.calls[0]?.inputResponses).toBeUndefined()
  })

  it('that the client cannot meet names what is missing, and lets go of the waiting call', async () => {
    const { client, gateway } = open()
    const tools = { method: 'sampling/createMessage', params: { messages: [], tools: [] } }
    const url = { method: 'elicitation/create', params: { mode: 'url', message: 'm', url: 'https://x.test' } }
    gateway.answer = call => {
      if (call.cancellation.cancelled) throw new McpError('CANCELLED', '')
      return demand({ requests: { a: form, b: tools, c: url, d: { method: 'roots/list', params: undefined } } })
    }
    const { error } = await client.ask('tools/call', { name: 'a', _meta: meta({ elicitation: {} }) })
    expect(error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: { url: {} }, sampling: { tools: {} }, roots: {} } },
    })
    expect(gateway.calls[1]).toMatchObject({ requestState: 'inner', continues: 'b', cancellation: { cancelled: true } })
  })

  it('is no answer to a list', async () => {
    const { client, gateway } = open()
    gateway.answer = () => demand()
    expect((await client.ask('tools/list', { _meta: meta(able) })).error).toMatchObject({ code: -32603, data: { code: 'BACKEND_PROTOCOL' } })
  })
})

describe('a notification', () => {
  it('of an extension goes to the middle, without the fields of the hop', async () => {
    const { client, gateway } = open()
    client.send({ method: 'notifications/acme/x', params: { a: 1, _meta: meta({}, { 'acme/m': 1 }) } })
    client.send({ method: 'notifications/acme/y', params: { _meta: meta() } })
    client.send({ method: 'notifications/acme/z' })
    client.send({ method: 'notifications/initialized' })
    await quiet()
    expect(gateway.notified).toEqual([
      { method: 'notifications/acme/x', params: { a: 1, _meta: { 'acme/m': 1 } } },
      { method: 'notifications/acme/y', params: {} },
      { method: 'notifications/acme/z', params: undefined },
    ])
  })
})
