/** What becomes of calls while the daemon is restarted under them, again and again. */
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize } from '../fixtures/clients/raw.ts'
import { call, share, textOf, v1Only, type Shared } from './daemon-kit.ts'

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
