/** What a start knows from earlier, what a changed config costs, and whether `status` tells the truth. */
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { rawHttp } from '../fixtures/clients/raw-http.ts'
import { childrenOf, kill, pause } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

describe('a start that knows its servers from earlier', () => {
  const world = new World()
  afterAll(() => world.end())

  it('answers every list for twenty of them without starting one', async () => {
    const servers = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`s${n}`, world.rogue(`s${n}`)]))
    const cold = world.run({ mcpServers: servers })
    await cold.hello()
    const names = await eventually(async () => {
      const found = await cold.tools()
      return new Set(found.map(name => name.split('__')[0])).size === 20 ? found : undefined
    }, 'all tools', 30_000)
    await cold.close()
    const spawned = () => Object.keys(servers).reduce((sum, alias) => sum + world.spawned(alias), 0)
    const before = spawned()
    const warm = world.run({ mcpServers: servers })
    const helloMs = await warm.hello()
    const startedAt = performance.now()
    const again = await warm.tools()
    const listMs = performance.now() - startedAt
    for (const method of ['prompts/list', 'resources/list', 'resources/templates/list']) expect((await warm.request(method, {}).reply).error).toBeUndefined()
    await pause(2000)
    const children = childrenOf(warm.pid).length
    const started = spawned() - before
    record({
      fault: '-', id: 'warm', what: 'warm start with 20 servers, hello and all lists', promise: 'answered without starting one',
      measured: `${again.length} tools; ${started} servers started, ${children} child processes 2 s later; hello after ${round(helloMs)} ms from the start of the process, tools after ${round(listMs)} ms more`,
      met: started === 0 && children === 0 && again.length === names.length,
    })
    expect(again.sort()).toEqual(names.sort())
    expect(started).toBe(0)
    expect(children).toBe(0)
    const call = warm.call('s7', 'echo')
    expect(said(await call.reply)).toMatchObject({ from: world.markers.get('s7'), mark: call.mark })
    expect(spawned() - before).toBe(1)
  })
})

describe('a config that changes under load', () => {
  const world = new World()
  afterAll(() => world.end())

  it('fails no call to a server that did not change; a broken file changes nothing', async () => {
    const reloads = size(20, 100)
    const other = world.rogue('other')
    const configOf = (n: number) => ({ mcpServers: { steady: steady, other: { ...other, args: [...(other['args'] as string[]), '--round', String(n)] } } })
    const steady = world.rogue('steady')
    const client = world.run(configOf(0), { debug: false })
    const file = join(world.sandbox.dir, 'config-1.json')
    await client.hello()
    await client.tools()
    const { pid } = said(await client.call('steady', 'echo').reply)
    let over = false
    let calls = 0
    const failed: unknown[] = []
    const steadily = (async () => {
      while (!over) {
        const replies = await Promise.all(Array.from({ length: 8 }, () => client.call('steady', 'echo').reply))
        calls += replies.length
        for (const { error, ...reply } of replies) if (error || said(reply as never).pid !== pid) failed.push(error ?? 'another process answered')
        await pause(5)
      }
    })()
    const applied = () => client.stderr.split('config read again').length - 1
    for (let n = 1; n <= reloads; n++) {
      if (n % 5 === 0) {
        writeFileSync(file, '{ "mcpServers": ')
        client.child.kill('SIGHUP')
        await pause(100)
      }
      writeFileSync(file, JSON.stringify(configOf(n)))
      const before = applied()
      client.child.kill('SIGHUP')
      await eventually(() => (applied() > before ? true : undefined), `reload ${n}`, 15_000)
    }
    over = true
    await steadily
    record({
      fault: '14', id: 'reload', what: `${reloads} changed configs under load, every fifth preceded by a broken file`, promise: '0 failed calls on servers that did not change; a broken file changes nothing',
      measured: `${calls} calls, ${failed.length} failed; the same process answered all of them`, met: failed.length === 0,
    })
    expect(failed).toEqual([])
    await eventually(async () => (said(await client.call('other', 'echo').reply).from === world.markers.get('other') ? true : undefined), 'the changed server')
  }, 300_000)
})

describe('status', () => {
  const world = new World()
  const guard = createServer((_request, response) => void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end())
  type State = { alias: string; state: string; pid: number | null; since: string; restarts: number; inFlight: number; lastFailure: { stage: string; message: string } | null }
  const http: { get?: () => Promise<State[]> } = {}
  const stateOf = async (alias: string): Promise<State> => (await http.get!()).find(state => state.alias === alias) as State
  const becomes = (alias: string, state: string, ms = 10_000): Promise<State> =>
    eventually(async () => {
      const now = await stateOf(alias)
      return now.state === state ? now : undefined
    }, `${alias} to be ${state}`, ms)
  let post!: (tool: string, args?: JsonObject) => Promise<JsonObject>
  beforeAll(async () => {
    const npx = world.sandbox.write('bin/npx', `#!/bin/sh\nsleep 2\nexec "${process.execPath}" "$@"\n`)
    chmodSync(npx, 0o755)
    const installing = world.rogue('installing')
    await new Promise<void>(resolve => guard.listen(0, '127.0.0.1', resolve))
    const listener = await world.serve({
      mcpServers: {
        healthy: world.rogue('healthy'),
        slow: world.rogue('slow', { flags: ['--slow-start', '2000'] }),
        installing: { ...installing, command: npx },
        held: world.rogue('held', { flags: ['--die'], settings: { restart: { backoff: 10, maxBackoff: 20 } } }),
        missing: { command: join(world.sandbox.dir, 'nothing-here') },
        guarded: { url: `http://127.0.0.1:${(guard.address() as AddressInfo).port}/mcp` },
        unset: { command: 'node', env: { TOKEN: '${FAULTS_NEVER_SET}' } },
        off: world.rogue('off', { settings: { enabled: false } }),
        idle: world.rogue('idle', { settings: { idleTimeout: 500 } }),
        breaking: world.rogue('breaking', { settings: { timeouts: { call: 100 }, breaker: { failures: 2, openFor: 1500 } } }),
        killed: world.rogue('killed', { settings: { restart: { backoff: 3000 } } }),
      },
    })
    const raw = rawHttp(listener.url.replace(/\/mcp$/, '/status'))
    http.get = async () => (JSON.parse((await raw.send('GET')).text) as { backends: State[] }).backends
    const calls = rawHttp(listener.url)
    let id = 0
    post = async (tool, args = {}) => {
      const name = tool
      const { messages } = await calls.post({
        jsonrpc: '2.0', id: ++id, method: 'tools/call',
        params: { name, arguments: { mark: 'm', ...args }, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } },
      }, { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name })
      return messages.at(-1) as JsonObject
    }
  })
  afterAll(async () => {
    guard.close()
    await world.end()
  })

  it('tells the truth in each state', async () => {
    const told: string[] = []
    const say = (state: State) => void told.push(state.state)
    say(await becomes('slow', 'starting'))
    say(await becomes('installing', 'installing'))
    const off = await becomes('off', 'disabled')
    say(off)
    expect(world.spawned('off')).toBe(0)
    const healthy = await becomes('healthy', 'healthy')
    say(healthy)
    expect(healthy.pid).toBe(world.journal('healthy').at(-1)?.pid)
    expect(healthy.lastFailure).toBeNull()
    const held = await becomes('held', 'held', 20_000)
    say(held)
    expect(held.lastFailure).toMatchObject({ stage: expect.stringMatching(/start|handshake/), message: expect.stringContaining('exited with code 3') })
    say(await becomes('guarded', 'needs-auth'))
    const unset = await becomes('unset', 'held')
    expect(unset.lastFailure).toMatchObject({ stage: 'resolve', message: expect.stringContaining('FAULTS_NEVER_SET') })
    const missing = await stateOf('missing')
    expect(['held', 'stopped']).toContain(missing.state)
    expect(missing.lastFailure?.message).toContain('nothing-here')
    await becomes('slow', 'healthy')
    await becomes('installing', 'healthy')
    const idle = await becomes('idle', 'idle')
    say(idle)
    expect(idle.pid).toBeNull()
    await post('breaking__hang')
    await post('breaking__hang')
    const broken = await becomes('breaking', 'degraded')
    say(broken)
    expect(broken.lastFailure?.message).toContain('did not answer')
    await pause(1600)
    expect(await post('breaking__echo')).toHaveProperty('result')
    await becomes('breaking', 'healthy')
    const before = await stateOf('killed')
    kill(before.pid as number, 'SIGKILL')
    const stopped = await becomes('killed', 'stopped')
    say(stopped)
    expect(stopped.lastFailure).toMatchObject({ stage: 'run', message: expect.stringContaining('SIGKILL') })
    expect(stopped.pid).toBeNull()
    expect((await eventually(async () => ((await post('killed__echo'))['result'] as JsonObject | undefined), 'its restart', 10_000))).toBeDefined()
    const again = await becomes('killed', 'healthy')
    expect(again.restarts).toBe(1)
    expect(again.pid).not.toBe(before.pid)
    expect(Date.parse(again.since)).toBeGreaterThan(Date.parse(before.since))
    const hanging = post('healthy__sleep', { ms: 500 })
    await pause(200)
    expect((await stateOf('healthy')).inFlight).toBe(1)
    await hanging
    expect((await stateOf('healthy')).inFlight).toBe(0)
    record({
      fault: '-', id: 'status', what: '`status` of servers that start, install, run, break off, want a sign-in, hang, die, crash all the time, idle, are switched off or cannot be resolved',
      promise: 'tells the truth in each state', measured: `seen and right: ${[...new Set(told)].sort().join(', ')}`, met: true,
    })
  }, 90_000)
})
