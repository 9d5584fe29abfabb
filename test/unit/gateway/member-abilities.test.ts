import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ClientProfile, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import type { Abilities } from '../../../src/gateway/policy.ts'
import { callOf, client, FakeServer, FakeWatcher, offerOf, setUp, stored, type FakeConnection, type Setting } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const answeredBy = (outcome: Outcome) => (outcome as unknown as { result: { by: number } }).result.by

/** A client that can do no more than `can` says; without it, everything. */
const able = (id: string, can?: string, principal = 'ann'): ClientProfile => ({
  ...client(id, principal), capabilities: can === undefined ? {} : { can },
})
const abilities = ({ capabilities: { can } }: ClientProfile): Abilities | undefined =>
  can === undefined ? undefined : { key: String(can), declared: { [String(can)]: {} } }

function house(setting: Setting = {}) {
  const server = new FakeServer()
  server.toldOnce = true
  const { member } = setUp({ specs: [server], abilities, ...setting })
  const by = async (who: ClientProfile, more = {}): Promise<number> => {
    const call = member.handle(callOf('tools/call', { client: who, ...more }))
    await pass(0)
    return answeredBy(await call)
  }
  const told = () => server.connections.map(({ start }) => start.abilities?.key)
  const learn = () => server.connections[0]?.start.askedBeyond?.()
  return { member, server, by, told, learn }
}

const full = able('full')
const poor = able('poor', 'form')

describe('clients of different abilities', () => {
  it('share one server while nothing is asked in vain', async () => {
    const { by, told } = house()
    for (const who of [full, poor, able('other', 'sampling')]) await by(who)
    expect(told()).toEqual([undefined])
  })

  it('are told apart from then on: one server for each kind, which is told what its clients can do', async () => {
    const { by, told, learn } = house()
    const shared = await by(poor)
    learn()
    const own = await by(poor)
    expect(own).not.toBe(shared)
    expect(await by(able('twin', 'form'))).toBe(own)
    expect(await by(full)).toBe(shared)
    await by(able('third', 'sampling'))
    expect(told()).toEqual([undefined, 'form', 'sampling'])
  })

  it('never across principals, whatever they are called', async () => {
    const { server, by, told, learn } = house()
    await by(full)
    learn()
    const pids = [await by(poor), await by(able('p', 'form', 'bob')), await by(able('q', undefined, 'form')), await by(able('r', undefined, 'bob'))]
    expect(new Set(pids).size).toBe(4)
    expect(told()).toEqual([undefined, 'form', 'form', undefined, undefined])
    expect(server.connections.map(({ start }) => start.askedBeyond !== undefined)).toEqual([true, false, false, true, true])
  })

  it.each(['global', 'session'] as const)('are not told apart with share: %s', async share => {
    const { server, by, told } = house({ policy: { share } })
    await by(poor)
    expect(server.last.start.askedBeyond).toBeUndefined()
    await by(poor)
    expect(told()).toEqual([undefined])
  })

  it('share the server for everybody where one of their own cannot be had', async () => {
    const { member, server, by, learn } = house()
    const shared = await by(full)
    learn()
    server.starts = ({ abilities }) => abilities && new McpError('BACKEND_START_FAILED', 'one session only')
    for (let n = 0; n < 3; n++) {
      const call = member.handle(callOf('tools/call', { client: poor }))
      // A start that is due within a second is waited for.
      await pass(1000)
      expect(answeredBy(await call)).toBe(shared)
    }
    server.starts = () => undefined
    await pass(60_000)
    expect(await by(poor)).not.toBe(shared)
  })

  it('are told apart from the first call on where that is known from an earlier run', async () => {
    const shelf = { ...stored(offerOf()), apart: false }
    const first = house({ stored: shelf })
    await first.by(poor)
    const before = shelf.saved.length
    first.learn()
    expect(shelf).toMatchObject({ apart: true })
    expect(shelf.saved.length).toBe(before + 1)
    const next = house({ stored: shelf })
    await next.by(poor)
    expect(next.told()).toEqual(['form'])
    const upgraded = house({ stored: shelf })
    upgraded.server.toldOnce = false
    await upgraded.by(poor)
    await upgraded.by(full)
    await upgraded.by(poor)
    expect(upgraded.told()).toEqual(['form', undefined])
    expect(shelf.apart).toBe(false)
  })

  it('share the server for everybody where there is no place for one more', async () => {
    const { member, server, by, learn } = house()
    const shared = await by(full)
    learn()
    for (let n = 0; n < 256; n++) member.watch(new FakeWatcher({}, able(`c${n}`, `kind ${n}`)))
    expect(await by(poor)).toBe(shared)
    expect(server.attempts).toBe(1)
  })
})

describe('what continues a call', () => {
  it('goes where it is kept, also when its client has been told apart meanwhile', async () => {
    const { server, by, learn } = house()
    const shared = await by(poor)
    ;(server.last as FakeConnection).kept.add('ticket').add('t1')
    learn()
    const own = await by(poor)
    expect(await by(poor, { requestState: 'ticket', inputResponses: {} })).toBe(shared)
    expect(await by(poor, { params: { taskId: 't1' } })).toBe(shared)
    expect(await by(poor, { requestState: 'another' })).toBe(own)
    expect(await by(able('eve', 'form', 'eve'), { requestState: 'ticket' })).not.toBe(shared)
  })

  it('finds the instance of several that keeps it', async () => {
    const [a, b] = [new FakeServer(), new FakeServer()]
    a.toldOnce = b.toldOnce = true
    const { member } = setUp({ specs: [a, b], abilities })
    const call = member.handle(callOf('tools/call', { client: poor }))
    await pass(0)
    await call
    a.last.start.askedBeyond?.()
    a.auto = b.auto = false
    const asking = member.handle(callOf('tools/call', { client: poor }))
    await pass(0)
    expect(a.last.start.abilities?.key).toBe('form')
    a.opened[0]?.answer({ kind: 'inputRequired', requestState: 's' })
    const { requestState } = (await asking) as { requestState: string }
    const next = member.handle(callOf('tools/call', { client: poor, requestState, inputResponses: {} }))
    await pass(0)
    expect(a.opened[0]?.call.requestState).toBe('s')
    expect(a.opened[0]?.connection).toBe(a.last)
    a.opened[0]?.answer()
    await next
  })
})

describe('who listens', () => {
  it('listens where its calls go', async () => {
    const { member, server, by, learn } = house()
    const [rich, less] = [new FakeWatcher({}, full), new FakeWatcher({}, poor)]
    member.watch(rich)
    member.watch(less)
    await by(full)
    learn()
    await by(poor)
    const [shared, own] = server.connections
    const log = { kind: 'log', params: { level: 'info' } } as const
    shared?.tell(log)
    expect([rich.changes.length, less.changes.length]).toEqual([1, 0])
    own?.tell(log)
    expect([rich.changes.length, less.changes.length]).toEqual([1, 1])
  })

  it('keeps its subscriptions: the server that has them now is started, and what may have changed is told', async () => {
    const { member, server, by, learn } = house()
    const watcher = new FakeWatcher({ resources: ['a:b'] }, poor)
    const watch = member.watch(watcher)
    await pass(0)
    await by(full)
    learn()
    await pass(0)
    expect(server.connections).toHaveLength(2)
    expect(server.last.watchers.map(({ interest }) => interest.resources)).toContainEqual(['a:b'])
    expect(watcher.changes).toEqual([{ kind: 'resource', params: { uri: 'a:b' } }])
    server.last.tell({ kind: 'resource', params: { uri: 'a:b' } })
    expect(watcher.changes).toHaveLength(2)
    watch.close()
    expect(server.last.watchers.filter(({ watcher: { client } }) => client === poor).every(({ closed }) => closed)).toBe(true)
  })

  it('still hears what belongs to calls it left behind, and nothing else from there', async () => {
    const { member, server, learn } = house()
    server.auto = false
    const watcher = new FakeWatcher({}, poor)
    const watch = member.watch(watcher)
    const call = member.handle(callOf('tools/call', { client: poor }))
    await pass(0)
    learn()
    server.last.tell({ kind: 'other', method: 'x/done', params: {} })
    server.last.tell({ kind: 'log', params: {} })
    expect(watcher.changes.map(({ kind }) => kind)).toEqual(['other'])
    server.opened[0]?.answer()
    expect(await call).toMatchObject({ kind: 'complete' })
    watch.close()
    server.last.tell({ kind: 'other', method: 'x/done', params: {} })
    expect(watcher.changes).toHaveLength(1)
  })

  it('hears of lists that the server of its own kind says have changed, and of no others', async () => {
    const { member, server, by, learn } = house()
    await member.offered()
    await by(full)
    learn()
    server.tools = [{ name: 'fewer' }]
    await by(poor)
    await pass(1000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
    const watcher = new FakeWatcher({ lists: ['tools'] }, poor)
    member.watch(watcher)
    server.tools = [{ name: 'a' }, { name: 'added' }]
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }, { name: 'added' }])
    expect(watcher.changes).toEqual([{ kind: 'list', list: 'tools' }])
  })
})

describe('a server of one kind of clients', () => {
  it('stops when idle like any other, and its group goes with it', async () => {
    const { member, server, by, learn } = house({ policy: { idleTimeout: 60_000 } })
    await by(full)
    learn()
    await by(poor)
    for (let n = 0; n < 3; n++) {
      await pass(50_000)
      await by(full)
    }
    expect(server.connections.map(({ wasClosed }) => wasClosed)).toEqual([false, true])
    expect(member.status().state).toBe('healthy')
    await by(poor)
    expect(server.connections).toHaveLength(3)
  })

  it('counts in the status of its backend', async () => {
    const { member, server, by, learn } = house()
    await by(full)
    learn()
    server.auto = false
    const calls = [full, poor].map(who => member.handle(callOf('tools/call', { client: who })))
    await pass(0)
    expect(member.status()).toMatchObject({ state: 'healthy', inFlight: 2 })
    for (const open of server.opened) open.answer()
    await Promise.all(calls)
    server.last.die()
    await pass(0)
    expect(member.status()).toMatchObject({ state: 'degraded' })
    await member.close()
    expect(server.connections[0]?.wasClosed).toBe(true)
  })
})
