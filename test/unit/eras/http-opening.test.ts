/** Finding out what a server over HTTP speaks: what is evidence, what is none, and what is asked next. */
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type Verdict } from '../../../src/eras/era.ts'
import { silent } from '../../../src/gateway/log.ts'
import { httpChannel } from '../../../src/transports/http-client.ts'
import { HttpPools } from '../../../src/transports/http-pools.ts'
import { event, events, json, remoteServer, result, type Asked, type RemoteServer } from '../transports/remote-server.ts'

let server: RemoteServer
afterEach(() => server.close())

async function opened(answer: (asked: Asked) => void, more: { remembered?: Verdict; type?: 'http' | 'sse'; start?: number } = {}) {
  server = await remoteServer(answer)
  const pools = new HttpPools({})
  const verdicts: Verdict[] = []
  const connection = await connect({
    name: 'one', log: silent, self: { name: 'proxy', version: '1' }, remembered: more.remembered, remember: verdict => void verdicts.push(verdict),
    dial: async () => httpChannel({ url: server.url, type: more.type, headers: {}, caFile: undefined }, { pools, connectMs: 1000, messageBytes: 1e6, timing: { pair: 100 } }),
    timeouts: { probe: 100, start: more.start ?? 2000, call: 1000 }, asks: { rounds: 4, waitMs: 5000, parked: 8 },
  })
  const { era, revision } = await connection.describe()
  // What follows the opening is on its way.
  await new Promise(resolve => setTimeout(resolve, 50))
  await connection.close()
  return { era, revision, verdicts }
}
const asks = () => server.asked.filter(({ method }) => method !== 'DELETE').map(({ method, message }) => message?.method ?? (method === 'GET' ? 'GET' : 'answer'))

const legacy = (asked: Asked): void => {
  if (asked.message?.method === 'initialize')
    return result(asked, { protocolVersion: '2025-03-26', capabilities: {}, serverInfo: { name: 's', version: '1' } })
  asked.response.writeHead(asked.method === 'GET' ? 405 : 202).end()
}
const probe = (asked: Asked): boolean => asked.message?.method === 'server/discover'
const unless = (refuse: (asked: Asked) => void) => (asked: Asked) => (probe(asked) ? refuse(asked) : legacy(asked))
const status = (code: number, text = 'no') => ({ response }: Asked) => void response.writeHead(code, { 'content-type': 'text/plain' }).end(text)

describe('a modern server', () => {
  it('is opened by the one request, with its headers', async () => {
    const discovered = { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {}, ttlMs: 0, cacheScope: 'private' }
    expect(await opened(asked => result(asked, discovered))).toMatchObject({ era: 'modern', verdicts: [{ era: 'modern', revision: '2026-07-28' }] })
    expect(asks()).toEqual(['server/discover'])
    expect(server.asked[0]!.request.headers).toMatchObject({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' })
    expect(server.asked[0]!.request.headers).not.toHaveProperty('mcp-session-id')
  })

  it('that answers with a stream is opened all the same', async () => {
    const discovered = { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {} }
    expect(await opened(asked => {
      events(asked, event({ jsonrpc: '2.0', id: asked.message!.id, result: discovered }))
      asked.response.end()
    })).toMatchObject({ era: 'modern' })
  })

  it('of a revision that is not ours is never sent a legacy opening', async () => {
    const error = { code: -32022, message: 'no', data: { supported: ['2031-01-01'], requested: '2026-07-28' } }
    await expect(opened(asked => json(asked, 400, { jsonrpc: '2.0', id: asked.message!.id, error }))).rejects.toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(asks()).toEqual(['server/discover'])
  })
})

describe('a legacy server', () => {
  it.each([
    ['400 with an error of its own', (asked: Asked) => json(asked, 400, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Bad Request: Server not initialized' } })],
    ['400 with nothing', status(400, '')],
    ['404', status(404)],
    ['405', status(405)],
    ['406', status(406)],
    ['415', status(415)],
    ['an unknown method', (asked: Asked) => json(asked, 200, { jsonrpc: '2.0', id: asked.message!.id, error: { code: -32601, message: 'no' } })],
    ['a result that means nothing', (asked: Asked) => result(asked, {})],
    ['a web page', ({ response }: Asked) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
  ])('is known by %s', async (_what, refuse) => {
    expect(await opened(unless(refuse))).toMatchObject({ era: 'legacy', revision: '2025-03-26', verdicts: [{ era: 'legacy' }] })
    expect(asks().filter(ask => ask !== 'GET')).toEqual(['server/discover', 'initialize', 'notifications/initialized'])
  })

  it('that is remembered is not asked again, for a day', async () => {
    expect(await opened(unless(status(404)), { remembered: { era: 'legacy', revision: '', at: Date.now() - 1000 } })).toMatchObject({ era: 'legacy' })
    expect(asks()[0]).toBe('initialize')
    await server.close()
    await opened(unless(status(404)), { remembered: { era: 'legacy', revision: '', at: Date.now() - 25 * 3600_000 } })
    expect(asks()[0]).toBe('server/discover')
  })

  it('that is remembered and has become modern is found out', async () => {
    const discovered = { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {} }
    const refuse = (asked: Asked) => json(asked, 400, { jsonrpc: '2.0', id: asked.message?.id ?? null, error: { code: -32022, message: 'no', data: { supported: ['2026-07-28'] } } })
    const answer = (asked: Asked) => (asked.method !== 'POST' ? status(405)(asked) : probe(asked) ? result(asked, discovered) : refuse(asked))
    expect(await opened(answer, { remembered: { era: 'legacy', revision: '', at: Date.now() - 1000 } })).toMatchObject({ era: 'modern' })
  })
})

describe('no evidence at all', () => {
  it.each([
    [401, 'BACKEND_NEEDS_AUTH'], [403, 'BACKEND_NEEDS_AUTH'], [429, 'BACKEND_HTTP'], [500, 'BACKEND_HTTP'], [502, 'BACKEND_HTTP'], [503, 'BACKEND_HTTP'],
  ])('is %i', async (code, expected) => {
    const refuse = (asked: Asked) => json(asked, code, { jsonrpc: '2.0', id: asked.message!.id, error: { code: -32000, message: 'no' } })
    await expect(opened(unless(refuse))).rejects.toMatchObject({ code: expected })
    expect(asks()).toEqual(['server/discover'])
  })

  it('is silence', async () => {
    await expect(opened(unless(() => {}), { start: 300 })).rejects.toMatchObject({ code: 'BACKEND_TIMEOUT' })
    expect(asks()).toEqual(['server/discover'])
  })

  it('is a connection that breaks', async () => {
    await expect(opened(unless(({ request }) => void request.socket.destroy()))).rejects.toMatchObject({ code: 'BACKEND_START_FAILED' })
    expect(asks()).toEqual(['server/discover'])
  })
})

describe('a server of 2024-11-05', () => {
  function older(): (asked: Asked) => void {
    let stream: Asked | undefined
    return asked => {
      const { method, path, message, response } = asked
      if (method === 'GET') {
        stream = asked
        return events(asked, 'event: endpoint\ndata: /messages\n\n')
      }
      if (path === '/mcp') return void response.writeHead(405).end()
      response.writeHead(202).end()
      if (message?.method === 'initialize')
        events(stream!, event({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 's', version: '1' } } }))
    }
  }
  it('is found by what it refuses', async () => {
    expect(await opened(older())).toMatchObject({ era: 'legacy', revision: '2024-11-05' })
    expect(asks()).toEqual(['server/discover', 'initialize', 'GET', 'initialize', 'notifications/initialized'])
  })
  it('is opened at once where the config says so', async () => {
    expect(await opened(older(), { type: 'sse' })).toMatchObject({ era: 'legacy', revision: '2024-11-05' })
    expect(asks()).toEqual(['GET', 'initialize', 'notifications/initialized'])
  })
  it('is not looked for where the config says http', async () => {
    await expect(opened(older(), { type: 'http' })).rejects.toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(asks()).toEqual(['server/discover', 'initialize'])
  })
})
