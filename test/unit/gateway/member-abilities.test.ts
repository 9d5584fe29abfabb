import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ClientProfile, Offer, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import type { Abilities, Stored } from '../../../src/gateway/policy.ts'
import { callOf, client, FakeServer, FakeWatcher, interested, offerOf, refusalOf, setUp, stored, type FakeConnection, type Setting } from './fake-server.ts'

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
  /** From now on it takes one connection and no more. */
  const takeOne = () => {
    server.starts = () => server.connections.some(({ gone }) => !gone) && new McpError('BACKEND_START_FAILED', 'one session only')
  }
  const told = () => server.connections.map(({ start }) => start.abilities?.key)
  const learn = () => server.connections[0]?.start.askedBeyond?.()
  return { member, server, by, takeOne, told, learn }
}

type Shelf = Stored & { saved: Offer[] }
const heardBy = (connection: FakeConnection, who: ClientProfile) =>
  connection.watchers.filter(({ watcher, closed }) => watcher.client === who && !closed).length
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

  it('are told apart from the first call on where that is known from an earlier run', async () => {
    const shelf: Shelf = stored(offerOf())
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
    expect(shelf.apart).toBeUndefined()
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

describe('a server that takes one connection only', () => {
  it('is shared once that is known, for as long as we run', async () => {
    const shelf: Shelf = stored(offerOf())
    const { server, by, takeOne, learn } = house({ stored: shelf })
    const shared = await by(full)
    learn()
    takeOne()
    expect(await by(poor)).toBe(shared)
    expect(shelf.apart).toBeUndefined()
    learn()
    await pass(600_000)
    expect(await by(poor)).toBe(shared)
    expect(server.attempts).toBe(2)
    const next = house({ stored: shelf })
    await next.by(poor)
    next.learn()
    await next.by(poor)
    await next.by(full)
    expect(next.told()).toEqual([undefined, 'form'])
  })

  it('goes over to all when those have it who can be asked less: their calls end first', async () => {
    const shelf: Shelf = { ...stored(offerOf()), apart: true }
    const { member, server, takeOne, told } = house({ stored: shelf })
    takeOne()
    server.auto = false
    const less = member.handle(callOf('tools/call', { client: poor }))
    await pass(0)
    const more = [full, able('rich')].map(who => member.handle(callOf('tools/call', { client: who })))
    await pass(0)
    const later = member.handle(callOf('tools/call', { client: poor }))
    await pass(5000)
    expect(told()).toEqual(['form'])
    server.auto = true
    server.opened[0]?.answer()
    const own = answeredBy(await less)
    await pass(1000)
    const shared = await Promise.all([...more, later].map(async call => answeredBy(await call)))
    expect(new Set(shared).size).toBe(1)
    expect(shared[0]).not.toBe(own)
    expect(told()).toEqual(['form', undefined])
    expect(shelf.apart).toBeUndefined()
  })

  it('waits for what a person has still to answer, a minute at most', async () => {
    for (const answers of [true, false]) {
      const { member, server, takeOne, told } = house({ stored: { ...stored(offerOf()), apart: true } })
      takeOne()
      server.auto = false
      const asking = member.handle(callOf('tools/call', { client: poor }))
      await pass(0)
      server.last.kept.add('form')
      server.opened[0]?.answer({ kind: 'inputRequired', requestState: 'form' })
      await asking
      server.auto = true
      const more = member.handle(callOf('tools/call', { client: full }))
      await pass(50_000)
      expect(told()).toEqual(['form'])
      if (answers) {
        const answered = member.handle(callOf('tools/call', { client: poor, requestState: 'form', inputResponses: {} }))
        await pass(0)
        expect(answeredBy(await answered)).toBe(server.connections[0]?.pid)
      } else await pass(10_000)
      await pass(100)
      expect(answeredBy(await more)).toBe(server.last.pid)
      expect(told()).toEqual(['form', undefined])
    }
  })

  it('starts once more for calls that wait for it, before it goes over', async () => {
    const { member, server, takeOne, told } = house({ stored: { ...stored(offerOf()), apart: true }, policy: { limits: { concurrency: 1 } } })
    takeOne()
    server.auto = false
    const calls = [poor, poor].map(who => member.handle(callOf('tools/call', { client: who })))
    const died = refusalOf(calls[0]!)
    await pass(0)
    const more = member.handle(callOf('tools/call', { client: full }))
    await pass(2000)
    server.auto = true
    server.last.die()
    expect(await died).toMatchObject({ code: 'BACKEND_DIED' })
    await pass(2000)
    expect(await calls[1]).toMatchObject({ kind: 'complete' })
    expect(answeredBy(await more)).toBe(server.last.pid)
    expect(told()).toEqual(['form', 'form', undefined])
  })

  it('keeps the subscriptions of all, and is started for nobody else', async () => {
    const { member, server, by, takeOne, learn } = house()
    const watcher = new FakeWatcher({ resources: ['a:b'] }, poor)
    const watch = member.watch(watcher)
    await by(full)
    learn()
    takeOne()
    await pass(600_000)
    expect(server.connections).toHaveLength(1)
    expect(server.attempts).toBe(2)
    watcher.changes.length = 0
    server.last.tell({ kind: 'resource', params: { uri: 'a:b' } })
    expect(watcher.changes).toHaveLength(1)
    expect(await watch.update({ ...watcher.interest, resources: ['a:c'] })).toMatchObject({ resources: ['a:c'] })
    watch.close()
    expect(heardBy(server.last, poor)).toBe(0)
  })

  it('grants a new subscription that finds out', async () => {
    for (const [first, second] of [[full, poor], [poor, full]] as const) {
      const { member, server, by, takeOne } = house({ stored: { ...stored(offerOf()), apart: true } })
      takeOne()
      await by(first)
      const watcher = new FakeWatcher({ resources: ['a:b'] }, second)
      const { granted } = member.watch(watcher)
      await pass(5000)
      expect(await granted).toMatchObject({ resources: ['a:b'], refused: new Map() })
      server.last.tell({ kind: 'resource', params: { uri: 'a:b' } })
      expect(watcher.changes).toContainEqual({ kind: 'resource', params: { uri: 'a:b' } })
    }
  })

  it('is not taken for one while it is away for all', async () => {
    const { member, server, by, learn } = house()
    const shared = await by(full)
    learn()
    server.pingError = new McpError('BACKEND_HTTP', 'away')
    server.starts = () => new McpError('BACKEND_START_FAILED', 'away')
    const call = member.handle(callOf('tools/call', { client: poor }))
    await pass(0)
    expect(answeredBy(await call)).toBe(shared)
    server.pingError = undefined
    server.starts = () => undefined
    await pass(1000)
    expect(await by(poor)).not.toBe(shared)
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

  it('goes where it is kept, also when clients are told apart no longer', async () => {
    const { server, by } = house({ stored: { ...stored(offerOf()), apart: true } })
    const own = await by(poor)
    server.last.kept.add('ticket')
    server.toldOnce = false
    const shared = await by(full)
    expect(await by(poor)).toBe(shared)
    expect(await by(poor, { requestState: 'ticket', inputResponses: {} })).toBe(own)
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

describe('one kind of client whose server cannot be had', () => {
  const blip = (server: FakeServer, key: string) => {
    server.starts = ({ abilities: kind }) => kind?.key === key && new McpError('BACKEND_START_FAILED', 'spawn EAGAIN')
  }

  it('is served by the first server meanwhile, and the other kinds stay apart', async () => {
    const shelf: Shelf = { ...stored(offerOf()), apart: true }
    const { server, by } = house({ stored: shelf })
    const [first, own] = [await by(full), await by(poor)]
    expect(first).not.toBe(own)
    blip(server, 'third')
    expect(await by(able('x', 'third'))).toBe(first)
    expect(shelf.apart).toBe(true)
    expect(await by(poor)).toBe(own)
  })

  it('is not the only one for good where its next start succeeds while we still look', async () => {
    const shelf: Shelf = { ...stored(offerOf()), apart: true }
    const { member, server } = house({ stored: shelf })
    const call = (who: ClientProfile) => member.handle(callOf('tools/call', { client: who }))
    const first = call(full)
    await pass(0)
    let answer = () => {}
    server.last.ping = () => new Promise(resolve => (answer = resolve))
    blip(server, 'form')
    const less = call(poor)
    await pass(0)
    server.starts = () => undefined
    const again = call(poor)
    await pass(5000)
    answer()
    await pass(0)
    await Promise.all([first, less, again])
    expect(shelf.apart).toBe(true)
    expect(server.last.wasClosed).toBe(false)
  })

  it('keeps nobody else waiting for the calls of another principal', async () => {
    const { member, server, by, takeOne } = house({ stored: { ...stored(offerOf()), apart: true } })
    await by(full)
    const bobs = able('bob', 'form', 'bob')
    server.auto = false
    const long = member.handle(callOf('tools/call', { client: bobs }))
    await pass(0)
    server.auto = true
    takeOne()
    await by(poor)
    server.starts = () => undefined
    const carol = member.handle(callOf('tools/call', { client: able('carol', undefined, 'carol') }))
    await pass(200)
    expect(answeredBy(await carol)).toBe(server.last.pid)
    server.opened[0]?.answer()
    await long
  })

  it('does not end the server of another kind while a task is unfinished there, five minutes at most', async () => {
    const { member, server, by, takeOne } = house({ stored: { ...stored(offerOf()), apart: true } })
    takeOne()
    await by(poor)
    const own = server.last
    own.unfinished = true
    const more = member.handle(callOf('tools/call', { client: full }))
    await pass(200_000)
    expect(own.wasClosed).toBe(false)
    own.unfinished = false
    await pass(1000)
    expect(own.wasClosed).toBe(true)
    await more.catch(() => {})
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

  it('listens once where clients are told apart no longer', async () => {
    const { member, server, by } = house({ stored: { ...stored(offerOf()), apart: true } })
    member.watch(new FakeWatcher({ resources: ['a:b'] }, poor))
    await pass(0)
    server.toldOnce = false
    await by(full)
    expect(server.connections.map(connection => heardBy(connection, poor))).toEqual([0, 1])
    expect(server.last.watchers.filter(({ watcher }) => watcher.client === poor)).toHaveLength(1)
  })

  it('is granted what it subscribes to by the server that all share, where that turns out only at the start of its own', async () => {
    const { member, server } = house({ stored: { ...stored(offerOf()), apart: true } })
    server.toldOnce = false
    const watch = member.watch(new FakeWatcher({}, poor))
    const granted = watch.update(interested({ resources: ['a:b'] }))
    await pass(0)
    expect(await granted).toEqual({ lists: [], resources: ['a:b'], refused: new Map() })
    expect(server.connections.map(connection => heardBy(connection, poor))).toEqual([0, 1])
  })

  it('takes the news of lists from the server for everybody, whatever its own kind is shown', async () => {
    const shelf: Shelf = stored(offerOf())
    const { member, server, by, learn } = house({ stored: shelf })
    await by(full)
    learn()
    await by(poor)
    const [shared, own] = server.connections
    const { handle } = own!
    own!.handle = call => (call.method === 'tools/list' ? Promise.resolve({ kind: 'complete', result: { tools: [] } }) : handle(call))
    const saved = shelf.saved.length
    own?.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    server.tools = [{ name: 'a' }, { name: 'added' }]
    own?.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }, { name: 'added' }])
    expect(shelf.saved.slice(saved).map(({ tools }) => tools.length)).toEqual([1, 2])
    expect(shared?.seen.filter(({ method }) => method === 'tools/list')).toHaveLength(3)
    server.tools = [{ name: 'a' }]
    shared?.die()
    own?.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    await by(full)
    await pass(1000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
    for (let n = 0; n < 5; n++) {
      server.last.die()
      await pass(60_000)
      await by(full)
    }
    expect(own?.watchers.filter(({ watcher, closed }) => watcher.client.id === 'gateway' && !closed)).toHaveLength(1)
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

describe('what is listed', () => {
  it('is asked of the first server also when it does not run, once another one says that it changed', async () => {
    const { member, server, by } = house({ stored: { ...stored(offerOf()), apart: true } })
    await by(poor)
    server.tools = [{ name: 'a' }, { name: 'added' }]
    server.last.tell({ kind: 'list', list: 'tools' })
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    expect(member.offer?.tools).toEqual(server.tools)
    expect(server.connections.map(({ start, gone }) => [start.abilities?.key, gone === undefined])).toEqual([['form', true], [undefined, false]])
  })
})
