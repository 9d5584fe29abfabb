/**
 * What no well-meaning client sends: each gets the exact error, and the good request that follows is answered as if nothing
 * had been. Statuses follow 2026-07-28 basic/transports/streamable-http and, where that leaves it open, docs/http.md.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { envelope } from '../fixtures/clients/raw.ts'
import { modernRequest, openSession, rawHttp, type HttpAnswer, type RawHttp } from '../fixtures/clients/raw-http.ts'
import { plainRequest, wire } from '../fixtures/clients/wire.ts'
import { createSandbox, serve, stdioBackend, type Started } from './harness.ts'

const sandbox = createSandbox()
let listener: Started
let raw: RawHttp
let port: number
beforeAll(async () => {
  listener = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), two: stdioBackend(sandbox, 'v2-modern', 'two') } })
  raw = rawHttp(listener.url)
  port = Number(new URL(listener.url).port)
})
afterAll(async () => {
  raw?.close()
  await listener?.stop()
  await sandbox.dispose()
})

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
const echo = { name: 'one__echo', arguments: { message: 'still here' } }

async function stillServes(): Promise<void> {
  const answer = await raw.post(...modernRequest('after', 'tools/call', echo))
  expect(answer.messages[0]).toMatchObject({ id: 'after', result: { content: [{ type: 'text', text: 'still here' }] } })
}

function expectError(answer: HttpAnswer | { status: number; body: string }, status: number, code: number, id: unknown = null): void {
  const text = 'text' in answer ? answer.text : answer.body
  expect({ status: answer.status, text }).toMatchObject({ status })
  expect(JSON.parse(text)).toMatchObject({ jsonrpc: '2.0', id, error: { code, message: expect.any(String) } })
}

const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`

describe('bodies', () => {
  const cases: ReadonlyArray<[what: string, body: string | Buffer, status: number, code: number, id?: unknown]> = [
    ['nothing', '', 400, -32700],
    ['no JSON', '{"jsonrpc":"2.0",', 400, -32700],
    ['two values', '{}{}', 400, -32700],
    ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32700],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400, -32700],
    ['NaN', '{"jsonrpc":"2.0","id":NaN,"method":"ping"}', 400, -32700],
    ['a string', '"ping"', 400, -32600],
    ['a number', '7', 400, -32600],
    ['null', 'null', 400, -32600],
    ['an empty object', '{}', 400, -32600],
    ['no version', '{"id":1,"method":"ping"}', 400, -32600, 1],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600, 1],
    ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600],
    ['an array as id', '{"jsonrpc":"2.0","id":[1],"method":"ping"}', 400, -32600],
    ['an object as id', '{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600],
    ['a boolean as id', '{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600],
    ['a fraction as id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, -32600],
    ['an id beyond 2^53', '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', 400, -32600],
    ['an id beyond all numbers', '{"jsonrpc":"2.0","id":1e999,"method":"ping"}', 400, -32600],
    ['a number as method', '{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600, 1],
    ['an array as params', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 400, -32600, 1],
    ['a string as params', '{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', 400, -32600, 1],
    ['a key of the envelope in capitals', '{"jsonrpc":"2.0","id":1,"Method":"ping"}', 400, -32600, 1],
    ['the same key twice', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', 400, -32600, 1],
    ['the same key twice, once escaped', '{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/list"}', 400, -32600, 1],
    ['a name twice in the params', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', 400, -32600, 1],
    ['a version twice in _meta', '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"a":1,"a":2}}}', 400, -32600, 1],
    ['nesting of 101 levels', nested(101), 400, -32600],
    ['nesting of 5,000 levels in params', `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${nested(5000)}}}`, 400, -32600],
    ['nesting of 100,000 levels', nested(100_000), 400, -32600],
    ['neither method nor result', '{"jsonrpc":"2.0","id":1}', 400, -32600, 1],
    ['an error without a code', '{"jsonrpc":"2.0","id":1,"error":{}}', 400, -32600, 1],
    ['an empty batch', '[]', 400, -32600],
    ['a batch without a session', JSON.stringify([ping]), 400, -32600],
    ['a batch of 101', JSON.stringify(Array(101).fill(ping)), 400, -32600],
    ['a batch of a batch', JSON.stringify([[ping]]), 400, -32600],
  ]
  it.each(cases)('%s', async (_what, body, status, code, id = null) => {
    const bytes = Buffer.from(body as string)
    const head = ['Host: localhost', 'Content-Type: application/json', 'Accept: application/json, text/event-stream', `Content-Length: ${bytes.length}`]
    expectError(await wire({ port }, Buffer.concat([Buffer.from(plainRequest('POST', '/mcp', head)), bytes])), status, code, id)
    await stillServes()
  })

  it('takes ids of every legal form, and gives them back as they came', async () => {
    for (const id of [0, -1, '', '1', 'é\u2028😀', Number.MAX_SAFE_INTEGER, '\ud800'])
      expect((await raw.post(...modernRequest(id, 'tools/list'))).messages[0]).toMatchObject({ id, result: {} })
  })

  it('takes what looks like trouble and is none', async () => {
    const odd = ['__proto__', '"\\u0000"', '💥'.repeat(1000), '\u202e', '\ud800']
    for (const message of odd)
      expect((await raw.post(...modernRequest(1, 'tools/call', { name: 'one__echo', arguments: { message } }))).messages[0]).toMatchObject({
        result: { content: [{ text: message === '\ud800' ? expect.any(String) : message }] },
      })
  })

  it('answers a name of a megabyte without repeating it', async () => {
    const answer = await raw.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x'.repeat(1 << 20), _meta: envelope() } }, {
      'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'x',
    })
    expectError(answer, 400, -32020, 1)
    expect(answer.text.length).toBeLessThan(2000)
  })
})

describe('headers', () => {
  const good = JSON.stringify(ping)
  const usual = ['Host: localhost', 'Content-Type: application/json', 'Accept: application/json, text/event-stream']
  const but = (field: string, ...lines: string[]) => [...usual.filter(line => !line.toLowerCase().startsWith(`${field}:`)), ...lines]
  const refused: ReadonlyArray<[what: string, lines: string[], status: number]> = [
    ['no Content-Type', but('content-type'), 415],
    ['text', but('content-type', 'Content-Type: text/plain'), 415],
    ['a form', but('content-type', 'Content-Type: application/x-www-form-urlencoded'), 415],
    ['JSON in a list', but('content-type', 'Content-Type: application/json, text/plain'), 415],
    ['JSON as a parameter', but('content-type', 'Content-Type: text/plain; a=application/json'), 415],
    ['JSON and more letters', but('content-type', 'Content-Type: application/jsonp'), 415],
    ['JSON in another charset', but('content-type', 'Content-Type: application/json; charset=utf-16'), 415],
    ['two Content-Types', [...usual, 'Content-Type: text/plain'], 400],
    ['a compressed body', [...usual, 'Content-Encoding: gzip'], 415],
    ['an Accept of HTML', but('accept', 'Accept: text/html'), 406],
    ['an Accept of JSON only', but('accept', 'Accept: application/json'), 406],
    ['an Accept of events only', but('accept', 'Accept: text/event-stream'), 406],
    ['an Accept that rules JSON out', but('accept', 'Accept: application/json;q=0, */*'), 406],
    ['two Hosts', [...usual, 'Host: localhost'], 400],
    ['no Host', but('host'), 400],
    ['a foreign Host', but('host', 'Host: evil.example'), 403],
    ['a foreign Host that begins like ours', but('host', 'Host: localhost.evil.example'), 403],
    ['a Host with a path', but('host', 'Host: localhost/mcp'), 403],
    ['a Host with a query', but('host', 'Host: localhost?a'), 403],
    ['a Host with a fragment', but('host', 'Host: localhost#a'), 403],
    ['a Host with a user', but('host', 'Host: localhost@evil.example'), 403],
    ['a Host with a final dot', but('host', 'Host: localhost.'), 403],
    ['an empty Host', but('host', 'Host: '), 403],
    ['a Host in disguise', but('host', 'Host: 2130706433'), 403],
    ['a foreign Origin', [...usual, 'Origin: http://evil.example'], 403],
    ['the null Origin', [...usual, 'Origin: null'], 403],
    ['an Origin of another port', [...usual, 'Origin: http://localhost:1'], 403],
    ['an Origin of another scheme', [...usual, 'Origin: https://localhost'], 403],
    ['two Origins', [...usual, 'Origin: http://localhost', 'Origin: http://evil.example'], 400],
    ['two session ids', [...usual, 'Mcp-Session-Id: a', 'Mcp-Session-Id: b'], 400],
    ['two protocol versions', [...usual, 'MCP-Protocol-Version: 2025-11-25', 'mcp-protocol-version: 2025-06-18'], 400],
    ['a version nobody knows', [...usual, 'MCP-Protocol-Version: 1999-01-01'], 400],
    ['a version that is none', [...usual, 'MCP-Protocol-Version: latest'], 400],
    ['a header of 17 KB', [...usual, `X-Long: ${'x'.repeat(17 * 1024)}`], 431],
    ['many small fields', [...usual, ...Array.from({ length: 2000 }, (_, i) => `X-${i}: 0123`)], 431],
    ['a length and chunks', [...usual, 'Transfer-Encoding: chunked'], 400],
    ['two lengths', [...usual, 'Content-Length: 1'], 400],
    ['a field name with a blank', [...usual, 'Bad Name: x'], 400],
    ['a field value with a NUL', [...usual, 'X-Bad: a\0b'], 400],
  ]
  it.each(refused)('%s', async (_what, lines, status) => {
    const answer = await wire({ port }, plainRequest('POST', '/mcp', lines, good))
    expectErrorOrEmpty(answer, status)
    await stillServes()
  })

  /** Node refuses some by itself, without a body. */
  function expectErrorOrEmpty(answer: { status: number; body: string }, status: number): void {
    expect(answer.status, answer.body).toBe(status)
    if (answer.body !== '') expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: '2.0', error: { code: -32600 } })
  }

  const taken: ReadonlyArray<[what: string, lines: string[]]> = [
    ['no Accept', but('accept')],
    ['an Accept of everything', but('accept', 'Accept: */*')],
    ['wildcards by group', but('accept', 'Accept: application/*, text/*')],
    ['an Accept in two lines', but('accept', 'Accept: application/json', 'Accept: text/event-stream')],
    ['capitals and weights', but('accept', 'Accept: Application/JSON;q=0.5,\tText/Event-Stream;q=0.1')],
    ['a charset', but('content-type', 'Content-Type: application/json; charset=UTF-8')],
    ['a quoted charset', but('content-type', 'Content-Type: application/json;charset="utf-8"')],
    ['another port in the Host', but('host', 'Host: localhost:1234')],
    ['an address as Host', but('host', 'Host: 127.0.0.1')],
    ['capitals in the Host', but('host', 'Host: LocalHost')],
    ['our own Origin', [...usual, 'Origin: http://localhost']],
  ]
  const opening = JSON.stringify({
    jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'w', version: '0' } },
  })
  it.each(taken)('takes %s', async (_what, lines) => {
    const answer = await wire({ port }, plainRequest('POST', '/mcp', lines, opening))
    expect(answer).toMatchObject({ status: 200, headers: { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' } })
    expect(answer.headers['mcp-session-id']).toMatch(/^[\x21-\x7e]{22,}$/)
  })

  it('refuses a body over the cap, told or untold, and keeps serving', async () => {
    const size = 4 * 1024 * 1024 + 1
    expectError(await raw.post(`"${'x'.repeat(size - 2)}"`), 413, -32600)
    const chunk = `${(64 * 1024).toString(16)}\r\n${'x'.repeat(64 * 1024)}\r\n`
    const chunked = `${plainRequest('POST', '/mcp', [...usual, 'Transfer-Encoding: chunked'])}${chunk.repeat(65)}0\r\n\r\n`
    expectError(await wire({ port }, chunked), 413, -32600)
    await stillServes()
  })

  it('refuses paths that only look like ours', async () => {
    for (const path of ['//mcp', '/mcp/', '/MCP', '/%6dcp', '/mcp%2f', '/./mcp', '/mcp/..', '/', '/servers', '/servers//mcp', '/servers/../mcp', '/servers/one/mcp/', 'http://localhost/mcp'])
      expect([path, (await wire({ port }, plainRequest('POST', path, usual, good))).status]).toEqual([path, 404])
    expect((await wire({ port }, plainRequest('POST', '/servers/nobody/mcp', usual, good))).status).toBe(404)
  })

  it('refuses pages of other origins on every path, also where a browser names no Origin', async () => {
    const readable = ['/sse', '/status', '/healthz', '/readyz']
    const get = async (path: string, ...lines: string[]) => {
      const { status } = await wire({ port }, plainRequest('GET', path, ['Host: localhost', 'Accept: */*', ...lines]))
      return [path, lines, status]
    }
    const foreign = ['Origin: https://evil.example', 'Origin: null', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: same-site']
    for (const path of [...readable, '/mcp', '/servers/one/mcp']) for (const line of foreign) expect(await get(path, line)).toEqual([path, [line], 403])
    for (const path of readable)
      for (const line of ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: none', 'Sec-Fetch-Mode: cors']) expect(await get(path, line)).toEqual([path, [line], 200])
  })

  it('refuses methods that a path does not have', async () => {
    for (const [method, path] of [['PUT', '/mcp'], ['HEAD', '/mcp'], ['OPTIONS', '/mcp'], ['GET', '/messages'], ['POST', '/sse'], ['POST', '/healthz'], ['DELETE', '/status'], ['TRACE', '/mcp']] as const)
      expect([method, path, (await wire({ port }, plainRequest(method, path, usual))).status]).toEqual([method, path, 405])
    // Without a session these two mean nothing in any revision.
    for (const method of ['GET', 'DELETE']) expect((await raw.send(method, { accept: 'text/event-stream' })).status).toBe(405)
    expect((await raw.send('GET', { 'mcp-protocol-version': '2026-07-28' })).status).toBe(405)
  })
})

describe('the newer era', () => {
  const call = (headers: Record<string, string | undefined>, params: JsonObject = echo, id: string | number = 7) => {
    const [message, usual] = modernRequest(id, 'tools/call', params)
    const sent = Object.fromEntries(Object.entries({ ...usual, ...headers }).filter(([, value]) => value !== undefined)) as Record<string, string>
    return raw.post(message, sent)
  }
  const mismatches: ReadonlyArray<[what: string, headers: Record<string, string | undefined>]> = [
    ['no version', { 'mcp-protocol-version': undefined }],
    ['another version', { 'mcp-protocol-version': '2025-11-25' }],
    ['no method', { 'mcp-method': undefined }],
    ['another method', { 'mcp-method': 'tools/list' }],
    ['the method in capitals', { 'mcp-method': 'TOOLS/CALL' }],
    ['the method encoded', { 'mcp-method': '=?base64?dG9vbHMvY2FsbA==?=' }],
    ['no name', { 'mcp-name': undefined }],
    ['another name', { 'mcp-name': 'two__echo' }],
    ['an empty name', { 'mcp-name': '' }],
    ['bad padding', { 'mcp-name': '=?base64?b25lX19lY2hv=?=' }],
    ['bad characters in base64', { 'mcp-name': '=?base64?b25lX19l*2hv?=' }],
    ['base64 of bytes that are no text', { 'mcp-name': '=?base64?/w==?=' }],
    ['the sentinel in capitals', { 'mcp-name': '=?BASE64?b25lX19lY2hv?=' }],
    ['raw bytes beyond ASCII', { 'mcp-name': 'one__echo\u00e9' }],
  ]
  it.each(mismatches)('header fields: %s', async (_what, headers) => {
    expectError(await call(headers), 400, -32020, 7)
    await stillServes()
  })

  it('reads an encoded name', async () => {
    expect((await call({ 'mcp-name': `=?base64?${Buffer.from('one__echo').toString('base64')}?=` })).status).toBe(200)
    const name = 'nichts für mich'
    const encoded = `=?base64?${Buffer.from(name).toString('base64')}?=`
    expectError(await call({ 'mcp-name': encoded }, { name }), 200, -32602, 7)
  })

  const faults: ReadonlyArray<[what: string, meta: JsonObject | undefined, headers: Record<string, string>, status: number, code: number]> = [
    ['no _meta', undefined, { 'mcp-protocol-version': '2026-07-28' }, 400, -32602],
    ['no version in _meta', { 'io.modelcontextprotocol/clientCapabilities': {} }, { 'mcp-protocol-version': '2026-07-28' }, 400, -32602],
    ['no capabilities', { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }, { 'mcp-protocol-version': '2026-07-28' }, 400, -32602],
    ['an unknown version', { ...envelope(), 'io.modelcontextprotocol/protocolVersion': '2099-01-01' }, { 'mcp-protocol-version': '2099-01-01' }, 400, -32022],
    ['a version of the older era', { ...envelope(), 'io.modelcontextprotocol/protocolVersion': '2025-11-25' }, { 'mcp-protocol-version': '2025-11-25' }, 400, -32022],
    ['a version that is a number', { ...envelope(), 'io.modelcontextprotocol/protocolVersion': 7 }, { 'mcp-protocol-version': '2026-07-28' }, 400, -32602],
  ]
  it.each(faults)('%s', async (_what, meta, headers, status, code) => {
    const message = { jsonrpc: '2.0', id: 'm', method: 'tools/list', ...(meta ? { params: { _meta: meta } } : {}) }
    expectError(await raw.post(message, { ...headers, 'mcp-method': 'tools/list' }), status, code, 'm')
    await stillServes()
  })

  it('tells which versions there are', async () => {
    const answer = await raw.post(
      { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: { ...envelope(), 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } } },
      { 'mcp-protocol-version': '2099-01-01', 'mcp-method': 'tools/list' },
    )
    expect(answer.messages[0]).toMatchObject({ error: { data: { supported: ['2026-07-28'], requested: '2099-01-01' } } })
  })

  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'no/such/thing'])('%s is not found, and a body says so', async method => {
    expectError(await raw.post(...modernRequest('gone', method)), 404, -32601, 'gone')
  })

  it('refuses an opening of the older era under the header of the newer', async () => {
    expectError(await raw.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }, { 'mcp-protocol-version': '2026-07-28' }), 400, -32020, 1)
  })

  it.each(['garbage', 'A'.repeat(100_000), '', 'AAAA'])('refuses a state it did not make', async requestState => {
    expectError(await call({}, { ...echo, requestState }), 200, -32602, 7)
  })

  it('accepts a notification and answers nothing', async () => {
    const answer = await raw.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, _meta: envelope() } }, { 'mcp-protocol-version': '2026-07-28' })
    expect(answer).toMatchObject({ status: 202, text: '' })
  })
})

describe('the older era', () => {
  it('needs the session, the right one', async () => {
    expectError(await raw.post(ping), 400, -32600, 1)
    expectError(await raw.post(ping, { 'mcp-session-id': 'nobody' }), 404, -32600, 1)
    expectError(await raw.post({ jsonrpc: '2.0', method: 'notifications/initialized' }), 400, -32600)
    expectError(await raw.post({ jsonrpc: '2.0', id: 1, result: {} }), 400, -32600)
  })

  it('takes batches in the one revision that has them', async () => {
    const old = await openSession(raw, '2025-03-26')
    const batch = [{ ...ping, id: 'a' }, { jsonrpc: '2.0', method: 'notifications/x' }, { ...ping, id: 'b' }, 7, { jsonrpc: '2.0', id: 'c', method: 7 }]
    const answer = await raw.post(batch as JsonObject[], old)
    expect(answer.status).toBe(200)
    expect(answer.messages).toHaveLength(4)
    expect(answer.messages).toEqual(expect.arrayContaining([
      { jsonrpc: '2.0', id: 'a', result: {} },
      { jsonrpc: '2.0', id: 'b', result: {} },
      expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32600 }) }),
      expect.objectContaining({ id: 'c', error: expect.objectContaining({ code: -32600 }) }),
    ]))
    expect((await raw.post([{ jsonrpc: '2.0', method: 'notifications/x' }], old)).status).toBe(202)
    expectError(await raw.post([ping, ping], old), 400, -32600)
    expectError(await raw.post([{ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }], old), 400, -32600)
    for (const revision of ['2024-11-05', '2025-06-18', '2025-11-25']) expectError(await raw.post([ping], await openSession(raw, revision)), 400, -32600)
  })

  it('refuses a second request of the same id while the first is in flight, and only that', async () => {
    const headers = await openSession(raw)
    const slow = raw.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__steps', arguments: { count: 10, delayMs: 20 } } }, headers)
    await new Promise(resolve => setTimeout(resolve, 50))
    expectError(await raw.post({ ...ping, id: 1 }, headers), 400, -32600, 1)
    expect((await raw.post({ ...ping, id: '1' }, headers)).messages).toEqual([{ jsonrpc: '2.0', id: '1', result: {} }])
    expect((await slow).messages.at(-1)).toMatchObject({ id: 1, result: {} })
    expect((await raw.post({ ...ping, id: 1 }, headers)).messages).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }])
  })

  it('refuses event ids that are none of its own', async () => {
    const headers = { ...await openSession(raw), accept: 'text/event-stream' }
    for (const id of ['x', '1', '0_99999', '7_1', '-1_-1', '1_1_1']) expectError(await raw.send('GET', { ...headers, 'last-event-id': id }), 400, -32600)
  })
})
