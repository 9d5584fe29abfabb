import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JsonObject, Offer, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import type { Log } from '../../../src/gateway/log.ts'
import { silent } from '../../../src/gateway/log.ts'
import { callOf, described, FakeWatcher, offerOf, setUp, stored, wireError } from './fake-server.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const page = (items: unknown, nextCursor?: string, more: Partial<Outcome> = {}, field = 'tools'): Outcome =>
  ({ kind: 'complete', result: { [field]: items, ...(nextCursor === undefined ? {} : { nextCursor }) }, ...more }) as Outcome
const listens = (log: string[] = []): Log => ({ ...silent, warn: (_, text) => log.push(text) })

describe('fetching', () => {
  it('drains all pages, in the server’s order, items as they came', async () => {
    const { member, server } = setUp()
    const pages: Record<string, Outcome> = {
      first: page([{ name: 'a', vendor: { x: 1 } }], ''),
      '': page([{ name: 'b' }], 'two'),
      two: page([{ name: 'c' }]),
    }
    const cursors: unknown[] = []
    server.lists['tools/list'] = ({ params }) => {
      cursors.push(params['cursor'])
      return pages[(params['cursor'] as string | undefined) ?? 'first'] as Outcome
    }
    expect((await member.offered())?.tools).toEqual([{ name: 'a', vendor: { x: 1 } }, { name: 'b' }, { name: 'c' }])
    expect(cursors).toEqual([undefined, '', 'two'])
  })

  it('asks only for what the server claims to have', async () => {
    const { member, server } = setUp()
    server.description = described({ prompts: {} })
    await member.offered()
    expect(server.last.seen.map(({ method }) => method)).toEqual(['prompts/list'])
  })

  it('resources come with templates; a server that does not know a list has none', async () => {
    const { member, server } = setUp()
    server.description = described({ resources: {}, prompts: {} })
    server.lists['resources/list'] = () => page([{ uri: 'a:' }], undefined, {}, 'resources')
    server.lists['prompts/list'] = () => {
      throw new McpError('METHOD_NOT_FOUND', 'none')
    }
    const offer = await member.offered()
    expect(offer).toMatchObject({ tools: [], prompts: [], resources: [{ uri: 'a:' }], templates: [] })
    expect(member.status()).toMatchObject({ state: 'healthy', resources: 1 })
  })

  it('stops at endless cursors with what it has, and says so', async () => {
    for (const [answer, kept] of [
      [() => page([{ name: 'a' }], 'same'), 1],
      [({ params }: { params: JsonObject }) => page([{ name: `n${String(params['cursor'])}` }], 'same'), 2],
      [({ params }: { params: JsonObject }) => page([{ name: String(params['cursor']) }], `${Number(params['cursor'] ?? 0) + 1}`), 256],
      [() => page(Array.from({ length: 20_000 }, (_, n) => ({ name: `t${n}` }))), 10_000],
    ] as const) {
      const log: string[] = []
      const { member, server } = setUp({ log: listens(log) })
      server.lists['tools/list'] = answer
      expect((await member.offered())?.tools).toHaveLength(kept)
      expect(log).toHaveLength(1)
    }
  })

  it('holds no more bytes than it may', async () => {
    const { member, server } = setUp()
    const big = 'x'.repeat(1024 * 1024)
    server.lists['tools/list'] = ({ params }) => page([{ name: big + String(params['cursor']) }], `${Number(params['cursor'] ?? 0) + 1}`)
    expect((await member.offered())?.tools.length).toBe(15)
  })

  it('drops what is no object', async () => {
    const { member, server } = setUp()
    server.lists['tools/list'] = () => page([null, 'a', 1, [], { name: 'a' }, undefined])
    expect((await member.offered())?.tools).toEqual([{ name: 'a' }])
  })

  it('one list that fails does not sink the others; it is tried again', async () => {
    const { member, server } = setUp()
    server.description = described({ tools: {}, prompts: {} })
    let broken = true
    server.lists['prompts/list'] = () => {
      if (broken) throw wireError(-32_603, 'oops')
      return page([{ name: 'p' }], undefined, {}, 'prompts')
    }
    expect(await member.offered()).toMatchObject({ tools: [{ name: 'a' }], prompts: [] })
    expect(member.status()).toMatchObject({ state: 'degraded', lastFailure: { stage: 'list' } })
    broken = false
    await pass(30_000)
    expect(member.offer?.prompts).toEqual([{ name: 'p' }])
    expect(member.status().state).toBe('healthy')
  })

  it('neither does one that hangs, or is no list', async () => {
    const { member, server } = setUp()
    server.description = described({ tools: {}, prompts: {}, resources: {} })
    let cancelled = false
    server.lists['prompts/list'] = ({ cancellation }) => {
      cancellation.subscribe(() => (cancelled = true))
      return new Promise<Outcome>(() => {})
    }
    server.lists['resources/list'] = () => page('nonsense', undefined, {}, 'resources')
    const offer = member.offered()
    await pass(30_000)
    expect(await offer).toMatchObject({ tools: [{ name: 'a' }], prompts: [], resources: [] })
    expect(cancelled).toBe(true)
    expect(member.status().state).toBe('degraded')
  })

  it('a list that fails later keeps what was known', async () => {
    const { member, server } = setUp()
    await member.offered()
    server.lists['tools/list'] = () => {
      throw wireError(-32_603)
    }
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(100)
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
  })

  it('with no list at all there is no offer', async () => {
    const { member, server } = setUp()
    server.description = described({ tools: {}, prompts: {}, resources: {} })
    for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'])
      server.lists[method] = () => {
        throw wireError(-32_603)
      }
    expect(await member.offered()).toBeUndefined()
    expect(member.offer).toBeUndefined()
  })

  it('is as fresh as its least fresh list', async () => {
    const { member, server } = setUp()
    server.description = described({ tools: {}, prompts: {} })
    server.lists['tools/list'] = ({ params }) =>
      params['cursor'] ? page([{ name: 'b' }], undefined, { freshness: { ttlMs: 500, scope: 'private' } }) : page([{ name: 'a' }], 'c', { freshness: { ttlMs: 900, scope: 'public' } })
    server.lists['prompts/list'] = () => page([], undefined, { freshness: { ttlMs: 700, scope: 'public' } }, 'prompts')
    expect((await member.offered())?.freshness).toEqual({ ttlMs: 500, scope: 'private' })
    const plain = setUp()
    expect((await plain.member.offered())?.freshness).toBeUndefined()
  })

  it('a start that fails gives no offer, and does not throw', async () => {
    const { member, server } = setUp()
    server.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    expect(await member.offered()).toBeUndefined()
  })
})

describe('changes', () => {
  async function watched() {
    const made = setUp()
    made.server.description = described({ tools: {}, prompts: {} })
    made.server.lists['prompts/list'] = () => page([], undefined, {}, 'prompts')
    const offers: (Offer | undefined)[] = []
    made.member.onOffer(() => offers.push(made.member.offer))
    const tools = new FakeWatcher({ lists: ['tools'] })
    const prompts = new FakeWatcher({ lists: ['prompts'] })
    for (const watcher of [tools, prompts]) made.member.watch(watcher)
    await made.member.offered()
    const asked = (method: string) => made.server.last.seen.filter(call => call.method === method).length
    return { ...made, offers, tools, prompts, asked }
  }

  it('the first offer is told', async () => {
    const { offers } = await watched()
    expect(offers).toHaveLength(1)
  })

  it('a list change fetches that list only, once for many, and is told only if something differs', async () => {
    const { server, offers, tools, prompts, asked } = await watched()
    tools.changes.length = 0
    for (let n = 0; n < 100; n++) server.last.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    expect(asked('tools/list')).toBe(2)
    expect(asked('prompts/list')).toBe(1)
    expect([offers, tools.changes]).toEqual([[expect.anything()], []])
    server.tools = [{ name: 'a' }, { name: 'new' }]
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(1000)
    expect(offers[1]?.tools).toEqual([{ name: 'a' }, { name: 'new' }])
    expect(tools.changes).toEqual([{ kind: 'list', list: 'tools' }])
    expect(prompts.changes).toEqual([])
  })

  it('the order of keys is no difference', async () => {
    const { server, offers } = await watched()
    server.tools = [{ name: 'a', x: { p: 1, q: 2 } }]
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(100)
    expect(offers).toHaveLength(2)
    server.tools = [{ x: { q: 2, p: 1 }, name: 'a' }]
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(5000)
    expect(offers).toHaveLength(2)
  })

  it('a server that never stops telling is listened to ever less often', async () => {
    const { server, asked } = await watched()
    for (let n = 0; n < 1000; n++) {
      server.last.tell({ kind: 'list', list: 'tools' })
      await pass(10)
    }
    expect(asked('tools/list')).toBeLessThan(15)
  })

  it('a change while the list is being read is not lost', async () => {
    const { server, offers } = await watched()
    let release = (_: Outcome) => {}
    server.lists['tools/list'] = () => new Promise<Outcome>(resolve => (release = resolve))
    server.last.tell({ kind: 'list', list: 'tools' })
    await pass(2000)
    server.last.tell({ kind: 'list', list: 'tools' })
    delete server.lists['tools/list']
    server.tools = [{ name: 'latest' }]
    release(page([{ name: 'a' }]))
    await pass(2000)
    expect(offers.at(-1)?.tools).toEqual([{ name: 'latest' }])
  })

  it('after a restart everything is read again, and told only if it differs', async () => {
    const { server, offers } = await watched()
    server.last.die()
    await pass(1000)
    expect(server.connections).toHaveLength(2)
    expect(offers).toHaveLength(1)
    server.tools = [{ name: 'other' }]
    server.last.die()
    await pass(2000)
    expect(offers.at(-1)?.tools).toEqual([{ name: 'other' }])
  })

  it('while the server is down its offer stands', async () => {
    const { member, server } = await watched()
    server.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    server.last.die()
    await pass(10_000)
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
    expect(member.status()).toMatchObject({ tools: 1 })
  })
})

describe('the store', () => {
  it('a live server’s word is kept, and replaces what was stored', async () => {
    const store = stored(offerOf({ tools: [{ name: 'old' }] }))
    const { member } = setUp({ stored: store })
    let told = 0
    member.onOffer(() => told++)
    expect(member.offer?.tools).toEqual([{ name: 'old' }])
    const call = member.handle(callOf())
    await pass(0)
    await call
    expect(member.offer?.tools).toEqual([{ name: 'a' }])
    expect(told).toBe(1)
    expect(store.saved.map(({ tools }) => tools)).toEqual([[{ name: 'a' }]])
  })

  it('what is stored does not do for who wants to know what is offered now', async () => {
    const { member } = setUp({ stored: stored(offerOf({ tools: [{ name: 'old' }] })) })
    expect((await member.offered())?.tools).toEqual([{ name: 'old' }])
    expect(member.status().state).toBe('idle')
    expect((await member.offered(true))?.tools).toEqual([{ name: 'a' }])
    expect(member.status().state).toBe('healthy')
  })

  it('what is confirmed is kept as well, but is no news', async () => {
    const store = stored(offerOf())
    const { member } = setUp({ stored: store })
    let told = 0
    member.onOffer(() => told++)
    const call = member.handle(callOf())
    await pass(0)
    await call
    expect([told, store.saved.length]).toEqual([0, 1])
  })

  it('what is not whole is not kept', async () => {
    const store = stored(undefined)
    const { member, server } = setUp({ stored: store })
    server.description = described({ tools: {}, prompts: {} })
    server.lists['prompts/list'] = () => {
      throw wireError(-32_603)
    }
    await member.offered()
    expect(store.saved).toEqual([])
  })

  it('a fresh one is believed until it is old; then it is confirmed, and the server goes again', async () => {
    const store = stored(offerOf(), 3_600_000)
    const { member, server } = setUp({ stored: store, maxAge: 24 * 3_600_000 })
    await pass(22 * 3_600_000)
    expect(server.attempts).toBe(0)
    await pass(3_600_000 + 1)
    expect(server.attempts).toBe(1)
    expect(store.saved).toHaveLength(1)
    expect(server.last.wasClosed).toBe(true)
    expect(member.status().state).toBe('idle')
    await pass(24 * 3_600_000 + 1)
    expect(server.attempts).toBe(2)
  })

  it('an old one is confirmed soon, not in the moment of the start', async () => {
    const { server } = setUp({ stored: stored(offerOf(), 48 * 3_600_000), maxAge: 24 * 3_600_000 })
    await pass(2000)
    expect(server.attempts).toBe(0)
    await pass(2000)
    expect(server.attempts).toBe(1)
  })

  it('a server that came to be used meanwhile stays', async () => {
    const { member, server } = setUp({ stored: stored(offerOf(), 48 * 3_600_000), maxAge: 24 * 3_600_000 })
    const call = member.handle(callOf())
    await pass(10_000)
    await call
    expect(server.last.wasClosed).toBe(false)
    expect(server.attempts).toBe(1)
  })

  it('one that cannot be confirmed is believed on, and tried now and then', async () => {
    const { member, server } = setUp({ stored: stored(offerOf(), 48 * 3_600_000), maxAge: 24 * 3_600_000 })
    server.starts = () => new McpError('BACKEND_START_FAILED', 'no')
    await pass(3_600_000)
    expect(server.attempts).toBeGreaterThan(1)
    expect(server.attempts).toBeLessThan(10)
    expect(member.offer).toBeDefined()
  })
})
