import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../../src/gateway/contract.ts'
import { callOf, connected, FakeWatcher, legacyClient, modernClient, quiet, toolCall } from './kit.ts'

const capabilities = { tools: {}, tasks: { cancel: {}, list: {}, requests: { tools: { call: {} } } } }
const tools = [
  { name: 'slow', execution: { taskSupport: 'required' } },
  { name: 'either', execution: { taskSupport: 'optional' } },
  { name: 'plain' },
]
const task = (status: string, over: JsonObject = {}) => ({ taskId: 't1', status, ttl: null, pollInterval: 5, ...over })

/** A server whose task goes through `states`. */
async function tasking(...states: string[]) {
  const setting = await connected({}, capabilities)
  setting.server
    .on('tools/list', ({ params }) =>
      params?.['cursor'] ? { tools: tools.slice(1) } : { tools: tools.slice(0, 1), nextCursor: 'x' },
    )
    .on('tools/call', ({ params }) => (params?.['task'] ? { task: task('working') } : { content: ['plain'] }))
    .on('tasks/get', () => task(states.shift() ?? 'completed'))
    .on('tasks/result', () => ({ content: ['done'] }))
    .on('tasks/cancel', () => task('cancelled'))
  return setting
}

describe('a tool that runs only as a task', () => {
  it('is run as one for a client of the newer era, which gets its final result', async () => {
    const { server, connection } = await tasking('working', 'completed')
    const outcome = await connection.handle(toolCall('slow'))
    expect(outcome).toEqual({ kind: 'complete', result: { content: ['done'] } })
    expect(server.got.slice(2).map(({ method }) => method)).toEqual([
      'tools/list',
      'tools/list',
      'tools/call',
      'tasks/get',
      'tasks/get',
      'tasks/result',
    ])
    expect(server.all('tools/call')[0]?.params).toEqual({ name: 'slow', arguments: {}, task: {} })
    expect(server.all('tasks/result')[0]?.params).toEqual({ taskId: 't1' })
  })

  it('is known from lists that others fetched', async () => {
    const { server, connection } = await tasking()
    await connection.handle(callOf('tools/list'))
    await connection.handle(callOf('tools/list', { cursor: 'x' }))
    await connection.handle(toolCall('slow'))
    await connection.handle(toolCall('either'))
    expect(server.all('tools/list')).toHaveLength(2)
    expect(server.all('tools/call').map(({ params }) => params?.['task'])).toEqual([{}, undefined])
  })

  it('is over with its result: what its server asks in its name after that is refused at once', async () => {
    const { server, connection } = await tasking('completed')
    await connection.handle(toolCall('slow'))
    const asked = server.ask('elicitation/create', { message: 'name?', _meta: { 'io.modelcontextprotocol/related-task': { taskId: 't1' } } })
    const answer = await Promise.race([asked, quiet(100)])
    expect(answer).toMatchObject({ error: { data: { code: 'ASK_REFUSED' } } })
  })

  it('returns a result that does not speak of the task', async () => {
    const { server, connection } = await tasking('completed')
    const related = { 'io.modelcontextprotocol/related-task': { taskId: 't1' } }
    server.on('tasks/result', () => ({ content: [], _meta: { ...related, vendor: 1 } }))
    expect(await connection.handle(toolCall('slow'))).toMatchObject({ result: { content: [], _meta: { vendor: 1 } } })
    server.on('tasks/result', () => ({ content: [], _meta: related }))
    expect(await connection.handle(toolCall('slow'))).toEqual({ kind: 'complete', result: { content: [] } })
  })

  it.each([
    ['of its own revision', toolCall('slow', { client: legacyClient() })],
    ['that brings a task', callOf('tools/call', { name: 'slow', task: { ttl: 1 } })],
  ])('is left to a client %s', async (_title, call) => {
    const { server, connection } = await tasking()
    await connection.handle(call)
    expect(server.all('tools/call')[0]?.params).toEqual(call.params)
    expect(server.got.slice(2)).toHaveLength(1)
  })

  it('is run for clients of older revisions too', async () => {
    const { connection } = await tasking()
    const outcome = await connection.handle(toolCall('slow', { client: legacyClient({ revision: '2025-06-18' }) }))
    expect(outcome).toMatchObject({ result: { content: ['done'] } })
  })

  it('fails as its result says', async () => {
    const { server, connection } = await tasking('failed')
    server.on('tasks/result', () => ({ error: { code: -32603, message: 'broke' } }))
    await expect(connection.handle(toolCall('slow'))).rejects.toMatchObject({ details: { rpc: { message: 'broke' } } })
  })

  it('is cancelled as a task', async () => {
    const { server, connection } = await tasking('working', 'working', 'working', 'working')
    const call = toolCall('slow')
    const outcome = connection.handle(call)
    await server.next('tasks/get')
    call.source.cancel('stop')
    await expect(outcome).rejects.toMatchObject({ code: 'CANCELLED' })
    expect((await server.next('tasks/cancel')).params).toEqual({ taskId: 't1' })
  })

  it('makes progress and asks like any other call', async () => {
    const { server, connection } = await tasking('input_required')
    server.on('tasks/result', () => undefined)
    const seen: unknown[] = []
    const outcome = connection.handle(toolCall('slow', { progress: params => seen.push(params) }))
    const created = await server.next('tools/call')
    const { progressToken } = created.params?.['_meta'] as JsonObject
    const waiting = await server.next('tasks/result')
    server.say('notifications/progress', { progressToken, progress: 1 })
    await quiet(2)
    expect(seen).toEqual([{ progress: 1 }])
    const meta = { 'io.modelcontextprotocol/related-task': { taskId: 't1' } }
    void connection.handle(toolCall('plain', { client: legacyClient({ id: 'bob' }) })).catch(() => {})
    const reply = server.ask('elicitation/create', { message: 'm', requestedSchema: {}, _meta: meta })
    const round = await outcome
    if (round.kind !== 'inputRequired') throw new Error('complete')
    const [key] = Object.keys(round.requests ?? {}) as [string]
    const resumed = connection.handle(
      toolCall('slow', { inputResponses: { [key]: { action: 'accept' } }, requestState: round.requestState }),
    )
    expect((await reply).result).toEqual({ action: 'accept' })
    server.answer(waiting.id, { content: ['done'] })
    expect(await resumed).toMatchObject({ result: { content: ['done'] } })
  })
})

describe('a task the client looks after itself', () => {
  it('keeps its progress token, its status and its asks to its client', async () => {
    const { server, connection } = await tasking()
    const mine = new FakeWatcher(legacyClient(), {}, async () => ({ action: 'accept' }))
    const theirs = new FakeWatcher(legacyClient({ id: 'bob' }), {}, async () => ({ action: 'cancel' }))
    for (const watcher of [mine, theirs]) await connection.watch(watcher).granted
    const seen: unknown[] = []
    const outcome = await connection.handle(
      callOf('tools/call', { name: 'slow', task: {} }, { client: legacyClient(), progress: params => seen.push(params) }),
    )
    expect(outcome).toEqual({ kind: 'complete', result: { task: task('working') } })
    const { progressToken } = server.all('tools/call')[0]?.params?.['_meta'] as JsonObject
    server.say('notifications/progress', { progressToken, progress: 1 })
    server.say('notifications/tasks/status', task('working'))
    const meta = { 'io.modelcontextprotocol/related-task': { taskId: 't1' } }
    expect((await server.ask('elicitation/create', { message: 'm', _meta: meta })).result).toEqual({ action: 'accept' })
    server.say('notifications/tasks/status', task('completed'))
    server.say('notifications/progress', { progressToken, progress: 2 })
    server.say('notifications/message', { level: 'info', data: 1, _meta: meta })
    await quiet(2)
    expect(seen).toEqual([{ progress: 1 }])
    expect(mine.heard.map(({ kind }) => kind)).toEqual(['other', 'other', 'log'])
    expect(theirs.heard).toEqual([])
    expect(theirs.asked).toEqual([])
  })

  it('passes all task methods as they are', async () => {
    const { connection } = await tasking()
    expect(await connection.handle(callOf('tasks/get', { taskId: 't1' }, { client: modernClient() }))).toMatchObject({
      result: { status: 'completed' },
    })
  })
})
