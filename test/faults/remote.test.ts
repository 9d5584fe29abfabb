/** Remote servers that refuse, redirect, break off, lie about their content or have a bad certificate: each failure named, few retries. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecure } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { newMarker } from './lib/oracles.ts'
import { record, round } from './lib/record.ts'
import { said, type StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

/** What the server does with a call of a tool; everything else it does well. */
let mode = 'well'
let requests = 0
let sessions = 0
let session = ''
const marker = newMarker('b')

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request) body += chunk
  const json = (value: object, headers = {}): void => void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
  if (request.method !== 'POST') return void response.writeHead(405).end()
  const { id, method, params } = JSON.parse(body) as { id?: number; method: string; params: JsonObject }
  if (method === 'initialize') {
    session = `session-${++sessions}`
    return json({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'far', version: '1' } } }, { 'mcp-session-id': session })
  }
  if (id === undefined) return void response.writeHead(202).end()
  if (method === 'tools/list') return json({ jsonrpc: '2.0', id, result: { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } })
  if (method !== 'tools/call') return json({ jsonrpc: '2.0', id, error: { code: -32601, message: `no ${method}` } })
  requests++
  if (request.headers['mcp-session-id'] !== session) return void response.writeHead(404).end('no such session')
  const { arguments: given } = params as { arguments: { mark: string } }
  const answer = { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: JSON.stringify({ from: marker, pid: 0, mark: given.mark }) }] } }
  switch (mode) {
    case 'forgets':
      mode = 'well'
      session = 'forgotten'
      return void response.writeHead(404).end()
    case '401':
      return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    case '404':
      return void response.writeHead(404).end()
    case '429':
      return void response.writeHead(429, { 'retry-after': '7' }).end()
    case '500':
    case '503':
      return void response.writeHead(Number(mode), { 'content-type': 'text/plain' }).end('stack trace at secret.js:1:1')
    case 'loop':
      return void response.writeHead(307, { location: request.url as string }).end()
    case 'elsewhere':
      return void response.writeHead(307, { location: 'http://169.254.169.254/latest/meta-data' }).end()
    case 'html':
      return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html><script>alert(1)</script>')
    case 'garbage':
      return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":')
    case 'reset':
      return void response.socket?.destroy()
    case 'half':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write(JSON.stringify(answer).slice(0, 20))
      return void setTimeout(() => response.socket?.destroy(), 50)
    case 'large':
    case 'large stream': {
      const stream = mode === 'large stream'
      response.setMaxListeners(1000).writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' })
      response.write(`${stream ? 'data: ' : ''}${JSON.stringify(answer).slice(0, -5)}`)
      for (let n = 0; n < 100 && !response.destroyed; n++)
        if (!response.write('x'.repeat(1024 * 1024))) await new Promise<void>(resolve => (response.once('drain', resolve), response.once('close', resolve)))
      return void response.end('"}]}}\n\n')
    }
    case 'silent':
      return
    default:
      return json(answer)
  }
}

const failures: readonly (readonly [string, string | RegExp, number])[] = [
  ['401', 'BACKEND_NEEDS_AUTH', 2],
  ['404', /BACKEND_/, 3],
  ['429', /BACKEND_(HTTP|BUSY)/, 3],
  ['500', 'BACKEND_HTTP', 2],
  ['503', /BACKEND_/, 3],
  ['loop', /BACKEND_/, 10],
  ['elsewhere', /BACKEND_/, 2],
  ['html', /BACKEND_/, 2],
  ['garbage', /BACKEND_/, 2],
  ['reset', /BACKEND_/, 2],
  ['half', /BACKEND_/, 2],
  ['large', 'MESSAGE_TOO_LARGE', 2],
  ['large stream', 'MESSAGE_TOO_LARGE', 2],
  ['silent', 'BACKEND_TIMEOUT', 2],
]

describe('a remote server', () => {
  const world = new World()
  const server = createServer((request, response) => void serve(request, response))
  let client: StdioClient
  beforeAll(async () => {
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    world.markers.set('far', marker)
    const secret = world.rogue('near')
    client = world.run({
      mcpServers: {
        far: {
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, type: 'http', headers: { Authorization: 'Bearer ${file:near.token}' },
          timeouts: { call: 1500 }, breaker: { failures: 0 }, restart: { backoff: 0, holdAfter: 0 },
        },
        near: secret,
      },
    }, { probe: true })
    await client.hello()
    expect(await eventually(async () => {
      const names = await client.tools()
      return names.includes('far__echo') ? names : undefined
    }, 'its tools', 10_000)).toContain('near__echo')
  })
  afterAll(async () => {
    server.closeAllConnections()
    server.close()
    await world.end()
  })
  world.sandbox.write('near.token', 'pw-0123456789abcdef0123456789abcdef')
  world.secrets.push('pw-0123456789abcdef0123456789abcdef')

  const seen: string[] = []
  it.each(failures)('that answers a call with %s fails that call, typed, and serves the next', async (how, code, budget) => {
    mode = how
    requests = 0
    await world.look(client)
    const reply = await client.call('far', 'echo').reply
    const tried = requests
    const { lateMs } = await world.look(client)
    mode = 'well'
    expect(reply.error?.data?.code).toMatch(code)
    expect(reply.error?.data?.backend).toBe('far')
    expect(reply.error?.message).not.toContain('secret.js')
    expect(tried).toBeLessThanOrEqual(budget)
    expect(lateMs).toBeLessThan(500)
    expect((await client.call('near', 'echo').reply).error).toBeUndefined()
    const next = await eventually(async () => {
      const call = client.call('far', 'echo')
      const answer = await call.reply
      return answer.error ? undefined : { call, answer }
    }, 'it to serve again', 15_000)
    expect(said(next.answer).mark).toBe(next.call.mark)
    seen.push(`${how}: ${reply.error?.data?.code}, ${tried} sent`)
  })

  it('that has forgotten the session is greeted again, and the call is answered', async () => {
    const before = sessions
    mode = 'forgets'
    const call = client.call('far', 'echo')
    expect(said(await call.reply).mark).toBe(call.mark)
    expect(sessions).toBe(before + 1)
    record({
      fault: '20', id: 'remote', what: 'a remote server refuses, redirects in a circle and inward, breaks off, lies about its content, sends 100 MB, is silent, forgets the session',
      promise: 'each failure typed, retries within budget, the next call served; a forgotten session opened again in silence',
      measured: `${seen.join('; ')}; forgotten session: answered`, met: seen.length === failures.length,
    })
  })
})

describe('a remote server with a bad certificate', () => {
  const world = new World()
  afterAll(() => world.end())

  it('is not spoken to, and the reason is said', async () => {
    const { dir } = world.sandbox
    const at = (name: string): string => join(dir, name)
    const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
    world.sandbox.write('san', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
    openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('k.pem'), '-subj', '/CN=localhost', '-out', at('r.pem'))
    openssl('x509', '-req', '-in', at('r.pem'), '-signkey', at('k.pem'), '-days', '-1', '-extfile', at('san'), '-out', at('c.pem'))
    let spokenTo = 0
    const server = createSecure({ cert: readFileSync(join(dir, 'c.pem')), key: readFileSync(join(dir, 'k.pem')) }, (_request, response) => {
      spokenTo++
      response.end()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
    const client = world.run({
      mcpServers: { expired: { url, caFile: join(dir, 'c.pem') }, untrusted: { url }, near: world.rogue('near') }, startWait: '3s',
    })
    const startedAt = performance.now()
    await client.hello()
    expect(await client.tools()).toContain('near__echo')
    const errors = await Promise.all(['expired', 'untrusted'].map(async alias => (await client.request('tools/call', { name: `${alias}__x`, arguments: {} }).reply).error))
    server.close()
    expect(errors[0]?.data?.hint ?? errors[0]?.message).toMatch(/expired/i)
    expect(errors[1]?.data?.hint ?? errors[1]?.message).toMatch(/certificate|self.signed/i)
    expect(spokenTo).toBe(0)
    record({
      fault: '20', id: 'tls', what: 'a remote server with an expired certificate, and one with an unknown issuer', promise: 'not spoken to; the reason is said',
      measured: `0 requests reached them; "${errors[0]?.data?.hint}", "${errors[1]?.data?.hint}"; others served after ${round(performance.now() - startedAt)} ms`, met: spokenTo === 0,
    })
  })
})
