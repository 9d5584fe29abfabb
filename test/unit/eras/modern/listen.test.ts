import { afterEach, describe, expect, it, vi } from 'vitest'
import { openModernFront } from '../../../../src/eras/modern/client-side.ts'
import { Peer } from '../../../../src/eras/peer.ts'
import type { Granted } from '../../../../src/gateway/contract.ts'
import { memoryPair } from '../../../../src/transports/channel.ts'
import { FakeGateway, key, meta, quiet, serveOptions, Wire, type Ear } from './rig.ts'

const acknowledged = 'notifications/subscriptions/acknowledged'

function open() {
  const [ours, theirs] = memoryPair()
  const gateway = new FakeGateway()
  const front = openModernFront(serveOptions(gateway), 'client-7')
  new Peer(ours, { request: incoming => front.request(incoming), notification() {}, closed: () => front.closed() })
  const client = new Wire(theirs)
  const listen = (notifications: unknown, id: string | number = 'l') =>
    client.send({ id, method: 'subscriptions/listen', params: { notifications, _meta: meta() } })
  return { gateway, front, client, listen, ear: () => gateway.ears[0] as Ear }
}

const stamp = (id: string | number) => ({ _meta: { [key.subscription]: id } })
afterEach(() => void vi.useRealTimers())

describe('a listen stream', () => {
  it('is acknowledged with what is honoured, in the filter’s words, under its id', async () => {
    const { client, listen, gateway, ear } = open()
    gateway.grant = interest => ({ lists: ['tools'], resources: ['a:1'], refused: new Map(), extra: { taskIds: interest.extra?.['taskIds'] } })
    listen({ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: false, resourceSubscriptions: ['a:1', 'a:2', 'a:1'], taskIds: ['t'] }, 4)
    const { params } = await client.next(({ method }) => method === acknowledged)
    expect(params).toEqual({ ...stamp(4), notifications: { toolsListChanged: true, resourceSubscriptions: ['a:1'], taskIds: ['t'] } })
    expect(ear().interest).toMatchObject({ lists: ['tools', 'prompts'], resources: ['a:1', 'a:2'], extra: { taskIds: ['t'] } })
    expect(ear().watcher.ask).toBeUndefined()
  })

  it.each([
    ['no filter', undefined],
    ['a filter that is no object', []],
    ['a flag that is none', { toolsListChanged: 'yes' }],
    ['subscriptions that are no list', { resourceSubscriptions: 'a:1' }],
    ['subscriptions to no URI', { resourceSubscriptions: [1] }],
    ['subscriptions without end', { resourceSubscriptions: Array(5000).fill('a:1') }],
  ])('is refused for %s', async (_title, notifications) => {
    const { client, gateway } = open()
    const { error } = await client.ask('subscriptions/listen', { notifications, _meta: meta() })
    expect(error?.code).toBe(-32602)
    expect(gateway.ears).toEqual([])
  })

  it('tells what was asked for, stamped, and nothing else', async () => {
    const { client, listen, ear } = open()
    listen({ toolsListChanged: true, resourceSubscriptions: ['a:1'] }, 1)
    await client.next(({ method }) => method === acknowledged)
    ear().tell({ kind: 'list', list: 'tools' })
    ear().tell({ kind: 'list', list: 'prompts' })
    ear().tell({ kind: 'resource', params: { uri: 'a:1/sub', vendor: 1, _meta: { 'acme/x': 1 } } })
    ear().tell({ kind: 'log', params: { level: 'error', data: 'x' } })
    ear().tell({ kind: 'other', method: 'notifications/acme', params: { a: 1 } })
    await quiet()
    expect(client.received.slice(1)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: stamp(1) },
      {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'a:1/sub', vendor: 1, _meta: { 'acme/x': 1, [key.subscription]: 1 } },
      },
    ])
  })

  it('tells the news of extensions to those who used a field of one, and of tasks to those who named them', async () => {
    const { client, listen, gateway } = open()
    listen({ taskIds: ['t1'] }, 'tasks')
    listen({ 'acme/events': true }, 'acme')
    await client.next(({ method, params }) => method === acknowledged && (params?.['_meta'] as object) !== undefined)
    await quiet()
    for (const ear of gateway.ears)
      for (const params of [{ taskId: 't1', status: 'working' }, { taskId: 't2' }]) ear.tell({ kind: 'other', method: 'notifications/tasks', params })
    for (const ear of gateway.ears) ear.tell({ kind: 'other', method: 'notifications/acme', params: undefined })
    await quiet()
    expect(client.received.slice(2).map(({ method, params }) => [method, params])).toEqual([
      ['notifications/tasks', { taskId: 't1', status: 'working', ...stamp('tasks') }],
      ['notifications/acme', stamp('acme')],
    ])
  })

  it('is acknowledged before anything is told on it', async () => {
    const { client, listen, gateway, ear } = open()
    let settle = (_granted: Granted): void => {}
    gateway.grant = () => new Promise(resolve => (settle = resolve))
    listen({ toolsListChanged: true }, 1)
    await quiet()
    ear().tell({ kind: 'list', list: 'tools' })
    await quiet()
    expect(client.received).toEqual([])
    settle({ lists: ['tools'], resources: [], refused: new Map() })
    await quiet()
    expect(client.received.map(({ method }) => method)).toEqual([acknowledged, 'notifications/tools/list_changed'])
  })

  it('does not wait for slow backends: what they may still grant is taken on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { client, listen, gateway } = open()
    gateway.grant = () => new Promise(() => {})
    listen({ toolsListChanged: true, resourceSubscriptions: ['a:1'] }, 1)
    await quiet()
    expect(client.received).toEqual([])
    await vi.advanceTimersByTimeAsync(2000)
    await quiet()
    expect(client.received[0]?.params?.['notifications']).toEqual({ toolsListChanged: true, resourceSubscriptions: ['a:1'] })
  })

  it('stands beside others, each with its own filter and id', async () => {
    const { client, listen, gateway } = open()
    listen({ toolsListChanged: true }, 1)
    listen({ promptsListChanged: true }, '1')
    await quiet()
    for (const ear of gateway.ears) ear.tell({ kind: 'list', list: 'prompts' })
    await quiet()
    expect(client.of('notifications/prompts/list_changed').map(({ params }) => params)).toEqual([stamp('1')])
  })

  it('ends with its client’s cancellation, silently', async () => {
    const { client, listen, ear } = open()
    listen({ toolsListChanged: true }, 1)
    await client.next(({ method }) => method === acknowledged)
    client.send({ method: 'notifications/cancelled', params: { requestId: 1 } })
    await quiet()
    expect(ear().open).toBe(false)
    ear().tell({ kind: 'list', list: 'tools' })
    await quiet()
    expect(client.received).toHaveLength(1)
  })

  it('ends with an empty result when we end', async () => {
    const { client, listen, front, ear } = open()
    listen({ toolsListChanged: true }, 'x')
    await client.next(({ method }) => method === acknowledged)
    front.drain?.()
    await quiet()
    expect(client.received[1]).toEqual({ jsonrpc: '2.0', id: 'x', result: { resultType: 'complete', ...stamp('x') } })
    expect(ear().open).toBe(false)
  })

  it('ends when the client goes', async () => {
    const { client, listen, ear } = open()
    listen({ toolsListChanged: true })
    await client.next(({ method }) => method === acknowledged)
    await client.channel.close()
    await quiet()
    expect(ear().open).toBe(false)
  })

  it('is refused beyond 1024 of one client', async () => {
    const { client, listen } = open()
    for (let id = 0; id < 1024; id++) listen({}, id)
    const { error } = await client.ask('subscriptions/listen', { notifications: {}, _meta: meta() })
    expect(error).toMatchObject({ code: -32603 })
    client.send({ method: 'notifications/cancelled', params: { requestId: 3 } })
    listen({}, 'again')
    const { params } = await client.next(({ params }) => (params?.['_meta'] as { [key: string]: unknown })?.[key.subscription] === 'again')
    expect(params).toBeDefined()
  })
})
