/** Servers that say too much: coalesced, bounded, and no other call waits for it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pause, peakRssMb } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import type { Reply, StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const count = size(20_000, 100_000)

describe('a flood of', () => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    client = world.run({ mcpServers: { loud: world.rogue('loud'), other: world.rogue('other') } }, { probe: true, debug: false })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  /** Lets a call flood while another server is called; returns its reply and the worst time of the others. */
  async function flood(kind: string): Promise<{ reply: Reply; worst: number; calls: number }> {
    const call = client.call('loud', 'flood', { kind, count }, { timeoutMs: 90_000 })
    let over = false
    void call.reply.finally(() => (over = true))
    const times: number[] = []
    while (!over) {
      times.push((await client.call('other', 'echo').reply).ms)
      await pause(2)
    }
    return { reply: await call.reply, worst: Math.max(...times), calls: times.length }
  }

  it.each([
    ['lists', 'notifications/tools/list_changed', 'that a list has changed, though it has not', 50],
    ['logs', 'notifications/message', 'log messages', Infinity],
    ['progress', 'notifications/progress', 'progress messages', Infinity],
    ['banners', 'notifications/none', 'lines that are no messages', 0],
  ])('%s', async (kind, method, words, most) => {
    const before = client.notifications.get(method) ?? 0
    await world.look(client)
    const { reply, worst, calls } = await flood(kind)
    const { lateMs } = await world.look(client)
    const out = (client.notifications.get(method) ?? 0) - before
    record({
      fault: '19', id: `flood-${kind}`, what: `${count} ${words}`, promise: 'coalesced or passed on, memory bounded, others served, the call answered',
      measured: `${kind === 'banners' ? '' : `${out} out for ${count} in; `}call ${reply.error ? 'failed' : `answered after ${round(reply.ms)} ms`}; longest event-loop delay ${round(lateMs)} ms; the slowest of ${calls} calls to another server took ${round(worst)} ms; peak RSS ${round(peakRssMb(client.pid))} MB`,
      met: reply.error === undefined && out <= Math.min(most, count) && peakRssMb(client.pid) < 512,
    })
    expect(reply.error).toBeUndefined()
    expect(out).toBeLessThanOrEqual(Math.min(most, count))
    expect(worst).toBeLessThan(3000)
    expect(peakRssMb(client.pid)).toBeLessThan(512)
  })
})

describe('too many tools', () => {
  const world = new World()
  afterAll(() => world.end())

  it('are listed or left out, and the other servers with them or without', async () => {
    const client = world.run({
      mcpServers: { many: world.rogue('many', { flags: ['--tools', String(size(20_000, 100_000))] }), other: world.rogue('other') }, startWait: '20s',
    }, { probe: true, debug: false })
    await client.hello()
    const started = performance.now()
    const names = await client.tools(60_000)
    const listedMs = performance.now() - started
    expect(names).toContain('other__echo')
    const { error } = await client.call('other', 'echo').reply
    expect(error).toBeUndefined()
    const { lateMs } = await world.look(client)
    record({
      fault: '19', id: 'tools', what: `a server with ${size(20_000, 100_000)} tools beside an ordinary one`, promise: 'capped or served, memory bounded, others served',
      measured: `${names.length} tools listed after ${round(listedMs)} ms; longest event-loop delay ${round(lateMs)} ms; peak RSS ${round(peakRssMb(client.pid))} MB`,
      met: peakRssMb(client.pid) < 768,
    })
    expect(peakRssMb(client.pid)).toBeLessThan(768)
  })
})
