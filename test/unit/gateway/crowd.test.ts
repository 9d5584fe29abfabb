/** Many clients that are alike, as one to the members behind the gateway. */
import { describe, expect, it, vi } from 'vitest'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Change, ClientProfile, Interest, JsonObject, Watch, Watcher } from '../../../src/gateway/contract.ts'
import type { Gateway } from '../../../src/gateway/gateway.ts'
import { FakeMember, gatewayOf, seating } from './fake-member.ts'
import { callOf, client, interested, setUp } from './fake-server.ts'

const able: JsonObject = { roots: {} }
const serving = (...resources: string[]) => ({ resources, capabilities: { resources: { subscribe: true } } })

class Listener implements Watcher {
  client: ClientProfile
  interest: Interest
  readonly changes: Change[] = []
  readonly watch: Watch

  constructor(gateway: Gateway, id: string, { interest = {}, ...profile }: Partial<ClientProfile> & { interest?: Partial<Interest> } = {}) {
    this.client = { ...client(id), capabilities: able, ...profile }
    this.interest = interested(interest)
    this.watch = gateway.watch(this)
  }
  change(change: Change): void {
    this.changes.push(change)
  }
  async ask(): Promise<JsonObject> {
    return { by: this.client.id }
  }
  update(interest: Partial<Interest>) {
    this.interest = { ...this.interest, ...interest }
    return this.watch.update(this.interest)
  }
}

const open = (member: FakeMember) => member.heard.filter(({ closed }) => !closed)
const names = (member: FakeMember): string[] => open(member).flatMap(({ watcher }) => [...(watcher.each ?? [watcher])].map(each => each.client.id)).sort()
const settled = (): Promise<unknown> => new Promise(resolve => setImmediate(resolve))
const log = { kind: 'log', params: { data: 'd' } } as const

describe('clients that are alike', () => {
  it('are one to each member, which can tell them apart', async () => {
    const [a, b] = [new FakeMember('a', {}), new FakeMember('b', {})]
    const gateway = gatewayOf([a, b])
    const listeners = ['1', '2', '3'].map(id => new Listener(gateway, id, { interest: { lists: ['tools'] } }))
    expect([a.heard.length, b.heard.length, names(a)]).toEqual([1, 1, ['1', '2', '3']])
    expect(await listeners[2]!.watch.granted).toEqual({ lists: ['tools'], resources: [], refused: new Map() })
    const { watcher } = b.heard[0]!
    watcher.change(log)
    watcher.change({ kind: 'other', method: 'x', params: {} }, ({ id }) => id === '2')
    expect(listeners.map(({ changes }) => changes.map(({ kind }) => kind))).toEqual([['log'], ['log', 'other'], ['log']])
    expect(listeners[0]?.changes).toEqual([{ kind: 'log', params: { data: 'd', logger: 'b' } }])
    const answers = await Promise.all([...watcher.each!].map(each => each.ask?.({ method: 'm', params: {} }, never)))
    expect(answers).toEqual([{ by: '1' }, { by: '2' }, { by: '3' }])
  })

  it('all hear of lists that change, those who came late too', async () => {
    const a = new FakeMember('a', { tools: ['t'] })
    const gateway = gatewayOf([a])
    const early = new Listener(gateway, 'early', { interest: { lists: ['tools'] } })
    await gateway.catalog()
    const late = new Listener(gateway, 'late', { interest: { lists: ['tools'] } })
    const deaf = new Listener(gateway, 'deaf')
    a.offers({ tools: ['u'] })
    await vi.waitFor(() => expect(late.changes).toEqual([{ kind: 'list', list: 'tools' }]))
    expect([early.changes, deaf.changes]).toEqual([late.changes, []])
  })

  it('are no more of them when they leave, and the last one takes the watch along', () => {
    const a = new FakeMember('a', {})
    const gateway = gatewayOf([a])
    const [one, two] = [new Listener(gateway, '1'), new Listener(gateway, '2')]
    one.watch.close()
    one.watch.close()
    expect(names(a)).toEqual(['2'])
    a.tell(log)
    expect([one.changes.length, two.changes.length]).toEqual([0, 1])
    two.watch.close()
    expect(open(a)).toEqual([])
    new Listener(gateway, '3')
    expect(names(a)).toEqual(['3'])
  })

  it.each([
    ['principals', { principal: 'eve' }],
    ['abilities', { capabilities: { roots: {} } }],
    ['revisions', { revision: '2024-11-05' }],
    ['levels', { interest: { logLevel: 'error' as const } }],
    ['lists', { interest: { lists: ['tools' as const] } }],
  ])('are not of different %s', (_, other) => {
    const a = new FakeMember('a', {})
    const gateway = gatewayOf([a])
    new Listener(gateway, '1')
    new Listener(gateway, '2', other)
    expect(open(a).map(({ watcher }) => [...watcher.each!].map(each => each.client.id))).toEqual([['1'], ['2']])
  })
})

describe('a client that subscribes', () => {
  it('is heard by those that have it, and hears all else with the others', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1')), new FakeMember('b', serving('y://1'))]
    const gateway = gatewayOf([a, b])
    const [one, two] = [new Listener(gateway, '1', { interest: { lists: ['tools'] } }), new Listener(gateway, '2', { interest: { lists: ['tools'] } })]
    const subscribing = one.update({ resources: ['x://1'] })
    a.tell(log)
    expect(await subscribing).toEqual({ lists: ['tools'], resources: ['x://1'], refused: new Map() })
    expect([a.watched, b.watched, open(a).length, open(b).length]).toEqual([['x://1'], [], 2, 1])
    a.tell(log)
    expect([one.changes.length, two.changes.length]).toEqual([2, 2])
    const own = open(a).find(({ watcher }) => !watcher.each)?.watcher
    expect(own?.ask).toBeUndefined()
    own?.change({ kind: 'resource', params: { uri: 'x://1' } })
    expect([one.changes.length, two.changes.length]).toEqual([3, 2])
    one.watch.close()
    expect([names(a), open(a).length, a.watched]).toEqual([['2'], 1, []])
  })

  it('follows what it subscribes to from one to another', async () => {
    const [a, b] = [new FakeMember('a', serving('x://1')), new FakeMember('b', serving('y://1'))]
    const one = new Listener(gatewayOf([a, b]), '1')
    await one.update({ resources: ['x://1'] })
    expect((await one.update({ resources: ['y://1'] })).resources).toEqual(['y://1'])
    expect([a.watched, b.watched, open(a).length, open(b).length]).toEqual([[], ['y://1'], 1, 2])
  })

  it('takes its subscription along when its member is replaced, and when it must watch alone', async () => {
    const [old, fresh] = [new FakeMember('a', serving('x://1')), new FakeMember('a', serving('x://1'))]
    const gateway = gatewayOf([old])
    const one = new Listener(gateway, '1')
    await one.update({ resources: ['x://1'] })
    gateway.replace(seating([fresh]))
    expect(old.watched).toEqual(['x://1'])
    await vi.waitFor(() => expect([old.watched, fresh.watched]).toEqual([[], ['x://1']]))
    gateway.release(old)
    expect(open(old)).toEqual([])
    gateway.replace(seating([fresh, Object.assign(new FakeMember('b', {}), { apart: true })]))
    await vi.waitFor(() => expect([open(fresh).length, fresh.watched]).toEqual([1, ['x://1']]))
    expect(names(fresh)).toEqual(['1'])
  })

  it('leaves nothing behind when it goes while its subscription is under way', async () => {
    const a = new FakeMember('a', serving('x://1'))
    const one = new Listener(gatewayOf([a]), '1')
    const subscribing = one.update({ resources: ['x://1'] })
    one.watch.close()
    await subscribing
    await settled()
    expect(open(a)).toEqual([])
  })

  it('is told why not', async () => {
    const a = new FakeMember('a', serving('x://1'))
    a.refuses.set('x://1', new Error('not today'))
    const one = new Listener(gatewayOf([a]), '1')
    expect((await one.update({ resources: ['x://1'] })).refused.get('x://1')?.message).toBe('not today')
  })

  it('goes back to the others when it wants no more', async () => {
    const a = new FakeMember('a', serving('x://1'))
    const gateway = gatewayOf([a])
    const [one] = [new Listener(gateway, '1'), new Listener(gateway, '2')]
    await one.update({ resources: ['x://1'] })
    await one.update({ resources: ['x://1'], logLevel: 'error' })
    await one.update({ resources: [], logLevel: undefined })
    expect(open(a)).toHaveLength(1)
    expect([names(a), a.watched]).toEqual([['1', '2'], []])
    a.tell(log)
    expect(one.changes).toHaveLength(1)
  })

  it('joins those of its level when it sets one', async () => {
    const a = new FakeMember('a', {})
    const gateway = gatewayOf([a])
    const [one, two] = [new Listener(gateway, '1'), new Listener(gateway, '2')]
    await Promise.all([one.update({ logLevel: 'error' }), two.update({ logLevel: 'error' })])
    expect(open(a).map(({ watcher }) => watcher.interest.logLevel)).toEqual(['error'])
    expect(names(a)).toEqual(['1', '2'])
  })

  it('keeps its roots among the others, and servers are told to look at them', async () => {
    const a = new FakeMember('a', {})
    const gateway = gatewayOf([a])
    const [one, two] = [new Listener(gateway, '1'), new Listener(gateway, '2', { interest: { roots: [{ uri: 'file:///2' }] } })]
    const told = () => open(a)[0]!.interests.length
    const roots = () => [...open(a)[0]!.watcher.each!].map(({ interest }) => interest.roots)
    await two.watch.granted
    const before = told()
    await one.update({ roots: [{ uri: 'file:///1' }] })
    expect([roots(), open(a).length]).toEqual([[[{ uri: 'file:///1' }], [{ uri: 'file:///2' }]], 1])
    expect(told()).toBeGreaterThan(before)
    const with2 = told()
    two.watch.close()
    await settled()
    expect([roots(), told()]).toEqual([[[{ uri: 'file:///1' }]], with2 + 1])
    await one.update({ roots: [{ uri: 'file:///1' }], logLevel: undefined })
    expect(a.watched).toEqual([])
  })

  it('hears nothing after the end, whatever it still says', async () => {
    const a = new FakeMember('a', serving('x://1'))
    const one = new Listener(gatewayOf([a]), '1')
    one.watch.close()
    expect(await one.update({ resources: ['x://1'] })).toMatchObject({ resources: [] })
    expect(open(a)).toEqual([])
  })
})

describe('members that come and go', () => {
  it('the crowd moves along', async () => {
    const [old, fresh] = [new FakeMember('a', {}), new FakeMember('a', {})]
    const gateway = gatewayOf([old])
    const [one] = [new Listener(gateway, '1'), new Listener(gateway, '2')]
    gateway.replace(seating([fresh]))
    expect([names(fresh), names(old)]).toEqual([['1', '2'], ['1', '2']])
    old.tell(log)
    // Who leaves the crowd meanwhile still hears those that have more to say.
    await one.update({ logLevel: 'error' })
    old.tell(log)
    gateway.release(old)
    old.tell(log)
    fresh.tell(log)
    expect([one.changes.length, open(old)]).toEqual([3, []])
  })

  it('who joins a crowd still hears those that were replaced, as long as they are there', async () => {
    const [old, fresh] = [new FakeMember('a', {}), new FakeMember('a', {})]
    const gateway = gatewayOf([old])
    const one = new Listener(gateway, '1')
    gateway.replace(seating([fresh]))
    const two = new Listener(gateway, '2', { interest: { logLevel: 'info' } })
    await one.update({ logLevel: 'info' })
    expect([names(fresh), open(old).length]).toEqual([['1', '2'], 1])
    old.tell({ kind: 'other', method: 'x', params: {} })
    expect(one.changes).toHaveLength(1)
    gateway.release(old)
    expect(open(old)).toEqual([])
    two.watch.close()
    expect(names(fresh)).toEqual(['1'])
  })

  it.each([
    ['is replaced by one for all', [new FakeMember('a', {})]],
    ['is removed', []],
  ])('one that had a server for each client and %s is watched by each client until it is gone', async (_, next) => {
    const [b, old] = [new FakeMember('b', {}), Object.assign(new FakeMember('a', {}), { apart: true })]
    const gateway = gatewayOf([b, old])
    const listeners = ['1', '2'].map(id => new Listener(gateway, id))
    gateway.replace(seating([b, ...next]))
    for (const listener of listeners) await listener.update({ logLevel: 'info' })
    expect(open(old).map(({ watcher }) => [watcher.client.id, watcher.each])).toEqual([['1', undefined], ['2', undefined]])
    gateway.release(old)
    for (const listener of listeners) await listener.update({ logLevel: 'error' })
    expect([open(old), open(b).length, names(b)]).toEqual([[], 1, ['1', '2']])
  })

  it('a server of one client’s own tells no other client, and asks none, when its member is replaced', async () => {
    const { member: old, server } = setUp({ policy: { share: 'session' } })
    const gateway = gatewayOf([old])
    const listeners = ['1', '2'].map(id => new Listener(gateway, id))
    for (const { client } of listeners) await old.handle(callOf('tools/call', { client }))
    gateway.replace(seating([new FakeMember('files', {})]))
    for (const listener of listeners) await listener.update({ logLevel: 'info' })
    for (const { client, changes } of listeners) {
      const connection = server.connections[server.clients.indexOf(client)]!
      const heard = connection.watchers.filter(({ closed }) => !closed).flatMap(({ watcher }) => [...(watcher.each ?? [watcher])])
      expect(heard.filter(({ ask }) => ask).map(each => each.client.id)).toEqual([client.id])
      connection.tell(log)
      expect(changes).toHaveLength(1)
    }
    expect(listeners.map(({ changes }) => changes.length)).toEqual([1, 1])
    await old.close()
  })

  it('one that has a server for each client is watched by each client, from the moment it comes', async () => {
    const [a, own] = [new FakeMember('a', {}), Object.assign(new FakeMember('b', {}), { apart: true })]
    const gateway = gatewayOf([a])
    const [one, two] = [new Listener(gateway, '1'), new Listener(gateway, '2')]
    gateway.replace(seating([a, own]))
    expect(own.heard.map(({ watcher }) => [watcher.client.id, watcher.each])).toEqual([['1', undefined], ['2', undefined]])
    new Listener(gateway, '3')
    expect([names(own), names(a)]).toEqual([['1', '2', '3'], ['1', '2', '3']])
    a.tell(log)
    own.tell(log)
    expect([one.changes.length, two.changes.length]).toEqual([2, 2])
    gateway.replace(seating([a]))
    gateway.release(own)
    await one.update({ logLevel: 'error' })
    expect(open(own)).toEqual([])
    for (const listener of [one, two]) listener.watch.close()
    expect(names(a)).toEqual(['3'])
  })
})
