/**
 * Everything at once for as long as is asked (`SOAK_MINUTES`): load, kills, hangs, crashes, floods, oversized lines, clients
 * that come and go. At the end nothing may have been lost, and what is in use must be what was in use at the beginning.
 */
import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { HttpClient } from './lib/http-client.ts'
import { childrenOf, cpuSeconds, kill, openFiles, pause, programMb, quantile, rssMb } from './lib/processes.ts'
import { record, round } from './lib/record.ts'
import { slopeOf, type Slope } from './lib/slope.ts'
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
  async closed<T>(parties: number, during: () => Promise<T>): Promise<T> {
    this.opening = new Promise(resolve => { this.open = resolve })
    try {
      await eventually(() => (this.waiting === parties ? true : undefined), `all ${parties} who make the load to pause`, 30_000)
      return await during()
    } finally {
      this.opening = undefined
      this.open()
    }
  }
}

/** What is in use while nothing happens, after a collection. Megabytes. */
interface Rest {
  readonly at: number
  readonly rss: number
  /** The part of it that is pages of the program and its libraries, touched so far. */
  readonly program: number
  /** By live objects and by buffers beside the heap. */
  readonly held: number
  /** The part of it that is compiled code. */
  readonly code: number
  readonly files: number
  readonly children: number
}

const level = ({ perHour, error }: Slope): boolean => perHour + error < 1

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
  let hot = true
  let over = false
  const gate = new Gate()

  /** Nothing ever happens to the sixth server: no call to it may fail. */
  const untouched: unknown[] = []
  let heated = 0
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
  const makeTrouble = async (goOn: () => boolean): Promise<void> => {
    while (goOn()) {
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
  }
  const trouble = makeTrouble(() => !over)

  /** The same work many times as fast. */
  const crowd = Array.from({ length: 8 }, async (_, n) => {
    const client = new HttpClient(listener.url, n % 2 === 0 ? 'legacy' : 'modern', world.markers)
    await client.open()
    while (hot) {
      const reply = await client.call('s5', 'echo', { filler: 'x'.repeat(roll(2000)) })
      if (reply.error) untouched.push(reply.error)
      heated++
      await client.call(alias(), 'echo')
    }
    await client.close()
    expect(client.wrong).toEqual([])
  })
  const riot = Array.from({ length: 4 }, () => makeTrouble(() => hot))

  // Not before the end, unless one of them fails.
  const broken = Promise.all([...load, ...crowd, ...riot, trouble]).then(() => new Promise<never>(() => {}))

  // V8 compiles what has been used often enough, however long that takes, so warming up takes work rather than time: twenty minutes,
  // or a third of a short run, in haste. After that come the minutes that count, at a walk.
  const warmUp = Math.min(1_200_000, minutes * 20_000)
  // Under load memory swings by tens of megabytes with what is just passing through, which hides any slope. What counts is what is
  // left when nothing passes, after two collections: buffers are freed in another thread once the first is over.
  const atRest = (): Promise<Rest> => Promise.race([broken, gate.closed(steady.length + 1, async () => {
    await pause(1000)
    await world.look(listener)
    await pause(500)
    const { heapUsed, external, code } = await world.look(listener)
    await pause(500)
    return {
      at: performance.now(), rss: rssMb(listener.pid), program: programMb(listener.pid), held: (heapUsed + external) / 2 ** 20, code: code / 2 ** 20,
      files: openFiles(listener.pid), children: childrenOf(listener.pid).length,
    }
  })])
  await Promise.race([broken, pause(warmUp)])
  hot = false
  await Promise.all([...crowd, ...riot])
  await pause(Math.min(30_000, warmUp))
  const until = performance.now() + minutes * 60_000
  times.length = 0
  const rests = [await atRest()]
  const samples: [number, number][] = []
  const cpu = cpuSeconds(listener.pid)
  while (performance.now() < until) {
    for (let second = 0; second < 27; second++) {
      samples.push([performance.now(), rssMb(listener.pid)])
      await pause(1000)
    }
    rests.push(await atRest())
  }
  over = true
  await Promise.all([...load, trouble])
  const used = cpuSeconds(listener.pid) - cpu
  await pause(3000)
  const before = rests[0] as Rest
  const filesAfter = await eventually(() => (openFiles(listener.pid) <= before.files + 4 ? openFiles(listener.pid) : undefined), 'files to be closed', 40_000).catch(() => openFiles(listener.pid))
  const childrenAfter = childrenOf(listener.pid).length
  const slope = slopeOf(rests.map(({ at, rss }) => [at, rss]))
  const held = slopeOf(rests.map(({ at, held: mb }) => [at, mb]))
  const raw = slopeOf(samples)
  const bounds = (series: readonly number[]): string => [0.05, 0.5, 0.95, 1].map(q => round(quantile(series, q), 1)).join(', ')
  const shown = ({ perHour, error }: Slope): string => `${round(perHour, 2)} ± ${round(error, 2)} MB/h`
  const halves = (of: (rest: Rest) => number): string => [rests.slice(0, rests.length >> 1), rests.slice(rests.length >> 1)].map(half => round(quantile(half.map(of), 0.5), 1)).join(' and ')
  record({
    fault: 'soak', id: 'soak', what: `mixed faults under load over HTTP, both eras: ${Object.entries(counts).map(([what, n]) => `${n} ${what}`).join(', ')}`,
    promise: '1 h after 20 minutes of the same in haste, allocator set as in our unit files: RSS slope and its error < 1 MB/h, the same for heap and buffers (read twice a minute while the load pauses, after a collection), files and children back to baseline, no call to an untouched server fails',
    measured: `ran ${minutes} min${minutes < 60 ? ', not the hour' : ''} after ${round(warmUp / 1000)} s in haste, seed ${seed}; ${heated} and ${times.length} calls to the untouched server, ${untouched.length} failed; `
      + `in the pauses RSS ${halves(({ rss }) => rss)} MB (medians of the halves), slope ${shown(slope)}, of which pages of the program ${halves(({ program }) => program)} MB; `
      + `heap and buffers ${halves(({ held: mb }) => mb)} MB, slope ${shown(held)}, of which compiled code ${halves(({ code }) => code)} MB; `
      + `RSS under load, once a second: 5, 50, 95 and 100 % of readings below ${bounds(samples.map(([, mb]) => mb))} MB, slope ${shown(raw)}; `
      + `files ${before.files} → ${filesAfter}, children ${before.children} → ${childrenAfter}; ${round(used)} s of CPU; errors seen: ${Object.entries(codes).map(([code, n]) => `${n} ${code}`).join(', ') || 'none'}`,
    met: untouched.length === 0 && filesAfter <= before.files + 4 && childrenAfter <= before.children + 1 && (minutes < 60 || (level(slope) && level(held))),
    open: minutes < 60,
    series: rests.map(rest => ({ ...rest, at: round((rest.at - before.at) / 1000) })),
  })
  expect(untouched).toEqual([])
  expect(Object.keys(codes)).not.toContain('untyped')
  expect(filesAfter).toBeLessThanOrEqual(before.files + 4)
  expect(childrenAfter).toBeLessThanOrEqual(before.children + 1)
  if (minutes >= 60) expect({ slope, held }).toSatisfy(() => level(slope) && level(held))
})
