import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CancelSource } from '../../../src/gateway/cancellation.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { callOf, client, FakeWatcher, refusalOf, setUp, wireError, type Setting } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** A member whose server is up and from now on leaves calls open. */
async function running(setting: Setting = {}) {
  const made = setUp(setting)
  const first = made.member.handle(callOf())
  await pass(0)
  await first
  made.server.auto = false
  return made
}

const by = (id: string) => callOf('tools/call', { client: client(id) })
const names = (open: { call: { client: { id: string } } }[]) => open.map(({ call }) => call.client.id)

describe('a call', () => {
  it('reaches the server as it is, and its outcome comes back as it is', async () => {
    const { member, server } = await running()
    const call = callOf('x/custom', {
      params: { deep: { er: [1] } }, inputResponses: { k: 1 }, requestState: 's', continues: 'files', extra: { vendor: true }, log: () => {},
    })
    const outcome = { kind: 'complete', result: { a: 1 }, variant: 'task', freshness: { ttlMs: 1, scope: 'public' }, extra: { b: 2 } } as const
    const answer = member.handle(call)
    const seen = server.opened[0]?.call
    const { cancellation, progress, ...rest } = { ...seen }
    const { cancellation: own, ...sent } = call
    expect(rest).toEqual(sent)
    expect(rest.params).toBe(call.params)
    expect(progress).toBeUndefined()
    expect(cancellation?.cancelled).toBe(own.cancelled)
    server.opened[0]?.answer(outcome)
    expect(await answer).toBe(outcome)
  })

  it('passes a server’s own error on unchanged', async () => {
    const { member, server } = await running()
    const failed = refusalOf(member.handle(callOf()))
    const error = wireError(-32_042, 'open this url')
    server.opened[0]?.fail(error)
    expect(await failed).toBe(error)
  })

  it('anything else that is thrown is typed and names the alias', async () => {
    const { member, server } = await running()
    const calls = [refusalOf(member.handle(callOf())), refusalOf(member.handle(callOf()))]
    server.opened[0]?.fail(new McpError('MESSAGE_TOO_LARGE', 'a line of 20 MB', { hint: 'raise it' }))
    server.opened[0]?.fail(new TypeError('secret details'))
    const [large, odd] = await Promise.all(calls)
    expect(large).toMatchObject({ code: 'MESSAGE_TOO_LARGE', message: 'files: a line of 20 MB', details: { backend: 'files', hint: 'raise it' } })
    expect(odd).toMatchObject({ code: 'INTERNAL', details: { backend: 'files' } })
    expect(odd?.message).not.toContain('secret')
  })

  it('a connection that throws instead of rejecting costs that call only', async () => {
    const { member, server } = await running()
    const handle = server.last.handle
    server.last.handle = () => {
      throw new Error('broken')
    }
    expect((await refusalOf(member.handle(callOf()))).code).toBe('INTERNAL')
    server.last.handle = handle
    server.auto = true
    expect(await member.handle(callOf())).toMatchObject({ kind: 'complete' })
    expect(member.status().inFlight).toBe(0)
  })

  it('the caller’s cancellation reaches the server', async () => {
    const { member } = await running()
    const cancellation = new CancelSource()
    const call = refusalOf(member.handle(callOf('tools/call', { cancellation })))
    cancellation.cancel('changed my mind')
    expect(await call).toMatchObject({ code: 'CANCELLED', message: 'changed my mind' })
    expect(member.status().inFlight).toBe(0)
  })

  it('also after the call has landed, for a server that still holds it parked', async () => {
    const { member, server } = await running()
    const cancellation = new CancelSource()
    const call = member.handle(callOf('tools/call', { cancellation }))
    const open = server.opened[0]
    let told: string | undefined
    open?.call.cancellation.subscribe(reason => (told = reason))
    open?.answer({ kind: 'inputRequired' })
    await call
    cancellation.cancel('gone')
    expect(told).toBe('gone')
  })
})

describe('concurrency', () => {
  it('64 on the way, 256 waiting, the next refused at once with a time to come back', async () => {
    const { member, server } = await running()
    const calls = Array.from({ length: 320 }, () => member.handle(callOf()))
    expect(server.opened).toHaveLength(64)
    expect(member.status().inFlight).toBe(320)
    const error = await refusalOf(member.handle(callOf()))
    expect(error).toMatchObject({ code: 'BACKEND_BUSY', details: { backend: 'files' } })
    expect(error.details.retryAfterMs).toBeGreaterThan(0)
    server.auto = true
    for (const open of server.opened) open.answer()
    await Promise.all(calls)
    expect(member.status().inFlight).toBe(0)
  })

  it('as many may wait for a start', async () => {
    const { member, server } = setUp({ policy: { limits: { concurrency: 2, queue: 3 } } })
    server.starts = () => new Promise(resolve => setTimeout(resolve, 1000))
    const calls = Array.from({ length: 5 }, () => member.handle(callOf()))
    expect(await refusalOf(member.handle(callOf()))).toMatchObject({ code: 'BACKEND_BUSY' })
    await pass(1000)
    await Promise.all(calls)
  })

  it('clients take turns', async () => {
    const { member, server } = await running({ policy: { limits: { concurrency: 1 } } })
    const calls = ['a', 'a', 'a', 'a', 'b', 'c'].map(id => member.handle(by(id)))
    const order: string[] = []
    while (server.opened.length > 0) {
      order.push(...names(server.opened))
      for (const open of server.opened) open.answer()
      await pass(0)
    }
    await Promise.all(calls)
    expect(order).toEqual(['a', 'a', 'b', 'c', 'a', 'a'])
  })

  it('a cancelled call leaves the queue and never reaches the server', async () => {
    const { member, server } = await running({ policy: { limits: { concurrency: 1 } } })
    const first = member.handle(by('a'))
    const cancellation = new CancelSource()
    const second = refusalOf(member.handle(callOf('tools/call', { client: client('b'), cancellation })))
    const third = member.handle(by('c'))
    cancellation.cancel()
    expect(await second).toMatchObject({ code: 'CANCELLED' })
    server.opened[0]?.answer()
    await first
    expect(names(server.opened)).toEqual(['c'])
    server.opened[0]?.answer()
    await third
    expect(server.last.seen.map(({ client: { id } }) => id)).not.toContain('b')
  })

  it('one cancelled before it came does not start a server', async () => {
    const { member, server } = setUp()
    const cancellation = new CancelSource()
    cancellation.cancel()
    expect(await refusalOf(member.handle(callOf('tools/call', { cancellation })))).toMatchObject({ code: 'CANCELLED' })
    expect(server.attempts).toBe(0)
  })
})

describe('deadlines', () => {
  it('a silent call ends with a typed error that names the alias, and the server is told', async () => {
    const { member, server } = await running()
    const call = refusalOf(member.handle(callOf()))
    const open = server.opened[0]
    await pass(59_999)
    expect(member.status().inFlight).toBe(1)
    await pass(2)
    expect(await call).toMatchObject({ code: 'BACKEND_TIMEOUT', details: { backend: 'files' } })
    expect((await call).message).toContain('files')
    expect(open?.call.cancellation).toMatchObject({ cancelled: true })
    expect(server.opened).toHaveLength(0)
    expect(member.status().inFlight).toBe(0)
  })

  it('even when the server does not hear the cancellation', async () => {
    const { member, server } = await running()
    server.deaf = true
    const call = refusalOf(member.handle(callOf()))
    await pass(60_001)
    expect((await call).code).toBe('BACKEND_TIMEOUT')
    expect(member.status().inFlight).toBe(0)
    server.opened[0]?.answer()
    await pass(0)
    expect(member.status().inFlight).toBe(0)
  })

  it('progress keeps it alive, up to the absolute limit', async () => {
    const { member, server } = await running()
    const heard: JsonObject[] = []
    const call = refusalOf(member.handle(callOf('tools/call', { progress: params => heard.push(params) })))
    const { progress } = server.opened[0]?.call ?? {}
    for (let n = 0; n < 19; n++) {
      await pass(30_000)
      progress?.({ progress: n })
    }
    expect(member.status().inFlight).toBe(1)
    expect(heard).toHaveLength(19)
    await pass(30_001)
    expect(await call).toMatchObject({ code: 'BACKEND_TIMEOUT' })
    expect((await call).message).toContain('600 s')
  })

  it('each call has its own, on one timer', async () => {
    const { member, server } = await running()
    const before = vi.getTimerCount()
    const ends: number[] = []
    for (let n = 0; n < 50; n++) {
      void refusalOf(member.handle(callOf())).then(() => ends.push(performance.now()))
      await pass(100)
    }
    expect(vi.getTimerCount() - before).toBeLessThanOrEqual(1)
    const begun = performance.now()
    await pass(70_000)
    expect(ends).toHaveLength(50)
    expect((ends[0] as number) - begun).toBeCloseTo(55_000, -2)
    expect((ends[49] as number) - (ends[0] as number)).toBeCloseTo(4900, -2)
    expect(server.opened).toHaveLength(0)
  })

  it('the answer to a round is not late because a person took long', async () => {
    const { member, server } = await running()
    const call = member.handle(callOf())
    server.opened[0]?.answer({ kind: 'inputRequired', requestState: 's' })
    await call
    await pass(590_000)
    const next = member.handle(callOf('tools/call', { requestState: 's', inputResponses: {} }))
    await pass(50_000)
    server.opened[0]?.answer()
    expect(await next).toMatchObject({ kind: 'complete' })
  })

  it('waiting for a start does not count as silence, but counts in all', async () => {
    const { member, server } = setUp({ policy: { timeouts: { call: 1000, max: 20_000 } } })
    server.auto = false
    server.starts = () => new Promise(resolve => setTimeout(resolve, 15_000))
    const silent = refusalOf(member.handle(callOf()))
    await pass(15_500)
    expect(server.opened).toHaveLength(1)
    await pass(600)
    expect((await silent).code).toBe('BACKEND_TIMEOUT')
    const { member: slow, server: other } = setUp({ policy: { timeouts: { max: 20_000 } } })
    other.starts = () => new Promise(() => {})
    const waiting = refusalOf(slow.handle(callOf()))
    await pass(20_001)
    expect((await waiting).code).toBe('BACKEND_TIMEOUT')
    expect(slow.status().inFlight).toBe(0)
  })

  it('a process that was asleep does not blame the server', async () => {
    const { member, server } = await running()
    const call = member.handle(callOf())
    await pass(1000)
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 120_000)
    await pass(59_000)
    expect(member.status().inFlight).toBe(1)
    server.opened[0]?.answer()
    expect(await call).toMatchObject({ kind: 'complete' })
    vi.restoreAllMocks()
  })

  it('0 is no limit', async () => {
    const { member, server } = await running({ policy: { timeouts: { call: 0, max: 0 } } })
    const call = member.handle(callOf())
    await pass(24 * 3_600_000)
    server.opened[0]?.answer()
    expect(await call).toMatchObject({ kind: 'complete' })
  })
})

describe('death', () => {
  it('calls on the way fail at once, typed; none is lost and none is made twice', async () => {
    const { member, server } = await running()
    const calls = Array.from({ length: 64 }, () => refusalOf(member.handle(callOf())))
    server.last.die()
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'BACKEND_DIED', details: { backend: 'files' } })
    await pass(5000)
    expect(server.opened).toHaveLength(0)
    expect(server.connections.flatMap(({ seen }) => seen).filter(({ method }) => method === 'tools/call')).toHaveLength(65)
  })

  it('fails them even where the connection forgets to', async () => {
    const { member, server } = await running()
    const call = refusalOf(member.handle(callOf()))
    server.last.open.clear()
    server.last.die()
    await pass(10)
    expect((await call).code).toBe('BACKEND_DIED')
    expect(member.status().inFlight).toBe(0)
  })

  describe('the server’s last words', () => {
    const ended = new McpError('BACKEND_DIED', 'exited with code 1', { lastWords: 'cannot read ann/diary' })
    const inLog = 'what it last wrote is in the log'
    const from = (principal: string, id = principal) => callOf('tools/call', { client: client(id, principal) })

    it('are quoted to a caller while all who had to do with the server are one principal', async () => {
      const { member, server } = await running({ policy: { share: 'global' } })
      const calls = ['a', 'b'].map(id => refusalOf(member.handle(from('local', id))))
      server.last.die(ended)
      for (const error of await Promise.all(calls)) {
        expect(error.details.hint).toBe('it last wrote: cannot read ann/diary')
        expect(error.details.lastWords).toBeUndefined()
      }
    })

    it.each<[string, (made: Awaited<ReturnType<typeof running>>) => void]>([
      ['calls now', ({ member }) => void refusalOf(member.handle(from('ann')))],
      ['has called before', ({ member, server }) => {
        server.auto = true
        void member.handle(from('ann'))
        server.auto = false
      }],
      ['listens', ({ member }) => void member.watch(new FakeWatcher({ resources: ['x://diary'] }, client('ann', 'ann')))],
    ])('are not where another principal %s', async (_what, meet) => {
      const made = await running({ policy: { share: 'global' } })
      meet(made)
      await pass(0)
      const call = refusalOf(made.member.handle(from('local')))
      made.server.last.die(ended)
      const error = await call
      expect(error).toMatchObject({ code: 'BACKEND_DIED', details: { hint: inLog } })
      expect(JSON.stringify([error.toRpc(), made.member.status()])).not.toContain('diary')
    })

    it('are again those of one principal once another process runs', async () => {
      const { member, server } = await running({ policy: { share: 'global', restart: { backoff: 10 } } })
      for (const principal of ['ann', 'local']) void refusalOf(member.handle(from(principal)))
      server.last.die(ended)
      await pass(1000)
      const call = refusalOf(member.handle(from('ann')))
      await pass(10)
      server.last.die(ended)
      expect((await call).details.hint).toContain('it last wrote')
    })
  })

  it('calls that waited in the queue were not written, and go to the next connection', async () => {
    const { member, server } = await running({ policy: { limits: { concurrency: 2 } } })
    const lost = [refusalOf(member.handle(callOf())), refusalOf(member.handle(callOf()))]
    const kept = Array.from({ length: 5 }, () => member.handle(callOf()))
    server.auto = true
    server.last.die()
    await pass(1000)
    for (const error of await Promise.all(lost)) expect(error.code).toBe('BACKEND_DIED')
    expect(await Promise.all(kept)).toHaveLength(5)
    expect(server.connections).toHaveLength(2)
  })

  it('lists and reads are made once more; a second death is told', async () => {
    const { member, server } = await running()
    const read = member.handle(callOf('resources/read', { params: { uri: 'a:b' } }))
    server.last.die()
    await pass(1000)
    expect(server.opened[0]?.call.method).toBe('resources/read')
    server.opened[0]?.answer()
    expect(await read).toMatchObject({ kind: 'complete' })

    const twice = refusalOf(member.handle(callOf('prompts/get')))
    server.last.die()
    await pass(2000)
    server.last.die()
    expect((await twice).code).toBe('BACKEND_DIED')
  })

  it('so are calls that are idempotent by configuration, and no others', async () => {
    const { member, server } = await running({ idempotent: (method, name) => method === 'tools/call' && name === 'safe' })
    const safe = member.handle(callOf('tools/call', { params: { name: 'safe' } }))
    const other = refusalOf(member.handle(callOf('tools/call', { params: { name: 'other' } })))
    const custom = refusalOf(member.handle(callOf('x/custom')))
    server.auto = true
    server.last.die()
    await pass(1000)
    expect((await other).code).toBe('BACKEND_DIED')
    expect((await custom).code).toBe('BACKEND_DIED')
    expect(await safe).toMatchObject({ kind: 'complete' })
  })

  it('what continues an earlier call is not repeated: its state is gone', async () => {
    const { member, server } = await running()
    const call = refusalOf(member.handle(callOf('resources/read', { requestState: 's' })))
    server.last.die()
    expect((await call).code).toBe('BACKEND_DIED')
  })

  it('a read whose server is not back soon is refused with a time, not left waiting', async () => {
    const { member, server } = await running()
    server.last.die()
    await pass(0)
    const call = refusalOf(member.handle(callOf('resources/read')))
    await pass(1000)
    server.last.die()
    await pass(1)
    expect(await call).toMatchObject({ code: 'BACKEND_DIED', details: { retryAfterMs: 2000 } })
    const read = refusalOf(member.handle(callOf('resources/read')))
    expect((await read).details.retryAfterMs).toBeGreaterThan(1000)
  })

  it('a connection that somebody else closed has died too', async () => {
    const { member, server } = await running()
    const call = refusalOf(member.handle(callOf()))
    void server.last.close()
    expect(await call).toMatchObject({ code: 'BACKEND_DIED', details: { backend: 'files' } })
    await pass(0)
    expect(member.status()).toMatchObject({ state: 'stopped', lastFailure: { stage: 'run' } })
  })

  it('one lost stream is not the death of the connection', async () => {
    const { member, server } = await running()
    const call = refusalOf(member.handle(callOf()))
    server.opened[0]?.fail(new McpError('BACKEND_DIED', 'the stream ended'))
    expect((await call).code).toBe('BACKEND_DIED')
    const next = member.handle(callOf())
    await pass(1)
    server.opened[0]?.answer()
    await next
    expect(server.attempts).toBe(1)
    expect(member.status().state).toBe('healthy')
  })
})

describe('breaker', () => {
  const trip = async ({ member, server }: Awaited<ReturnType<typeof running>>, times = 5) => {
    for (let n = 0; n < times; n++) {
      const call = member.handle(callOf()).catch(() => {})
      await pass(0)
      server.opened[0]?.fail(new McpError('BACKEND_HTTP', 'connection reset'))
      await call
      await pass(1)
    }
  }

  it('opens after five transport failures in a row, refuses at once, says degraded', async () => {
    const made = await running()
    await trip(made)
    const error = await refusalOf(made.member.handle(callOf()))
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE', details: { backend: 'files' } })
    expect(error.details.retryAfterMs).toBeGreaterThan(20_000)
    expect(made.member.status()).toMatchObject({ state: 'degraded', lastFailure: { stage: 'call', message: 'files: connection reset' } })
  })

  it('answers, errors of the server, tool errors and cancellations are no failures', async () => {
    const made = await running()
    const { member, server } = made
    await trip(made, 4)
    const own = member.handle(callOf()).catch(() => {})
    server.opened[0]?.fail(wireError(-32_603))
    await own
    await trip(made, 4)
    const tool = member.handle(callOf())
    server.opened[0]?.answer({ kind: 'complete', result: { isError: true } })
    await tool
    await trip(made, 4)
    for (let n = 0; n < 10; n++) {
      const cancellation = new CancelSource()
      const call = member.handle(callOf('tools/call', { cancellation })).catch(() => {})
      cancellation.cancel()
      await call
    }
    expect(member.status().state).toBe('healthy')
    await trip(made, 1)
    expect(member.status().state).toBe('degraded')
  })

  it('half open, one probe passes; its answer closes it', async () => {
    const made = await running()
    const { member, server } = made
    await trip(made)
    await pass(30_000)
    const probe = member.handle(callOf())
    expect(server.opened).toHaveLength(1)
    expect((await refusalOf(member.handle(callOf()))).code).toBe('BACKEND_UNAVAILABLE')
    server.opened[0]?.answer()
    await probe
    expect(member.status().state).toBe('healthy')
    const next = member.handle(callOf())
    server.opened[0]?.answer()
    await next
  })

  it('a cancelled probe makes room for another', async () => {
    const made = await running()
    const { member, server } = made
    await trip(made)
    await pass(30_000)
    const cancellation = new CancelSource()
    const probe = refusalOf(member.handle(callOf('tools/call', { cancellation })))
    cancellation.cancel()
    expect((await probe).code).toBe('CANCELLED')
    const next = member.handle(callOf())
    server.opened[0]?.answer()
    expect(await next).toMatchObject({ kind: 'complete' })
  })

  it('timeouts count, and what waits behind them is let go with a time', async () => {
    const { member, server } = await running({ policy: { limits: { concurrency: 5 } } })
    const hung = Array.from({ length: 5 }, () => refusalOf(member.handle(callOf())))
    const waiting = Array.from({ length: 3 }, () => refusalOf(member.handle(callOf())))
    await pass(60_001)
    for (const error of await Promise.all(hung)) expect(error.code).toBe('BACKEND_TIMEOUT')
    for (const error of await Promise.all(waiting)) {
      expect(error.code).toBe('BACKEND_UNAVAILABLE')
      expect(error.details.retryAfterMs).toBeGreaterThan(0)
    }
    expect(server.last.seen.filter(({ method }) => method === 'tools/call')).toHaveLength(6)
  })

  it('one crash is one failure, however many calls it took', async () => {
    const { member, server } = await running()
    const calls = Array.from({ length: 20 }, () => refusalOf(member.handle(callOf())))
    server.last.die()
    await Promise.all(calls)
    server.auto = true
    const next = member.handle(callOf())
    await pass(1000)
    expect(await next).toMatchObject({ kind: 'complete' })
  })

  it('can be off', async () => {
    const made = await running({ policy: { breaker: { failures: 0 } } })
    await trip(made, 30)
    expect(made.member.status().state).toBe('healthy')
  })
})

it('a server that stops accepting us says so in its status, until it answers again', async () => {
  const { member, server } = await running()
  const call = refusalOf(member.handle(callOf()))
  server.opened[0]?.fail(new McpError('BACKEND_NEEDS_AUTH', 'token expired'))
  expect((await call).code).toBe('BACKEND_NEEDS_AUTH')
  expect(member.status()).toMatchObject({ state: 'needs-auth', lastFailure: { message: 'files: token expired' } })
  const next = member.handle(callOf())
  server.opened[0]?.answer()
  await next
  expect(member.status().state).toBe('healthy')
})
