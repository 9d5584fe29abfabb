/** Many clients over HTTP: fair, apart from each other, and none of them can hold the others up. */
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import type { Started } from '../e2e/harness.ts'
import { HttpClient } from './lib/http-client.ts'
import { isAlive, openFiles, pause, quantile, rssMb } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

describe('clients', () => {
  const world = new World()
  const backends = size(5, 20)
  let listener: Started
  const clientOf = (era: 'legacy' | 'modern', agent?: Agent): HttpClient => {
    const made = new HttpClient(listener.url, era, world.markers, agent)
    world.counted.push(made)
    return made
  }
  beforeAll(async () => {
    const servers = Object.fromEntries(Array.from({ length: backends }, (_, n) => [`s${n}`, world.rogue(`s${n}`, { flags: n % 2 === 0 ? [] : ['--modern'] })]))
    listener = await world.serve({ mcpServers: servers, startWait: '20s' }, { debug: false, node: ['--max-old-space-size=256'] })
    const first = clientOf('modern')
    for (let n = 0; n < backends; n++) expect((await first.call(`s${n}`, 'echo')).error).toBeUndefined()
  })
  afterAll(() => world.end())

  it('by the hundred, with equal ids, on the same servers get their own answers and nobody else\'s', async () => {
    const count = size(100, 1000)
    const each = size(10, 20)
    const agent = new Agent({ keepAlive: true, maxSockets: 200 })
    const before = rssMb(listener.pid)
    const clients = Array.from({ length: count }, (_, n) => clientOf(n % 2 === 0 ? 'legacy' : 'modern', agent))
    for (let n = 0; n < count; n += 50) await Promise.all(clients.slice(n, n + 50).map(client => client.open()))
    const perClient = ((rssMb(listener.pid) - before) * 1024) / count
    const times: number[] = []
    const means: number[] = []
    await Promise.all(clients.map(async (client, n) => {
      let sum = 0
      for (let i = 0; i < each; i++) {
        const reply = await client.call(`s${(n + i) % backends}`, 'echo')
        if (reply.error) client.wrong.push(JSON.stringify(reply.error))
        else if (said(reply).mark !== `${client.mark}.${i + 1}`) client.wrong.push('not its own mark')
        times.push(reply.ms)
        sum += reply.ms
      }
      means.push(sum / each)
    }))
    agent.destroy()
    const wrong = clients.flatMap(client => client.wrong)
    record({
      fault: '18', id: 'crowd', what: `${count} clients × ${backends} servers, half of each in either era, the same ids everywhere`, promise: 'each its own answers, fair',
      measured: `${times.length} calls, ${wrong.length} wrong; p50 ${round(quantile(times, 0.5))} ms, p99 ${round(quantile(times, 0.99))} ms; slowest client ${round(Math.max(...means) / quantile(means, 0.5), 1)} × the median one; RSS ${round(perClient)} kB per client`,
      met: wrong.length === 0,
    })
    expect(wrong).toEqual([])
  }, 300_000)

  it('that leave in the middle of a call have it cancelled at the server', async () => {
    const count = size(20, 60)
    const client = clientOf('modern')
    const before = world.journal('s1').filter(({ event }) => event === 'cancelled').length
    await Promise.all(Array.from({ length: count }, () => client.call('s1', 'hang', {}, { leaveAfter: 200 })))
    const arrived = await eventually(() => {
      const now = world.journal('s1').filter(({ event }) => event === 'cancelled').length - before
      return now >= count ? now : undefined
    }, 'the cancellations', 5000).catch(() => world.journal('s1').filter(({ event }) => event === 'cancelled').length - before)
    record({
      fault: '16', id: 'left', what: 'clients over HTTP that break their connection in the middle of a call, modern era', promise: 'the call is cancelled at its server',
      measured: `${arrived} of ${count} cancelled`, met: arrived === count,
    })
    expect(arrived).toBe(count)
    expect((await client.call('s1', 'echo')).error).toBeUndefined()
  })

  it('that send one byte now and then are cut off, and keep nobody else waiting', async () => {
    const count = size(100, 1000)
    const url = new URL(listener.url)
    const before = openFiles(listener.pid)
    let cut = 0
    const startedAt = performance.now()
    let lastCut = 0
    const sockets = Array.from({ length: count }, () => {
      const socket = connect(Number(url.port), url.hostname)
      socket.on('error', () => {})
      socket.on('close', () => {
        cut++
        lastCut = performance.now() - startedAt
      })
      socket.resume().write('POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ')
      return socket
    })
    const drip = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write('x')
    }, 500)
    const client = clientOf('modern')
    const times: number[] = []
    await eventually(async () => {
      const reply = await client.call('s0', 'echo')
      expect(reply.error).toBeUndefined()
      times.push(reply.ms)
      await pause(50)
      return cut === count ? true : undefined
    }, 'the slow ones to be cut off', 40_000).finally(() => clearInterval(drip))
    for (const socket of sockets) socket.destroy()
    record({
      fault: '3', id: 'loris', what: `${count} connections that send their header one byte at a time`, promise: 'time-out, bounded memory, others served',
      measured: `all cut off after ${round(lastCut / 1000, 1)} s; files ${before} open before, ${openFiles(listener.pid)} after; p99 of ${times.length} calls of another client meanwhile ${round(quantile(times, 0.99))} ms; RSS ${round(rssMb(listener.pid))} MB`,
      met: lastCut < 30_000,
    })
    expect(lastCut).toBeLessThan(30_000)
    expect(quantile(times, 0.99)).toBeLessThan(1000)
  })

  it('that never read are cut off, in bounded memory, and the others of their server do not notice', async () => {
    const count = size(40, 150)
    const client = clientOf('modern')
    await client.call('s0', 'echo')
    await pause(500)
    const before = openFiles(listener.pid)
    const clients = Array.from({ length: count }, () => new HttpClient(listener.url, 'modern', world.markers))
    const leave: (() => void)[] = []
    const startedAt = performance.now()
    const times: number[] = []
    let peak = 0
    let held = 0
    let goneMs: number | undefined
    while (goneMs === undefined && performance.now() - startedAt < 60_000) {
      for (const each of clients.splice(0, 20)) leave.push(each.callUnread(`s${leave.length % backends}`, 'big', { bytes: 4 * 1024 * 1024 }))
      const reply = await client.call('s0', 'echo')
      expect(reply.error).toBeUndefined()
      times.push(reply.ms)
      peak = Math.max(peak, rssMb(listener.pid))
      // A socket that is not read does not hear that it was cut; our end of it is counted instead.
      const open = openFiles(listener.pid) - before
      held = Math.max(held, open)
      if (clients.length === 0 && leave.length === count && open <= 2 && performance.now() - startedAt > 5000) goneMs = performance.now() - startedAt
      await pause(50)
    }
    for (const go of leave) go()
    expect(isAlive(listener.pid)).toBe(true)
    record({
      fault: '18', id: 'paused', what: `${count} clients over HTTP that never read their answer of 4 MB, heap capped at 256 MB`, promise: 'alive, bounded memory, cut off, others unaffected',
      measured: `${count} connections, ${held} of them open at most, ${goneMs === undefined ? 'not all cut off within 60 s' : `all cut off after ${round(goneMs / 1000, 1)} s`}; peak RSS ${round(peak)} MB; `
        + `of ${times.length} calls of another client on one of those servers p99 took ${round(quantile(times, 0.99))} ms, the slowest ${round(Math.max(...times))} ms`,
      met: goneMs !== undefined && quantile(times, 0.99) < 1000,
    })
    expect(held).toBeGreaterThan(8)
    expect(goneMs).toBeDefined()
    expect(quantile(times, 0.99)).toBeLessThan(2000)
  }, 120_000)
})
