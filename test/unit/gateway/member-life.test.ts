import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { McpError } from '../../../src/gateway/errors.ts'
import { SpawnSlots } from '../../../src/gateway/spawn-slots.ts'
import { callOf, described, FakeServer, FakeWatcher, offerOf, refusalOf, setUp, stored, type Setting } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** A member whose server is up, with `setting`. */
async function running(setting: Setting = {}) {
  const made = setUp(setting)
  const first = made.member.handle(callOf())
  await pass(0)
  await first
  return made
}

describe('start', () => {
  it('nothing is started before somebody needs it', async () => {
    const { member, server } = setUp()
    await pass(60_000)
    expect(server.attempts).toBe(0)
    expect(member.status()).toMatchObject({ state: 'idle', pid: null, restarts: 0, lastFailure: null })
  })

  it('all who want it share one start, and it is one process', async () => {
    const { member, server } = setUp()
    const wants = [member.handle(callOf()), member.handle(callOf()), member.offered(), member.describe()]
    await pass(0)
    await Promise.all(wants)
    expect(server.attempts).toBe(1)
    expect(member.status()).toMatchObject({ alias: 'files', state: 'healthy', transport: 'stdio', era: 'e', revision: 'r', tools: 1, pid: server.last.pid })
  })

  it('eager starts at once', async () => {
    const { server } = setUp({ policy: { start: 'eager' } })
    await pass(0)
    expect(server.attempts).toBe(1)
  })

  it('says starting, with the budget of a start', async () => {
    const { member, server } = setUp()
    server.starts = () => new Promise(() => {})
    const call = refusalOf(member.handle(callOf()))
    await pass(1000)
    expect(member.status().state).toBe('starting')
    expect(server.budgets).toEqual([30_000])
    await pass(30_000)
    expect(await call).toMatchObject({ code: 'BACKEND_START_FAILED', details: { backend: 'files' } })
    expect((await call).message).toContain('files')
    expect(member.status()).toMatchObject({ state: 'stopped', lastFailure: { stage: 'start' } })
  })

  it('says installing where the server must be downloaded, with a budget of its own', async () => {
    const { member, server } = setUp()
    server.installing = true
    server.starts = () => new Promise(resolve => setTimeout(resolve, 100_000))
    const call = member.handle(callOf())
    await pass(99_000)
    expect(member.status().state).toBe('installing')
    await pass(1000)
    await call
    expect(server.budgets).toEqual([120_000])
    expect(member.status().state).toBe('healthy')
  })

  it('a connection that comes too late is closed', async () => {
    const { member, server } = setUp()
    server.starts = () => new Promise(resolve => setTimeout(resolve, 33_000))
    void member.handle(callOf()).catch(() => {})
    await pass(34_000)
    expect(server.last.wasClosed).toBe(true)
    expect(member.status().state).not.toBe('healthy')
  })

  it('the end of the budget tells the start that it is not wanted any more', async () => {
    const { member, server } = setUp()
    let told = false
    server.starts = ({ cancellation }) => new Promise(() => cancellation.subscribe(() => (told = true)))
    void member.offered()
    await pass(31_000)
    expect(told).toBe(true)
  })

  it('at most four start at a time, across members', async () => {
    const slots = new SpawnSlots()
    let starting = 0
    let most = 0
    const members = Array.from({ length: 12 }, () => {
      const made = setUp({ slots })
      made.server.starts = async () => {
        most = Math.max(most, ++starting)
        await new Promise(resolve => setTimeout(resolve, 1000))
        starting--
      }
      return made.member
    })
    const all = Promise.all(members.map(member => member.offered()))
    await pass(3000)
    expect((await all).every(Boolean)).toBe(true)
    expect(most).toBe(4)
  })

  it('one that a call waits for starts before those nobody waits for', async () => {
    const slots = new SpawnSlots(1)
    const made = Array.from({ length: 4 }, () => setUp({ slots }))
    for (const { server } of made) server.starts = () => new Promise(resolve => setTimeout(resolve, 1000))
    for (const { member } of made) void member.offered()
    const call = made[3]?.member.handle(callOf())
    await pass(2000)
    expect(await call).toMatchObject({ kind: 'complete' })
    expect(made.map(({ server }) => server.attempts)).toEqual([1, 1, 0, 1])
  })

  it('servers that hang do not keep the healthy ones from starting', async () => {
    const slots = new SpawnSlots()
    const hanging = Array.from({ length: 8 }, () => setUp({ slots }))
    for (const { server } of hanging) server.starts = () => new Promise(() => {})
    const good = setUp({ slots })
    for (const { member } of hanging) void member.offered()
    const offer = good.member.offered()
    await pass(6000)
    expect(await offer).toBeDefined()
  })

  it('a failed start fails those who waited, typed and with the alias; the next demand tries again', async () => {
    const { member, server } = setUp()
    server.starts = () => new McpError('BACKEND_START_FAILED', 'no such file: nope')
    const errors = await Promise.all([refusalOf(member.handle(callOf())), refusalOf(member.describe())])
    expect(errors.map(({ code }) => code)).toEqual(['BACKEND_START_FAILED', 'BACKEND_START_FAILED'])
    expect(errors[0].message).toBe('files: no such file: nope')
    expect(member.status()).toMatchObject({ state: 'stopped', lastFailure: { stage: 'start', message: 'files: no such file: nope' } })
    expect(Date.parse(member.status().lastFailure?.at ?? '')).toBe(Date.now())
    server.starts = () => undefined
    await pass(1000)
    const again = member.handle(callOf())
    await pass(0)
    expect(await again).toMatchObject({ kind: 'complete' })
    expect(server.attempts).toBe(2)
  })

  it('what is wrong with the configuration holds it back at once', async () => {
    const { member, server } = setUp()
    server.starts = () => new McpError('CONFIG_INVALID', 'bad')
    expect(await member.offered()).toBeUndefined()
    await pass(600_000)
    expect(server.attempts).toBe(1)
    expect(member.status()).toMatchObject({ state: 'held', lastFailure: { stage: 'resolve' } })
    expect(await refusalOf(member.handle(callOf()))).toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('a server that wants a sign-in says so, and is tried again on demand but not in a storm', async () => {
    const { member, server } = setUp()
    server.spawns = false
    server.starts = () => new McpError('BACKEND_NEEDS_AUTH', 'sign in first', { hint: 'do it' })
    for (let n = 0; n < 10; n++)
      expect(await refusalOf(member.handle(callOf()))).toMatchObject({ code: 'BACKEND_NEEDS_AUTH', details: { backend: 'files', hint: 'do it' } })
    expect(server.attempts).toBe(1)
    expect(member.status().state).toBe('needs-auth')
    server.starts = () => undefined
    await pass(5000)
    await member.handle(callOf())
    expect(member.status().state).toBe('healthy')
  })
})

describe('restart', () => {
  it('a call that comes while the restart is at most a second away waits for it', async () => {
    const { member, server } = await running()
    server.last.die()
    await pass(0)
    expect(member.status()).toMatchObject({ state: 'stopped', lastFailure: { stage: 'run', message: 'files: exited with code 1' } })
    const call = member.handle(callOf())
    await pass(999)
    expect(server.attempts).toBe(1)
    await pass(1)
    expect(await call).toMatchObject({ kind: 'complete' })
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 1, lastFailure: { stage: 'run' } })
  })

  it('one that comes earlier is refused at once, and told when to come back', async () => {
    const { member, server } = await running()
    for (let n = 0; n < 2; n++) {
      server.last.die()
      await pass(0)
      if (n === 0) {
        const call = member.handle(callOf())
        await pass(1000)
        await call
      }
    }
    const error = await refusalOf(member.handle(callOf()))
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE', details: { backend: 'files', retryAfterMs: 2000 } })
    await pass(1000)
    const call = member.handle(callOf())
    await pass(1000)
    expect(await call).toMatchObject({ kind: 'complete' })
  })

  it('backs off while starts fail, starts anew after a minute in health', async () => {
    const { member, server } = setUp({ policy: { restart: { holdAfter: 0 } } })
    member.watch(new FakeWatcher())
    const at: number[] = []
    server.starts = () => {
      at.push(performance.now())
      return new McpError('BACKEND_START_FAILED', 'no')
    }
    void member.offered()
    await pass(200_000)
    const gaps = at.slice(1).map((time, n) => Math.round((time - (at[n] as number)) / 1000))
    expect(gaps.slice(0, 7)).toEqual([1, 2, 4, 8, 16, 32, 60])
    server.starts = () => undefined
    await pass(60_000)
    expect(member.status().state).toBe('healthy')
    await pass(61_000)
    server.last.die()
    await pass(1000)
    expect(member.status().state).toBe('healthy')
  })

  it('is held after five crashes in a minute: visible, refused with a reason, and given a chance after a pause', async () => {
    const { member, server } = setUp({ policy: { restart: { backoff: 0 } } })
    member.watch(new FakeWatcher())
    void member.offered()
    for (let n = 0; n < 5; n++) {
      await pass(100)
      expect(server.attempts).toBe(n + 1)
      server.last.die()
    }
    await pass(100)
    expect(member.status()).toMatchObject({ state: 'held', restarts: 4 })
    const error = await refusalOf(member.handle(callOf()))
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE' })
    expect(error.message).toContain('crashing')
    expect(error.details.retryAfterMs).toBeGreaterThan(290_000)
    await pass(290_000)
    expect(server.attempts).toBe(5)
    await pass(10_000)
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 5 })
  })

  it('backoff 0 and holdAfter 0: always at once', async () => {
    const { member, server } = await running({ policy: { restart: { backoff: 0, holdAfter: 0 } } })
    for (let n = 0; n < 50; n++) {
      server.last.die()
      await pass(0)
      const call = member.handle(callOf())
      await pass(1)
      await call
    }
    expect(member.status().state).toBe('healthy')
  })

  it('a lazy server nobody listens to stays down until it is needed', async () => {
    const { member, server } = await running()
    server.last.die()
    await pass(120_000)
    expect(server.attempts).toBe(1)
    expect(member.status().state).toBe('stopped')
  })

  it('one that an eager policy or a client would miss comes back by itself', async () => {
    const eager = await running({ policy: { start: 'eager' } })
    const watched = await running()
    watched.member.watch(new FakeWatcher())
    for (const { server } of [eager, watched]) server.last.die()
    await pass(1000)
    for (const { member } of [eager, watched]) expect(member.status()).toMatchObject({ state: 'healthy', restarts: 1 })
  })

  it('one whose offer is still unknown is tried until it tells', async () => {
    const { member, server } = setUp()
    server.spawns = false
    server.starts = () => new McpError('BACKEND_HTTP', 'refused')
    expect(await member.offered()).toBeUndefined()
    await pass(20_000)
    server.starts = () => undefined
    let told = 0
    member.onOffer(() => told++)
    await pass(60_000)
    expect(told).toBe(1)
    expect(member.offer?.tools).toHaveLength(1)
  })

  it('the former process is gone before the next one starts', async () => {
    const { member, server } = await running({ policy: { idleTimeout: 1000 } })
    let left = () => {}
    server.last.close = () => new Promise(resolve => (left = resolve))
    await pass(1000)
    expect(member.status().state).toBe('idle')
    const call = member.handle(callOf())
    await pass(2000)
    expect(server.attempts).toBe(1)
    left()
    await pass(0)
    await call
    expect(server.attempts).toBe(2)
  })

  it('so is that of a start that failed, for which its callers do not wait, and nobody without end', async () => {
    const { member, server } = setUp({ policy: { restart: { backoff: 0, holdAfter: 0 } } })
    let gone = () => {}
    server.starts = ({ leaves }) => {
      leaves?.(new Promise<void>(resolve => (gone = resolve)))
      return new McpError('BACKEND_TIMEOUT', 'not ready')
    }
    const call = () => void member.handle(callOf()).catch(() => {})
    const first = refusalOf(member.handle(callOf()))
    await pass(0)
    expect((await first).code).toBe('BACKEND_TIMEOUT')
    call()
    await pass(5000)
    expect(server.attempts).toBe(1)
    gone()
    await pass(0)
    expect(server.attempts).toBe(2)
    call()
    await pass(5000)
    expect(server.attempts).toBe(2)
    await pass(1001)
    expect(server.attempts).toBe(3)
  })
})

describe('health', () => {
  it('a quiet server is pinged now and then; traffic makes that needless', async () => {
    const { member, server } = await running()
    await pass(29_000)
    expect(server.last.pings).toBe(0)
    await member.handle(callOf())
    await pass(29_000)
    expect(server.last.pings).toBe(0)
    await pass(2000)
    expect(server.last.pings).toBe(1)
    await pass(60_000)
    expect(server.last.pings).toBe(3)
  })

  it('clients that come and go set no timer each', async () => {
    const { member } = await running({ policy: { idleTimeout: 60_000 } })
    const set = vi.spyOn(globalThis, 'setTimeout')
    for (let count = 0; count < 100; count++) {
      member.watch(new FakeWatcher({ resources: ['x://a'] })).close()
      await pass(7)
    }
    expect(set.mock.calls.length).toBeLessThan(10)
    set.mockRestore()
  })

  it('is not pinged while it works', async () => {
    const { member, server } = await running()
    server.auto = false
    void member.handle(callOf()).catch(() => {})
    await pass(55_000)
    expect(server.last.pings).toBe(0)
  })

  it('one missed ping is degraded, the second a restart', async () => {
    const { member, server } = await running({ policy: { start: 'eager' } })
    const first = server.last
    server.pingError = new McpError('BACKEND_TIMEOUT', 'no answer')
    await pass(30_000)
    expect(member.status()).toMatchObject({ state: 'degraded', lastFailure: { stage: 'health' } })
    await pass(5000)
    expect(first.wasClosed).toBe(true)
    server.pingError = undefined
    await pass(1000)
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 1 })
  })

  it('an answer makes it well again', async () => {
    const { member, server } = await running()
    server.pingError = new Error('lost')
    await pass(30_000)
    expect(member.status().state).toBe('degraded')
    server.pingError = undefined
    await pass(5000)
    expect(member.status().state).toBe('healthy')
    expect(server.attempts).toBe(1)
  })
})

describe('idle stop', () => {
  it('stops a server nobody uses, says idle, and starts it again on demand', async () => {
    const { member, server } = await running({ policy: { idleTimeout: 600_000 } })
    await pass(300_000)
    await member.handle(callOf())
    await pass(599_000)
    expect(server.last.wasClosed).toBe(false)
    await pass(2000)
    expect(server.last.wasClosed).toBe(true)
    expect(member.status()).toMatchObject({ state: 'idle', tools: 1, pid: null, lastFailure: null })
    const call = member.handle(callOf())
    await pass(0)
    await call
    expect(member.status()).toMatchObject({ state: 'healthy', restarts: 0 })
  })

  it('not while a call is on the way', async () => {
    const { member, server } = await running({ policy: { idleTimeout: 1000 } })
    server.auto = false
    const call = member.handle(callOf())
    await pass(30_000)
    expect(server.last.wasClosed).toBe(false)
    server.opened[0]?.answer()
    await call
    await pass(2100)
    expect(server.last.wasClosed).toBe(true)
  })

  it('not while a client subscribes to a resource, but soon after', async () => {
    const { member, server } = await running({ policy: { idleTimeout: 1000 } })
    const watch = member.watch(new FakeWatcher({ resources: ['file:///a'] }))
    await pass(10_000)
    expect(server.last.wasClosed).toBe(false)
    watch.close()
    await pass(1000)
    expect(server.last.wasClosed).toBe(true)
  })

  it('not while a person is being asked', async () => {
    const { member, server } = await running({ policy: { idleTimeout: 1000 } })
    server.auto = false
    const call = member.handle(callOf())
    server.opened[0]?.answer({ kind: 'inputRequired', requestState: 's' })
    await call
    await pass(60_000)
    expect(server.last.wasClosed).toBe(false)
    const next = member.handle(callOf('tools/call', { requestState: 's', inputResponses: {} }))
    server.opened[0]?.answer()
    await next
    await pass(2100)
    expect(server.last.wasClosed).toBe(true)
  })

  it('never an eager one, and never without a time', async () => {
    const eager = await running({ policy: { start: 'eager', idleTimeout: 1000 } })
    const timeless = await running()
    await pass(3_600_000)
    for (const { server } of [eager, timeless]) expect(server.last.wasClosed).toBe(false)
  })
})

describe('close', () => {
  it('fails what is on the way and what waits, closes, and takes nothing more', async () => {
    const { member, server } = await running({ policy: { limits: { concurrency: 1 } } })
    server.auto = false
    const calls = [refusalOf(member.handle(callOf())), refusalOf(member.handle(callOf()))]
    const closed = Promise.all([member.close(), member.close()])
    for (const error of await Promise.all(calls)) expect(error.code).toBe('SHUTTING_DOWN')
    await closed
    expect(server.last.wasClosed).toBe(true)
    expect(await refusalOf(member.handle(callOf()))).toMatchObject({ code: 'SHUTTING_DOWN' })
    expect(member.status().state).toBe('stopped')
    expect(await member.offered()).toBeDefined()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('while starting: the start is called off, and a late connection closed', async () => {
    const { member, server } = setUp()
    server.starts = ({ cancellation }) => new Promise(resolve => cancellation.subscribe(() => setTimeout(resolve, 2000)))
    const call = refusalOf(member.handle(callOf()))
    const described = refusalOf(member.describe())
    await pass(100)
    let done = false
    void member.close().then(() => (done = true))
    await pass(1000)
    expect((await call).code).toBe('SHUTTING_DOWN')
    expect((await described).code).toBe('SHUTTING_DOWN')
    expect(done).toBe(false)
    await pass(1100)
    expect(done).toBe(true)
    expect(server.last.wasClosed).toBe(true)
  })

  it('in the very moment in which a connection comes: that one is closed', async () => {
    for (let turns = 0; turns < 8; turns++) {
      const { member, server } = setUp()
      let done: Promise<void> | undefined
      server.starts = async () => {
        let turn = Promise.resolve()
        for (let count = 0; count < turns; count++) turn = turn.then(() => {})
        void turn.then(() => (done = member.close()))
      }
      void member.handle(callOf()).catch(() => {})
      await pass(100)
      await done
      expect(server.last.wasClosed, `after ${turns} turns`).toBe(true)
      expect(member.status().state).toBe('stopped')
    }
  })

  it('does not wait for ever on a start that never ends', async () => {
    const { member, server } = setUp()
    server.starts = () => new Promise(() => {})
    void member.offered()
    await pass(0)
    let done = false
    void member.close().then(() => (done = true))
    await pass(6000)
    expect(done).toBe(true)
  })
})

it('known from the store: idle, described and offered without a start', async () => {
  const { member, server } = setUp({ stored: stored(offerOf({ description: described({ tools: {}, prompts: {} }), tools: [{ name: 'x' }, { name: 'y' }] })) })
  expect(await member.offered()).toMatchObject({ tools: [{ name: 'x' }, { name: 'y' }] })
  expect((await member.describe()).capabilities).toEqual({ tools: {}, prompts: {} })
  expect(member.status()).toMatchObject({ state: 'idle', tools: 2, era: 'e', revision: 'r' })
  expect(server.attempts).toBe(0)
})

it('notifications of clients reach a live server and start none', async () => {
  const idle = setUp()
  idle.member.notify('x/y', {}, callOf().client)
  expect(idle.server.attempts).toBe(0)
  const { member, server } = await running()
  member.notify('x/y', {}, callOf().client)
  expect(server.last.notified).toMatchObject([{ method: 'x/y', client: { id: 'c1' } }])
})

it('the type of a server is what its spec says', () => {
  const server = new (class extends FakeServer {
    override readonly transport = 'http'
  })()
  expect(setUp({ specs: [server] }).member.status().transport).toBe('http')
})
