import { describe, expect, it } from 'vitest'
import type { Call, JsonObject } from '../../../../src/gateway/contract.ts'
import type { Message } from '../../../../src/transports/channel.ts'
import { callOf, connected, FakeWatcher, interestOf, legacyClient, modernClient, quiet, toolCall } from './kit.ts'

const bob = legacyClient({ id: 'bob' })
const eve = legacyClient({ id: 'eve', principal: 'eve' })
const uri = 'file:///a'

describe('subscriptions', () => {
  it('are made by the first listener and ended by the last', async () => {
    const { server, connection } = await connected()
    server.on('resources/subscribe', () => ({})).on('resources/unsubscribe', () => ({}))
    const first = connection.watch(new FakeWatcher(legacyClient(), { resources: [uri] }))
    const second = connection.watch(new FakeWatcher(bob, { resources: [uri, 'file:///b'] }))
    expect(await first.granted).toMatchObject({ resources: [uri] })
    expect(await second.granted).toMatchObject({ resources: [uri, 'file:///b'] })
    expect(server.all('resources/subscribe').map(({ params }) => params)).toEqual([{ uri }, { uri: 'file:///b' }])
    await first.update(interestOf())
    await quiet(2)
    expect(server.all('resources/unsubscribe')).toEqual([])
    second.close()
    await quiet(2)
    expect(server.all('resources/unsubscribe').map(({ params }) => params)).toEqual([{ uri }, { uri: 'file:///b' }])
  })

  it('are refused one by one, with the server’s reason, and can be tried again', async () => {
    const { server, connection } = await connected()
    let refuse = true
    server.on('resources/subscribe', ({ params }) =>
      refuse && params?.['uri'] === uri ? { error: { code: -32002, message: 'no such thing' } } : {},
    )
    const watch = connection.watch(new FakeWatcher(legacyClient(), { resources: [uri, 'file:///b'] }))
    const granted = await watch.granted
    expect(granted.resources).toEqual(['file:///b'])
    expect(granted.refused.get(uri)).toMatchObject({ details: { rpc: { code: -32002, message: 'no such thing' } } })
    refuse = false
    expect((await watch.update(interestOf({ resources: [uri, 'file:///b'] }))).resources).toEqual([uri, 'file:///b'])
    expect(server.all('resources/subscribe')).toHaveLength(3)
  })

  it('are refused without asking by a server that takes none', async () => {
    const { server, connection } = await connected({}, { resources: {} })
    const granted = await connection.watch(new FakeWatcher(legacyClient(), { resources: [uri] })).granted
    expect(granted.refused.get(uri)).toMatchObject({ code: 'METHOD_NOT_FOUND' })
    expect(server.all('resources/subscribe')).toEqual([])
  })

  it('are refused when the server does not answer, taken back there, and hold up nothing else', async () => {
    const { server, connection } = await connected({ timeouts: { probe: 100, start: 200, call: 30 } })
    server.on('resources/subscribe', ({ params }) => (params?.['uri'] === uri ? undefined : {}))
    const watch = connection.watch(new FakeWatcher(legacyClient(), { resources: [uri, 'file:///b'] }))
    const granted = await watch.granted
    expect(granted.resources).toEqual(['file:///b'])
    expect(granted.refused.get(uri)).toMatchObject({ code: 'BACKEND_TIMEOUT', details: { backend: 'files' } })
    const asked = await server.next('resources/subscribe')
    expect((await server.next('notifications/cancelled')).params).toMatchObject({ requestId: asked.id })
    server.on('resources/subscribe', () => ({}))
    expect((await watch.update(interestOf({ resources: [uri] }))).resources).toEqual([uri])
  })

  it('never overtake each other on the wire', async () => {
    const { server, connection } = await connected()
    const watch = connection.watch(new FakeWatcher(legacyClient(), { resources: [uri] }))
    const subscribing = await server.next('resources/subscribe')
    watch.close()
    const again = connection.watch(new FakeWatcher(bob, { resources: [uri] }))
    await quiet(2)
    expect(server.got.slice(2).map(({ method }) => method)).toEqual(['resources/subscribe'])
    server.answer(subscribing.id, {})
    expect((await again.granted).resources).toEqual([uri])
    again.close()
    await server.next('resources/unsubscribe')
    expect(server.got.slice(2).map(({ method }) => method)).toEqual(['resources/subscribe', 'resources/unsubscribe'])
  })

  it('are not taken for a listener that left before they were', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), { resources: [uri] })).close()
    await quiet(2)
    expect(server.all('resources/subscribe')).toEqual([])
  })
})

describe('changes', () => {
  it('reach those they concern', async () => {
    const { server, connection } = await connected()
    server.on('resources/subscribe', () => ({}))
    const tools = new FakeWatcher(legacyClient(), { lists: ['tools'] })
    const folder = new FakeWatcher(bob, { lists: ['resources'], resources: ['file:///dir/'] })
    for (const watcher of [tools, folder]) await connection.watch(watcher).granted
    server.say('notifications/tools/list_changed')
    server.say('notifications/resources/list_changed')
    server.say('notifications/prompts/list_changed')
    server.say('notifications/resources/updated', { uri: 'file:///dir/x', vendor: 1 })
    server.say('notifications/resources/updated', { uri: 'file:///dirty' })
    server.say('notifications/acme', { x: 1 })
    server.say('notifications/bare')
    await quiet(2)
    const others = [
      { kind: 'other', method: 'notifications/acme', params: { x: 1 } },
      { kind: 'other', method: 'notifications/bare', params: undefined },
    ]
    expect(tools.heard).toEqual([{ kind: 'list', list: 'tools' }, ...others])
    expect(folder.heard).toEqual([
      { kind: 'list', list: 'resources' },
      { kind: 'resource', params: { uri: 'file:///dir/x', vendor: 1 } },
      ...others,
    ])
  })

  it.each([
    ['file:///a', 'file:///a', true],
    ['file:///a/b', 'file:///a', true],
    ['file:///a#part', 'file:///a', true],
    ['file:///ab', 'file:///a', false],
    ['file:///', 'file:///a', false],
  ])('of %s concern a subscriber of %s: %s', async (updated, subscribed, concerned) => {
    const { server, connection } = await connected()
    server.on('resources/subscribe', () => ({}))
    const watcher = new FakeWatcher(legacyClient(), { resources: [subscribed] })
    await connection.watch(watcher).granted
    server.say('notifications/resources/updated', { uri: updated })
    await quiet(2)
    expect(watcher.heard).toHaveLength(concerned ? 1 : 0)
  })

  it('are promised only for lists the server announces', async () => {
    const { connection } = await connected({}, { tools: { listChanged: true }, prompts: {} })
    expect((await connection.watch(new FakeWatcher(legacyClient())).granted).lists).toEqual(['tools'])
  })

  it('stop when the watch is closed', async () => {
    const { server, connection } = await connected()
    const watcher = new FakeWatcher(legacyClient())
    const watch = connection.watch(watcher)
    await watch.granted
    watch.close()
    watch.close()
    server.say('notifications/tools/list_changed')
    await quiet(2)
    expect(watcher.heard).toEqual([])
  })

  it('of an elicitation go to the client that was asked', async () => {
    const { server, connection } = await connected()
    const [mine, theirs] = [new FakeWatcher(legacyClient()), new FakeWatcher(bob)]
    for (const watcher of [mine, theirs]) await connection.watch(watcher).granted
    void connection.handle(toolCall('a', { client: legacyClient() }))
    await server.next('tools/call')
    void server.ask('elicitation/create', { mode: 'url', message: 'm', url: 'https://x.test', elicitationId: 'e1' })
    await quiet(2)
    server.say('notifications/elicitation/complete', { elicitationId: 'e1' })
    server.say('notifications/elicitation/complete', { elicitationId: 'unknown' })
    await quiet(2)
    expect(mine.heard).toHaveLength(2)
    expect(theirs.heard).toMatchObject([{ params: { elicitationId: 'unknown' } }])
  })
})

describe('log level', () => {
  const levels = (server: { all(method: string): Message[] }) =>
    server.all('logging/setLevel').map(({ params }) => params?.['level'])

  it('is the most verbose anybody wants, sent when it changes', async () => {
    const { server, connection } = await connected()
    const silent = connection.watch(new FakeWatcher(modernClient()))
    const first = connection.watch(new FakeWatcher(legacyClient(), { logLevel: 'warning' }))
    const second = connection.watch(new FakeWatcher(bob, { logLevel: 'debug' }))
    await Promise.all([silent.granted, first.granted, second.granted])
    await first.update(interestOf({ logLevel: 'error' }))
    second.close()
    await first.update(interestOf({ logLevel: 'error' }))
    first.close()
    await quiet(2)
    expect(levels(server)).toEqual(['debug', 'error'])
  })

  it('is raised by a call before the call is sent', async () => {
    const { server, connection } = await connected()
    const loud = modernClient({ logLevel: 'debug' })
    void connection.handle(toolCall('a', { client: loud })).catch(() => {})
    void connection.handle(toolCall('b', { client: modernClient({ logLevel: 'error' }) })).catch(() => {})
    await server.next('tools/call', 2)
    expect(server.got.slice(2).map(({ method }) => method)).toEqual(['logging/setLevel', 'tools/call', 'tools/call'])
    expect(levels(server)).toEqual(['debug'])
  })

  it('is not sent to a server without logging, and its refusal harms nothing', async () => {
    const { server, connection } = await connected({}, { tools: {} })
    await connection.watch(new FakeWatcher(legacyClient(), { logLevel: 'debug' })).granted
    expect(levels(server)).toEqual([])
    const refusing = await connected()
    refusing.server.on('logging/setLevel', () => ({ error: { code: -32603, message: 'no' } }))
    await refusing.connection.watch(new FakeWatcher(legacyClient(), { logLevel: 'debug' })).granted
    await quiet(2)
    expect(levels(refusing.server)).toEqual(['debug'])
  })
})

describe('log messages', () => {
  const line: JsonObject = { level: 'info', logger: 'x', data: 'hello', vendor: 1 }

  async function room(calls: Partial<Call>[], method = 'tools/call') {
    const setting = await connected()
    const watchers = [legacyClient(), bob, eve].map(client => new FakeWatcher(client))
    for (const watcher of watchers) await setting.connection.watch(watcher).granted
    for (const over of calls) void setting.connection.handle(callOf(method, { name: 'a' }, over)).catch(() => {})
    if (calls.length > 0) await setting.server.next(method, calls.length)
    setting.server.say('notifications/message', line)
    await quiet(2)
    return { ...setting, heard: watchers.map(({ heard }) => heard.length) }
  }

  it('belong to the only call in flight', async () => {
    const seen: unknown[] = []
    const { heard } = await room([{ client: bob, log: params => seen.push(params) }])
    expect(seen).toEqual([line])
    expect(heard).toEqual([0, 0, 0])
  })

  it('of a call whose client wants none are nobody else’s', async () => {
    expect((await room([{ client: modernClient() }])).heard).toEqual([0, 0, 0])
  })

  it('below a call’s level are dropped', async () => {
    const seen: unknown[] = []
    await room([{ client: modernClient({ logLevel: 'error' }), log: params => seen.push(params) }])
    expect(seen).toEqual([])
  })

  it('go to every listener while nothing is in flight, or only lists are fetched', async () => {
    expect((await room([])).heard).toEqual([1, 1, 1])
    expect((await room([{ client: modernClient() }], 'tools/list')).heard).toEqual([1, 1, 1])
  })

  it('go to the client all open calls are of', async () => {
    expect((await room([{ client: bob }, { client: bob }])).heard).toEqual([0, 1, 0])
  })

  it('go to the principal all open calls are of', async () => {
    expect((await room([{ client: bob }, { client: legacyClient() }])).heard).toEqual([1, 1, 0])
  })

  it('go to nobody while calls of several principals are open', async () => {
    expect((await room([{ client: bob }, { client: eve }])).heard).toEqual([0, 0, 0])
  })

  it('are the named call’s when they came on its stream', async () => {
    const { server, connection, onStream } = await connected()
    const seen: string[] = []
    void connection.handle(toolCall('a', { client: bob, log: () => seen.push('a') }))
    void connection.handle(toolCall('b', { client: eve, log: () => seen.push('b') }))
    const { id } = await server.next('tools/call', 2)
    onStream(id, { method: 'notifications/message', params: line })
    expect(seen).toEqual(['b'])
  })

  it('are filtered by each listener’s level, unknown levels apart', async () => {
    const { server, connection } = await connected()
    const picky = new FakeWatcher(legacyClient(), { logLevel: 'warning' })
    await connection.watch(picky).granted
    for (const level of ['info', 'warning', 'alert', 'odd']) server.say('notifications/message', { level, data: level })
    await quiet(2)
    const heard = picky.heard.map(change => (change.kind === 'log' ? change.params['level'] : change.kind))
    expect(heard).toEqual(['warning', 'alert', 'odd'])
  })
})

