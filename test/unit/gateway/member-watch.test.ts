import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Granted, Watcher } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { disabledMember, heldMember } from '../../../src/gateway/stand-in.ts'
import { callOf, client, FakeWatcher, interested, refusalOf, setUp, type FakeConnection } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
/** The watches of clients on a connection; the member's own is left out. */
const told = (connection: FakeConnection) => connection.watchers.filter(({ watcher }) => watcher.client.id !== 'gateway')

describe('while the server is down', () => {
  it('list changes need no server: they are granted, and nothing starts', async () => {
    const { member, server } = setUp()
    const watch = member.watch(new FakeWatcher({ lists: ['tools', 'prompts'], logLevel: 'debug', roots: [] }))
    expect(await watch.granted).toEqual({ lists: ['tools', 'prompts'], resources: [], refused: new Map() })
    expect(server.attempts).toBe(0)
  })

  it('a subscription starts it, and is granted when it has answered', async () => {
    const { member, server } = setUp()
    const watch = member.watch(new FakeWatcher({ resources: ['a:b'] }))
    expect(await watch.granted).toMatchObject({ resources: ['a:b'] })
    expect(server.attempts).toBe(1)
  })

  it('one that cannot be had is refused with the reason', async () => {
    const { member, server } = setUp()
    server.starts = () => new McpError('BACKEND_START_FAILED', 'gone')
    const { refused } = await member.watch(new FakeWatcher({ resources: ['a:b', 'a:c'] })).granted
    expect([...refused.keys()]).toEqual(['a:b', 'a:c'])
    expect(refused.get('a:b')).toMatchObject({ code: 'BACKEND_START_FAILED', message: 'files: gone' })
  })

  it('an update that adds one starts it too', async () => {
    const { member, server } = setUp()
    const watch = member.watch(new FakeWatcher())
    expect(await watch.update(interested({ resources: ['a:b'] }))).toMatchObject({ resources: ['a:b'] })
    expect(server.attempts).toBe(1)
    expect(told(server.last)[0]?.interest.resources).toEqual(['a:b'])
  })
})

describe('over connections', () => {
  it('a client is asked as the object it is', async () => {
    class Asked extends FakeWatcher {
      readonly asked: unknown[] = []
      async ask(question: unknown) {
        this.asked.push(question)
        return { yes: true }
      }
    }
    const { member, server } = setUp()
    const watcher = new Asked({ resources: ['a:b'] })
    await member.watch(watcher).granted
    const question = { method: 'custom/ask', params: {} }
    expect(await told(server.last)[0]?.watcher.ask?.(question, never)).toEqual({ yes: true })
    expect(watcher.asked).toEqual([question])
  })

  it('each new connection is told the latest interest: subscriptions, log level, roots', async () => {
    const { member, server } = setUp()
    const watch = member.watch(new FakeWatcher({ lists: ['tools'], resources: ['a:b'], logLevel: 'debug' }))
    await watch.granted
    await watch.update(interested({ resources: ['a:c'], logLevel: 'error', roots: [{ uri: 'file:///' }], extra: { more: true } }))
    server.last.die()
    await pass(1000)
    expect(server.connections).toHaveLength(2)
    expect(told(server.last)).toHaveLength(1)
    expect(told(server.last)[0]?.interest).toEqual({ lists: [], resources: ['a:c'], logLevel: 'error', roots: [{ uri: 'file:///' }], extra: { more: true } })
  })

  it('what the server tells reaches the client, list changes excepted', async () => {
    const { member, server } = setUp()
    const watcher = new FakeWatcher({ resources: ['a:b'] })
    await member.watch(watcher).granted
    const changes = [
      { kind: 'resource', params: { uri: 'a:b' } },
      { kind: 'log', params: { level: 'info' } },
      { kind: 'other', method: 'x/y', params: undefined },
    ] as const
    for (const change of changes) server.last.tell(change)
    server.last.tell({ kind: 'list', list: 'tools' })
    expect(watcher.changes).toEqual(changes)
  })

  it('a client that left hears nothing more, and is not told to new connections', async () => {
    const { member, server } = setUp()
    const watcher = new FakeWatcher()
    const watch = member.watch(watcher)
    await member.offered()
    watch.close()
    watch.close()
    expect(told(server.last)[0]?.closed).toBe(true)
    told(server.last)[0]?.watcher.change({ kind: 'log', params: {} })
    expect(watcher.changes.filter(({ kind }) => kind === 'log')).toEqual([])
    server.last.die()
    await pass(0)
    const call = member.handle(callOf())
    await pass(1000)
    await call
    expect(told(server.last)).toEqual([])
    expect(await watch.update(interested({ resources: ['a:b'] }))).toMatchObject({ resources: [] })
  })

  it('a client that can be asked is asked; one that cannot is not offered to the server', async () => {
    const { member, server } = setUp()
    const ask = vi.fn<NonNullable<Watcher['ask']>>(() => Promise.resolve({ ok: true }))
    member.watch(Object.assign(new FakeWatcher(), { ask }))
    member.watch(new FakeWatcher({}, client('c2')))
    await member.offered()
    const [able, unable] = told(server.last)
    expect(await able?.watcher.ask?.({ method: 'x', params: {} }, never)).toEqual({ ok: true })
    expect(unable?.watcher.ask).toBeUndefined()
  })

  it('a subscription keeps a lazy server wanted: it comes back by itself', async () => {
    const { member, server } = setUp()
    await member.watch(new FakeWatcher({ resources: ['a:b'] })).granted
    server.last.die()
    await pass(1000)
    expect(member.status().state).toBe('healthy')
  })

  it('what a server refuses is passed on', async () => {
    const { member, server } = setUp()
    await member.offered()
    const error = new McpError('BACKEND_ERROR', 'unknown')
    const granted: Granted = { lists: [], resources: ['a:b'], refused: new Map([['a:c', error]]), extra: { ids: [1] } }
    server.last.watch = () => ({ granted: Promise.resolve(granted), update: () => Promise.resolve(granted), close() {} })
    expect(await member.watch(new FakeWatcher({ lists: ['tools'], resources: ['a:b', 'a:c'] })).granted).toEqual({ ...granted, lists: ['tools'] })
  })
})

describe('members that never run', () => {
  const failure = { stage: 'resolve', message: 'variable TOKEN is not set', at: '2026-11-20T00:00:00.000Z' }
  const members = [
    [disabledMember('off', 'stdio'), 'disabled', null, 'off is disabled'],
    [heldMember('bad', 'http', failure), 'held', failure, 'bad is held back: variable TOKEN is not set'],
  ] as const

  it.each(members)('%#: say so everywhere', async (member, state, lastFailure, message) => {
    expect(member.status()).toMatchObject({ state, lastFailure, tools: 0, inFlight: 0, restarts: 0, pid: null })
    expect(await refusalOf(member.handle(callOf()))).toMatchObject({ code: 'BACKEND_UNAVAILABLE', message })
    expect(await refusalOf(member.describe())).toMatchObject({ code: 'BACKEND_UNAVAILABLE' })
    expect(await member.offered()).toBeUndefined()
    const watch = member.watch(new FakeWatcher({ resources: ['a:b'] }))
    expect((await watch.granted).refused.get('a:b')?.message).toBe(message)
    expect((await watch.update(interested())).resources).toEqual([])
    watch.close()
    member.onOffer(() => {})()
    member.notify('x', {}, client())
    await member.close()
  })
})
