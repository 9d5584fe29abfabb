import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ClientProfile, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { callOf, client, FakeServer, FakeWatcher, offerOf, refusalOf, setUp, stored, type Setting } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const from = (who: ClientProfile, more = {}) => callOf('tools/call', { client: who, ...more })
const answeredBy = (outcome: Outcome) => (outcome as unknown as { result: { by: number } }).result.by

async function settled<T>(promise: Promise<T>): Promise<T> {
  void promise.catch(() => {})
  await pass(0)
  return promise
}

describe('share', () => {
  it('auto: one server per principal', async () => {
    const { member, server } = setUp()
    const who = [client('a', 'ann'), client('b', 'ann'), client('c', 'bob')]
    const [a, b, c] = await Promise.all(who.map(each => settled(member.handle(from(each)))))
    expect(answeredBy(a as Outcome)).toBe(answeredBy(b as Outcome))
    expect(answeredBy(c as Outcome)).not.toBe(answeredBy(a as Outcome))
    expect(server.clients).toEqual([undefined, undefined])
  })

  it('auto: the first principal has the server that told what there is', async () => {
    const { member, server } = setUp()
    await member.offered()
    await member.handle(from(client('a', 'ann')))
    expect(server.attempts).toBe(1)
  })

  it('auto: another principal’s server does not tell everybody what there is', async () => {
    const { member, server } = setUp()
    await member.handle(from(client('a', 'ann')))
    await pass(0)
    server.tools = [{ name: 'private to bob' }]
    await settled(member.handle(from(client('b', 'bob'))))
    await pass(1000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
  })

  it('global: one for all', async () => {
    const { member, server } = setUp({ policy: { share: 'global' } })
    await Promise.all(['a', 'b', 'c'].map(id => settled(member.handle(from(client(id, id))))))
    expect(server.attempts).toBe(1)
  })

  it('session: one per client, made for that client', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    const [a, b] = [client('a'), client('b')]
    const first = await settled(member.handle(from(a)))
    const second = await settled(member.handle(from(b)))
    const again = await settled(member.handle(from(a)))
    expect(answeredBy(again)).toBe(answeredBy(first))
    expect(answeredBy(second)).not.toBe(answeredBy(first))
    expect(server.clients).toEqual([a, b])
  })

  it('session: requests of one home share a server, equal ids of two principals do not', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    for (const id of ['r1', 'r2']) await settled(member.handle(from({ ...client(id), home: 'h' })))
    expect(server.attempts).toBe(1)
    for (const principal of ['ann', 'bob']) await settled(member.handle(from(client('same', principal))))
    expect(server.attempts).toBe(3)
  })

  it('session: a client’s server goes with the client, not at once', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    const who = client('a')
    const watch = member.watch(new FakeWatcher({}, who))
    await settled(member.handle(from(who)))
    await pass(3_600_000)
    expect(server.last.wasClosed).toBe(false)
    watch.close()
    await pass(500)
    const next = member.watch(new FakeWatcher({}, who))
    await pass(5000)
    expect(server.last.wasClosed).toBe(false)
    next.close()
    await pass(1000)
    expect(server.last.wasClosed).toBe(true)
    expect(server.connections).toHaveLength(1)
  })

  it('session: not while a call of the client is on the way', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    server.auto = false
    const who = client('a')
    const watch = member.watch(new FakeWatcher({}, who))
    const call = member.handle(from(who))
    await pass(0)
    watch.close()
    await pass(5000)
    server.opened[0]?.answer()
    expect(await call).toMatchObject({ kind: 'complete' })
    await pass(1000)
    expect(server.last.wasClosed).toBe(true)
  })

  it('session: one whose client does not listen goes a minute after its last call', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    await settled(member.handle(from(client('a'))))
    await pass(59_000)
    expect(server.last.wasClosed).toBe(false)
    await pass(2000)
    expect(server.last.wasClosed).toBe(true)
    await settled(member.handle(from(client('a'))))
    expect(server.attempts).toBe(2)
  })

  it('session: what there is is told by a server that goes again, and that no client shares', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    expect(await settled(member.offered())).toMatchObject({ tools: [{ name: 'a' }] })
    await pass(0)
    expect(server.last.wasClosed).toBe(true)
    expect(member.status().state).toBe('idle')
    await settled(member.handle(from(client('a'))))
    expect(server.clients).toEqual([undefined, client('a')])
  })

  it('session: status joins them', async () => {
    const { member, server } = setUp({ policy: { share: 'session', start: 'eager' }, stored: stored(offerOf()) })
    for (const id of ['a', 'b', 'c']) {
      member.watch(new FakeWatcher({}, client(id)))
      await settled(member.handle(from(client(id))))
    }
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 0 })
    server.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    server.last.die()
    await pass(0)
    expect(member.status()).toMatchObject({ state: 'degraded', lastFailure: { stage: 'run' } })
    server.starts = () => undefined
    await pass(1000)
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 1 })
  })

  it('session: one that fell is forgotten with its failure, but not while that says when to try again', async () => {
    const { member, server } = setUp({ policy: { share: 'session' }, stored: stored(offerOf()) })
    const who = client('a')
    for (let n = 0; n < 2; n++) {
      const call = member.handle(from(who))
      await pass(1000)
      await call
      server.last.die()
      await pass(0)
    }
    expect((await refusalOf(member.handle(from(who)))).details.retryAfterMs).toBe(2000)
    expect(member.status().state).toBe('stopped')
    await pass(61_000)
    expect(member.status().state).toBe('idle')
  })

  it('session: a notification makes no server for its client', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    for (let n = 0; n < 300; n++) member.notify('x/y', {}, client(`c${n}`))
    await settled(member.handle(from(client('a'))))
    expect(server.attempts).toBe(1)
    member.notify('x/y', {}, client('a'))
    expect(server.last.notified).toHaveLength(1)
  })

  it('session: there are never more than 256; the one longest unused makes room, one in use does not', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    for (let n = 0; n < 256; n++) {
      await settled(member.handle(from(client(`c${n}`))))
      await pass(1)
    }
    await settled(member.handle(from(client('c0'))))
    await settled(member.handle(from(client('new'))))
    expect(server.connections.filter(({ wasClosed }) => wasClosed)).toHaveLength(1)
    expect(server.connections[1]?.wasClosed).toBe(true)
    const full = setUp({ policy: { share: 'session' } })
    for (let n = 0; n < 256; n++) full.member.watch(new FakeWatcher({}, client(`c${n}`)))
    expect(await refusalOf(full.member.handle(from(client('new'))))).toMatchObject({ code: 'BACKEND_BUSY' })
    expect((await full.member.watch(new FakeWatcher({ resources: ['a:b'] }, client('new'))).granted).refused.size).toBe(1)
  })

  it('session: what continues a call finds the server that asked, under another client id of the same principal only', async () => {
    const { member, server } = setUp({ policy: { share: 'session' } })
    server.auto = false
    const call = member.handle(from(client('a', 'ann')))
    await pass(0)
    server.opened[0]?.answer({ kind: 'inputRequired', requestState: 'ticket.1' })
    const asked = (await call) as { requestState: string }
    expect(asked.requestState).not.toBe('ticket.1')
    const { connection } = { connection: server.last }
    const next = member.handle(from(client('a2', 'ann'), { requestState: asked.requestState, inputResponses: {} }))
    await pass(0)
    const [open] = connection.open
    expect(open?.call.requestState).toBe('ticket.1')
    open?.answer()
    await next
    for (const [state, principal] of [[asked.requestState, 'eve'], ['9999.x', 'ann'], ['nonsense', 'ann'], ['', 'ann']] as const)
      expect(await refusalOf(member.handle(from(client('b', principal), { requestState: state })))).toMatchObject({ code: 'STATE_INVALID' })
  })

  it('a single server’s state is passed on as it is', async () => {
    const { member, server } = setUp()
    server.auto = false
    const call = member.handle(callOf())
    await pass(0)
    const outcome = { kind: 'inputRequired', requestState: 'ticket' } as const
    server.opened[0]?.answer(outcome)
    expect(await call).toBe(outcome)
  })
})

describe('instances', () => {
  function two(setting: Setting = {}, backup = false) {
    const [a, b] = [new FakeServer(), new FakeServer()]
    b.backup = backup
    const { member } = setUp({ ...setting, specs: [a, b] })
    return { member, a, b }
  }

  it('least-loaded: the one with fewest calls, of equals the one that runs', async () => {
    const { member, a, b } = two()
    for (let n = 0; n < 3; n++) await settled(member.handle(callOf()))
    expect([a.attempts, b.attempts]).toEqual([1, 0])
    a.auto = b.auto = false
    const calls = Array.from({ length: 4 }, () => member.handle(callOf()))
    await pass(0)
    expect([a.opened.length, b.opened.length]).toEqual([2, 2])
    for (const open of [...a.opened, ...b.opened]) open.answer()
    await Promise.all(calls)
  })

  it('round-robin: in turn', async () => {
    const { member, a, b } = two({ policy: { balance: 'round-robin' } })
    const by = []
    for (let n = 0; n < 4; n++) by.push(answeredBy(await settled(member.handle(callOf()))))
    expect(by).toEqual([a.last.pid, b.last.pid, a.last.pid, b.last.pid])
  })

  it('a call that waited in vain for one has the whole time with the other', async () => {
    const { member, a, b } = two({ policy: { timeouts: { call: 1000, start: 5000 } } })
    a.starts = () => new Promise(() => {})
    const waiting = member.handle(callOf())
    await settled(member.handle(callOf()))
    b.auto = false
    await pass(6000)
    expect(b.opened).toHaveLength(1)
    await pass(900)
    b.opened[0]?.answer()
    expect(answeredBy(await waiting)).toBe(b.last.pid)
  })

  it('with a server per client, a client stays where its state is', async () => {
    const { member, a, b } = two({ policy: { balance: 'round-robin', share: 'session' }, stored: stored(offerOf()) })
    const by = new Set<number>()
    for (let n = 0; n < 4; n++) by.add(answeredBy(await settled(member.handle(from(client('x'))))))
    expect(by.size).toBe(1)
    expect(a.attempts + b.attempts).toBe(1)
  })

  it('a call that was not handed over goes to another when a start fails', async () => {
    const { member, a, b } = two()
    a.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    expect(answeredBy(await settled(member.handle(callOf())))).toBe(b.last.pid)
    expect(await settled(member.offered())).toBeDefined()
    expect(member.status()).toMatchObject({ state: 'degraded', lastFailure: { stage: 'start' } })
  })

  it('a call that was handed over does not', async () => {
    const { member, a, b } = two()
    a.auto = false
    const call = refusalOf(member.handle(callOf()))
    await pass(0)
    a.last.die()
    expect((await call).code).toBe('BACKEND_DIED')
    expect(b.attempts).toBe(0)
  })

  it('a backup is used while no other can be, and no longer', async () => {
    const { member, a, b } = two({ policy: { restart: { backoff: 10_000 } } }, true)
    await settled(member.handle(callOf()))
    a.auto = false
    const calls = Array.from({ length: 3 }, () => member.handle(callOf()).catch(() => {}))
    expect(b.attempts).toBe(0)
    a.auto = true
    a.last.die()
    await Promise.all(calls)
    await pass(0)
    expect(answeredBy(await settled(member.handle(callOf())))).toBe(b.last.pid)
    expect(member.status().state).toBe('degraded')
    await pass(10_000)
    expect(answeredBy(await settled(member.handle(callOf())))).toBe(a.last.pid)
    expect(member.status().state).toBe('healthy')
  })

  it('an open breaker sends calls elsewhere', async () => {
    const { member, a, b } = two({ policy: { breaker: { failures: 2 } } })
    a.auto = false
    for (let n = 0; n < 2; n++) {
      const call = member.handle(callOf()).catch(() => {})
      await pass(0)
      a.opened[0]?.fail(new McpError('BACKEND_HTTP', 'reset'))
      await call
      await pass(1)
    }
    expect(answeredBy(await settled(member.handle(callOf())))).toBe(b.last.pid)
  })

  it('a call that moves on in the moment of its deadline is counted once', async () => {
    const { member, a, b } = two({ policy: { limits: { concurrency: 1 }, breaker: { failures: 1 }, timeouts: { call: 1000, max: 1000 } } })
    a.auto = b.auto = false
    const calls = Array.from({ length: 6 }, () => refusalOf(member.handle(callOf())))
    await pass(0)
    expect([a.opened.length, b.opened.length]).toEqual([1, 1])
    await pass(1001)
    await Promise.all(calls)
    expect(member.status().inFlight).toBe(0)
    await pass(60_000)
    void refusalOf(member.handle(callOf()))
    void refusalOf(member.handle(callOf()))
    await pass(0)
    expect(member.status().inFlight).toBe(2)
    expect([a.opened.length, b.opened.length]).toEqual([1, 1])
  })

  it('when none can be, the call is refused', async () => {
    const { member, a, b } = two()
    a.starts = b.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    expect(await refusalOf(settled(member.handle(callOf())))).toMatchObject({ code: 'BACKEND_START_FAILED' })
    const [offered, described] = [member.offered(), refusalOf(member.describe())]
    await pass(5000)
    expect(await offered).toBeUndefined()
    expect((await described).details.backend).toBe('files')
  })

  it('what one instance asked is answered to that one', async () => {
    const { member, a, b } = two({ policy: { balance: 'round-robin' } })
    a.auto = b.auto = false
    const call = member.handle(callOf())
    await pass(0)
    a.opened[0]?.answer({ kind: 'inputRequired', requestState: 's' })
    const { requestState } = (await call) as { requestState: string }
    for (let n = 0; n < 2; n++) {
      const next = member.handle(callOf('tools/call', { requestState, inputResponses: {} }))
      await pass(0)
      expect(b.opened).toHaveLength(0)
      expect(a.opened[0]?.call.requestState).toBe('s')
      a.opened[0]?.answer()
      await next
    }
  })

  it('and to no other, if that one is gone', async () => {
    const { member, a, b } = two({ policy: { restart: { backoff: 10_000 } } })
    a.auto = false
    const call = member.handle(callOf())
    await pass(0)
    a.opened[0]?.answer({ kind: 'inputRequired', requestState: 's' })
    const { requestState } = (await call) as { requestState: string }
    a.last.die()
    await pass(0)
    expect(await refusalOf(member.handle(callOf('tools/call', { requestState })))).toMatchObject({ code: 'BACKEND_UNAVAILABLE' })
    expect(b.connections.flatMap(({ seen }) => seen).filter(({ method }) => method === 'tools/call')).toEqual([])
  })

  it('a task is asked after where it runs', async () => {
    const { member, a, b } = two({ policy: { balance: 'round-robin' } })
    a.auto = b.auto = false
    for (const [result, server, id] of [[{ taskId: 't1', status: 'working' }, a, 't1'], [{ task: { taskId: 't2' } }, b, 't2']] as const) {
      const call = member.handle(callOf())
      await pass(0)
      server.opened[0]?.answer({ kind: 'complete', result, variant: 'task' })
      await call
      for (let n = 0; n < 3; n++) {
        const get = member.handle(callOf('tasks/get', { params: { taskId: id } }))
        await pass(0)
        expect(server.opened[0]?.call.method).toBe('tasks/get')
        server.opened[0]?.answer()
        await get
      }
    }
  })

  it('all that are no backup are there from the start if eager', async () => {
    const { a, b } = two({ policy: { start: 'eager' } })
    const { a: c, b: backup } = two({ policy: { start: 'eager' } }, true)
    await pass(0)
    expect([a.attempts, b.attempts, c.attempts, backup.attempts]).toEqual([1, 1, 1, 0])
  })

  it('clients are heard by every instance; what one grants is granted', async () => {
    const { member, a, b } = two({ policy: { start: 'eager' } })
    await pass(0)
    const watcher = new FakeWatcher({ resources: ['a:b'] })
    const watch = member.watch(watcher)
    expect((await watch.granted).resources).toEqual(['a:b'])
    for (const { last } of [a, b]) last.tell({ kind: 'resource', params: { uri: 'a:b' } })
    expect(watcher.changes).toHaveLength(2)
    member.notify('x', {}, client())
    expect([a.last.notified.length, b.last.notified.length]).toEqual([1, 1])
  })

  it('the offer comes from another when its source goes', async () => {
    const { member, a, b } = two({ policy: { start: 'eager' } })
    await pass(0)
    b.tools = [{ name: 'of b' }]
    a.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    a.last.die()
    await pass(100)
    expect(member.offer?.tools).toEqual([{ name: 'of b' }])
    await member.close()
    expect(b.last.wasClosed).toBe(true)
  })
})
