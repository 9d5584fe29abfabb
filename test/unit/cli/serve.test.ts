/** `serve` and `connect` in this process: flags, token, paths, refusals, and the order of the end. The server behind is a few lines of HTTP. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandLine } from '../../../src/cli/command.ts'
import { findToken } from '../../../src/cli/token.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { json, remoteServer, result, type Asked } from '../transports/remote-server.ts'
import { fakeIo, type FakeIo } from './fake-io.ts'

let dir: string
const closing: Array<() => Promise<unknown>> = []
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'serve-'))))
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  rmSync(dir, { recursive: true, force: true })
})

const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const echo = { name: 'echo', inputSchema: { type: 'object', properties: { message: { type: 'string' } } } }

/** A server of 2026-07-28 with one tool. */
function answer(asked: Asked): void {
  const { message } = asked
  const params = message?.params as JsonObject | undefined
  const complete = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }
  if (message?.method === 'server/discover')
    return result(asked, { ...complete, supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, serverInfo: { name: 'remote', version: '1' } })
  if (message?.method === 'tools/list') return result(asked, { ...complete, tools: [echo] })
  if (message?.method === 'tools/call')
    return result(asked, { ...complete, content: [{ type: 'text', text: String((params?.['arguments'] as JsonObject)['message']) }] })
  return json(asked, 404, { jsonrpc: '2.0', id: message?.id ?? null, error: { code: -32601, message: 'method not found' } })
}

async function remote(): Promise<string> {
  const server = await remoteServer(answer)
  closing.push(() => server.close())
  return server.url
}

const path = (name: string): string => join(dir, name)
const write = (name: string, value: unknown, mode = 0o600): string => {
  writeFileSync(path(name), typeof value === 'string' ? value : JSON.stringify(value), { mode })
  return path(name)
}

interface Serving {
  readonly io: FakeIo
  readonly url: string
  readonly done: Promise<number>
}

/** Starts a command that serves and waits until it says where. */
async function serving(config: object, flags: readonly string[], env: Record<string, string> = {}): Promise<Serving> {
  const io = fakeIo({ cwd: dir, env: { MCP_PROXY_HOME: path('home'), NO_COLOR: '1', ...env } })
  const done = commandLine(['serve', '--config', write('c.json', config), ...flags], io).run()
  closing.push(async () => {
    io.signal('SIGTERM')
    io.signal('SIGTERM')
    await done
  })
  await expect.poll(() => /listening (\S+)/.exec(io.err())?.[1] ?? (/error [A-Z]/.test(io.err()) ? io.err() : undefined), { timeout: 8000 }).toMatch(/^(https?:|unix:)/)
  return { io, url: /listening (\S+)/.exec(io.err())?.[1] as string, done }
}

async function refused(flags: readonly string[], config: object = { mcpServers: {} }, env: Record<string, string> = {}) {
  const io = fakeIo({ cwd: dir, env: { MCP_PROXY_HOME: path('home'), NO_COLOR: '1', ...env } })
  const code = await commandLine(['serve', '--config', write('c.json', config), ...flags], io).run()
  return { code, err: io.err() }
}

const post = async (url: string, method: string, params: JsonObject = {}, headers: Record<string, string> = {}) => {
  const name = params['name'] as string | undefined
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': name }), ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } }),
  })
  return { status: response.status, body: (await response.json()) as any }
}

const off = { mcpServers: { none: { command: 'node', enabled: false } } }
const local = ['--http', '--port', '0', '--no-auth']

describe('serve', () => {
  it('calls a server behind it, as all servers and as one', async () => {
    const { url } = await serving({ mcpServers: { far: { url: await remote() } } }, local)
    expect((await post(url, 'tools/list')).body.result.tools).toMatchObject([{ name: 'far__echo' }])
    expect((await post(url, 'tools/call', { name: 'far__echo', arguments: { message: 'hi' } })).body.result.content).toEqual([{ type: 'text', text: 'hi' }])
    const alone = url.replace(/\/mcp$/, '/servers/far/mcp')
    expect((await post(alone, 'tools/call', { name: 'echo', arguments: { message: 'alone' } })).body.result.content).toEqual([{ type: 'text', text: 'alone' }])
    expect(await post(url.replace(/\/mcp$/, '/servers/nobody/mcp'), 'tools/list')).toMatchObject({ status: 404, body: { error: { message: 'there is no server called nobody' } } })
  })

  it('serves a session of an older revision too', async () => {
    const { url } = await serving({ mcpServers: { far: { url: await remote() } } }, local)
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    const say = async (body: object, more: Record<string, string> = {}) => fetch(url, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...body }) })
    const opening = await say({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } })
    const session = { 'mcp-session-id': opening.headers.get('mcp-session-id') as string, 'mcp-protocol-version': '2025-11-25' }
    expect((await say({ method: 'notifications/initialized' }, session)).status).toBe(202)
    const text = await (await say({ id: 1, method: 'tools/call', params: { name: 'far__echo', arguments: { message: 'old' } } }, session)).text()
    expect(text).toContain('"text":"old"')
    expect((await fetch(url, { method: 'DELETE', headers: session })).status).toBe(200)
    expect((await say({ id: 2, method: 'ping' }, session)).status).toBe(404)
  })

  it('tells how it is: alive, ready, and in detail', async () => {
    const { url } = await serving(off, local)
    const get = async (name: string) => {
      const response = await fetch(new URL(name, url))
      return [response.status, await response.json()]
    }
    expect(await get('/healthz')).toEqual([200, { alive: true }])
    expect(await get('/readyz')).toEqual([200, { ready: true, backends: {} }])
    expect(await get('/status')).toMatchObject([200, { backends: [{ alias: 'none', state: 'disabled' }] }])
  })

  it('asks for the token, which it makes once and names', async () => {
    const first = await serving(off, ['--http', '--port', '0'])
    const file = /token in (\S+)/.exec(first.io.err())?.[1] as string
    const token = readFileSync(file, 'utf8').trim()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(first.io.err()).not.toContain(token)
    expect((await fetch(first.url, { method: 'POST' })).status).toBe(401)
    expect((await post(first.url, 'tools/list', {}, { authorization: `Bearer ${token}x` }).catch(() => ({ status: 401 }))).status).toBe(401)
    expect((await post(first.url, 'tools/list', {}, { authorization: `Bearer ${token}` })).status).toBe(200)
    const second = await serving(off, ['--http', '--port', '0', '--quiet'])
    expect(second.io.err()).not.toContain('token in')
    expect((await post(second.url, 'tools/list', {}, { authorization: `Bearer ${token}` })).status).toBe(200)
  })

  it('serves where the config says, on a port and on a socket that only its owner can use', async () => {
    const { io } = await serving({ ...off, listen: { http: { port: 0, path: '/x' }, socket: 's.sock' } }, ['--no-auth'])
    await expect.poll(() => io.err()).toContain('unix:')
    expect(io.err()).toMatch(/listening http:\/\/127\.0\.0\.1:\d+\/x\n/)
    const socket = path('s.sock')
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    const alive = await new Promise(resolve => request({ socketPath: socket, path: '/healthz', headers: { host: 'localhost' } }, response => resolve(response.statusCode)).end())
    expect(alive).toBe(200)
  })

  it('takes the place of a socket that nobody serves, and of no other file', async () => {
    const socket = path('s.sock')
    const dead = createServer().listen(socket)
    await new Promise(resolve => dead.once('listening', resolve))
    expect(await refused(['--socket', 's.sock', '--no-auth'])).toMatchObject({ code: 1, err: expect.stringContaining('is in use') })
    await new Promise(resolve => dead.close(resolve))
    write('s.sock', 'a file')
    expect((await refused(['--socket', 's.sock', '--no-auth'])).err).toContain('LISTEN_FAILED')
    expect(readFileSync(socket, 'utf8')).toBe('a file')
  })

  it.each<[string, string[], string, string]>([
    ['nowhere', [], 'USAGE', 'say where to serve'],
    ['a port that is none', ['--http', '--port', '70000'], 'USAGE', 'a port is a number'],
    ['no token where others can reach it', ['--http', '--no-auth', '--host', '0.0.0.0'], 'USAGE', '--no-auth is refused on 0.0.0.0'],
    ['half a certificate', ['--http', '--tls-cert', 'c.pem', '--no-auth'], 'USAGE', 'go together'],
    ['a certificate that is none', ['--http', '--tls-cert', 'c.json', '--tls-key', 'c.json', '--no-auth'], 'CONFIG_INVALID', 'TLS certificate'],
    ['a path of its own', ['--http', '--port', '0', '--path', '/status', '--no-auth'], 'USAGE', 'is taken'],
    ['a token file that is not there', ['--http', '--token-file', 'no-such'], 'CONFIG_INVALID', 'cannot be read'],
  ])('refuses %s', async (_what, flags, code, words) => {
    const { code: exit, err } = await refused(flags)
    expect(exit).toBe(code === 'LISTEN_FAILED' ? 1 : 2)
    expect(err).toContain(`error ${code}`)
    expect(err).toContain(words)
  })

  it('ends on a signal: not ready any more, calls finished, socket gone', async () => {
    const { io, done } = await serving(off, ['--socket', 's.sock', '--no-auth'])
    io.signal('SIGINT')
    expect(await done).toBe(130)
    expect(existsSync(path('s.sock'))).toBe(false)
    expect(io.listeners.size).toBe(0)
  })
})

describe('the token', () => {
  const sources = (more: object) => ({ flag: undefined, environment: undefined, configured: undefined, state: path('state'), ...more })
  const good = 'a-token-of-sixteen'

  it('comes from the flag, else the environment, else its file, else the config, else it is made', async () => {
    const file = (name: string) => write(name, `${name}-${good}\n`)
    const all = { flag: file('flag'), environment: `env-${good}`, environmentFile: file('env-file'), configured: file('config') }
    expect((await findToken(sources(all))).token).toBe(`flag-${good}`)
    expect((await findToken(sources({ ...all, flag: undefined }))).token).toBe(`env-${good}`)
    expect((await findToken(sources({ ...all, flag: undefined, environment: '' }))).token).toBe(`env-file-${good}`)
    expect((await findToken(sources({ configured: all.configured }))).token).toBe(`config-${good}`)
    const made = await findToken(sources({}))
    expect(made).toMatchObject({ made: path('state/token'), token: expect.stringMatching(/^[\w-]{43}$/) })
    expect(await findToken(sources({}))).toEqual(made)
  })

  it.each([['short', 'short'], ['blank inside', 'a token with blanks in it'], ['empty', '']])('is refused when it is %s, and never replaced', async (_what, text) => {
    await expect(findToken(sources({ flag: write('t', text) }))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('is used with a warning when others can read it', async () => {
    const file = write('t', good)
    chmodSync(file, 0o644)
    expect(await findToken(sources({ flag: file }))).toMatchObject({ token: good, warning: expect.stringContaining('chmod 600') })
  })

  it('that cannot be kept is not made', async () => {
    const state = join(write('f', 'a file where a folder should be'), 'state')
    await expect(findToken(sources({ state }))).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('cannot be written') })
  })
})

describe('connect', () => {
  const connected = async (argv: readonly string[], ...lines: object[]) => {
    const io = fakeIo({ cwd: dir, env: { MCP_PROXY_HOME: path('home'), NO_COLOR: '1', KEY: 'from-the-environment' } })
    mkdirSync(path('home'), { recursive: true })
    const done = commandLine(['connect', ...argv], io).run()
    io.type(...lines.map(line => JSON.stringify(line)))
    io.end()
    return { code: await done, answers: io.out().trim().split('\n').filter(Boolean).map(line => JSON.parse(line)), err: io.err() }
  }
  const call = (id: number, method: string, params: JsonObject = {}) => ({ jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } })

  it('serves one remote server under its own names, with the headers it was given', async () => {
    const seen: unknown[] = []
    const server = await remoteServer(asked => {
      seen.push(asked.request.headers['x-key'], asked.request.headers['x-more'], asked.request.headers['authorization'])
      answer(asked)
    })
    closing.push(() => server.close())
    const headers = write('headers', '# for the test\nX-More: from-a-file\n')
    const { code, answers } = await connected(
      [server.url, '--header', 'X-Key: ${KEY}', '--header', 'Authorization:Bearer sesame-open', '--header-file', headers],
      call(1, 'tools/list'), call(2, 'tools/call', { name: 'echo', arguments: { message: 'hi' } }),
    )
    expect(code).toBe(0)
    expect(answers.find(({ id }) => id === 1).result.tools).toMatchObject([{ name: 'echo' }])
    expect(answers.find(({ id }) => id === 2).result.content).toEqual([{ type: 'text', text: 'hi' }])
    expect(new Set(seen)).toEqual(new Set(['from-the-environment', 'from-a-file', 'Bearer sesame-open']))
  })

  it.each<[string, string[], string]>([
    ['an address that is none', ['ftp://example.com'], 'begins with http'],
    ['a transport that is none', ['http://127.0.0.1:1/mcp', '--type', 'websocket'], 'it is http or sse'],
    ['a header without a name', ['http://127.0.0.1:1/mcp', '--header', 'sesame-open'], "a header is 'Name: value'"],
    ['a header file that is not there', ['http://127.0.0.1:1/mcp', '--header-file', 'none'], 'cannot be read'],
    ['a variable that is not set', ['http://127.0.0.1:1/mcp', '--header', 'X: ${NOT_SET}'], 'NOT_SET'],
  ])('refuses %s', async (_what, argv, words) => {
    const { code, answers, err } = await connected(argv)
    expect([code, answers]).toEqual([2, []])
    expect(err).toContain(words)
    expect(err).not.toContain('sesame-open')
  })

  it('ends with 5 when the server wants credentials', async () => {
    const server = await remoteServer(asked => json(asked, 401, { error: 'unauthorized' }, { 'www-authenticate': 'Bearer' }))
    closing.push(() => server.close())
    const { code, err } = await connected([server.url], call(1, 'tools/list'))
    expect([code, err]).toEqual([5, expect.stringContaining('BACKEND_NEEDS_AUTH')])
  })
})
