import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FakeClient } from './fake-client.ts'
import { FakeServer, isModern, Refusal, revisions, type Fields, type Revision } from './fake-server.ts'
import { houseOf, type House } from './house.ts'
import { requirements, shows, type Requirement } from './requirements.ts'

const content = (text: string): Fields => ({ content: [{ type: 'text', text }] })
const shown = new Set<Requirement>()
const cells = revisions.flatMap(client => revisions.map(server => ({ client, server })))

/** A server with something of everything. */
const fullServer = (revision: Revision): FakeServer =>
  new FakeServer(revision)
    .tool('echo', ({ params }) => ({ ...content(String((params['arguments'] as Fields)['text'])), vendor: { kept: [1, { deep: true }] }, _meta: { 'com.example/x': 1 } }))
    .tool('fail', () => { throw new Refusal({ code: -31999, message: 'no luck', data: { why: 'x' }, vendor: 7 }) })
    .tool('steps', ({ progress }) => {
      for (let i = 1; i <= 3; i++) progress(i, { total: 3, vendor: i })
      return content('done')
    })
    .tool('wait', async ({ cancelled }) => {
      await cancelled
      return content('never seen')
    })
    .tool('form', async ({ ask }) => content(JSON.stringify(await ask('elicitation/create', { message: 'who?', requestedSchema: { type: 'object', properties: {} } }))))
    .tool('sample', async ({ ask }) => content(JSON.stringify(await ask('sampling/createMessage', { messages: [], maxTokens: 5 }))))
    .tool('where', async ({ ask }) => content(JSON.stringify(await ask('roots/list', {}))))
    .tool('twice', async ({ ask }) => {
      const first = await ask('elicitation/create', { message: 'first?', requestedSchema: { type: 'object', properties: {} } })
      const second = await ask('elicitation/create', { message: 'second?', requestedSchema: { type: 'object', properties: {} } })
      return content(JSON.stringify([first, second]))
    })
    .tool('chatty', ({ log }) => {
      log('warning', 'careful')
      return content('ok')
    })
    .prompt('greet', ({ params }) => ({ messages: [{ role: 'user', content: { type: 'text', text: String(params['name']) } }] }))
    .resource('test://one', () => ({ contents: [{ uri: 'test://one', text: 'the one' }] }))
    .template('test://items/{id}')
    .on('completion/complete', ({ params }) => ({ completion: { values: [String((params['ref'] as Fields)['name'])] } }))
    .on('thing/do', ({ params }) => ({ did: params['what'] }))
    .claims({ extensions: { 'com.example/thing': {} } })

describe.each(cells)('client $client, server $server', ({ client: revision, server: spoken }) => {
  let server: FakeServer
  let other: FakeServer
  let house: House
  let client: FakeClient
  const path = (id: Requirement, body: () => Promise<void>): void => {
    shown.add(id)
    it(shows(id), body)
  }
  const call = (name: string, args: Fields = {}, rest: Fields = {}): Promise<Fields> => client.call('tools/call', { name: `a__${name}`, arguments: args, ...rest })
  const text = (result: Fields): string => String(((result['content'] as Fields[])[0] as Fields)['text'])

  beforeEach(async () => {
    server = fullServer(spoken)
    other = new FakeServer(spoken).tool('echo', () => content('the other'))
    house = houseOf({ a: server, b: other })
    client = await house.client(revision)
  })
  afterEach(() => house.close())

  path('open', async () => {
    const fresh = await (await house.client(revision)).open()
    if (isModern(revision)) expect(fresh).toMatchObject({ resultType: 'complete', supportedVersions: ['2026-07-28'] })
    else expect(fresh).toMatchObject({ protocolVersion: revision, serverInfo: { name: 'mcp-proxy-server' } })
    expect(fresh['capabilities']).toMatchObject({ tools: { listChanged: true }, resources: { subscribe: true } })
  })

  path('list.complete', async () => {
    const names = async (method: string, key: string, field = 'name') => ((await client.call(method))[key] as Fields[]).map(item => item[field])
    expect(await names('tools/list', 'tools')).toEqual([
      ...['echo', 'fail', 'steps', 'wait', 'form', 'sample', 'where', 'twice', 'chatty'].map(name => `a__${name}`), 'b__echo',
    ])
    expect(await names('prompts/list', 'prompts')).toEqual(['a__greet'])
    expect(await names('resources/list', 'resources', 'uri')).toEqual(['test://one'])
    expect(await names('resources/templates/list', 'resourceTemplates', 'uriTemplate')).toEqual(['test://items/{id}'])
  })

  path('call.result', async () => {
    const result = await call('echo', { text: 'hi' })
    expect(result).toMatchObject({ content: [{ type: 'text', text: 'hi' }], vendor: { kept: [1, { deep: true }] } })
    expect(result['_meta']).toMatchObject({ 'com.example/x': 1 })
    expect(server.of('tools/call').map(({ params }) => params?.['name'])).toEqual(['echo'])
  })

  path('shape', async () => {
    const result = await call('echo', { text: 'x' })
    const list = await client.call('tools/list')
    if (isModern(revision)) {
      expect(result['resultType']).toBe('complete')
      expect(list).toMatchObject({ resultType: 'complete', cacheScope: 'private', ttlMs: expect.any(Number) as number })
    } else for (const body of [result, list]) for (const key of ['resultType', 'ttlMs', 'cacheScope']) expect(body).not.toHaveProperty(key)
  })

  path('call.error', async () => {
    await expect(call('fail')).rejects.toEqual({ code: -31999, message: 'no luck', data: { why: 'x' }, vendor: 7 })
  })

  path('call.unknown', async () => {
    await expect(call('nothing')).rejects.toMatchObject({ code: -32602 })
    expect(server.of('tools/call')).toEqual([])
  })

  path('id.typed', async () => {
    const params = { name: 'a__echo', arguments: { text: 'x' } }
    await Promise.all([client.request('tools/call', params, '7001'), client.request('tools/call', params, 7001)])
    const ids = client.heard.filter(({ result }) => result?.['content']).map(({ id }) => id)
    expect(new Set(ids)).toEqual(new Set(['7001', 7001]))
  })

  path('id.duplicate', async () => {
    const params = { name: 'a__form', arguments: {} }
    let release = (): void => {}
    client.answers.set('elicitation/create', () => new Promise(resolve => (release = () => resolve({ action: 'decline' }))))
    if (isModern(revision)) Object.assign(params, { name: 'a__wait' })
    const first = client.request('tools/call', params, 'same').catch((error: unknown) => error)
    const answered = () => client.heard.filter(({ id, method }) => id === 'same' && method === undefined)
    client.send({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params: (client as unknown as { dressed(p: Fields): Fields }).dressed(params) })
    await expect(first).resolves.toMatchObject({ code: -32600 })
    if (isModern(revision)) client.notify('notifications/cancelled', { requestId: 'same' })
    else {
      await client.hears('elicitation/create')
      release()
      for (let i = 0; i < 200 && answered().length < 2; i++) await new Promise(resolve => setTimeout(resolve, 5))
      expect(answered().map(({ error }) => error?.code)).toEqual([-32600, undefined])
    }
  })

  path('progress', async () => {
    await call('steps', {}, { _meta: { progressToken: 'mine' } })
    const told = client.heard.filter(({ method }) => method === 'notifications/progress')
    expect(told.map(({ params }) => params)).toMatchObject([1, 2, 3].map(progress => ({ progressToken: 'mine', progress, total: 3, vendor: progress })))
    expect(client.heard.at(-1)?.result).toBeDefined()
  })

  path('progress.unasked', async () => {
    await call('steps')
    expect(client.heard.filter(({ method }) => method === 'notifications/progress')).toEqual([])
  })

  path('cancel', async () => {
    void client.request('tools/call', { name: 'a__wait', arguments: {} }, 'doomed').catch(() => {})
    while (server.of('tools/call').length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    client.notify('notifications/cancelled', { requestId: 'doomed', reason: 'enough' })
    while (server.of('notifications/cancelled').length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    expect(server.of('notifications/cancelled')[0]?.params).toMatchObject({ requestId: server.of('tools/call')[0]?.id, reason: 'enough' })
    expect(other.of('notifications/cancelled')).toEqual([])
    expect(client.heard.filter(({ id }) => id === 'doomed')).toEqual([])
  })

  path('ask.elicitation', async () => {
    const asked: Fields[] = []
    client.answers.set('elicitation/create', params => {
      asked.push(params)
      return { action: 'accept', content: { name: 'ada' }, vendor: true }
    })
    expect(JSON.parse(text(await call('form')))).toMatchObject({ action: 'accept', content: { name: 'ada' }, vendor: true })
    expect(String(asked[0]?.['message'])).toContain('who?')
    expect(String(asked[0]?.['message'])).toContain('a')
  })

  path('ask.sampling', async () => {
    client.answers.set('sampling/createMessage', () => ({ role: 'assistant', content: { type: 'text', text: 'said' }, model: 'm' }))
    expect(JSON.parse(text(await call('sample')))).toMatchObject({ model: 'm', content: { text: 'said' } })
  })

  path('ask.roots', async () => {
    client.answers.set('roots/list', () => ({ roots: [{ uri: 'file:///here' }] }))
    expect(JSON.parse(text(await call('where')))).toMatchObject({ roots: [{ uri: 'file:///here' }] })
  })

  path('ask.rounds', async () => {
    client.answers.set('elicitation/create', params => ({ action: 'accept', content: { to: params['message'] } }))
    const answers = JSON.parse(text(await call('twice'))) as { content: { to: string } }[]
    expect(answers.map(({ content }) => content.to.replace(/^\[a\] /, ''))).toEqual(['first?', 'second?'])
  })

  path('ask.apart', async () => {
    const second = await house.client(revision)
    const modernServer = isModern(spoken)
    client.answers.set('elicitation/create', () => ({ action: 'accept', content: { who: 'one' } }))
    second.answers.set('elicitation/create', () => ({ action: 'accept', content: { who: 'two' } }))
    const results = await Promise.all([call('form'), second.call('tools/call', { name: 'a__form', arguments: {} })].map(work => work.catch((error: Fields) => error)))
    results.forEach((result, index) => {
      const said = JSON.stringify(result)
      // On a shared legacy server an ask does not name its call: it may be refused, but never answered by the other.
      if (modernServer || !('code' in result)) expect(said).toContain(index === 0 ? 'one' : 'two')
      expect(said).not.toContain(index === 0 ? 'two' : 'one')
    })
  })

  path('state.foreign', async () => {
    if (!isModern(revision)) return
    const before = server.of('tools/call').length
    await expect(client.request('tools/call', { name: 'a__form', arguments: {}, inputResponses: {}, requestState: 'forged' })).rejects.toMatchObject({ code: -32602 })
    expect(server.of('tools/call')).toHaveLength(before)
  })

  path('log', async () => {
    await client.logging('info')
    await call('chatty')
    expect((await client.hears('notifications/message')).params).toMatchObject({ level: 'warning', data: 'careful', logger: 'a' })
  })

  path('resource.read', async () => {
    expect((await client.call('resources/read', { uri: 'test://one' }))['contents']).toEqual([{ uri: 'test://one', text: 'the one' }])
  })

  path('resource.updated', async () => {
    await client.call('tools/list')
    await client.listen('test://one')
    server.updated('test://one')
    expect((await client.hears('notifications/resources/updated')).params).toMatchObject({ uri: 'test://one' })
  })

  path('list.changed', async () => {
    await client.call('tools/list')
    await client.listen('test://one')
    server.grow('late')
    await client.hears('notifications/tools/list_changed')
    expect(((await client.call('tools/list'))['tools'] as Fields[]).map(({ name }) => name)).toContain('a__late')
  })

  path('prompt', async () => {
    expect((await client.call('prompts/get', { name: 'a__greet' }))['messages']).toEqual([{ role: 'user', content: { type: 'text', text: 'greet' } }])
  })

  path('completion', async () => {
    const result = await client.call('completion/complete', { ref: { type: 'ref/prompt', name: 'a__greet' }, argument: { name: 'x', value: '' } })
    expect(result['completion']).toEqual({ values: ['greet'] })
  })

  path('custom.request', async () => {
    expect(await client.call('thing/do', { what: 'it' })).toMatchObject({ did: 'it' })
    await expect(client.call('stranger/do')).rejects.toMatchObject({ code: -32601 })
  })

  path('custom.notification', async () => {
    await client.call('tools/list')
    client.notify('notifications/com.example/hello', { to: 'you' })
    for (let i = 0; i < 100 && server.of('notifications/com.example/hello').length === 0; i++) await new Promise(resolve => setTimeout(resolve, 5))
    expect(server.of('notifications/com.example/hello')[0]?.params).toMatchObject({ to: 'you' })
  })

  path('isolation', async () => {
    const broken = houseOf({ bad: new FakeServer(spoken).on('tools/list', () => { throw new Refusal({ code: -32603, message: 'broken' }) }), good: fullServer(spoken) })
    const guest = await broken.client(revision)
    expect(((await guest.call('tools/list'))['tools'] as Fields[]).map(({ name }) => name)).toContain('good__echo')
    await broken.close()
  })
})

it('shows every requirement of the manifest', () => {
  expect([...shown].sort()).toEqual(Object.keys(requirements).sort())
})
