/** One client's ear on many members. */
import { describe, expect, it, vi } from 'vitest'
import type { Ask, Change, Granted, Interest, Watch } from '../../../src/gateway/contract.ts'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Gateway } from '../../../src/gateway/gateway.ts'
import { FakeMember, gatewayOf, seating } from './fake-member.ts'
import { client, interested } from './fake-server.ts'

const serving = (...resources: string[]) => ({ resources, capabilities: { resources: { subscribe: true } } })

function listen(gateway: Gateway, interest: Partial<Interest> = {}, ask?: (ask: Ask) => Promise<object>) {
  const changes: Change[] = []
  const watch: Watch = gateway.watch({
    client: client(), interest: interested(interest), change: change => void changes.push(change),
    ...(ask ? { ask: ask as never } : {}),
  })
  return { watch, changes }
}

const settled = (): Promise<unknown> => new Promise(resolve => setImmediate(resolve))

describe('an interest', () => {
  it('is split by owner, in the owners’ own spelling, and joined again', async () => {
    const [a, b] = [new FakeMember('a', serving('file:///same', 'file:///a')), new FakeMember('b', serving('file:///same'))]
    const gateway = gatewayOf([a, b])
    const both = (gateway.known.resources as Array<{ uri: string }>).map(({ uri }) => uri)
    const { watch } = listen(gateway, { resources: both, lists: ['tools'] })
    expect(await watch.granted).toEqual({ lists: ['tools'], resources: both, refused: new Map() })
    expect(a.watched).toEqual(['file:///same', 'file:///a'])
    expect(b.watched).toEqual(['file:///same'])
  })

  it('what a server refuses and what nobody has is refused by its public name', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1')), new FakeMember('b', serving('y://1'))]
    a.refuses.set('x://1', new Error('not today'))
    const { watch } = listen(gatewayOf([a, b]), { resources: ['x://1', 'y://1', 'z://1'] })
    const { resources, refused } = await watch.granted
    expect(resources).toEqual(['y://1'])
    expect([...refused].map(([uri, error]) => [uri, error.message])).toEqual([['z://1', 'unknown resource: z://1'], ['x://1', 'not today']])
  })

  it('a URI nobody lists goes to the only one that could have it', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1')), new FakeMember('b', {})]
    await listen(gatewayOf([a, b]), { resources: ['x://unlisted'] }).watch.granted
    expect(a.watched).toEqual(['x://unlisted'])
  })

  it('later ones replace earlier ones, in their order, and whoever they do not concern is left alone', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1', 'x://2')), new FakeMember('b', serving('y://1'))]
    const { watch } = listen(gatewayOf([a, b]))
    await watch.granted
    const before = b.heard[0]?.interests.length
    const next = interested({ resources: ['x://1'] })
    const [first, second] = [watch.update(next), watch.update(interested({ resources: ['x://2'] }))]
    expect((await first).resources).toEqual(['x://1'])
    expect((await second).resources).toEqual(['x://2'])
    expect(a.watched).toEqual(['x://2'])
    expect(b.watched).toEqual([])
    expect(b.heard[0]?.interests.length).toBeGreaterThan(before as number)
  })

  it('those that wait and only grow are told as one', async () => {
    const a = new FakeMember('a', serving('x://1', 'x://2', 'x://3'))
    const { watch } = listen(gatewayOf([a]))
    await watch.granted
    const before = a.heard[0]?.interests.length as number
    const grown = [['x://1'], ['x://1', 'x://2'], ['x://1', 'x://2', 'x://3']].map(resources => watch.update(interested({ resources })))
    for (const granted of grown) expect((await granted).resources).toContain('x://1')
    expect(a.heard[0]?.interests).toHaveLength(before + 1)
    expect(a.watched).toEqual(['x://1', 'x://2', 'x://3'])
  })

  it('fields of extensions are granted by whoever knows them', async () => {
    const { watch } = listen(gatewayOf([new FakeMember('a', {}), new FakeMember('b', {})]), { extra: { taskIds: [] } })
    expect((await watch.granted).extra).toEqual({ a: true, b: true })
  })
})

describe('what is heard', () => {
  it('arrives under public names', async () => {
    const [a, b] = [new FakeMember('a', serving('file:///same')), new FakeMember('b', serving('file:///same'))]
    const gateway = gatewayOf([a, b])
    const { changes } = listen(gateway)
    b.tell({ kind: 'resource', params: { uri: 'file:///same', x: 1 } })
    b.tell({ kind: 'log', params: { level: 'info', data: 'd' } })
    b.tell({ kind: 'other', method: 'custom', params: { y: 1 } })
    b.tell({ kind: 'list', list: 'tools' })
    const second = (gateway.known.resources[1] as { uri: string }).uri
    expect(changes).toEqual([
      { kind: 'resource', params: { uri: second, x: 1 } },
      { kind: 'log', params: { level: 'info', data: 'd', logger: 'b' } },
      { kind: 'other', method: 'custom', params: { y: 1 }, from: 'b' },
    ])
  })

  it('of one server alone, log lines stay as they are', () => {
    const a = new FakeMember('a', {})
    const { changes } = listen(gatewayOf([a]))
    a.tell({ kind: 'log', params: { data: 'd' } })
    expect(changes).toEqual([{ kind: 'log', params: { data: 'd' } }])
  })

  it('list changes come from the surface, if wanted', async () => {
    const a = new FakeMember('a', { tools: ['t'], prompts: ['p'] })
    const gateway = gatewayOf([a])
    const [tools, nothing] = [listen(gateway, { lists: ['tools'] }), listen(gateway)]
    await gateway.catalog()
    a.offers({ tools: [], prompts: [] })
    await vi.waitFor(() => expect(tools.changes).toEqual([{ kind: 'list', list: 'tools' }]))
    expect(nothing.changes).toEqual([])
  })

  it('a question says who asks', async () => {
    const [a, b] = [new FakeMember('a', {}), new FakeMember('b', {})]
    const asked: Ask[] = []
    listen(gatewayOf([a, b]), {}, async question => {
      asked.push(question)
      return { ok: true }
    })
    const [ear] = b.heard[0]?.watcher.each ?? []
    expect(await ear?.ask?.({ method: 'm', params: {} }, never)).toEqual({ ok: true })
    expect(asked).toMatchObject([{ method: 'm', from: 'b' }])
  })

  it('nothing after the end', async () => {
    const a = new FakeMember('a', { tools: ['t'] })
    const gateway = gatewayOf([a])
    const { watch, changes } = listen(gateway, { lists: ['tools'] })
    await gateway.catalog()
    watch.close()
    expect(a.heard[0]?.closed).toBe(true)
    a.offers({ tools: [] })
    gateway.replace(seating([a, new FakeMember('b', {})]))
    await new Promise(resolve => setTimeout(resolve, 80))
    expect(changes).toEqual([])
  })
})

describe('members that are replaced', () => {
  it('subscriptions move to the new one before the old one lets go of them', async () => {
    const [old, fresh] = [new FakeMember('a', serving('x://1')), new FakeMember('a', serving('x://1'))]
    const gateway = gatewayOf([old])
    const { watch, changes } = listen(gateway, { resources: ['x://1'] })
    await watch.granted
    gateway.replace(seating([fresh]))
    expect(old.watched).toEqual(['x://1'])
    await vi.waitFor(() => expect(old.watched).toEqual([]))
    expect(fresh.watched).toEqual(['x://1'])
    fresh.tell({ kind: 'resource', params: { uri: 'x://1' } })
    expect(changes).toHaveLength(1)
  })

  it.each<[string, (uri: string) => Granted]>([
    ['says nothing more', () => ({ lists: [], resources: [], refused: new Map() })],
    ['refuses because it ends', uri => ({ lists: [], resources: [], refused: new Map([[uri, new Error('over')]]) })],
  ])('what one had still to grant when it was released is granted by the new one: the old one %s', async (_, last) => {
    const [old, fresh] = [new FakeMember('a', serving('x://1')), new FakeMember('a', serving('x://1'))]
    let end = (): void => {}
    old.watch = ({ interest }) => ({
      granted: Promise.resolve({ ...interest, refused: new Map() }),
      update: ({ resources: [uri] }) => new Promise(resolve => (end = () => resolve(last(uri as string)))),
      close: () => end(),
    })
    const gateway = gatewayOf([old])
    const { watch } = listen(gateway, { resources: ['x://1'] })
    await settled()
    gateway.replace(seating([fresh]))
    gateway.release(old)
    expect(await watch.granted).toMatchObject({ resources: ['x://1'], refused: new Map() })
    await settled()
    expect(fresh.heard.map(({ interests }) => interests.length)).toEqual([2])
  })

  it('the old one is heard until it is released: its calls may have more to say', async () => {
    const [old, fresh] = [new FakeMember('a', {}), new FakeMember('a', {})]
    const gateway = gatewayOf([old])
    const { watch, changes } = listen(gateway)
    await watch.granted
    gateway.replace(seating([fresh]))
    old.tell({ kind: 'log', params: { data: 'last words' } })
    expect(changes).toHaveLength(1)
    gateway.release(old)
    expect(old.heard[0]?.closed).toBe(true)
    old.tell({ kind: 'log', params: { data: 'from the grave' } })
    expect(changes).toHaveLength(1)
  })

  it('who stays keeps its watch and is not told anything again', async () => {
    const [stays, goes] = [new FakeMember('a', serving('x://1')), new FakeMember('b', {})]
    const gateway = gatewayOf([stays, goes])
    const { watch } = listen(gateway, { resources: ['x://1'] })
    await watch.granted
    const told = stays.heard[0]?.interests.length
    gateway.replace(seating([stays, new FakeMember('c', {})]))
    await settled()
    await settled()
    expect(stays.heard).toHaveLength(1)
    expect(stays.heard[0]).toMatchObject({ closed: false, interests: { length: told } })
  })

  it('a resource that another one owns by now is watched there', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1')), new FakeMember('b', { ...serving('x://2') })]
    const gateway = gatewayOf([a, b])
    const { watch } = listen(gateway, { resources: ['x://1'] })
    await watch.granted
    b.offers(serving('x://1'))
    gateway.replace(seating([b]))
    await vi.waitFor(() => expect(b.watched).toEqual(['x://1']))
  })
})
