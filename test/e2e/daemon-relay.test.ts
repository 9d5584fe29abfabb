/** What a client notices of a daemon that is replaced when what it said was large, or its own side was stopped meanwhile. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize, type RawClient } from '../fixtures/clients/raw.ts'
import { call, share, textOf, v1Only, type Shared } from './daemon-kit.ts'

const maxLineBytes = 16 * 1024 * 1024
const startedIn = (shared: Shared): string[] =>
  shared.sandbox.readJournal('old').flatMap(({ event, key }) => (event === 'started' && key !== undefined ? [key] : []))
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
/** Its sockets are closed a moment after there is nothing more to be seen of it. */
const gone = (shared: Shared, pid: number) =>
  eventually(() => (shared.daemons().includes(pid) ? undefined : true), 'the daemon to be gone', 10_000).then(() => pause(300))

/** An opening whose line has `bytes` bytes; resolves with the answer. */
async function openWith(client: RawClient, bytes: number) {
  const params = (long: string) => ({
    protocolVersion: '2025-11-25', capabilities: { experimental: { 'test/long': { long } }, elicitation: {} }, clientInfo: { name: 'raw', version: '0' },
  })
  const empty = JSON.stringify({ jsonrpc: '2.0', id: 'raw-1', method: 'initialize', params: params('') })
  const response = await client.request('initialize', params('x'.repeat(bytes - empty.length)))
  client.notify('notifications/initialized')
  return response
}

describe('a client whose opening is large', () => {
  it.each([['just not short', 16 * 1024 + 1], ['of a mebibyte', 1024 * 1024], ['as long as a line may be', maxLineBytes]])(
    'is known to the next daemon: %s', async (_what, bytes) => {
      const shared = share(v1Only())
      const client = shared.raw()
      expect((await openWith(client, bytes))['result']).toBeDefined()
      client.onRequest(() => ({ result: { action: 'accept', content: { name: 'ada' } } }))
      const ask = async () => textOf(await client.request('tools/call', call('old__ask_form', { message: 'who?' })))
      expect(await ask()).toContain('ada')
      for (const how of ['SIGKILL', 'SIGTERM'] as const) {
        const [daemon] = shared.daemons() as [number]
        process.kill(daemon, how)
        await gone(shared, daemon)
        expect(await ask()).toContain('ada')
      }
      for (const { direction, message } of client.log)
        if (direction === 'received' && message['method'] === undefined) expect(String(message['id'])).toMatch(/^raw-/)
      // A few times what it said, and not what that would take parsed.
      const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${client.pid}/status`, 'utf8'))?.[1]) * 1024
      expect(peak).toBeLessThan(80e6 + 5 * bytes)
    },
  )

  it('is answered by the next daemon when the first is gone before it answered', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await eventually(async () => {
      const { code, stdout } = await shared.run('daemon', 'status', '--json')
      return code === 0 && (JSON.parse(stdout) as { clients: number }).clients === 1 ? true : undefined
    }, 'the client to be there', 10_000)
    const [daemon] = shared.daemons() as [number]
    process.kill(daemon, 'SIGSTOP')
    const opening = openWith(client, 100_000)
    await pause(500)
    process.kill(daemon, 'SIGKILL')
    expect((await opening)['result']).toBeDefined()
    expect(textOf(await client.request('tools/call', call('old__echo', { message: 'hi' })))).toBe('hi')
  })
})

describe('a client whose side is stopped while the daemon goes', () => {
  // Longer than a daemon that leaves waits for who does not hear it.
  const stoppedMs = 3000

  it.each(['SIGTERM', 'SIGKILL'] as const)('loses no call that was not read, however it goes: %s', async how => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const slow = (key: string, ms: number) => client.request('tools/call', call('old__slow', { key, ms }))
    expect(textOf(await slow('first', 1))).toBe('finished')
    const [daemon] = shared.daemons() as [number]
    process.kill(client.pid as number, 'SIGSTOP')
    const unheard = ['a', 'b', 'c'].map(key => slow(key, 1))
    process.kill(daemon, how)
    await Promise.all([gone(shared, daemon), pause(stoppedMs)])
    const late = slow('late', 1)
    process.kill(client.pid as number, 'SIGCONT')
    for (const answer of [...unheard, late]) expect(textOf(await answer)).toBe('finished')
    expect(startedIn(shared)).toEqual(['first', 'a', 'b', 'c', 'late'])
  })

  /** Three calls: one that runs, one on its way when the daemon stops, one that its own side keeps. `end` ends the daemon. */
  async function threeCalls(takenMs: number, end: (daemon: number) => void) {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const slow = (key: string, ms: number) => client.request('tools/call', call('old__slow', { key, ms }))
    const taken = slow('taken', takenMs)
    await eventually(() => startedIn(shared)[0], 'the call to start')
    const [daemon] = shared.daemons() as [number]
    process.kill(daemon, 'SIGSTOP')
    // Nobody can say afterwards whether it was read, unless the daemon says so.
    const written = slow('written', 1)
    await pause(500)
    process.kill(client.pid as number, 'SIGSTOP')
    const unheard = slow('unheard', 1)
    end(daemon)
    await Promise.all([gone(shared, daemon), pause(stoppedMs)])
    process.kill(client.pid as number, 'SIGCONT')
    return { shared, taken, written, unheard }
  }

  it('is told of calls that may have been read, and those are not repeated', async () => {
    const { shared, taken, written, unheard } = await threeCalls(30_000, daemon => process.kill(daemon, 'SIGKILL'))
    for (const answer of [taken, written])
      expect((await answer)['error']).toMatchObject({ data: { code: 'DAEMON_DIED', hint: expect.stringContaining('may have been') } })
    expect(textOf(await unheard)).toBe('finished')
    expect(startedIn(shared)).toEqual(['taken', 'unheard'])
  })

  it('has each call carried out once that was on its way to a daemon that says what it has read', async () => {
    const { shared, taken, written, unheard } = await threeCalls(1000, daemon => {
      process.kill(daemon, 'SIGTERM')
      process.kill(daemon, 'SIGCONT')
    })
    for (const answer of [taken, written, unheard]) expect(textOf(await answer)).toBe('finished')
    expect(startedIn(shared)).toEqual(['taken', 'written', 'unheard'])
  })
})
