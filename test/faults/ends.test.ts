/** Our own end: asked to at work, asked twice, asked before we are up; and clients that leave or stop reading. */
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { isAlive, kill, pause, peakRssMb, rssMb } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import type { Pending, StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

describe('SIGTERM', () => {
  const world = new World()
  afterAll(() => world.end())
  const config = { mcpServers: { one: world.rogue('one'), two: world.rogue('two') } }

  /** Calls at a steady rate until told to stop; resolves with what was sent. */
  function load(client: StdioClient, perSecond: number): { stop(): Pending[] } {
    const sent: Pending[] = []
    const timer = setInterval(() => {
      for (let n = 0; n < perSecond / 50; n++) sent.push(client.call(n % 2 === 0 ? 'one' : 'two', 'sleep', { ms: 200 }))
    }, 20)
    return {
      stop() {
        clearInterval(timer)
        return sent
      },
    }
  }

  it('at 200 calls a second loses no answer', async () => {
    const client = world.run(config, { debug: false })
    await client.hello()
    await client.tools()
    const loading = load(client, 200)
    await pause(1000)
    const sent = loading.stop()
    const startedAt = performance.now()
    client.child.kill('SIGTERM')
    const replies = await Promise.all(sent.map(({ reply }) => reply))
    const code = await client.ended
    const endMs = performance.now() - startedAt
    const answered = replies.filter(({ result }) => result).length
    record({
      fault: '15', id: 'term', what: 'SIGTERM at 200 calls a second, each taking 200 ms', promise: 'what is in flight finishes within 25 s, exit within 30 s, 0 lost',
      measured: `${answered} of ${sent.length} answered, ${replies.length - answered} refused, ${sent.length - replies.length} lost; ended after ${round(endMs)} ms with code ${code}`,
      met: answered === sent.length && endMs < 30_000,
    })
    expect(replies.filter(({ error }) => error)).toEqual([])
    expect(code).toBe(0)
    expect(endMs).toBeLessThan(10_000)
  })

  it('refuses what comes after it, and answers what came before', async () => {
    const client = world.run(config)
    await client.hello()
    await client.tools()
    const before = client.call('one', 'sleep', { ms: 1000 })
    await client.call('two', 'echo').reply
    client.child.kill('SIGTERM')
    await pause(200)
    const after = client.call('two', 'echo')
    expect((await after.reply).error?.data?.code).toBe('SHUTTING_DOWN')
    expect((await before.reply).error).toBeUndefined()
    expect(await client.ended).toBe(0)
  })

  it('twice ends within two seconds, with an answer to every call', async () => {
    const client = world.run({ mcpServers: { deaf: world.rogue('deaf', { flags: ['--deaf'] }) } })
    await client.hello()
    await client.tools()
    const calls = Array.from({ length: 20 }, () => client.call('deaf', 'hang'))
    await calls.at(-1)?.progress
    client.child.kill('SIGTERM')
    await pause(500)
    const startedAt = performance.now()
    client.child.kill('SIGTERM')
    const replies = await Promise.all(calls.map(({ reply }) => reply))
    await client.ended
    const endMs = performance.now() - startedAt
    record({
      fault: '15', id: 'term-twice', what: 'SIGTERM twice while calls hang in a server that heeds no signal', promise: 'exit within 2 s of the second; every call refused, none lost',
      measured: `${replies.filter(({ error }) => error).length} of ${calls.length} refused; ended after ${round(endMs)} ms`, met: endMs <= 2000,
    })
    expect(replies.every(({ error }) => error?.data?.code !== undefined)).toBe(true)
    expect(endMs).toBeLessThan(2500)
  })

  it('in the middle of the start leaves nobody', async () => {
    const rounds = size(8, 60)
    let slowest = 0
    for (let n = 0; n < rounds; n++) {
      const client = world.run(config)
      void client.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } })
      await pause(n * (800 / rounds))
      const startedAt = performance.now()
      client.excuse()
      client.child.kill('SIGTERM')
      await client.ended
      slowest = Math.max(slowest, performance.now() - startedAt)
      client.wrong.splice(0)
    }
    const left = await eventually(() => (world.sandbox.survivors().length === 0 ? 0 : undefined), 'nobody to be left', 5000).catch(() => world.sandbox.survivors().length)
    record({
      fault: '15', id: 'term-start', what: 'SIGTERM at some moment of the start', promise: 'ends, leaves nobody',
      measured: `${rounds} starts; ${left} processes left; the slowest end took ${round(slowest)} ms`, met: left === 0,
    })
    expect(left).toBe(0)
    expect(slowest).toBeLessThan(10_000)
  })
})

describe('a client that goes', () => {
  const world = new World()
  afterAll(() => world.end())

  it('in the middle of calls, without a word: nobody is left', async () => {
    const rounds = size(1, 5)
    let slowest = 0
    for (let n = 0; n < rounds; n++) {
      const client = world.run({ mcpServers: { one: world.rogue('one'), two: world.rogue('two', { flags: ['--deaf'] }) } })
      await client.hello()
      await client.tools()
      const calls = [client.call('one', 'hang'), client.call('two', 'hang')]
      await Promise.all(calls.map(({ progress }) => progress))
      const pids = world.sandbox.survivors()
      client.excuse()
      const startedAt = performance.now()
      for (const stream of [client.child.stdin, client.child.stdout, client.child.stderr]) stream?.destroy()
      await eventually(() => (pids.some(isAlive) ? undefined : true), 'everybody to end', 20_000)
      slowest = Math.max(slowest, performance.now() - startedAt)
    }
    record({
      fault: '16', id: 'gone', what: 'the client of stdio vanishes in the middle of calls, one of them in a server that heeds no signal', promise: '0 children after 60 s',
      measured: `${rounds} times; everybody was gone after ${round(slowest)} ms at most`, met: slowest < 60_000,
    })
  })

  it('on reading: its queue is bounded, and it is cut after thirty seconds', async () => {
    const client = world.run({ mcpServers: { one: world.rogue('one') } }, { debug: false })
    await client.hello()
    await client.tools()
    const before = rssMb(client.pid)
    client.stopReading()
    client.excuse()
    const startedAt = performance.now()
    const ask = setInterval(() => {
      for (let n = 0; n < 20; n++) client.call('one', 'echo', { filler: 'x'.repeat(20_000) }, { timeoutMs: 600_000 })
    }, 20)
    let peak = 0
    const ended = await eventually(() => {
      peak = Math.max(peak, rssMb(client.pid))
      return isAlive(client.pid) ? undefined : performance.now() - startedAt
    }, 'the proxy to give its client up', 60_000).finally(() => clearInterval(ask))
    client.excuse()
    record({
      fault: '18', id: 'stalled', what: 'a client over stdio stops reading and goes on calling', promise: 'bounded queue; cut after 30 s',
      measured: `given up after ${round(ended / 1000, 1)} s; RSS ${round(before)} MB before, ${round(peak)} MB at most`, met: ended < 40_000 && peak < 256,
    })
    expect(ended).toBeGreaterThan(20_000)
    expect(ended).toBeLessThan(45_000)
    expect(peak).toBeLessThan(256)
  })
})

it('a signal that kills outright is no end in good order, and still leaves nobody', async () => {
  const world = new World()
  const client = world.run({ mcpServers: { one: world.rogue('one') } })
  await client.hello()
  await client.tools()
  const pids = world.sandbox.survivors()
  client.excuse()
  kill(client.pid, 'SIGKILL')
  await eventually(() => (pids.some(isAlive) ? undefined : true), 'everybody to end', 5000)
  expect(peakRssMb(client.pid)).toBe(0)
  await world.end()
})
