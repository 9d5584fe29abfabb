/** Servers that do not come up, or not for long; too few open files, a full disk, a home that cannot be written. */
import { chmodSync, chownSync, mkdirSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { childrenOf, cpuSeconds, openFiles, pause } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

describe('a cold start with many servers, half of them broken', () => {
  const world = new World()
  afterAll(() => world.end())

  it('says hello at once and serves the rest', async () => {
    const count = size(24, 100)
    const broken = [['--mute'], ['--die'], ['missing'], ['--mute', '--deaf']]
    const servers = Object.fromEntries(Array.from({ length: count }, (_, n) => {
      const kind = n % 2 === 1 ? (broken[(n >> 1) % broken.length] as string[]) : []
      const alias = `s${n}`
      if (kind[0] === 'missing') return [alias, { command: join(world.sandbox.dir, 'no-such-program') }]
      return [alias, world.rogue(alias, { flags: kind, settings: { timeouts: { start: 4000 } } })]
    }))
    const client = world.run({ mcpServers: servers, startWait: '2s' }, { debug: false })
    const helloMs = await client.hello()
    const startedAt = performance.now()
    const first = await client.tools()
    const firstMs = performance.now() - startedAt
    const serving = (names: readonly string[]) => new Set(names.map(name => name.split('__')[0])).size
    const all = await eventually(async () => {
      const names = await client.tools()
      return serving(names) === count / 2 ? performance.now() - startedAt : undefined
    }, 'all sound servers', 60_000)
    for (let n = 0; n < count; n += 2) expect(said(await client.call(`s${n}`, 'echo').reply).from).toBe(world.markers.get(`s${n}`))
    const { error } = await client.request('tools/call', { name: 's1__echo', arguments: {} }).reply
    expect(error?.message).toContain('s1')
    record({
      fault: '7', id: 'cold', what: `cold start with ${count} servers, half of them broken: silent, deaf, exiting, missing`,
      promise: 'hello at once; lists wait no longer than startWait; the sound half is served, whatever the others do to their places',
      measured: `hello after ${round(helloMs)} ms from the start of the process; first list after ${round(firstMs)} ms (startWait 2000 ms) with ${serving(first)} servers; all ${count / 2} sound ones listed after ${round(all)} ms`,
      met: firstMs < 3000 && all < 15_000,
    })
    expect(firstMs).toBeLessThan(4000)
    expect(all).toBeLessThan(20_000)
  })
})

describe('a server that dies whenever it is started', () => {
  const world = new World()
  afterAll(() => world.end())

  it('is held after five crashes, visibly, and costs nothing from then on', async () => {
    const seconds = size(10, 120)
    const client = world.run({
      mcpServers: { crashing: world.rogue('crashing', { flags: ['--die'], settings: { restart: { backoff: 20, maxBackoff: 100 } } }), other: world.rogue('other') },
    })
    await client.hello()
    await client.tools()
    const until = performance.now() + seconds * 1000
    const cpu = cpuSeconds(client.pid)
    let refused = 0
    while (performance.now() < until) {
      const { error } = await client.request('tools/call', { name: 'crashing__echo', arguments: {} }).reply
      expect(error).toBeDefined()
      refused++
      await pause(20)
    }
    const spawns = world.spawned('crashing')
    const { error } = await client.request('tools/call', { name: 'crashing__echo', arguments: {} }).reply
    record({
      fault: '8', id: 'crash-loop', what: 'a server that dies at each start, called all the time', promise: 'held after 5 failed starts within a minute, and said so; only the first of them may take two processes',
      measured: `${spawns} starts in ${seconds} s with ${refused} calls, all refused; the last one: "${error?.message}"; ${round((cpuSeconds(client.pid) - cpu) * 1000)} ms of CPU`,
      met: spawns <= 6,
    })
    expect(spawns).toBeLessThanOrEqual(6)
    expect(error?.message).toContain('held')
    expect((await client.call('other', 'echo').reply).error).toBeUndefined()
  }, 300_000)
})

describe('64 open files', () => {
  const world = new World()
  afterAll(() => world.end())

  it('are too few for thirty servers: typed refusals, no end, and room again once others are idle', async () => {
    const servers = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`s${n}`, world.rogue(`s${n}`, {
      settings: { idleTimeout: 1500, restart: { backoff: 200, maxBackoff: 500, holdAfter: 0 } },
    })]))
    const client = world.run({ mcpServers: servers, startWait: '3s' }, { before: 'ulimit -n 64' })
    await client.hello()
    const names = await client.tools()
    const up = new Set(names.map(name => name.split('__')[0])).size
    expect(up).toBeGreaterThan(0)
    const startedAt = performance.now()
    let seen = 0
    while (seen < 30 && performance.now() - startedAt < 60_000) {
      seen = new Set((await client.tools()).map(name => name.split('__')[0])).size
      await pause(200)
    }
    const recovered = performance.now() - startedAt
    // All of them are idle now: with the reaper as the only child, its pipe is all that is left open for children.
    const files = await eventually(() => (childrenOf(client.pid).length <= 1 && openFiles(client.pid) <= 24 ? openFiles(client.pid) : undefined), 'files to be closed', 15_000)
      .catch(() => openFiles(client.pid))
    record({
      fault: '10', id: 'files', what: 'thirty servers with a limit of 64 open files', promise: 'refuses, lives on, recovers, leaks nothing',
      measured: `${up} servers listed at first; ${seen} of 30 after ${round(recovered)} ms more, as idle ones were stopped; ${files} files open once all were idle`,
      met: seen === 30 && files <= 24,
    })
    expect(seen).toBe(30)
    expect(files).toBeLessThanOrEqual(24)
    expect((await client.call('s7', 'echo').reply).error).toBeUndefined()
  }, 120_000)
})

describe('nowhere to write', () => {
  it.each([
    ['stderr and the log file are full', { log: { level: 'debug', file: '/dev/full' } }, '/dev/full', ''],
    ['no file can grow', { log: { level: 'debug', file: 'proxy.log' } }, undefined, 'ulimit -f 0'],
  ])('%s: calls go on, and it ends when asked', async (what, log, stderr, before) => {
    const world = new World()
    const client = world.run({ mcpServers: { one: world.rogue('one', { flags: [] }) }, ...log }, {
      ...(stderr === undefined ? {} : { stderr: openSync(stderr, 'w') }), ...(before === '' ? {} : { before }),
    })
    await client.hello()
    await client.tools()
    const replies = await Promise.all(Array.from({ length: 200 }, () => client.call('one', 'echo').reply))
    const failed = replies.filter(({ error }) => error).length
    const startedAt = performance.now()
    client.child.kill('SIGTERM')
    const code = await client.ended
    const exitMs = performance.now() - startedAt
    record({
      fault: '11', id: `full-${before === '' ? 'dev' : 'limit'}`, what, promise: 'calls continue; exits on SIGTERM',
      measured: `${failed} of ${replies.length} calls failed; ended after ${round(exitMs)} ms with code ${code}`, met: failed === 0 && exitMs < 5000,
    })
    expect(failed).toBe(0)
    expect(exitMs).toBeLessThan(8000)
    await world.end()
  })

  it('a home that cannot be written: calls go on, a warning says so', async () => {
    const world = new World()
    const home = join(world.sandbox.dir, 'locked')
    mkdirSync(home)
    chmodSync(home, 0o555)
    // Root writes anywhere: the proxy is run as nobody then.
    const asNobody = process.getuid?.() === 0
    const config = { mcpServers: { one: world.rogue('one') } }
    if (asNobody) for (const path of [world.sandbox.dir, join(world.sandbox.dir, 'one.secret')]) chownSync(path, 65534, 65534)
    const client = world.run(config, { env: { MCP_PROXY_HOME: home, HOME: home }, ...(asNobody ? { user: 65534 } : {}) })
    await client.hello()
    await client.tools()
    const replies = await Promise.all(Array.from({ length: 50 }, () => client.call('one', 'echo').reply))
    const failed = replies.filter(({ error }) => error).length
    await pause(500)
    const startedAt = performance.now()
    client.child.kill('SIGTERM')
    await client.ended
    const exitMs = performance.now() - startedAt
    expect(readdirSync(home)).toEqual([])
    record({
      fault: '11', id: 'read-only', what: 'a home folder that cannot be written', promise: 'calls continue; exits on SIGTERM',
      measured: `${failed} of ${replies.length} calls failed; ended after ${round(exitMs)} ms`, met: failed === 0,
    })
    expect(failed).toBe(0)
    await world.end()
  })
})
