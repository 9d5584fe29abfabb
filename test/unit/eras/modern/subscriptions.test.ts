import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Subscriptions } from '../../../../src/eras/modern/subscriptions.ts'
import type { Cancellation } from '../../../../src/gateway/cancellation.ts'
import type { Change, ClientProfile, Interest, JsonObject, ListKind } from '../../../../src/gateway/contract.ts'
import { backendError, McpError } from '../../../../src/gateway/errors.ts'
import { silent } from '../../../../src/gateway/log.ts'
import { quiet, version } from './rig.ts'

const everything = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  extensions: {},
}
const interest = (lists: ListKind[] = [], resources: string[] = [], extra?: JsonObject): Interest => ({
  lists, resources, logLevel: undefined, roots: undefined, extra,
})

interface Stream {
  id: number
  filter: JsonObject
  extensions: JsonObject
  cancellation: Cancellation
  end(error?: unknown): void
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

function open(capabilities: JsonObject = everything, acknowledge: boolean | ((filter: JsonObject) => JsonObject) = true) {
  const streams: Stream[] = []
  const subscriptions: Subscriptions = new Subscriptions({
    capabilities,
    log: silent,
    listen: (filter, extensions, cancellation, sent) =>
      new Promise((resolve, reject) => {
        const id = streams.length + 1
        const end = (error?: unknown) => (error ? reject(error) : resolve(undefined))
        streams.push({ id, filter, extensions, cancellation, end })
        cancellation.subscribe(() => reject(new McpError('CANCELLED', 'cancelled')))
        sent(id)
        if (acknowledge !== false)
          queueMicrotask(() =>
            subscriptions.acknowledged(id, { notifications: acknowledge === true ? filter : acknowledge(filter) }))
      }),
  })
  const watch = (wants: Interest, capabilities: JsonObject = {}) => {
    const heard: Change[] = []
    const client: ClientProfile = { id: 'c', principal: 'p', info: undefined, capabilities, revision: version, logLevel: undefined }
    return { heard, ...subscriptions.watch({ client, interest: wants, change: change => void heard.push(change) }) }
  }
  return { streams, subscriptions, watch }
}

describe('one stream for all watchers', () => {
  it('is opened when somebody wants something, and closed when nobody does', async () => {
    const { streams, watch } = open()
    const idle = watch(interest())
    await idle.granted
    expect(streams).toHaveLength(0)
    await idle.update(interest(['tools']))
    expect(streams).toMatchObject([{ filter: { toolsListChanged: true }, cancellation: { cancelled: false } }])
    idle.close()
    await quiet()
    expect(streams).toMatchObject([{ cancellation: { cancelled: true } }])
  })

  it('joins those who come together', async () => {
    const { streams, watch } = open()
    const all = [watch(interest(['tools'])), watch(interest(['prompts'], ['a:1'])), watch(interest(['tools'], ['a:2']))]
    await Promise.all(all.map(({ granted }) => granted))
    expect(streams.map(({ filter }) => filter)).toEqual([
      { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['a:1', 'a:2'] },
    ])
  })

  it('grows by a new stream, the old one kept until that is acknowledged', async () => {
    const { streams, subscriptions, watch } = open(everything, false)
    const first = watch(interest(['tools']))
    await quiet()
    subscriptions.acknowledged(1, { notifications: { toolsListChanged: true } })
    await first.granted
    const second = watch(interest(['prompts']))
    await quiet()
    expect(streams.map(({ filter, cancellation }) => [filter, cancellation.cancelled])).toEqual([
      [{ toolsListChanged: true }, false],
      [{ toolsListChanged: true, promptsListChanged: true }, false],
    ])
    subscriptions.notified(1, 'notifications/tools/list_changed', undefined)
    expect(first.heard).toEqual([{ kind: 'list', list: 'tools' }])
    subscriptions.acknowledged(2, { notifications: { toolsListChanged: true, promptsListChanged: true } })
    expect(await second.granted).toMatchObject({ lists: ['prompts'] })
    expect(streams.map(({ cancellation }) => cancellation.cancelled)).toEqual([true, false])
    expect(subscriptions.notified(1, 'notifications/tools/list_changed', undefined)).toBe(false)
  })

  it('shrinks after a while', async () => {
    const { streams, watch } = open()
    const [stays, goes] = [watch(interest(['tools'], ['a:1'])), watch(interest([], ['a:2']))]
    await Promise.all([stays.granted, goes.granted])
    goes.close()
    await quiet()
    expect(streams).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(5000)
    await quiet()
    expect(streams.map(({ filter, cancellation }) => [filter, cancellation.cancelled])).toEqual([
      [{ toolsListChanged: true, resourceSubscriptions: ['a:1', 'a:2'] }, true],
      [{ toolsListChanged: true, resourceSubscriptions: ['a:1'] }, false],
    ])
  })

  it('asks for nothing the server does not offer', async () => {
    const { streams, watch } = open({ tools: {}, resources: { subscribe: true } })
    const granted = await watch(interest(['tools', 'resources'], ['a:1'], { taskIds: ['t'] })).granted
    expect(streams.map(({ filter }) => filter)).toEqual([{ resourceSubscriptions: ['a:1'] }])
    expect(granted).toMatchObject({ lists: [], resources: ['a:1'] })
  })

  it('declares the extensions of the clients behind it', async () => {
    const { streams, watch } = open()
    const one = watch(interest([], [], { taskIds: ['t1'] }), { extensions: { 'io.modelcontextprotocol/tasks': {} } })
    const two = watch(interest([], [], { taskIds: ['t2'] }), { extensions: { 'acme/x': { y: 1 } } })
    expect(await one.granted).toMatchObject({ extra: { taskIds: ['t1'] } })
    await two.granted
    expect(streams).toMatchObject([
      { filter: { taskIds: ['t1', 't2'] }, extensions: { 'io.modelcontextprotocol/tasks': {}, 'acme/x': { y: 1 } } },
    ])
  })
})

describe('what is granted', () => {
  it('is what the server acknowledges', async () => {
    const { watch } = open(everything, () => ({ resourceSubscriptions: ['a:1'] }))
    const granted = await watch(interest(['tools'], ['a:1', 'a:2'])).granted
    expect(granted).toMatchObject({ lists: [], resources: ['a:1'] })
    expect([...granted.refused.keys()]).toEqual(['a:2'])
  })

  it('is nothing where the server knows no such request, and it is not asked again', async () => {
    const { streams, watch } = open(everything, false)
    const one = watch(interest(['tools'], ['a:1']))
    await quiet()
    const refusal = backendError({ code: -32601, message: 'what?' })
    streams[0]?.end(refusal)
    expect((await one.granted).refused.get('a:1')).toBe(refusal)
    await watch(interest(['prompts'])).granted
    await vi.advanceTimersByTimeAsync(600_000)
    expect(streams).toHaveLength(1)
  })

  it('is nothing where the server never answers', async () => {
    const { watch } = open(everything, false)
    const one = watch(interest(['tools'], ['a:1']))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await one.granted).toMatchObject({ lists: [], resources: [] })
  })

  it('is nothing, at once, to one that listens no more', async () => {
    const { streams, watch } = open(everything, false)
    const [goes, stays] = [watch(interest([], ['a:1'])), watch(interest([], ['a:2']))]
    await quiet()
    const update = goes.update(interest([], ['a:1', 'a:3']))
    goes.close()
    const nothing = { lists: [], resources: [], refused: new Map() }
    expect(await Promise.all([goes.granted, update, goes.update(interest([], ['a:1']))])).toEqual([nothing, nothing, nothing])
    expect(streams).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([...(await stays.granted).refused.keys()]).toEqual(['a:2'])
  })

  it('is told also when the connection ends first', async () => {
    const { subscriptions, watch } = open(everything, false)
    const one = watch(interest(['tools']))
    await quiet()
    subscriptions.close()
    expect(await one.granted).toMatchObject({ lists: [] })
    expect(await watch(interest(['tools'])).granted).toMatchObject({ lists: [] })
  })
})

describe('a change', () => {
  it('reaches those who want it', async () => {
    const { subscriptions, watch } = open()
    const tools = watch(interest(['tools']))
    const folder = watch(interest([], ['file:///d']))
    await folder.granted
    subscriptions.notified(1, 'notifications/tools/list_changed', undefined)
    subscriptions.notified(1, 'notifications/prompts/list_changed', {})
    subscriptions.notified(1, 'notifications/resources/updated', { uri: 'file:///d/x', vendor: 1 })
    subscriptions.notified(1, 'notifications/resources/updated', { uri: 'file:///other' })
    expect(tools.heard).toEqual([{ kind: 'list', list: 'tools' }])
    expect(folder.heard).toEqual([{ kind: 'resource', params: { uri: 'file:///d/x', vendor: 1 } }])
  })

  it('of an extension reaches all, of a task those who named it', async () => {
    const { subscriptions, watch } = open()
    const plain = watch(interest(['tools']))
    const task = watch(interest([], [], { taskIds: ['t1'] }))
    await task.granted
    subscriptions.notified(undefined, 'notifications/acme', { a: 1 })
    subscriptions.notified(1, 'notifications/tasks', { taskId: 't1' })
    subscriptions.notified(1, 'notifications/tasks', { taskId: 't2' })
    const acme = { kind: 'other', method: 'notifications/acme', params: { a: 1 } }
    expect(plain.heard).toEqual([acme])
    expect(task.heard).toEqual([acme, { kind: 'other', method: 'notifications/tasks', params: { taskId: 't1' } }])
  })

  it('without a mark is taken too; with a foreign one it is not', async () => {
    const { subscriptions, watch } = open()
    const tools = watch(interest(['tools']))
    await tools.granted
    expect(subscriptions.notified(undefined, 'notifications/tools/list_changed', undefined)).toBe(true)
    expect(subscriptions.notified('1', 'notifications/tools/list_changed', undefined)).toBe(false)
    expect(tools.heard).toHaveLength(1)
  })
})

describe('a lost stream', () => {
  it.each([
    ['in good order', (stream: Stream) => stream.end()],
    ['by an error', (stream: Stream) => stream.end(backendError({ code: -32603, message: 'x' }))],
    ['by notification', (stream: Stream, subscriptions: Subscriptions) => subscriptions.ended(stream.id)],
  ])('%s is opened again, and what may have been missed is announced', async (_title, end) => {
    const { streams, subscriptions, watch } = open()
    const one = watch(interest(['tools', 'prompts'], ['a:1']))
    await one.granted
    end(streams[0] as Stream, subscriptions)
    await quiet()
    expect(streams).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1000)
    await quiet()
    expect(streams).toHaveLength(2)
    expect(one.heard).toEqual([
      { kind: 'list', list: 'tools' },
      { kind: 'list', list: 'prompts' },
      { kind: 'resource', params: { uri: 'a:1' } },
    ])
  })

  it('is tried ever more seldom while it fails', async () => {
    const { streams, watch } = open(everything, false)
    watch(interest(['tools']))
    await quiet()
    const moments: number[] = []
    for (let attempt = 0; attempt < 9; attempt++) {
      streams.at(-1)?.end(backendError({ code: -32603, message: 'x' }))
      await quiet()
      const before = streams.length
      let waited = 0
      for (; streams.length === before && waited < 120_000; waited += 100) await vi.advanceTimersByTimeAsync(100)
      moments.push(waited)
    }
    expect(moments[0]).toBeLessThanOrEqual(1100)
    expect(moments[0]).toBeGreaterThanOrEqual(500)
    expect(moments.at(-1)).toBeGreaterThanOrEqual(30_000)
    expect(moments.at(-1)).toBeLessThanOrEqual(60_100)
  })

  it('of growth leaves the one that works', async () => {
    const { streams, subscriptions, watch } = open(everything, false)
    const one = watch(interest(['tools']))
    await quiet()
    subscriptions.acknowledged(1, { notifications: { toolsListChanged: true } })
    await one.granted
    const two = watch(interest(['tools', 'prompts']))
    await quiet()
    for (let at = 1; at < streams.length; at++) {
      streams[at]?.end(backendError({ code: -32603, message: 'too many' }))
      await quiet()
    }
    expect(streams.length).toBeLessThan(10)
    expect(await two.granted).toMatchObject({ lists: ['tools'] })
    subscriptions.notified(1, 'notifications/tools/list_changed', undefined)
    expect(two.heard).toHaveLength(1)
    expect(streams[0]?.cancellation.cancelled).toBe(false)
  })

  it('is made up for where it is lost while the next one is being opened', async () => {
    const { streams, subscriptions, watch } = open(everything, false)
    const one = watch(interest(['tools']))
    await quiet()
    subscriptions.acknowledged(1, { notifications: { toolsListChanged: true } })
    await one.granted
    watch(interest(['prompts']))
    await quiet()
    streams[0]?.end()
    await quiet()
    subscriptions.acknowledged(2, { notifications: { toolsListChanged: true, promptsListChanged: true } })
    await quiet()
    expect(one.heard).toEqual([{ kind: 'list', list: 'tools' }])
  })

  it('is not opened again once the connection has ended', async () => {
    const { streams, subscriptions, watch } = open()
    const one = watch(interest(['tools']))
    await one.granted
    subscriptions.close()
    streams[0]?.end()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(streams).toHaveLength(1)
  })
})

describe('a stream that is refused for what one of the watchers wants', () => {
  const refusal = backendError({ code: -32602, message: 'no such resource' })
  const naming = (uri: string) => backendError({ code: -32602, message: `no such resource: ${uri}.` })
  /** A server that refuses every stream that names one of these. */
  function refusing(bad: Set<string>, why: (uri: string) => Error = () => refusal) {
    const rig = open(everything, false)
    let at = 0
    const serve = async (): Promise<void> => {
      for (; ; at++) {
        await quiet()
        const stream = rig.streams[at]
        if (!stream) return
        const uris = (stream.filter['resourceSubscriptions'] ?? []) as string[]
        const first = uris.find(uri => bad.has(uri))
        if (first !== undefined) stream.end(why(first))
        else rig.subscriptions.acknowledged(stream.id, { notifications: stream.filter })
      }
    }
    let served = Promise.resolve()
    return { ...rig, serve: () => (served = served.then(serve)), tell: (uri: string) => rig.subscriptions.notified(undefined, 'notifications/resources/updated', { uri }) }
  }
  const updated = (uri: string): Change => ({ kind: 'resource', params: { uri } })

  it('is refused to that one alone, among many who come together', async () => {
    const { streams, watch, serve, tell } = refusing(new Set(['a:13', 'a:77']))
    const all = Array.from({ length: 100 }, (_, number) => watch(interest([], [`a:${number}`])))
    await serve()
    const granted = await Promise.all(all.map(({ granted }) => granted))
    expect(granted.flatMap(({ resources }, number) => (resources.length > 0 ? [] : [number]))).toEqual([13, 77])
    expect(granted[13]?.refused.get('a:13')).toBe(refusal)
    expect(streams.length).toBeLessThan(40)
    expect(all.flatMap(({ heard }) => heard)).toEqual([])
    for (let number = 0; number < 100; number++) tell(`a:${number}`)
    expect(all[12]?.heard).toEqual([updated('a:12')])
  })

  it('costs no more attempts however many want the same', async () => {
    const { streams, watch, serve } = refusing(new Set(['a:bad']))
    const all = [watch(interest(['tools'])), ...Array.from({ length: 50 }, () => watch(interest([], ['a:bad'])))]
    await serve()
    expect((await all[0]?.granted)?.lists).toEqual(['tools'])
    expect((await all[50]?.granted)?.refused.get('a:bad')).toBe(refusal)
    expect(streams.length).toBeLessThan(20)
  })

  it('leaves to others, and to that one, what they had', async () => {
    const { streams, watch, serve, tell } = refusing(new Set(['a:bad']))
    const [one, other] = [watch(interest([], ['a:1'])), watch(interest([], ['a:2']))]
    await serve()
    const update = one.update(interest([], ['a:1', 'a:bad']))
    await serve()
    expect([...(await update).refused.keys()]).toEqual(['a:bad'])
    tell('a:1')
    tell('a:2')
    expect([one.heard, other.heard]).toEqual([[updated('a:1')], [updated('a:2')]])
    const before = streams.length
    expect((await one.update(interest([], ['a:1']))).resources).toEqual(['a:1'])
    expect(streams).toHaveLength(before)
    expect(streams.filter(({ cancellation }) => !cancellation.cancelled)).toHaveLength(1)
  })

  it('does not keep a lost stream from being opened again soon, nor newcomers waiting', async () => {
    const { streams, watch, serve } = refusing(new Set(['a:bad']))
    const [bad, one] = [watch(interest([], ['a:bad'])), watch(interest([], ['a:1']))]
    await serve()
    for (let round = 0; round < 10; round++) {
      await vi.advanceTimersByTimeAsync(60_000)
      await serve()
    }
    streams.findLast(({ cancellation }) => !cancellation.cancelled)?.end()
    await quiet()
    await vi.advanceTimersByTimeAsync(1000)
    await serve()
    expect(one.heard).toEqual([updated('a:1')])
    const before = streams.length
    const newcomer = watch(interest([], ['a:2']))
    await serve()
    expect((await newcomer.granted).resources).toEqual(['a:2'])
    expect(streams.slice(before).map(({ filter }) => filter)).toEqual([{ resourceSubscriptions: ['a:1', 'a:2'] }])
    expect(bad.heard).toEqual([])
  })

  it('is asked for again later, ever more seldom, and told of once it is taken', async () => {
    const wrong = new Set(['a:late'])
    const { streams, watch, serve } = refusing(wrong)
    const [late, one] = [watch(interest([], ['a:late'])), watch(interest([], ['a:1']))]
    await serve()
    const counts: number[] = []
    for (let minute = 0; minute < 10; minute++) {
      for (let second = 0; second < 60; second++) {
        await vi.advanceTimersByTimeAsync(1000)
        await serve()
      }
      counts.push(streams.length)
    }
    expect((counts[9] as number) - (counts[8] as number)).toBeLessThanOrEqual(4)
    wrong.clear()
    await vi.advanceTimersByTimeAsync(60_000)
    await serve()
    expect([late.heard, one.heard]).toEqual([[updated('a:late')], []])
  })

  it('ends after some attempts where the server refuses everything', async () => {
    const uris = Array.from({ length: 500 }, (_, number) => `a:${number}`)
    const { streams, watch, serve } = refusing(new Set(uris))
    const all = uris.map(uri => watch(interest([], [uri])))
    await serve()
    expect((await all[499]?.granted)?.refused.get('a:499')?.message).toContain('too much')
    expect(streams.length).toBeLessThanOrEqual(66)
  })

  it('names to each only what it wants itself', async () => {
    const uris = Array.from({ length: 200 }, (_, number) => `a:${number}`)
    const { watch, serve } = refusing(new Set(uris), naming)
    const all = uris.map(uri => watch(interest([], [uri])))
    await serve()
    const granted = await Promise.all(all.map(({ granted }) => granted))
    const reasons = granted.map(({ refused }, number) => refused.get(`a:${number}`)?.message ?? '')
    expect(reasons.filter((reason, number) => reason.includes('a:') && !reason.includes(`a:${number}.`)).length).toBe(0)
  })

  it('is refused to whom it carried what is no longer there, not to a newcomer', async () => {
    const wrong = new Set<string>()
    const { watch, serve, tell } = refusing(wrong, naming)
    const [stale, one] = [watch(interest([], ['a:gone'])), watch(interest([], ['a:1']))]
    await serve()
    wrong.add('a:gone')
    const newcomer = watch(interest([], ['a:2']))
    await serve()
    expect(await newcomer.granted).toMatchObject({ resources: ['a:2'] })
    for (const uri of ['a:1', 'a:2']) tell(uri)
    expect(one.heard.at(-1)).toEqual(updated('a:1'))
    expect(newcomer.heard.at(-1)).toEqual(updated('a:2'))
    wrong.clear()
    await vi.advanceTimersByTimeAsync(2000)
    await serve()
    expect(stale.heard.at(-1)).toEqual(updated('a:gone'))
  })

  it('is asked for again however often the stream of the others is lost', async () => {
    const wrong = new Set(['a:late'])
    const { streams, watch, serve } = refusing(wrong)
    const [late] = [watch(interest([], ['a:late'])), watch(interest([], ['a:1']))]
    for (let second = 0; second < 900; second++) {
      if (second === 600) wrong.clear()
      if (second % 15 === 0) streams.findLast(({ cancellation }) => !cancellation.cancelled)?.end()
      await vi.advanceTimersByTimeAsync(1000)
      await serve()
    }
    expect(late.heard).toContainEqual(updated('a:late'))
  })

  it('is granted in the end to everybody else, however many wishes are refused', async () => {
    const wrong = new Set(Array.from({ length: 40 }, (_, number) => `a:${number}`))
    const { watch, serve } = refusing(wrong)
    const all = Array.from({ length: 200 }, (_, number) => watch(interest([], [`a:${number}`])))
    await serve()
    const granted = await Promise.all(all.map(({ granted }) => granted))
    for (let second = 0; second < 1200; second++) {
      await vi.advanceTimersByTimeAsync(1000)
      await serve()
    }
    const without = all.flatMap(({ heard }, number) => (granted[number]?.resources.length === 0 && heard.length === 0 ? [number] : []))
    expect(without.filter(number => number >= 40)).toEqual([])
  })

  it('is not laid on those who stay when that one leaves meanwhile', async () => {
    const { streams, subscriptions, watch } = open(everything, false)
    const [bad, other] = [watch(interest([], ['a:bad'])), watch(interest([], ['a:1']))]
    await quiet()
    bad.close()
    streams[0]?.end(refusal)
    await quiet()
    expect(streams.map(({ filter }) => filter['resourceSubscriptions'])).toEqual([['a:bad', 'a:1'], ['a:1']])
    subscriptions.acknowledged(2, { notifications: streams[1]?.filter })
    expect(await other.granted).toMatchObject({ resources: ['a:1'] })
    expect(other.heard).toEqual([])
  })
})

describe('a server that is slow to acknowledge', () => {
  it('has its watchers told, once it has, that they may have missed something', async () => {
    const { streams, subscriptions, watch } = open(everything, false)
    const ear = watch(interest(['tools']))
    await quiet()
    subscriptions.acknowledged(1, { notifications: streams[0]?.filter })
    await ear.granted
    streams[0]?.end()
    await vi.advanceTimersByTimeAsync(1000)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([streams.length, ear.heard]).toEqual([2, []])
    subscriptions.acknowledged(2, { notifications: streams[1]?.filter })
    await quiet()
    expect(ear.heard).toEqual([{ kind: 'list', list: 'tools' }])
  })
})
