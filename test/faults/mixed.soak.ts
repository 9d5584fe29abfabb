/**
 * Everything at once for as long as is asked (`SOAK_MINUTES`): load, kills, hangs, crashes, floods, oversized lines, clients
 * that come and go. At the end nothing may have been lost, and what is in use must be what was in use at the beginning.
 */
import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { HttpClient } from './lib/http-client.ts'
import { childrenOf, cpuSeconds, kill, openFiles, pause, quantile, rssMb } from './lib/processes.ts'
import { record, round } from './lib/record.ts'
import { said } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const minutes = Number(process.env['SOAK_MINUTES'] ?? 5)
const seed = Number(process.env['SOAK_SEED'] ?? 20261120)

/** What our unit files tell glibc. */
function allocator(): Record<string, string> {
  const unit = readFileSync(new URL('../../templates/systemd/mcp-proxy.service', import.meta.url), 'utf8')
  const words = Object.fromEntries([...unit.matchAll(/\b(MALLOC_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]))
  expect(Object.keys(words)).toHaveLength(2)
  return words
}

function dice(start: number): (sides: number) => number {
  let state = start
  return sides => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % sides
  }
}

interface Slope {
  readonly perHour: number
  /** Of the slope: what chance alone would make of a level line. */
  readonly error: number
}

/** While it is closed, whoever comes to it waits. */
class Gate {
  private opening: Promise<void> | undefined
  private open: () => void = () => {}
  private waiting = 0

  async pass(): Promise<void> {
    this.waiting++
    await this.opening
    this.waiting--
  }

  /** Runs `during` while `parties` wait, however long the last of them takes to come. */
  async closed(parties: number, during: () => Promise<void>): Promise<void> {
    this.opening = new Promise(resolve => { this.open = resolve })
    await eventually(() => (this.waiting === parties ? true : undefined), 'the load to pause', 30_000)
    await during()
    this.opening = undefined
    this.open()
  }
}

/** Least squares: megabytes an hour. */
function slopeOf(samples: readonly (readonly [ms: number, mb: number])[]): Slope {
  const n = samples.length
  const mx = samples.reduce((sum, [x]) => sum + x, 0) / n
  const my = samples.reduce((sum, [, y]) => sum + y, 0) / n
  const over = samples.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0)
  const under = samples.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
  if (n < 3 || under === 0) return { perHour: 0, error: 0 }
  const rest = samples.reduce((sum, [x, y]) => sum + (y - my - (over / under) * (x - mx)) ** 2, 0)
  return { perHour: (over / under) * 3_600_000, error: Math.sqrt(rest / (n - 2) / under) * 3_600_000 }
}

it(`mixed faults for ${minutes} minutes`, async () => {
  const world = new World({ quoted: true })
  onTestFinished(() => world.end(), 60_000)
  const untiring = { restart: { backoff: 50, maxBackoff: 200, holdAfter: 0 }, breaker: { failures: 0 }, timeouts: { call: 2000 } }
  const servers = Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`s${n}`, world.rogue(`s${n}`, { flags: n % 2 === 0 ? [] : ['--modern'], settings: untiring })]))
  const listener = await world.serve({ mcpServers: servers, log: { level: 'warn' } }, { debug: false, probe: true, env: allocator() })
  const steady = (['legacy', 'modern'] as const).map(era => new HttpClient(listener.url, era, world.markers))
  world.counted.push(...steady)
  for (const client of steady) await client.open()
  for (const alias of Object.keys(servers)) expect((await steady[0]!.call(alias, 'echo')).error).toBeUndefined()
  const roll = dice(seed)
  const alias = (): string => `s${roll(5)}`
  const counts: Record<string, number> = {}
  const note = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)
  const times: number[] = []
  const codes: Record<string, number> = {}
  let over = false
  const gate = new Gate()

  /** Nothing ever happens to the sixth server: no call to it may fail. */
  const untouched: unknown[] = []
  const load = steady.map(async client => {
    while (!over) {
      await gate.pass()
      const reply = await client.call('s5', 'echo', { filler: 'x'.repeat(roll(2000)) })
      if (reply.error) untouched.push(reply.error)
      times.push(reply.ms)
      const other = await client.call(alias(), 'echo')
      if (other.error) codes[other.error.data?.code ?? 'untyped'] = (codes[other.error.data?.code ?? 'untyped'] ?? 0) + 1
      await pause(10)
    }
  })
  const faults: readonly (readonly [string, (client: HttpClient) => Promise<unknown>])[] = [
    ['kill', async client => {
      const reply = await client.call(alias(), 'echo')
      if (reply.result) kill(said(reply).pid, 'SIGKILL')
    }],
    ['exit', client => client.call(alias(), 'exit')],
    ['hang', client => client.call(alias(), 'hang')],
    ['leave', client => client.call(alias(), 'hang', {}, { leaveAfter: 50 })],
    ['large', client => client.call(alias(), 'big', { bytes: 2 * 1024 * 1024 })],
    ['too large', client => client.call(alias(), 'big', { bytes: 20 * 1024 * 1024 })],
    ['logs', client => client.call(alias(), 'flood', { kind: 'logs', count: 500 })],
    ['lists', client => client.call(alias(), 'flood', { kind: 'lists', count: 500 })],
    ['ids', client => client.call(alias(), 'ids', { kind: 'twice' })],
    ['stderr', client => client.call(alias(), 'words', { bytes: 100_000 })],
    ['stop', async client => {
      const reply = await client.call(alias(), 'echo')
      if (!reply.result) return
      kill(said(reply).pid, 'SIGSTOP')
      await pause(300)
      kill(said(reply).pid, 'SIGCONT')
    }],
  ]
  const trouble = (async () => {
    while (!over) {
      await gate.pass()
      const client = new HttpClient(listener.url, roll(2) === 0 ? 'legacy' : 'modern', world.markers)
      await client.open()
      const [name, make] = faults[roll(faults.length)] as (typeof faults)[number]
      note(name)
      await make(client)
      await client.close()
      expect(client.wrong, name).toEqual([])
      await pause(100)
    }
  })()

  // The first five minutes, or a fifth of a short run, are for warming up: V8 compiles what is used often.
  const warmUp = Math.min(300_000, minutes * 12_000)
  const until = performance.now() + minutes * 60_000
  await pause(warmUp)
  const before = await world.look(listener)
  const filesBefore = openFiles(listener.pid)
  const childrenBefore = childrenOf(listener.pid).length
  const samples: [number, number][] = []
  // Under load RSS swings by tens of megabytes with what is just passing through, which hides any slope. What counts is what is
  // left when nothing passes, after two collections: buffers are freed in another thread once the first is over.
  const kept: [number, number][] = []
  const cpu = cpuSeconds(listener.pid)
  while (performance.now() < until) {
    for (let second = 0; second < 27; second++) {
      samples.push([performance.now(), rssMb(listener.pid)])
      await pause(1000)
    }
    await gate.closed(steady.length + 1, async () => {
      await pause(1000)
      await world.look(listener)
      await pause(500)
      await world.look(listener)
      await pause(500)
      kept.push([performance.now(), rssMb(listener.pid)])
    })
  }
  over = true
  await Promise.all([...load, trouble])
  const used = cpuSeconds(listener.pid) - cpu
  await pause(3000)
  const filesAfter = await eventually(() => (openFiles(listener.pid) <= filesBefore + 4 ? openFiles(listener.pid) : undefined), 'files to be closed', 40_000).catch(() => openFiles(listener.pid))
  const after = await world.look(listener)
  const heap = (look: { heapUsed: number }): number => round(look.heapUsed / 2 ** 20, 1)
  const childrenAfter = childrenOf(listener.pid).length
  const slope = slopeOf(kept)
  const raw = slopeOf(samples)
  const half = Math.floor(samples.length / 2)
  const median = (part: typeof samples): number => quantile(part.map(([, mb]) => mb), 0.5)
  record({
    fault: 'soak', id: 'soak', what: `mixed faults under load over HTTP, both eras: ${Object.entries(counts).map(([what, n]) => `${n} ${what}`).join(', ')}`,
    promise: '1 h: RSS slope and its error < 1 MB/h (read twice a minute while the load pauses, after a collection), files and children back to baseline, no call to an untouched server fails',
    measured: `ran ${minutes} min${minutes < 60 ? ', not the hour' : ''} (first ${round(warmUp / 1000)} s not counted), seed ${seed}; ${times.length} calls to the untouched server, ${untouched.length} failed; `
      + `RSS median ${round(median(samples.slice(0, half)), 1)} MB in the first half, ${round(median(samples.slice(half)), 1)} MB in the second; in the pauses ${round(median(kept.slice(0, kept.length >> 1)), 1)} and ${round(median(kept.slice(kept.length >> 1)), 1)} MB, fitted slope ${round(slope.perHour, 2)} ± ${round(slope.error, 2)} MB/h (under load, once a second: ${round(raw.perHour, 2)} ± ${round(raw.error, 2)}); `
      + `heap after garbage collection ${heap(before)} MB → ${heap(after)} MB; files ${filesBefore} → ${filesAfter}, children ${childrenBefore} → ${childrenAfter}; ${round(used)} s of CPU; errors seen: ${Object.entries(codes).map(([code, n]) => `${n} ${code}`).join(', ') || 'none'}`,
    met: untouched.length === 0 && filesAfter <= filesBefore + 4 && childrenAfter <= childrenBefore + 1 && (minutes < 60 || slope.perHour + slope.error < 1),
    open: minutes < 60,
  })
  expect(untouched).toEqual([])
  expect(Object.keys(codes)).not.toContain('untyped')
  expect(filesAfter).toBeLessThanOrEqual(filesBefore + 4)
  expect(childrenAfter).toBeLessThanOrEqual(childrenBefore + 1)
  if (minutes >= 60) expect(slope.perHour + slope.error).toBeLessThan(1)
})
