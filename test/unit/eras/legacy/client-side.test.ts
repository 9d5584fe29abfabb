import { describe, expect, it } from 'vitest'
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import { backendError, McpError } from '../../../../src/gateway/errors.ts'
import { FakeGateway, opened, quiet, served } from './kit.ts'

const info = { name: 'host', version: '1', vendor: 'x' }

describe('initialize', () => {
  it.each([
    ['2024-11-05', '2024-11-05'],
    ['2025-03-26', '2025-03-26'],
    ['2025-06-18', '2025-06-18'],
    ['2025-11-25', '2025-11-25'],
    ['2026-07-28', '2025-11-25'],
    ['1999-01-01', '2025-11-25'],
    [undefined, '2025-11-25'],
  ])('a client that wants %s gets %s', async (wanted, given) => {
    const { client } = served()
    const version = wanted ? { protocolVersion: wanted } : {}
    const { result } = await client.ask('initialize', { ...version, capabilities: {}, clientInfo: info })
    expect(result?.['protocolVersion']).toBe(given)
  })

  it('tells who we are and what the gateway can, fitted to the revision', async () => {
    const { client } = served()
    const { result } = await client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: info })
    expect(result).toEqual({
      protocolVersion: '2025-11-25',
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        completions: {},
        tasks: { list: {} },
        logging: {},
      },
      serverInfo: { name: 'mcp-proxy', version: '9', title: 'Proxy' },
      instructions: 'two servers',
    })
    const oldest = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: info }
    const { result: old } = await served().client.ask('initialize', oldest)
    expect(Object.keys(old?.['capabilities'] as object)).toEqual(['tools', 'resources', 'logging', 'prompts'])
  })

  it('must come first; a ping may come before', async () => {
    const { client, gateway } = served()
    expect((await client.ask('ping')).result).toEqual({})
    expect((await client.ask('tools/list')).error).toMatchObject({ code: -32600, data: { hint: 'send initialize first' } })
    client.say('notifications/initialized')
    await quiet(2)
    expect(gateway.calls).toEqual([])
    expect(gateway.watcher).toBeUndefined()
  })

  it('may come again: the second word counts', async () => {
    const { client, gateway } = await opened()
    const first = gateway.watcher
    await client.ask('initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'other' } })
    client.say('notifications/initialized')
    await client.ask('tools/list')
    expect(gateway.watchClosed).toBe(1)
    expect(gateway.watcher).not.toBe(first)
    expect(gateway.calls[0]?.client).toMatchObject({ revision: '2024-11-05', info: { name: 'other' } })
  })

  it('tells why it cannot be answered, and can be tried again', async () => {
    const gateway = new FakeGateway()
    const { describe } = gateway
    gateway.describe = () => Promise.reject(new McpError('BACKEND_UNAVAILABLE', 'files is down', { backend: 'files' }))
    const { client } = served(gateway)
    expect((await client.ask('initialize', {})).error).toMatchObject({ code: -32603, data: { backend: 'files' } })
    expect((await client.ask('tools/list')).error?.code).toBe(-32600)
    gateway.describe = describe
    expect((await client.ask('initialize', {})).result).toBeDefined()
  })

  it('fills the profile of every call', async () => {
    const { client, gateway } = await opened('2025-06-18', { roots: {}, vendor: 1 })
    await client.ask('tools/list')
    expect(gateway.calls[0]?.client).toEqual({
      id: 'ada',
      principal: 'local',
      info,
      capabilities: { roots: {}, vendor: 1 },
      revision: '2025-06-18',
      logLevel: undefined,
    })
  })
})

describe('calls', () => {
  it('take params and unknown keys as they came, and answer under the client’s id', async () => {
    const { client, gateway } = await opened()
    gateway.answer = () => ({
      kind: 'complete',
      result: { content: [{ type: 'future' }], vendor: 1 },
      variant: 'odd',
      freshness: { ttlMs: 5, scope: 'public' },
      extra: { beside: true },
    })
    const params = { name: 'a', _meta: { traceparent: '0' } }
    client.channel.send({ jsonrpc: '2.0', id: 'x', method: 'tools/call', params, vendor: 7 })
    await quiet(5)
    expect(gateway.calls[0]).toMatchObject({
      method: 'tools/call',
      params: { name: 'a', _meta: { traceparent: '0' } },
      extra: { vendor: 7 },
    })
    const result = { content: [{ type: 'future' }], vendor: 1 }
    expect(client.got.at(-1)).toEqual({ jsonrpc: '2.0', id: 'x', result, beside: true })
  })

  it.each([
    ['p', undefined],
    [7, { traceparent: '0' }],
  ])('lift the progress token %o off and report under it, never falling, never late', async (progressToken, rest) => {
    const { client, gateway } = await opened()
    const gate = new CancelSource()
    gateway.answer = call =>
      new Promise(resolve => {
        for (const progress of [1, 3, 2, 3, 4]) call.progress?.({ progress, total: 4, vendor: 1 })
        gate.subscribe(() => resolve({ kind: 'complete', result: {} }))
      })
    const answer = client.ask('tools/call', { name: 'a', _meta: { ...rest, progressToken } })
    await client.next('notifications/progress', 4)
    gate.cancel()
    await answer
    gateway.calls[0]?.progress?.({ progress: 5 })
    await quiet(2)
    expect(gateway.calls[0]?.params).toEqual(rest ? { name: 'a', _meta: rest } : { name: 'a' })
    expect(client.all('notifications/progress').map(({ params }) => params)).toEqual(
      [1, 3, 3, 4].map(progress => ({ progressToken, progress, total: 4, vendor: 1 })),
    )
  })

  it('without a token have no progress', async () => {
    const { client, gateway } = await opened()
    await client.ask('tools/call', { name: 'a', _meta: {} })
    expect(gateway.calls[0]?.progress).toBeUndefined()
    expect(gateway.calls[0]?.params).toEqual({ name: 'a', _meta: {} })
  })

  it('that became a task go on reporting progress', async () => {
    const { client, gateway } = await opened()
    gateway.answer = () => ({ kind: 'complete', result: { task: { taskId: 't', status: 'working' } } })
    await client.ask('tools/call', { name: 'a', task: {}, _meta: { progressToken: 'p' } })
    gateway.calls[0]?.progress?.({ progress: 1 })
    expect((await client.next('notifications/progress')).params).toEqual({ progressToken: 'p', progress: 1 })
  })

  it('are cancelled by the client, and then not answered', async () => {
    const { client, gateway } = await opened()
    gateway.answer = call =>
      new Promise((_, reject) => call.cancellation.subscribe(() => reject(new McpError('CANCELLED', 'cancelled'))))
    void client.ask('tools/call', { name: 'a' }, 5)
    client.say('notifications/cancelled', { requestId: 5, reason: 'enough' })
    await quiet(5)
    expect(gateway.calls[0]?.cancellation).toMatchObject({ cancelled: true, reason: 'enough' })
    expect(client.got.filter(({ id }) => id === 5)).toEqual([])
  })

  it('pass a server’s error on with all it holds', async () => {
    const { client, gateway } = await opened()
    const error = { code: -32042, message: 'sign in', data: { elicitations: [{ elicitationId: 'e' }] }, vendor: 1 }
    gateway.answer = () => Promise.reject(backendError(error))
    expect((await client.ask('tools/call', { name: 'a' })).error).toEqual(error)
  })

  it('fail without leaking what was not foreseen', async () => {
    const { client, gateway } = await opened()
    gateway.answer = () => Promise.reject(new Error('/secret/path'))
    expect((await client.ask('tools/call', { name: 'a' })).error).toEqual({
      code: -32603,
      message: 'internal error',
      data: { code: 'INTERNAL' },
    })
  })

  it('survive a handler that throws at once', async () => {
    const gateway = new FakeGateway()
    const handle = () => {
      throw new McpError('SHUTTING_DOWN', 'bye')
    }
    const { client } = await opened(undefined, undefined, Object.assign(gateway, { handle }))
    expect((await client.ask('tools/list')).error).toMatchObject({ message: 'bye' })
  })

  it.each(['server/discover', 'subscriptions/listen'])('%s does not exist on such a connection', async method => {
    const { client, gateway } = await opened()
    expect((await client.ask(method, {})).error?.code).toBe(-32601)
    expect(gateway.calls).toEqual([])
  })
})

describe('log level', () => {
  it('is set for the watch, later calls and what is passed on', async () => {
    const { client, gateway } = await opened()
    gateway.answer = call => {
      for (const level of ['debug', 'warning']) call.log?.({ level, data: level })
      return { kind: 'complete', result: {} }
    }
    await client.ask('tools/call', { name: 'a' })
    expect((await client.ask('logging/setLevel', { level: 'error' })).result).toEqual({})
    await client.ask('tools/call', { name: 'b' })
    for (const level of ['info', 'error']) gateway.watcher?.change({ kind: 'log', params: { level, data: 'w', logger: 'x' } })
    await quiet(2)
    expect(gateway.calls.map(call => call.client.logLevel)).toEqual([undefined, 'error'])
    expect(gateway.interests.at(-1)?.logLevel).toBe('error')
    expect(client.all('notifications/message').map(({ params }) => params?.['level'])).toEqual(['debug', 'warning', 'error'])
  })

  it('must be one', async () => {
    const { client } = await opened()
    expect((await client.ask('logging/setLevel', { level: 'loud' })).error?.code).toBe(-32602)
    expect((await client.ask('logging/setLevel')).error?.code).toBe(-32602)
  })
})

describe('listening', () => {
  it('starts when the client is initialized and ends with it', async () => {
    const { client, gateway, peer } = await opened()
    const lists = ['tools', 'prompts', 'resources']
    expect(gateway.interests[0]).toEqual({ lists, resources: [], logLevel: undefined, roots: undefined })
    await client.channel.close()
    await quiet(2)
    expect(gateway.watchClosed).toBe(1)
    expect(peer.inFlight).toBe(0)
  })

  it('subscribes and unsubscribes', async () => {
    const { client, gateway } = await opened()
    for (const uri of ['file:///a', 'file:///b']) expect((await client.ask('resources/subscribe', { uri })).result).toEqual({})
    expect((await client.ask('resources/unsubscribe', { uri: 'file:///a' })).result).toEqual({})
    expect((await client.ask('resources/unsubscribe', { uri: 'file:///never' })).result).toEqual({})
    const [a, b] = ['file:///a', 'file:///b']
    expect(gateway.interests.map(({ resources }) => resources)).toEqual([[], [a], [a, b], [b]])
  })

  it('passes the refusal of a URI on to the request that wanted it', async () => {
    const { client, gateway } = await opened()
    gateway.refuse.set('file:///x', backendError({ code: -32002, message: 'no such', data: { uri: 'file:///x' } }))
    expect((await client.ask('resources/subscribe', { uri: 'file:///x' })).error).toMatchObject({ code: -32002 })
    await client.ask('resources/subscribe', { uri: 'file:///y' })
    expect(gateway.interests.at(-1)?.resources).toEqual(['file:///y'])
    expect((await client.ask('resources/subscribe', {})).error?.code).toBe(-32602)
  })

  it('turns changes into notifications', async () => {
    const { client, gateway } = await opened()
    const from = client.got.length
    for (const list of ['tools', 'prompts', 'resources'] as const) gateway.watcher?.change({ kind: 'list', list })
    gateway.watcher?.change({ kind: 'resource', params: { uri: 'file:///a', vendor: 1 } })
    gateway.watcher?.change({ kind: 'other', method: 'notifications/acme', params: { x: 1 } })
    await quiet(2)
    expect(client.got.slice(from)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed' },
      { jsonrpc: '2.0', method: 'notifications/prompts/list_changed' },
      { jsonrpc: '2.0', method: 'notifications/resources/list_changed' },
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'file:///a', vendor: 1 } },
      { jsonrpc: '2.0', method: 'notifications/acme', params: { x: 1 } },
    ])
  })

  it('passes custom notifications on to the gateway', async () => {
    const { client, gateway } = await opened()
    client.say('notifications/acme', { x: 1 })
    await quiet(2)
    expect(gateway.notices).toMatchObject([{ method: 'notifications/acme', params: { x: 1 }, client: { id: 'ada' } }])
  })

  it('tells the client’s roots, and again when they change', async () => {
    const setting = served()
    let roots: unknown[] = [{ uri: 'file:///a', vendor: 1 }]
    setting.client.on('roots/list', () => ({ roots }))
    await setting.client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: { roots: { listChanged: true } } })
    setting.client.say('notifications/initialized')
    await quiet(5)
    expect(setting.gateway.interests.at(-1)?.roots).toEqual(roots)
    roots = [{ uri: 'file:///b' }, 'not a root']
    setting.client.say('notifications/roots/list_changed')
    await quiet(5)
    expect(setting.gateway.interests.at(-1)?.roots).toEqual([{ uri: 'file:///b' }])
    setting.client.on('roots/list', () => ({ error: { code: -32603, message: 'no' } }))
    setting.client.say('notifications/roots/list_changed')
    await quiet(5)
    expect(setting.gateway.interests.at(-1)?.roots).toEqual([{ uri: 'file:///b' }])
  })

  it('waits for one answer about roots at a time, whatever a client announces and never answers', async () => {
    const { client, peer } = await opened('2025-11-25', { roots: { listChanged: true } })
    for (let round = 0; round < 3; round++) client.say('notifications/roots/list_changed')
    await quiet()
    const asked = client.all('roots/list').map(({ id }) => id)
    expect([asked.length, peer.inFlight]).toEqual([4, 1])
    expect(client.all('notifications/cancelled').map(({ params }) => params?.['requestId'])).toEqual(asked.slice(0, 3))
  })

  it('asks no roots of a client that has none', async () => {
    const { client } = await opened('2025-11-25', {})
    expect(client.all('roots/list')).toEqual([])
  })

  it('puts asks outside calls to the client, named', async () => {
    const { client, gateway } = await opened('2025-11-25', { elicitation: {} }, new FakeGateway(), { nameAsker: true })
    client.on('elicitation/create', () => ({ action: 'accept' }))
    const never = new CancelSource()
    const ask = { method: 'elicitation/create', params: { message: 'hm?' }, from: 'files' }
    expect(await gateway.watcher?.ask?.(ask, never)).toEqual({ action: 'accept' })
    expect(client.all('elicitation/create')[0]?.params).toEqual({ message: '[files] hm?' })
    await expect(gateway.watcher?.ask?.({ method: 'sampling/createMessage', params: {} }, never)).rejects.toMatchObject({
      code: 'ASK_UNSUPPORTED',
    })
  })
})
