/**
 * Who gets in, and what they then see: the ways around a bearer token, other people's sessions, ids and states. The number
 * of ways in must be zero, and none may be skipped.
 */
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { modernRequest, openSession, rawHttp, type RawHttp } from '../fixtures/clients/raw-http.ts'
import { plainRequest, wire } from '../fixtures/clients/wire.ts'
import { bin, createSandbox, serve, startListening, stdioBackend, type Started } from './harness.ts'

const token = 'Correct-Horse-Battery-Staple-0123456789'
const json = ['Content-Type: application/json', 'Accept: application/json, text/event-stream']
const opening = JSON.stringify({
  jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '0' } },
})

describe('a listener with a token', () => {
  const sandbox = createSandbox()
  let listener: Started
  let port: number
  beforeAll(async () => {
    sandbox.write('token', `${token}\n`)
    const config = sandbox.config({
      mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') },
      listen: { http: { allowedOrigins: ['https://app.example'], allowedHosts: ['proxy.example:8443', 'other.example'] } },
    })
    listener = await startListening(process.execPath, [bin, 'serve', '--http', '--port', '0', '--token-file', 'token', '--config', config], {
      env: { ...sandbox.env, MCP_PROXY_TOKEN: 'the-environment-must-not-win-over-the-flag' }, cwd: sandbox.dir,
    })
    port = Number(new URL(listener.url).port)
  })
  afterAll(async () => {
    await listener?.stop()
    await sandbox.dispose()
  })

  const send = (path: string, lines: readonly string[], body = opening, method = 'POST') =>
    wire({ port }, plainRequest(method, path, ['Host: localhost', ...json, ...lines], method === 'POST' ? body : ''))

  it('lets the bearer in, however the scheme is written', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) expect((await send('/mcp', [`Authorization: ${scheme} ${token}`])).status).toBe(200)
  })

  const forged: ReadonlyArray<[what: string, lines: string[], path?: string]> = [
    ['nothing', []],
    ['an empty field', ['Authorization:']],
    ['the scheme alone', ['Authorization: Bearer']],
    ['an empty token', ['Authorization: Bearer  ']],
    ['the token without a scheme', [`Authorization: ${token}`]],
    ['another scheme', [`Authorization: Basic ${Buffer.from(`x:${token}`).toString('base64')}`]],
    ['a prefix', [`Authorization: Bearer ${token.slice(0, -1)}`]],
    ['one character', [`Authorization: Bearer ${token[0]}`]],
    ['the token and more', [`Authorization: Bearer ${token}x`]],
    ['the token twice', [`Authorization: Bearer ${token} ${token}`]],
    ['the token in a list', [`Authorization: Bearer x, Bearer ${token}`]],
    ['the token in quotes', [`Authorization: Bearer "${token}"`]],
    ['other letters', [`Authorization: Bearer ${token.toLowerCase()}`]],
    ['its escape', [`Authorization: Bearer ${encodeURIComponent(token).replace('C', '%43')}`]],
    ['what the environment says', ['Authorization: Bearer the-environment-must-not-win-over-the-flag']],
    ['null', ['Authorization: Bearer null']],
    ['undefined', ['Authorization: Bearer undefined']],
    ['a JWT of no algorithm', ['Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.']],
    ['a cookie', [`Cookie: token=${token}; Authorization=Bearer ${token}`]],
    ['a field of its own', [`X-Authorization: Bearer ${token}`, `X-Api-Key: ${token}`, `Proxy-Authorization: Bearer ${token}`]],
    ['the query', [], `/mcp?token=${token}&access_token=${token}&authorization=Bearer%20${token}`],
    ['words of a proxy', ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-User: admin', 'X-Real-IP: 127.0.0.1', 'Forwarded: for=127.0.0.1']],
    ['another path behind an open one', ['X-Original-URL: /healthz', 'X-Rewrite-URL: /healthz']],
    ['another method in a field', ['X-HTTP-Method-Override: OPTIONS']],
  ]
  it.each(forged)('refuses %s', async (_what, lines, path = '/mcp') => {
    const answer = await send(path, lines)
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /)
    expect(answer.body).not.toContain(token)
  })

  it('refuses a second field, whichever is right', async () => {
    const [right, wrong] = [`Authorization: Bearer ${token}`, 'Authorization: Bearer wrong']
    for (const lines of [[right, wrong], [wrong, right], [right, right]]) expect((await send('/mcp', lines)).status).toBe(400)
  })

  it('asks for the token on every path and method but the two probes', async () => {
    const paths = ['/mcp', '/sse', '/messages', '/messages?sessionId=x', '/status', '/servers/one/mcp', '/servers/none/mcp']
    for (const path of paths)
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'])
        expect([method, path, (await send(path, [], opening, method)).status]).toEqual([method, path, 401])
    for (const path of ['/healthz/', '/healthz/../mcp', '/healthz/../status', '/readyz/mcp', '//status', '/Status', '/status/', '/healthz%2f..%2fmcp', '/mcp;/healthz'])
      expect([path, (await send(path, [])).status]).toEqual([path, 404])
    for (const path of ['/healthz', '/readyz']) expect((await send(path, [], '', 'GET')).status).toBe(200)
  })

  it('tells nobody without the token which servers there are', async () => {
    const [known, unknown] = [await send('/servers/one/mcp', []), await send('/servers/none/mcp', [])]
    expect({ ...known, headers: {} }).toEqual({ ...unknown, headers: {} })
  })

  it('shows status to the bearer', async () => {
    const answer = await send('/status', [`Authorization: Bearer ${token}`], '', 'GET')
    expect(JSON.parse(answer.body)).toMatchObject({ backends: [{ alias: 'one', transport: 'stdio' }] })
    expect(answer.body).not.toContain(token)
  })

  it('serves pages of the origins that were named, and lets them ask first', async () => {
    const from = (origin: string) => [`Origin: ${origin}`, `Authorization: Bearer ${token}`]
    const allowed = await send('/mcp', from('https://app.example'))
    expect(allowed).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': 'https://app.example', vary: 'Origin' } })
    expect(allowed.headers['access-control-expose-headers']?.toLowerCase()).toContain('mcp-session-id')
    const preflight = await send('/mcp', ['Origin: https://app.example', 'Access-Control-Request-Method: POST'], '', 'OPTIONS')
    expect(preflight).toMatchObject({ status: 204, headers: { 'access-control-allow-methods': 'POST, GET, DELETE' } })
    for (const origin of ['https://app.example.evil.example', 'http://app.example', 'https://app.example:444', 'https://sub.app.example', 'null', '*'])
      for (const method of ['POST', 'OPTIONS']) {
        const refused = await send('/mcp', from(origin), opening, method)
        expect([origin, refused.status, refused.headers['access-control-allow-origin']]).toEqual([origin, 403, undefined])
      }
  })

  it('serves the hosts that were named, with the port if one was', async () => {
    const at = (host: string) => wire({ port }, plainRequest('POST', '/mcp', [`Host: ${host}`, ...json, `Authorization: Bearer ${token}`], opening))
    for (const host of ['proxy.example:8443', 'other.example', 'other.example:99', 'OTHER.example']) expect([host, (await at(host)).status]).toEqual([host, 200])
    for (const host of ['proxy.example', 'proxy.example:8444', 'example', 'xother.example', 'other.example.']) expect([host, (await at(host)).status]).toEqual([host, 403])
  })
})

describe('what belongs to somebody else', () => {
  const sandbox = createSandbox()
  let listener: Started
  let raw: RawHttp
  beforeAll(async () => {
    listener = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), two: stdioBackend(sandbox, 'v2-modern', 'two') } })
    raw = rawHttp(listener.url)
  })
  afterAll(async () => {
    raw?.close()
    await listener?.stop()
    await sandbox.dispose()
  })

  interface Stream {
    readonly status: number
    readonly events: { id?: string; data: string }[]
    close(): void
  }

  /** A GET or POST whose answer is read as it comes. */
  const open = (method: string, path: string, headers: Record<string, string>, body?: string) =>
    new Promise<Stream>((resolve, reject) => {
      const outgoing = request(new URL(path, listener.url), { method, headers, agent: false }, answer => {
        const events: { id?: string; data: string }[] = []
        let rest = ''
        answer.setEncoding('utf8')
        answer.on('error', () => {})
        answer.on('data', (chunk: string) => {
          const blocks = (rest + chunk).split('\n\n')
          rest = blocks.pop() as string
          for (const block of blocks) {
            const id = /^id: (.*)$/m.exec(block)?.[1]
            const data = /^data: (.*)$/m.exec(block)?.[1]
            if (data !== undefined) events.push({ ...(id === undefined ? {} : { id }), data })
          }
        })
        resolve({ status: answer.statusCode as number, events, close: () => outgoing.destroy() })
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  const post = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const get = { accept: 'text/event-stream' }
  const tool = (name: string, args: JsonObject, id: number | string = 1, token?: string) => ({
    jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args, ...(token ? { _meta: { progressToken: token } } : {}) },
  })

  it('gives every session an id of its own that nobody can guess', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, async () => (await openSession(raw))['mcp-session-id'] as string))
    expect(new Set(ids).size).toBe(50)
    for (const id of ids) expect(Buffer.from(id, 'base64url').length).toBeGreaterThanOrEqual(16)
    for (const id of ids) expect((await raw.send('DELETE', { 'mcp-session-id': id })).status).toBe(200)
    expect((await raw.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { 'mcp-session-id': ids[0] as string })).status).toBe(404)
  })

  it('never falls back to the only session there is', async () => {
    const headers = await openSession(raw)
    for (const forged of [{}, { 'mcp-session-id': '' }, { 'mcp-session-id': `${headers['mcp-session-id']}x` }, { 'mcp-session-id': 'undefined' }]) {
      const answer = await raw.post(tool('one__echo', { message: 'stolen' }), forged as Record<string, string>)
      expect([400, 404]).toContain(answer.status)
      expect(answer.text).not.toContain('stolen')
    }
  })

  it('keeps the stream of a session from every other, and one at a time', async () => {
    const [mine, other] = [await openSession(raw), await openSession(raw)]
    const stream = await open('GET', '/mcp', { ...mine, ...get })
    expect(stream.status).toBe(200)
    expect((await open('GET', '/mcp', { ...mine, ...get })).status).toBe(409)
    const elsewhere = await open('GET', '/mcp', { ...other, ...get })
    await raw.post({ jsonrpc: '2.0', id: 5, method: 'resources/subscribe', params: { uri: 'test://notes/1' } }, mine)
    await raw.post(tool('one__echo', { message: 'x' }), other)
    expect(elsewhere.events.filter(({ data }) => data !== '' && !data.includes('list_changed'))).toEqual([])
    stream.close()
    elsewhere.close()
  })

  it('gives the rest of a broken stream to its own session only', async () => {
    const [mine, other] = [await openSession(raw), await openSession(raw)]
    const broken = await open('POST', '/mcp', { ...post, ...mine }, JSON.stringify(tool('one__steps', { count: 8, delayMs: 40 }, 'r', 'p')))
    const last = await eventually(() => broken.events.find(({ data }) => data.includes('step 2')), 'two steps')
    broken.close()
    expect((await open('GET', '/mcp', { ...other, ...get, 'last-event-id': last.id as string })).status).toBe(400)
    const rest = await open('GET', '/mcp', { ...mine, ...get, 'last-event-id': last.id as string })
    const result = await eventually(() => rest.events.find(({ data }) => data.includes('"result"')), 'the result')
    expect(JSON.parse(result.data)).toMatchObject({ id: 'r' })
    const steps = rest.events.map(({ data }) => JSON.parse(data || '{}')).filter(({ method }) => method === 'notifications/progress').map(({ params }) => params.progress)
    expect(steps).toEqual([3, 4, 5, 6, 7, 8])
    // Asking again brings the same again; asking after the end brings nothing, and says so.
    const again = await open('GET', '/mcp', { ...mine, ...get, 'last-event-id': last.id as string })
    await eventually(() => again.events.find(({ data }) => data.includes('"result"')), 'the result again')
    expect((await open('GET', '/mcp', { ...mine, ...get, 'last-event-id': result.id as string })).status).toBe(204)
  })

  it('does not take a lost connection for a wish to cancel in the older era, and does in the newer', async () => {
    const mine = await openSession(raw)
    const told = (event: string, key: string) => sandbox.readJournal('one').some(entry => entry.event === event && entry.key === key) || undefined
    // No answer has begun on either, so nobody waits for `open` to resolve.
    const begin = (headers: Record<string, string>, body: JsonObject) => {
      const outgoing = request(new URL(listener.url), { method: 'POST', headers: { ...post, ...headers }, agent: false })
      outgoing.on('error', () => {})
      outgoing.end(JSON.stringify(body))
      return outgoing
    }
    const older = begin(mine, tool('one__slow', { key: 'older', ms: 600 }, 'o'))
    const [message, headers] = modernRequest('n', 'tools/call', { name: 'one__slow', arguments: { key: 'newer', ms: 600 } })
    const newer = begin(headers, message)
    await eventually(() => told('started', 'older') && told('started', 'newer'), 'both to start')
    older.destroy()
    newer.destroy()
    await eventually(() => told('cancelled', 'newer'), 'the newer to be cancelled')
    await eventually(() => told('finished', 'older'), 'the older to finish')
    expect(told('cancelled', 'older')).toBeUndefined()
  })

  it('keeps the two transports of the older era apart', async () => {
    const mine = await openSession(raw)
    const old = await open('GET', '/sse', get)
    const endpoint = (await eventually(() => old.events[0], 'the endpoint')).data
    expect(endpoint).toMatch(/^\/messages\?sessionId=[\w-]{22,}$/)
    const id = endpoint.split('=')[1] as string
    const send = async (path: string, body: JsonObject, headers = {}) => (await open('POST', path, { ...post, ...headers }, JSON.stringify(body))).status
    expect(await send('/mcp', tool('one__echo', {}), { 'mcp-session-id': id })).toBe(404)
    expect(await send(`/messages?sessionId=${mine['mcp-session-id']}`, tool('one__echo', {}))).toBe(404)
    expect(await send('/messages', tool('one__echo', {}))).toBe(400)
    expect(await send('/messages?sessionId=', tool('one__echo', {}))).toBe(400)
    expect(await send(endpoint, JSON.parse(opening) as JsonObject)).toBe(202)
    await eventually(() => old.events.find(({ data }) => data.includes('"protocolVersion":"2025-11-25"')), 'the opening')
    old.close()
    await eventually(async () => ((await send(endpoint, { jsonrpc: '2.0', id: 1, method: 'ping' })) === 404 ? true : undefined), 'the session to end')
  })

  it('takes a state back from the request it was given to, once, and for nothing else', async () => {
    const capabilities = { elicitation: {} }
    const ask = (name: string, args: JsonObject, more: JsonObject = {}) => raw.post(...modernRequest('q', 'tools/call', { name, arguments: args, ...more }, capabilities))
    const first = (await ask('one__ask_form', { message: 'who?' })).messages[0] as any
    expect(first.result.resultType).toBe('input_required')
    const requestState = first.result.requestState as string
    const [key] = Object.keys(first.result.inputRequests)
    const inputResponses = { [key as string]: { action: 'accept', content: { name: 'Ada', age: 36, colour: 'red' } } }
    const retry = { requestState, inputResponses }
    const denied: ReadonlyArray<[string, JsonObject, JsonObject]> = [
      ['one__ask_form', { message: 'another' }, retry],
      ['two__ask_form', { message: 'who?' }, retry],
      ['one__echo', { message: 'who?' }, retry],
      ['one__ask_form', { message: 'who?' }, { ...retry, requestState: `${requestState.slice(0, -2)}${requestState.endsWith('AA') ? 'BB' : 'AA'}` }],
      ['one__ask_form', { message: 'who?' }, { ...retry, requestState: `${requestState}=` }],
      ['one__ask_form', { message: 'who?' }, { ...retry, requestState: ` ${requestState}` }],
    ]
    for (const [name, args, more] of denied) expect((await ask(name, args, more)).messages[0]).toMatchObject({ error: { code: -32602 } })
    expect((await ask('one__ask_form', { message: 'who?' }, retry)).messages[0]).toMatchObject({ result: { resultType: 'complete' } })
    expect((await ask('one__ask_form', { message: 'who?' }, retry)).messages[0]).toMatchObject({ error: { code: -32602 } })
  })
})

describe('readiness behind a token', () => {
  const sandbox = createSandbox()
  afterAll(() => sandbox.dispose())

  it('is told to anybody, and the names of servers to the bearer alone', async () => {
    const config = sandbox.config({ mcpServers: { 'secret-project': { command: process.execPath, args: ['-e', 'process.exit(3)'] } } })
    const { url, stop } = await startListening(process.execPath, [bin, 'serve', '--http', '--port', '0', '--config', config], {
      env: { ...sandbox.env, MCP_PROXY_TOKEN: token }, cwd: sandbox.dir,
    })
    const ask = async (headers: Record<string, string>) => {
      const answer = await fetch(new URL('/readyz', url), { headers })
      return [answer.status, await answer.text()]
    }
    const known = await ask({ authorization: `Bearer ${token}` })
    const unknown = [await ask({}), await ask({ authorization: `Bearer ${token}x` })]
    await stop()
    expect(known).toEqual([503, expect.stringContaining('secret-project')])
    for (const answer of unknown) expect(answer).toEqual([503, '{"ready":false}'])
  })
})
