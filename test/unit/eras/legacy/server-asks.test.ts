import { describe, expect, it } from 'vitest'
import type { JsonObject, Outcome } from '../../../../src/gateway/contract.ts'
import { callOf, connected, FakeWatcher, legacyClient, modernClient, quiet, toolCall } from './kit.ts'

const question = { message: 'name?', requestedSchema: { type: 'object' } }
const other = legacyClient({ id: 'bob' })

const firstAsk = (outcome: Outcome) => {
  if (outcome.kind !== 'inputRequired') throw new Error('complete')
  const [key, ask] = Object.entries(outcome.requests ?? {})[0] as [string, { method: string; params: JsonObject }]
  return { key, ask, retry: (answer: JsonObject) => ({ inputResponses: { [key]: answer }, requestState: outcome.requestState }) }
}

describe('whose an ask is', () => {
  it('is refused with the reason while calls of two clients are open', async () => {
    const { server, connection } = await connected()
    const outcomes = [connection.handle(toolCall('a')), connection.handle(toolCall('b', { client: other }))]
    await server.next('tools/call', 2)
    const { error } = await server.ask('elicitation/create', question)
    expect(error).toMatchObject({
      code: -32603,
      message: expect.stringContaining('several clients') as string,
      data: { code: 'ASK_REFUSED', hint: expect.stringContaining('share: session') as string },
    })
    for (const { id } of server.all('tools/call')) server.answer(id, { content: [] })
    expect((await Promise.all(outcomes)).map(({ kind }) => kind)).toEqual(['complete', 'complete'])
  })

  it('is the named call’s when it came on that call’s stream, however many clients there are', async () => {
    const { server, connection, onStream } = await connected()
    const mine = connection.handle(toolCall('a'))
    const theirs = connection.handle(toolCall('b', { client: other }))
    const [a, b] = [await server.next('tools/call', 1), await server.next('tools/call', 2)]
    onStream(a.id, { id: 'q', method: 'elicitation/create', params: question })
    const { ask } = firstAsk(await mine)
    expect(ask.params).toEqual(question)
    server.answer(b.id, { content: [] })
    expect((await theirs).kind).toBe('complete')
  })

  it('is one of the only client’s calls, and its answer reaches the server whichever it hung on', async () => {
    const { server, connection } = await connected()
    const older = connection.handle(toolCall('a'))
    const newer = connection.handle(toolCall('b'))
    const [a, b] = [await server.next('tools/call', 1), await server.next('tools/call', 2)]
    const reply = server.ask('elicitation/create', question)
    const { retry } = firstAsk(await newer)
    const resumed = connection.handle(toolCall('b', retry({ action: 'accept' })))
    expect((await reply).result).toEqual({ action: 'accept' })
    server.answer(a.id, { content: [1] })
    server.answer(b.id, { content: [2] })
    expect([await older, await resumed]).toMatchObject([{ result: { content: [1] } }, { result: { content: [2] } }])
  })

  it('moves to the client’s other call when the one it hung on ends', async () => {
    const { server, connection } = await connected()
    const older = connection.handle(toolCall('a'))
    const newer = connection.handle(toolCall('b'))
    const b = await server.next('tools/call', 2)
    const reply = server.ask('elicitation/create', question)
    server.answer(b.id, { content: [] })
    expect((await newer).kind).toBe('complete')
    const { retry } = firstAsk(await older)
    void connection.handle(toolCall('a', retry({ action: 'decline' })))
    expect((await reply).result).toEqual({ action: 'decline' })
  })

  it('can still be answered by a parked call whose work ended meanwhile', async () => {
    const { server, connection } = await connected()
    void connection.handle(toolCall('a'))
    const newer = connection.handle(toolCall('b'))
    const b = await server.next('tools/call', 2)
    const reply = server.ask('elicitation/create', question)
    const { retry } = firstAsk(await newer)
    server.answer(b.id, { content: [] })
    await quiet(2)
    expect((await connection.handle(toolCall('b', retry({ action: 'accept' })))).kind).toBe('complete')
    expect((await reply).result).toEqual({ action: 'accept' })
  })

  it('goes to the listener of the client when its only call ends before it is shown', async () => {
    const { server, connection } = await connected()
    const watcher = new FakeWatcher(legacyClient(), {}, async () => ({ action: 'cancel' }))
    connection.watch(watcher)
    const outcome = connection.handle(toolCall('a', { client: legacyClient() }))
    const { id } = await server.next('tools/call')
    const reply = server.ask('elicitation/create', question)
    server.answer(id, { content: [] })
    expect((await outcome).kind).toBe('complete')
    expect((await reply).result).toEqual({ action: 'cancel' })
  })

  it('is refused when nobody is there', async () => {
    const { server } = await connected()
    expect((await server.ask('elicitation/create', question)).error?.data).toMatchObject({ code: 'ASK_REFUSED' })
  })

  it('is the only listener’s while no call is open, under the backend’s name', async () => {
    const { server, connection } = await connected()
    const watcher = new FakeWatcher(legacyClient(), {}, async () => ({ action: 'accept' }))
    connection.watch(watcher)
    connection.watch(new FakeWatcher(modernClient()))
    expect((await server.ask('elicitation/create', question)).result).toEqual({ action: 'accept' })
    expect(watcher.asked).toEqual([{ method: 'elicitation/create', params: question, from: 'files' }])
  })

  it('is nobody’s when two clients listen', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), {}, async () => ({})))
    connection.watch(new FakeWatcher(other, {}, async () => ({})))
    expect((await server.ask('sampling/createMessage', { messages: [] })).error?.data).toMatchObject({ code: 'ASK_REFUSED' })
  })

  it('reaches the listener of the calling client during a call that may not ask', async () => {
    const { server, connection, onStream } = await connected()
    const watcher = new FakeWatcher(legacyClient(), {}, async () => ({ action: 'accept' }))
    connection.watch(watcher)
    connection.watch(new FakeWatcher(other, {}, async () => ({})))
    void connection.handle(callOf('completion/complete', {}, { client: legacyClient() })).catch(() => {})
    const { id } = await server.next('completion/complete')
    onStream(id, { id: 'q', method: 'elicitation/create', params: question })
    await quiet(2)
    expect(watcher.asked).toHaveLength(1)
  })

  it('passes a listener’s refusal on', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), {}, () => Promise.reject(new Error('x'))))
    expect((await server.ask('elicitation/create', question)).error).toMatchObject({ code: -32603 })
  })
})

describe('what the client cannot do', () => {
  it.each([
    ['elicitation/create', question, {}, -32601],
    ['elicitation/create', { mode: 'url', message: 'm', url: 'https://x.test' }, { elicitation: {} }, -32602],
    ['sampling/createMessage', { messages: [] }, {}, -32601],
    ['sampling/createMessage', { messages: [], tools: [] }, { sampling: {} }, -32602],
  ])('is answered at once: %s %o', async (method, params, capabilities, code) => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client: modernClient({ capabilities }) }))
    const { id } = await server.next('tools/call')
    expect((await server.ask(method, params)).error).toMatchObject({ code, data: { code: 'ASK_UNSUPPORTED' } })
    server.answer(id, { content: [] })
    expect((await outcome).kind).toBe('complete')
  })

  it('custom asks are refused where no outcome carries them, and go to a listener where there is one', async () => {
    const { server, connection } = await connected()
    void connection.handle(toolCall('a', { client: legacyClient() }))
    await server.next('tools/call')
    expect((await server.ask('acme/ask', {})).error?.code).toBe(-32601)
    connection.watch(new FakeWatcher(legacyClient(), {}, async () => ({ custom: true })))
    expect((await server.ask('acme/ask', { x: 1 })).result).toEqual({ custom: true })
  })
})

describe('what an ask looks like when it travels on', () => {
  it('loses this hop’s progress token, and the client’s progress goes back under it', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client: legacyClient() }))
    await server.next('tools/call')
    void server.ask('sampling/createMessage', { messages: [], _meta: { progressToken: 'p', v: 1 } })
    const round = await outcome
    if (round.kind !== 'inputRequired') throw new Error('complete')
    const ask = Object.values(round.requests ?? {})[0]
    expect(ask?.params).toEqual({ messages: [], _meta: { v: 1 } })
    ask?.live?.progress?.({ progress: 1 })
    expect((await server.next('notifications/progress')).params).toEqual({ progressToken: 'p', progress: 1 })
  })

  it.each([
    ['shared', undefined, 'none'],
    ['one client’s own', legacyClient(), 'allServers'],
  ])('on a connection that is %s', async (_title, client, includeContext) => {
    const { server, connection } = await connected({ client })
    const outcome = connection.handle(toolCall())
    await server.next('tools/call')
    void server.ask('sampling/createMessage', { messages: [], includeContext: 'allServers' })
    expect(firstAsk(await outcome).ask.params['includeContext']).toBe(includeContext)
  })

  it.each([
    ['keeps its elicitation id for a client that needs one', legacyClient(), true],
    ['loses its elicitation id for a client that has none', modernClient(), false],
  ])('%s', async (_title, client, kept) => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client }))
    await server.next('tools/call')
    void server.ask('elicitation/create', { mode: 'url', message: 'm', url: 'https://x.test', elicitationId: 'e1' })
    expect('elicitationId' in firstAsk(await outcome).ask.params).toBe(kept)
  })
})

describe('roots', () => {
  const a = { uri: 'file:///a', name: 'a', vendor: 1 }
  const b = { uri: 'file:///b' }

  it('come from the configuration whatever clients say', async () => {
    const { server, connection } = await connected({ roots: [b] })
    connection.watch(new FakeWatcher(legacyClient(), { roots: [a] }, async () => ({ roots: [a] })))
    expect((await server.ask('roots/list')).result).toEqual({ roots: [b] })
    expect(server.all('notifications/roots/list_changed')).toEqual([])
  })

  it('are none while nobody listens', async () => {
    const { server } = await connected()
    expect((await server.ask('roots/list')).result).toEqual({ roots: [] })
  })

  it('are asked of the only client', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), {}, async () => ({ roots: [a], vendor: 1 })))
    expect((await server.ask('roots/list')).result).toEqual({ roots: [a], vendor: 1 })
  })

  it('are those of all listeners on a shared connection, each once', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), { roots: [a, b] }, async () => ({})))
    connection.watch(new FakeWatcher(other, { roots: [b] }, async () => ({})))
    expect((await server.ask('roots/list')).result).toEqual({ roots: [a, b] })
  })

  it('are asked of the only client whose call is open, whoever else listens', async () => {
    const { server, connection } = await connected()
    connection.watch(new FakeWatcher(legacyClient(), { roots: [a] }, async () => ({})))
    const outcome = connection.handle(toolCall('x', { client: other }))
    await server.next('tools/call')
    void server.ask('roots/list')
    expect(await outcome).toMatchObject({ kind: 'inputRequired', requests: { 'ask-1': { method: 'roots/list' } } })
  })

  it('are none of a calling client that has none', async () => {
    const { server, connection } = await connected()
    void connection.handle(toolCall('x', { client: modernClient({ capabilities: {} }) })).catch(() => {})
    await server.next('tools/call')
    expect((await server.ask('roots/list')).result).toEqual({ roots: [] })
  })

  it('are announced when what listeners tell changes, and only then', async () => {
    const { server, connection } = await connected()
    const watcher = new FakeWatcher(legacyClient(), { roots: [a] })
    const watch = connection.watch(watcher)
    await watch.granted
    const count = async () => (await quiet(2), server.all('notifications/roots/list_changed').length)
    expect(await count()).toBe(1)
    const twin = connection.watch(new FakeWatcher(other, { roots: [a] }))
    await twin.granted
    expect(await count()).toBe(1)
    await watch.update({ ...watcher.interest, roots: [a, b] })
    expect(await count()).toBe(2)
    watch.close()
    expect(await count()).toBe(3)
  })
})
