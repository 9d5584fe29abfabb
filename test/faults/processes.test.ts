/** Nothing that we started outlives us, however we end and whatever it does. */
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { isAlive, kill, pause } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import type { StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const wrappers = 5

async function started(world: World): Promise<{ client: StdioClient; pids: number[] }> {
  const servers = Object.fromEntries(Array.from({ length: wrappers }, (_, n) => {
    const alias = `w${n}`
    return [alias, world.rogue(alias, { flags: ['--deaf'], wrapped: n % 2 === 0 ? 'same group' : 'own group' })]
  }))
  const client = world.run({ mcpServers: servers })
  await client.hello()
  expect((await client.tools()).length).toBeGreaterThan(wrappers)
  await Promise.all(Object.keys(servers).map(async alias => expect((await client.call(alias, 'echo').reply).error).toBeUndefined()))
  // The first look at who descends from whom is due by then.
  await pause(1500)
  world.noteCommands()
  const pids = world.sandbox.survivors()
  expect(pids.length).toBeGreaterThanOrEqual(1 + 2 * wrappers)
  return { client, pids }
}

describe('wrappers that heed no signal, and servers behind them that heed none', () => {
  const rounds = size(1, 10)
  const seen = { processes: 0, left: 0, slowestMs: 0, rounds: 0 }
  it.each(Array.from({ length: rounds }, (_, n) => n + 1))('leave nobody 5 s after SIGKILL of the proxy, round %i', async () => {
    const world = new World()
    const { client, pids } = await started(world)
    client.excuse()
    const killedAt = performance.now()
    kill(client.pid, 'SIGKILL')
    const cleared = await eventually(() => (pids.some(isAlive) ? undefined : performance.now() - killedAt), 'everybody to be gone', 5000).catch(() => undefined)
    const left = pids.filter(isAlive).length
    seen.rounds++
    seen.processes += pids.length
    seen.left += left
    seen.slowestMs = Math.max(seen.slowestMs, cleared ?? Infinity)
    record({
      fault: '9', id: 'orphans', what: `SIGKILL of the proxy with ${wrappers} npx-like wrappers and SIGTERM-deaf grandchildren, two of them in groups of their own`,
      promise: '0 survivors after 5 s',
      measured: `${seen.rounds} times: ${seen.left} of ${seen.processes} processes left after 5 s${seen.left > 0 ? '' : `; the last was gone after ${round(seen.slowestMs)} ms at most`}`,
      met: seen.left === 0,
    })
    for (const pid of pids) kill(pid, 'SIGKILL')
    await world.end()
    expect(left).toBe(0)
  })

  it('leave nobody after the client has gone', async () => {
    const world = new World()
    const { client, pids } = await started(world)
    expect(await client.close(20_000)).toBe(0)
    await eventually(() => (pids.some(isAlive) ? undefined : true), 'everybody to be gone', 5000)
    await world.end()
  })
})

describe('what an earlier proxy left behind', () => {
  const world = new World()
  afterAll(() => world.end())

  it('is cleared by the next start, even if the reaper was killed too', async () => {
    const config = { mcpServers: { left: world.rogue('left', { flags: ['--deaf'] }) } }
    const first = world.run(config)
    await first.hello()
    await first.tools()
    await pause(1500)
    const { pid } = world.journal('left').at(-1) as { pid: number }
    const everybody = world.sandbox.survivors()
    first.excuse()
    // The reaper carries no path of ours; it is the shell among our children.
    const { childrenOf, commandLine } = await import('./lib/processes.ts')
    const reaper = childrenOf(first.pid).find(child => commandLine(child).includes('mcp-proxy-reaper')) as number
    expect(reaper).toBeGreaterThan(1)
    kill(reaper, 'SIGKILL')
    kill(first.pid, 'SIGKILL')
    await pause(500)
    expect(isAlive(pid)).toBe(true)
    const second = world.run(config)
    await second.hello()
    await eventually(() => (everybody.some(isAlive) ? undefined : true), 'the leftovers to be ended', 10_000)
  })
})
