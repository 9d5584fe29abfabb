/** Calls that hang, drip or are taken back; a process that stands still, and a clock that jumps. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { kill, openFiles, pause, peakRssMb, quantile } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said, type StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const callMs = 1000

describe('a server that stands still', () => {
  // Half an answer, when it is given up, is a line that is no message.
  const world = new World({ quoted: true })
  let client: StdioClient
  beforeAll(async () => {
    const settings = { timeouts: { call: callMs }, limits: { concurrency: 2, queue: 1 }, breaker: { failures: 0 } }
    client = world.run({ mcpServers: { still: world.rogue('still', { settings }), other: world.rogue('other') } })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('costs its caller the deadline and no more, is told, and frees its place', async () => {
    const rounds = size(3, 20)
    let overrun = 0
    for (let n = 0; n < rounds; n++) {
      const { pid } = said(await client.call('still', 'echo').reply)
      const cancelled = () => world.journal('still').filter(({ event }) => event === 'cancelled').length
      const before = cancelled()
      const calls = [client.call('still', 'hang'), client.call('still', 'hang')]
      await Promise.all(calls.map(({ progress }) => progress))
      kill(pid, 'SIGSTOP')
      const elsewhere = await client.call('other', 'echo').reply
      expect(elsewhere.error).toBeUndefined()
      for (const call of calls) {
        const { error, ms } = await call.reply
        expect(error).toMatchObject({ code: -32603, data: { code: 'BACKEND_TIMEOUT', backend: 'still' } })
        overrun = Math.max(overrun, ms - callMs)
      }
      kill(pid, 'SIGCONT')
      await eventually(() => (cancelled() === before + 2 ? true : undefined), 'the cancellations', 3000)
      // Both places are free again.
      for (const reply of await Promise.all([client.call('still', 'echo').reply, client.call('still', 'echo').reply])) expect(reply.error).toBeUndefined()
    }
    record({
      fault: '2', id: 'stopped', what: 'a server is stopped (SIGSTOP) in the middle of calls',
      promise: 'a typed error at the deadline + 1 s at most; the server is told that the call is cancelled; its place is free',
      measured: `${2 * rounds} of ${2 * rounds} calls BACKEND_TIMEOUT, at most ${round(overrun)} ms after the deadline of ${callMs} ms; ${2 * rounds} cancellations arrived`,
      met: overrun <= 1000,
    })
    expect(overrun).toBeLessThanOrEqual(1000)
  })

  it('takes what its queue holds; more is refused at once, and says when to come again', async () => {
    const held = Array.from({ length: 2 + 1 }, () => client.call('still', 'sleep', { ms: 500 }))
    await pause(100)
    const times: number[] = []
    for (let n = 0; n < 50; n++) {
      const { error, ms } = await client.call('still', 'echo').reply
      expect(error?.data).toMatchObject({ code: 'BACKEND_BUSY', backend: 'still' })
      expect(error?.data?.retryAfterMs).toBeGreaterThan(0)
      times.push(ms)
    }
    for (const call of held) expect((await call.reply).error).toBeUndefined()
    const median = quantile(times, 0.5)
    record({
      fault: '2', id: 'overflow', what: 'calls beyond what a server may have in flight and queued', promise: 'refused in less than 5 ms with a retry hint',
      measured: `50 of 50 refused, after ${round(median, 1)} ms (median), ${round(Math.max(...times), 1)} ms (slowest), there and back through both pipes`, met: median < 5,
    })
    expect(median).toBeLessThan(50)
  })

  it('and one that answers byte by byte costs its caller the deadline, and nobody else anything', async () => {
    const dripping = client.call('still', 'drip', { everyMs: 30 })
    const times: number[] = []
    let over = false
    void dripping.reply.then(() => (over = true))
    while (!over) {
      times.push((await client.call('other', 'echo').reply).ms)
      await pause(20)
    }
    const { error, ms } = await dripping.reply
    expect(error?.data?.code).toBe('BACKEND_TIMEOUT')
    record({
      fault: '3', id: 'drip', what: 'a server that answers one byte at a time', promise: 'a typed error at the deadline; others unaffected; bounded memory',
      measured: `BACKEND_TIMEOUT after ${round(ms)} ms (deadline ${callMs} ms); the slowest of ${times.length} calls to another server took ${round(Math.max(...times))} ms; peak RSS ${round(peakRssMb(client.pid))} MB`,
      met: ms < callMs + 1000,
    })
    expect(ms).toBeLessThan(callMs + 1000)
  })

  it('and one that no longer reads fails its callers, and nobody else', async () => {
    await eventually(async () => ((await client.call('still', 'echo').reply).error ? undefined : true), 'the drip to end', 20_000)
    await client.call('still', 'deafen').reply
    const calls = Array.from({ length: 2 }, () => client.call('still', 'echo', { filler: 'x'.repeat(1024 * 1024) }))
    expect((await client.call('other', 'echo').reply).ms).toBeLessThan(1000)
    for (const call of calls) expect((await call.reply).error?.data?.code).toBe('BACKEND_TIMEOUT')
  })
})

describe('calls that are taken back', () => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    client = world.run({ mcpServers: { one: world.rogue('one') } }, { probe: true, debug: false })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('ten thousand of them leak nothing', async () => {
    const rounds = 10_000
    const batch = async (count: number) => {
      for (let n = 0; n < count; n += 50) {
        const calls = Array.from({ length: 50 }, () => client.call('one', 'hang'))
        await calls.at(-1)?.progress
        for (const call of calls) call.cancel()
      }
      await client.call('one', 'echo').reply
    }
    // The first ones fill caches and compile code.
    await batch(2000)
    const before = await world.look(client)
    const files = openFiles(client.pid)
    await batch(rounds)
    const after = await world.look(client)
    const growth = (after.heapUsed - before.heapUsed) / 1024
    const cancelled = world.journal('one').filter(({ event }) => event === 'cancelled').length
    record({
      fault: '17', id: 'cancelled', what: '10,000 cancelled calls', promise: 'no leak; each cancellation reaches the server',
      measured: `heap ${growth >= 0 ? '+' : ''}${round(growth)} kB after garbage collection, open files ${files} before and ${openFiles(client.pid)} after; ${cancelled} of ${rounds + 2000} cancellations arrived`,
      met: growth < 1024 && cancelled === rounds + 2000,
    })
    expect(growth).toBeLessThan(1024)
    expect(cancelled).toBe(rounds + 2000)
    expect(openFiles(client.pid)).toBe(files)
  })
})

describe('time that jumps', () => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    client = world.run({ mcpServers: { one: world.rogue('one', { settings: { timeouts: { call: 3000, max: 4000 } } }) } }, { probe: true })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('ends no call early and none late', async () => {
    let wrong = 0
    let trials = 0
    for (const hours of [1, -1, 0]) {
      const good = client.call('one', 'sleep', { ms: 1500 })
      const hung = client.call('one', 'hang')
      const { now } = await world.look(client, hours * 3_600_000)
      expect(Math.abs(now - Date.now() - hours * 3_600_000)).toBeLessThan(5000)
      if ((await good.reply).error) wrong++
      const { error, ms } = await hung.reply
      if (error?.data?.code !== 'BACKEND_TIMEOUT' || ms < 2900 || ms > 4500) wrong++
      trials += 2
    }
    // The whole proxy stands still for longer than the deadline, as a laptop does; the answer is there when it wakes.
    for (let n = 0; n < size(1, 5); n++) {
      const call = client.call('one', 'sleep', { ms: 500 })
      await pause(100)
      kill(client.pid, 'SIGSTOP')
      await pause(4500)
      kill(client.pid, 'SIGCONT')
      if ((await call.reply).error) wrong++
      trials++
    }
    record({
      fault: '13', id: 'clock', what: 'the wall clock jumps by an hour either way; the proxy is suspended for longer than a deadline', promise: '0 false timeouts',
      measured: `${wrong} wrong of ${trials} calls`, met: wrong === 0,
    })
    expect(wrong).toBe(0)
  })
})
