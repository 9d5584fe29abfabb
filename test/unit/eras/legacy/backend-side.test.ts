import { describe, expect, it } from 'vitest'
import { openLegacyConnection } from '../../../../src/eras/legacy/backend-side.ts'
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import { memoryPair } from '../../../../src/transports/channel.ts'
import { callOf, connected, connectOptions, everything, legacyClient, link, modernClient, quiet, Raw, toolCall } from './kit.ts'

describe('opening', () => {
  it('offers the newest revision and a superset of abilities, and describes the server as it spoke', async () => {
    const { server, connection } = await connected()
    expect((await server.next('initialize')).params).toEqual({
      protocolVersion: '2025-11-25',
      capabilities: {
        roots: { listChanged: true },
        sampling: { context: {}, tools: {} },
        elicitation: { form: {}, url: {} },
        extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
      },
      clientInfo: { name: 'mcp-proxy', version: '0' },
    })
    expect(server.got.map(({ method }) => method)).toEqual(['initialize', 'notifications/initialized'])
    expect(await connection.describe()).toEqual({
      info: { name: 'srv', version: '1', vendor: true },
      capabilities: everything,
      instructions: 'be kind',
      era: 'legacy',
      revision: '2025-11-25',
    })
  })

  it('declares exactly what the one client it is for can do', async () => {
    const capabilities = { sampling: {}, experimental: { x: {} }, vendor: 1 }
    const { server } = await connected({ client: legacyClient({ capabilities }) })
    expect((await server.next('initialize')).params?.['capabilities']).toEqual(capabilities)
  })

  it('declares roots where they are configured', async () => {
    const { server } = await connected({ client: legacyClient({ capabilities: {} }), roots: [{ uri: 'file:///a' }] })
    expect((await server.next('initialize')).params?.['capabilities']).toEqual({ roots: {} })
  })

  it.each(['2024-11-05', '2025-03-26', '2025-06-18'])('accepts %s', async revision => {
    const { connection } = await connected({}, everything, revision)
    expect((await connection.describe()).revision).toBe(revision)
  })

  it('refuses a revision it does not speak and closes', async () => {
    const [ours, theirs] = memoryPair()
    const server = new Raw(theirs).on('initialize', () => ({ protocolVersion: '1999-01-01', capabilities: {} }))
    await expect(openLegacyConnection(link(ours), connectOptions())).rejects.toMatchObject({ code: 'BACKEND_PROTOCOL' })
    await quiet(2)
    expect(server.closed).toBe(true)
  })

  it('gives up a server that does not answer, without cancelling initialize', async () => {
    const [ours, theirs] = memoryPair()
    const server = new Raw(theirs)
    const opening = openLegacyConnection(link(ours), connectOptions({ timeouts: { probe: 10, start: 20, call: 1000 } }))
    await expect(opening).rejects.toMatchObject({ code: 'BACKEND_TIMEOUT', details: { backend: 'files' } })
    expect(server.got.map(({ method }) => method)).toEqual(['initialize'])
  })

  it('passes on the error of a server that refuses initialize', async () => {
    const [ours, theirs] = memoryPair()
    new Raw(theirs).on('initialize', () => ({ error: { code: -32000, message: 'no' } }))
    await expect(openLegacyConnection(link(ours), connectOptions())).rejects.toMatchObject({ code: 'BACKEND_ERROR' })
  })

  it('answers a ping before and after the handshake', async () => {
    const [ours, theirs] = memoryPair()
    const server = new Raw(theirs)
    const opening = openLegacyConnection(link(ours), connectOptions())
    const { id } = await server.next('initialize')
    expect((await server.ask('ping')).result).toEqual({})
    server.answer(id, { protocolVersion: '2025-11-25', capabilities: {} })
    await opening
    expect((await server.ask('ping')).result).toEqual({})
  })

  it('keeps what a hasty server asks before it is told that we are ready', async () => {
    const [ours, theirs] = memoryPair()
    const server = new Raw(theirs)
    const opening = openLegacyConnection(link(ours), connectOptions({ roots: [{ uri: 'file:///a' }] }))
    const { id } = await server.next('initialize')
    const asked = server.ask('roots/list')
    server.answer(id, { protocolVersion: '2025-11-25', capabilities: {} })
    await opening
    expect((await asked).result).toEqual({ roots: [{ uri: 'file:///a' }] })
  })
})

describe('calls', () => {
  it('forwards params and unknown keys, and returns the result as it came', async () => {
    const { server, connection } = await connected()
    const result = { content: [{ type: 'future', x: 1 }], structuredContent: { a: 1 }, _meta: { v: 1 }, vendor: [1] }
    server.on('tools/call', () => result)
    const params = { name: 'greet', arguments: { a: 1 }, _meta: { traceparent: '00' }, odd: true }
    const outcome = await connection.handle(callOf('tools/call', params, { extra: { vendor: 'x' } }))
    expect(outcome).toEqual({ kind: 'complete', result })
    expect(server.all('tools/call')[0]).toMatchObject({ params, vendor: 'x' })
    expect(server.all('tools/call')[0]?.params).toEqual(params)
  })

  it('keeps unknown keys beside the result', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(callOf('acme/do'))
    const { id } = await server.next('acme/do')
    server.channel.send({ jsonrpc: '2.0', id: id as number, result: { a: 1 }, vendor: 7 })
    expect(await outcome).toEqual({ kind: 'complete', result: { a: 1 }, extra: { vendor: 7 } })
  })

  it('passes the server’s error on as it is', async () => {
    const { server, connection } = await connected()
    const error = { code: -32050, message: 'odd', data: { x: 1 }, vendor: 2 }
    server.on('tools/call', () => ({ error }))
    await expect(connection.handle(toolCall())).rejects.toMatchObject({ code: 'BACKEND_ERROR', details: { rpc: error } })
  })

  it('asks for progress under a token of its own, only when the client did', async () => {
    const { server, connection } = await connected()
    const seen: unknown[] = []
    const call = connection.handle(toolCall('greet', { progress: params => seen.push(params) }))
    const { id, params } = await server.next('tools/call')
    const progressToken = (params?.['_meta'] as { progressToken: unknown }).progressToken
    server.say('notifications/progress', { progressToken, progress: 1, total: 2, message: 'half' })
    server.answer(id, { content: [] })
    await call
    expect(seen).toEqual([{ progress: 1, total: 2, message: 'half' }])
    void connection.handle(toolCall())
    expect((await server.next('tools/call', 2)).params).not.toHaveProperty('_meta')
  })

  it('cancels at the server what the client cancelled', async () => {
    const { server, connection } = await connected()
    const call = toolCall()
    const outcome = connection.handle(call)
    const { id } = await server.next('tools/call')
    call.source.cancel('enough')
    await expect(outcome).rejects.toMatchObject({ code: 'CANCELLED' })
    expect((await server.next('notifications/cancelled')).params).toEqual({ requestId: id, reason: 'enough' })
  })

  it('fails every call when the channel goes, and says so', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    await server.next('tools/call')
    await server.channel.close()
    await expect(outcome).rejects.toMatchObject({ code: 'BACKEND_DIED' })
    expect(await connection.closed).toMatchObject({ code: 'BACKEND_DIED' })
    await expect(connection.handle(toolCall())).rejects.toMatchObject({ code: 'BACKEND_DIED' })
  })

  it('ends in good order on close', async () => {
    const { connection } = await connected()
    await connection.close()
    expect(await connection.closed).toBeUndefined()
  })

  it('passes custom notifications of clients on', async () => {
    const { server, connection } = await connected()
    connection.notify('notifications/acme', { x: 1 }, modernClient())
    expect((await server.next('notifications/acme')).params).toEqual({ x: 1 })
  })

  it('names the revision in the header of each request from 2025-06-18 on, where there are headers', async () => {
    for (const [revision, wantsHeaders, headers] of [
      ['2025-03-26', true, undefined],
      ['2025-06-18', false, undefined],
      ['2025-06-18', true, { 'mcp-protocol-version': '2025-06-18' }],
    ] as const) {
      const [ours, theirs] = memoryPair()
      Object.assign(ours, { wantsHeaders })
      new Raw(theirs).on('initialize', () => ({ protocolVersion: revision, capabilities: {} }))
      const sent: unknown[] = []
      const send = ours.send.bind(ours)
      ours.send = (message, options) => {
        sent.push(options?.headers)
        send(message, options)
      }
      const connection = await openLegacyConnection(link(ours), connectOptions())
      void connection.handle(toolCall()).catch(() => {})
      expect(sent).toEqual([undefined, headers, headers])
    }
  })
})

describe('ping', () => {
  it('resolves on any answer', async () => {
    const { server, connection } = await connected()
    server.on('ping', () => ({}))
    await connection.ping(100)
    server.on('ping', () => ({ error: { code: -32601, message: 'no ping' } }))
    await connection.ping(100)
  })

  it('rejects on silence and when the channel is gone', async () => {
    const { connection } = await connected()
    await expect(connection.ping(10)).rejects.toMatchObject({ code: 'BACKEND_TIMEOUT' })
    await connection.close()
    await expect(connection.ping(10)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
  })
})

it('refuses a call that is cancelled already', async () => {
  const { server, connection } = await connected()
  const source = new CancelSource()
  source.cancel('late')
  await expect(connection.handle(toolCall('greet', { cancellation: source }))).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(server.all('tools/call')).toEqual([])
})
