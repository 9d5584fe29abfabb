/** What becomes of calls while the daemon is restarted under them, again and again; and of one that cannot even begin. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { start } from '../../src/daemon/attach.ts'
import { daemonPlace, prepare } from '../../src/daemon/place.ts'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize } from '../fixtures/clients/raw.ts'
import { call, share, textOf, v1Only, type Shared } from './daemon-kit.ts'
import { createSandbox } from './harness.ts'

const startedIn = (shared: Shared): string[] =>
  shared.sandbox.readJournal('old').flatMap(({ event, key }) => (event === 'started' && key !== undefined ? [key] : []))

const restarts = 5
const callers = 8

describe('a daemon that is restarted under calls', () => {
  it('loses none and repeats none', async () => {
    const shared = share(v1Only())
    const clients = [shared.raw(), shared.raw()]
    for (const client of clients) await initialize(client)
    let isOver = false
    const wrong: JsonObject[] = []
    const keys: string[] = []
    const callOn = async (n: number): Promise<void> => {
      for (let i = 0; !isOver; i++) {
        const key = `${n}.${i}`
        keys.push(key)
        const client = clients[n % clients.length] as (typeof clients)[number]
        const response = await client.request('tools/call', call('old__slow', { key, ms: 1 }))
        if (textOf(response) !== 'finished') wrong.push(response)
      }
    }
    const calling = Array.from({ length: callers }, (_, n) => callOn(n))
    for (let n = 0; n < restarts; n++) expect((await shared.run('daemon', 'restart')).code).toBe(0)
    isOver = true
    await Promise.all(calling)
    expect(wrong).toEqual([])
    expect(startedIn(shared).sort()).toEqual(keys.sort())
  })

  it('loses none that was said before the goodbye was heard, and repeats none that was taken', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const [daemon] = shared.daemons() as [number]
    const slow = (key: string, ms: number) => client.request('tools/call', call('old__slow', { key, ms }))
    const taken = slow('taken', 1000)
    await eventually(() => startedIn(shared)[0], 'the call to start')
    // What is said now is read by a client's side that has not read the goodbye.
    process.kill(client.pid as number, 'SIGSTOP')
    const unheard = ['a', 'b', 'c'].map(key => slow(key, 1))
    const withdrawn = slow('withdrawn', 1)
    client.notify('notifications/cancelled', { requestId: 'raw-6' })
    process.kill(daemon, 'SIGTERM')
    await eventually(() => (shared.files().some(name => name.endsWith('.json')) ? undefined : true), 'the daemon to begin its end')
    process.kill(client.pid as number, 'SIGCONT')
    for (const answer of [taken, ...unheard]) expect(textOf(await answer)).toBe('finished')
    expect(startedIn(shared)).toEqual(['taken', 'a', 'b', 'c'])
    expect(shared.daemons()).not.toContain(daemon)
    void withdrawn.catch(() => {})
  })

  it('opens a client that says hello while it goes', async () => {
    const shared = share(v1Only())
    const first = shared.raw()
    await initialize(first)
    const [daemon] = shared.daemons() as [number]
    const taken = first.request('tools/call', call('old__slow', { key: 'taken', ms: 1500 }))
    await eventually(() => startedIn(shared)[0], 'the call to start')
    process.kill(daemon, 'SIGTERM')
    const others = [shared.raw(), shared.raw()]
    for (const each of others) expect((await initialize(each))['result']).toBeDefined()
    for (const each of others) expect(textOf(await each.request('tools/call', call('old__echo', { message: 'hi' })))).toBe('hi')
    expect(textOf(await taken)).toBe('finished')
  })
})

describe.skipIf(process.platform === 'win32')('a daemon that ends as soon as it is started', () => {
  /** What the shell that looks after it does with a program that ends like this: when each start and each end was, milliseconds. */
  async function starts(program: string, env: Record<string, string> = {}): Promise<number[][]> {
    const sandbox = createSandbox()
    const journal = join(sandbox.dir, 'starts')
    const script = sandbox.write('ends.js', `const fs = require('fs'), journal = ${JSON.stringify(journal)}
      const begun = Date.now(), n = fs.existsSync(journal) ? fs.readFileSync(journal, 'utf8').trim().split('\\n').length : 0
      const end = code => { fs.appendFileSync(journal, begun + ' ' + Date.now() + '\\n'); process.exit(code) }
      ${program}`)
    const root = sandbox.dir
    const places = { config: root, cache: root, state: join(root, 'state'), runtime: join(root, 'run'), credentials: join(root, 'none') }
    const place = daemonPlace(places, sandbox.config({ mcpServers: {} }))
    await prepare(place)
    const started = start(place, script, { ...sandbox.env, ...env }, { supervised: true })
    await eventually(() => started.code ?? undefined, 'the shell to give up', 30_000)
    const lines = readFileSync(journal, 'utf8').trim().split('\n')
    await sandbox.dispose()
    return lines.map(line => line.split(' ').map(Number))
  }

  // Its own count of crashes cannot be kept on a full disk, or when the program has been removed.
  it('is given up by the shell that looks after it', async () => {
    expect(await starts('end(1)')).toHaveLength(5)
  }, 40_000)

  // Between the two nobody holds the lock: `daemon stop` found nothing to stop, and then it was there again.
  it('is started at once while it keeps the pauses itself', async () => {
    const [, second, third] = await starts('n === 0 ? end(1) : setTimeout(end, 700, n === 1 ? 1 : 4)')
    expect((third?.[0] ?? NaN) - (second?.[1] ?? NaN)).toBeLessThan(1500)
  }, 40_000)

  it('is not given up for want of a clock on its PATH', async () => {
    expect(await starts('setTimeout(end, n < 6 ? 2100 : 0, n < 6 ? 1 : 4)', { PATH: '/nonexistent' })).toHaveLength(7)
  }, 40_000)
})
