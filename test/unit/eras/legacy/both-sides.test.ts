import { describe, expect, it } from 'vitest'
import type { Backend, Connection } from '../../../../src/gateway/contract.ts'
import { connected, FakeGateway, legacyClient, opened, quiet } from './kit.ts'

/** A gateway that is nothing but one connection. */
function around(connection: Connection): Backend {
  const gateway = new FakeGateway()
  return Object.assign(gateway, {
    handle: connection.handle,
    describe: () => connection.describe(),
    watch: (watcher: Parameters<Connection['watch']>[0]) => connection.watch(watcher),
    notify: (...notice: Parameters<Connection['notify']>) => connection.notify(...notice),
  })
}

async function joined() {
  const capabilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } }
  const { server, connection } = await connected({ client: legacyClient({ capabilities }) })
  const { client, answer } = await opened('2025-11-25', capabilities, around(connection))
  return { server, client, answer }
}

const question = { message: 'name?', requestedSchema: { type: 'object' }, vendor: 1 }

describe('a legacy client and a legacy server', () => {
  it('see each other’s messages as if nobody stood between them', async () => {
    const { server, client, answer } = await joined()
    expect(answer.result).toMatchObject({ serverInfo: { name: 'srv', vendor: true }, instructions: 'be kind' })
    const call = client.ask('tools/call', { name: 'greet', _meta: { progressToken: 'p', v: 1 }, vendor: 2 })
    const asked = await server.next('tools/call')
    expect(asked.params).toEqual({ name: 'greet', _meta: { progressToken: expect.any(Number) as number, v: 1 }, vendor: 2 })
    const { progressToken } = asked.params?.['_meta'] as { progressToken: number }
    server.say('notifications/progress', { progressToken, progress: 1, message: 'm' })
    server.say('notifications/message', { level: 'info', data: { x: 1 } })
    const reply = server.ask('elicitation/create', question, 'e1')
    const elicited = await client.next('elicitation/create')
    expect(elicited.params).toEqual(question)
    server.say('notifications/progress', { progressToken, progress: 2 })
    client.answer(elicited.id, { action: 'accept', content: { name: 'ada' }, vendor: 3 })
    expect(await reply).toEqual({ jsonrpc: '2.0', id: 'e1', result: { action: 'accept', content: { name: 'ada' }, vendor: 3 } })
    server.answer(asked.id, { content: [], vendor: 4 })
    expect((await call).result).toEqual({ content: [], vendor: 4 })
    expect(client.all('notifications/progress').map(({ params }) => params)).toEqual([
      { progressToken: 'p', progress: 1, message: 'm' },
      { progressToken: 'p', progress: 2 },
    ])
    expect(client.all('notifications/message').map(({ params }) => params)).toEqual([{ level: 'info', data: { x: 1 } }])
  })

  it('refuse and take back as if directly', async () => {
    const { server, client } = await joined()
    const call = client.ask('tools/call', { name: 'greet' })
    const { id } = await server.next('tools/call')
    client.on('sampling/createMessage', () => ({ error: { code: -1, message: 'User rejected', data: { why: 1 } } }))
    const { error } = await server.ask('sampling/createMessage', { messages: [] })
    expect(error).toEqual({ code: -1, message: 'User rejected', data: { why: 1 } })
    void server.ask('elicitation/create', question, 'e1')
    const elicited = await client.next('elicitation/create')
    server.say('notifications/cancelled', { requestId: 'e1', reason: 'too slow' })
    expect((await client.next('notifications/cancelled')).params).toEqual({ requestId: elicited.id, reason: 'too slow' })
    server.answer(id, { content: ['done'] })
    expect((await call).result).toEqual({ content: ['done'] })
  })

  it('get a result at once though an ask of that call is open', async () => {
    const { server, client } = await joined()
    const call = client.ask('tools/call', { name: 'greet' })
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question)
    await client.next('elicitation/create')
    server.answer(id, { content: ['early'] })
    expect((await call).result).toEqual({ content: ['early'] })
  })

  it('cancel through a pending ask', async () => {
    const { server, client } = await joined()
    void client.ask('tools/call', { name: 'greet' }, 77)
    const { id } = await server.next('tools/call')
    const reply = server.ask('elicitation/create', question)
    const elicited = await client.next('elicitation/create')
    client.say('notifications/cancelled', { requestId: 77, reason: 'stop' })
    expect((await server.next('notifications/cancelled')).params).toEqual({ requestId: id, reason: 'stop' })
    expect((await client.next('notifications/cancelled')).params).toMatchObject({ requestId: elicited.id })
    expect((await reply).error).toBeDefined()
  })

  it('talk about many things at once', async () => {
    const { server, client } = await joined()
    client.on('elicitation/create', ({ params }) => ({ action: 'accept', content: { echo: params?.['message'] } }))
    const calls = Array.from({ length: 20 }, (_, n) => client.ask('tools/call', { name: `tool-${n}` }, n % 2 ? n : `${n}`))
    await server.next('tools/call', 20)
    const asked = server.all('tools/call').map(({ params }) => ({ ...question, message: params?.['name'] }))
    const replies = asked.map(params => server.ask('elicitation/create', params))
    const names = (await Promise.all(replies)).map(({ result }) => (result?.['content'] as { echo: string }).echo)
    expect(names).toEqual(Array.from({ length: 20 }, (_, n) => `tool-${n}`))
    for (const { id, params } of server.all('tools/call')) server.answer(id, { content: [params?.['name']] })
    const results = (await Promise.all(calls)).map(({ result }) => (result?.['content'] as string[])[0])
    expect(results).toEqual(Array.from({ length: 20 }, (_, n) => `tool-${n}`))
  })

  it('exchange roots and subscriptions', async () => {
    const { server, client } = await joined()
    server.on('resources/subscribe', () => ({}))
    client.on('roots/list', () => ({ roots: [{ uri: 'file:///a', vendor: 1 }] }))
    expect((await server.ask('roots/list')).result).toEqual({ roots: [{ uri: 'file:///a', vendor: 1 }] })
    client.say('notifications/roots/list_changed')
    await server.next('notifications/roots/list_changed')
    expect((await client.ask('resources/subscribe', { uri: 'file:///a' })).result).toEqual({})
    server.say('notifications/resources/updated', { uri: 'file:///a' })
    expect((await client.next('notifications/resources/updated')).params).toEqual({ uri: 'file:///a' })
    await quiet(2)
  })
})
