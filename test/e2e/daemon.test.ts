/**
 * Many `run` processes, one daemon: who shares what, whose question reaches whom, and what a client notices when the daemon goes.
 * Processes are counted, not believed.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually, type Answers, type ClientKind } from '../fixtures/clients/client.ts'
import { initialize } from '../fixtures/clients/raw.ts'
import { both, call, share, textOf, v1Only } from './daemon-kit.ts'

const kinds: readonly ClientKind[] = ['v1', 'v1', 'v2-legacy', 'v2-modern', 'v2-modern']
const named = (name: string): Answers => ({ elicit: () => ({ action: 'accept', content: { name } }) })
const thrown = (promise: Promise<unknown>): Promise<any> => promise.then(() => undefined, (error: unknown) => error)

describe('a daemon that stands still', () => {
  it('is told as that, whatever is asked', async () => {
    const shared = share(v1Only())
    expect((await shared.run('daemon', 'start')).code).toBe(0)
    const [daemon] = shared.daemons() as [number]
    process.kill(daemon, 'SIGSTOP')
    const asked = await Promise.all([['status'], ['top'], ['daemon', 'status'], ['daemon', 'start']].map(words => shared.run(...words, '--json')))
    for (const { code, stderr } of asked) expect([code, stderr]).toEqual([4, expect.stringContaining(`the daemon, process ${daemon}, does not answer`)])
    // Somebody who asks how it is gets no servers of his own, which would be fine.
    expect(shared.processes('v1.mjs').length).toBeLessThanOrEqual(1)
    process.kill(daemon, 'SIGCONT')
    expect((await shared.run('status')).code).toBe(0)
  }, 40_000)
})

describe('five clients', () => {
  it('share one daemon and one set of servers, and each answers its own questions', async () => {
    const shared = share(both())
    const clients = await Promise.all(kinds.map((kind, i) => shared.client(kind, named(`person ${i}`))))
    const asked = await Promise.all(clients.map((client, i) => client.say('new__ask_form', { message: `for ${i}?` })))
    asked.forEach((text, i) => expect(text).toContain(`person ${i}`))
    // One after another, for a server of the older protocol does not say which call its question belongs to.
    for (const [i, client] of clients.entries()) expect(await client.say('old__ask_form', { message: `for ${i}?` })).toContain(`person ${i}`)
    for (const [i, client] of clients.entries()) {
      expect(client.asks).toHaveLength(2)
      for (const ask of client.asks) expect(ask.params['message']).toContain(`for ${i}?`)
    }
    expect(shared.daemons()).toHaveLength(1)
    expect(shared.processes('v1.mjs')).toHaveLength(1)
    expect(shared.processes('everything-v2.mjs')).toHaveLength(1)
    expect(shared.processes('mcp-proxy.js run')).toHaveLength(5)
  })

  it('all recover when the daemon is killed in the middle of their calls', async () => {
    const shared = share(both())
    const clients = await Promise.all(kinds.map((kind, i) => shared.client(kind, named(`person ${i}`))))
    const calls = clients.map((client, i) => thrown(client.call(`${i % 2 ? 'old' : 'new'}__slow`, { key: `k${i}` })))
    await eventually(() => {
      const started = [...shared.sandbox.readJournal('old'), ...shared.sandbox.readJournal('new')].filter(({ event }) => event === 'started')
      return started.length === 5 ? true : undefined
    }, 'all calls to start')
    const [daemon] = shared.daemons() as [number]
    const servers = [...shared.processes('v1.mjs'), ...shared.processes('everything-v2.mjs')]
    process.kill(daemon, 'SIGKILL')
    const killed = Date.now()
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: -32603, data: { code: 'DAEMON_DIED', retryAfterMs: expect.any(Number) } })
    const answers = await Promise.all(clients.map((client, i) => client.say('old__echo', { message: `back ${i}` })))
    expect(answers).toEqual(clients.map((_, i) => `back ${i}`))
    // Capabilities were told again: questions find their way as before.
    const asked = await Promise.all(clients.map(client => client.say('new__ask_form', { message: 'again?' })))
    asked.forEach((text, i) => expect(text).toContain(`person ${i}`))
    expect(shared.daemons()).toHaveLength(1)
    expect(shared.daemons()).not.toContain(daemon)
    await eventually(() => (servers.some(pid => shared.sandbox.survivors().includes(pid)) ? undefined : true), 'orphans to end', killed + 5000 - Date.now())
    expect(shared.processes('v1.mjs')).toHaveLength(1)
    expect(shared.processes('everything-v2.mjs')).toHaveLength(1)
  })
})

describe('a client that runs us inside itself', () => {
  // As Claude Desktop does with a bundle: https://github.com/evoila/meho/issues/3341. Started again it would be no Node.
  it('starts no daemon, and uses one that is there', async () => {
    const shared = share(v1Only())
    const preload = join(shared.sandbox.dir, 'electron.cjs')
    writeFileSync(preload, "Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '39.0.0' } })")
    const inside = { NODE_OPTIONS: `--require ${preload}` }
    const alone = shared.raw(inside)
    await initialize(alone)
    expect(textOf(await alone.request('tools/call', call('old__echo', { message: 'in here' })))).toBe('in here')
    expect(shared.daemons()).toEqual([])
    await shared.run('daemon', 'start')
    const joined = shared.raw(inside)
    await initialize(joined)
    expect(textOf(await joined.request('tools/call', call('old__echo', { message: 'over there' })))).toBe('over there')
    expect(JSON.parse((await shared.run('daemon', 'status', '--json')).stdout)).toMatchObject({ clients: 1 })
  })
})

describe('a daemon', () => {
  it('is one, however many start it at once', async () => {
    const shared = share(both())
    const clients = Array.from({ length: 4 }, () => shared.raw())
    await Promise.all(clients.map(client => initialize(client)))
    await Promise.all(clients.map(async (client, i) => expect(textOf(await client.request('tools/call', call('old__echo', { message: String(i) })))).toBe(String(i))))
    await eventually(() => (shared.daemons().length === 1 ? true : undefined), 'one daemon')
    expect(shared.processes('v1.mjs')).toHaveLength(1)
  })

  it('ends when nobody has used it for a while', async () => {
    const shared = share(both({ daemon: { idleTimeout: 300 } }))
    const client = shared.raw()
    await initialize(client)
    expect(textOf(await client.request('tools/call', call('old__echo', { message: 'hi' })))).toBe('hi')
    // A client is a use, however quiet.
    await new Promise(resolve => setTimeout(resolve, 700))
    expect(shared.daemons()).toHaveLength(1)
    expect(await client.close()).toBe(0)
    await eventually(() => (shared.sandbox.survivors().length === 0 ? true : undefined), 'the daemon and its servers to end', 8000)
    expect(shared.files()).toEqual([])
  })

  it('leaves nothing behind when it is stopped, and comes back when it is needed', async () => {
    const shared = share(both())
    const client = shared.raw()
    await initialize(client)
    const before = shared.daemons()
    expect(await shared.run('daemon', 'stop')).toMatchObject({ code: 0 })
    expect(shared.files()).toEqual([])
    expect(shared.daemons()).toEqual([])
    await eventually(() => (shared.sandbox.survivors().length === 1 ? true : undefined), 'its servers to be gone', 3000)
    expect((await shared.run('daemon', 'status')).code).toBe(4)
    expect(textOf(await client.request('tools/call', call('old__echo', { message: 'again' })))).toBe('again')
    expect(shared.daemons()).toHaveLength(1)
    expect(shared.daemons()).not.toEqual(before)
  })

  it('that was killed without anybody noticing is found dead and followed by another', async () => {
    const shared = share(both())
    const first = shared.raw()
    await initialize(first)
    const [daemon] = shared.daemons() as [number]
    await first.close()
    process.kill(daemon, 'SIGKILL')
    await eventually(() => (shared.daemons().length === 0 ? true : undefined), 'its end')
    // Its lock, state and socket are still there.
    expect(shared.files()).toHaveLength(3)
    const client = shared.raw()
    await initialize(client)
    expect(textOf(await client.request('tools/call', call('new__echo', { message: 'back' })))).toBe('back')
    expect(shared.daemons()).toHaveLength(1)
  })
})
