/**
 * `connect`: one remote server over stdio for the official clients, and what a person sees when it does not work. Headers
 * reach the server and nobody else.
 */
import { createServer } from 'node:http'
import { connect as dial, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { json, remoteServer, result, type RemoteServer } from '../unit/transports/remote-server.ts'
import { bin, createSandbox, remoteBackend, type BackendKind, type Started } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

// What is behind an address is tried by others with more clients; here each is there once.
const cells = [
  { kind: 'v1', backend: 'v1', over: 'http' }, { kind: 'v2-modern', backend: 'v1', over: 'sse' }, { kind: 'v2-legacy', backend: 'v2-modern', over: 'http' },
] as const satisfies ReadonlyArray<{ kind: ClientKind; backend: BackendKind; over: 'http' | 'sse' }>

describe.each(cells)('$kind client, $backend server over $over', ({ kind, backend, over }) => {
  const sandbox = createSandbox()
  let remote: Started
  let client: TestClient
  beforeAll(async () => {
    remote = await remoteBackend(sandbox, backend, 'one', over)
    client = await connectClient({ kind, command: process.execPath, args: [bin, 'connect', remote.url], env: sandbox.env, cwd: sandbox.dir, answers: willing })
  })
  afterAll(async () => {
    await client?.close()
    await remote?.stop()
    await sandbox.dispose()
  })
  it.each(Object.entries(scenarios))('%s', async (_title, run) => {
    await run({ client, backend, name: own => own, journal: () => sandbox.readJournal('one'), bystander: () => [] })
  })
  it('leaves no errors behind', () => expect(client.errors).toEqual([]))
})

describe('headers', () => {
  const sandbox = createSandbox()
  let server: RemoteServer
  beforeAll(async () => {
    server = await remoteServer(asked => {
      const { message, method, request, response } = asked
      if (method !== 'POST') return void response.writeHead(405).end()
      if (request.headers.authorization !== 'Bearer t0p-s3cret-value') return json(asked, 401, { error: 'who are you?' })
      if (message?.method === 'initialize')
        return result(asked, { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'guarded', version: '1' } }, { 'mcp-session-id': 'abc' })
      if (message?.method === 'tools/list') return result(asked, { tools: [{ name: 'who', inputSchema: { type: 'object' } }] })
      if (message?.method === 'tools/call')
        return result(asked, { content: [{ type: 'text', text: JSON.stringify([request.headers['x-team'], request.headers['mcp-protocol-version'], request.headers['mcp-session-id']]) }] })
      if (message?.id === undefined) return void response.writeHead(202).end()
      json(asked, 400, { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no such method' } })
    })
  })
  afterAll(async () => {
    await server.close()
    await sandbox.dispose()
  })

  it.each([
    ['from an argument', () => ['--header', 'Authorization: Bearer t0p-s3cret-value', '--header', 'X-Team:blue']],
    ['from a variable', () => ['--header', 'Authorization: Bearer ${GUARD_TOKEN}', '--header', 'X-Team: ${TEAM:-blue}']],
    ['from a file', () => ['--header-file', sandbox.write('headers.txt', '# mine\nAuthorization: Bearer t0p-s3cret-value\nX-Team: blue\n')]],
  ])('%s', async (_name, args) => {
    const env = { ...sandbox.env, GUARD_TOKEN: 't0p-s3cret-value' }
    const client = await connectClient({ kind: 'v1', command: process.execPath, args: [bin, 'connect', server.url, '--debug', ...args()], env, cwd: sandbox.dir })
    expect((await client.tools()).map(tool => tool['name'])).toEqual(['who'])
    expect(JSON.parse(await client.say('who'))).toEqual(['blue', '2025-06-18', 'abc'])
    await client.close()
    expect(client.stderr()).toMatch(/127\.0\.0\.1/)
    expect(client.stderr()).not.toMatch(/s3cret/)
    expect(server.asked.at(-1)).toMatchObject({ method: 'DELETE' })
  })

  it('that are wrong end it with the exit code for signing in', async () => {
    const { code, stdout, stderr } = await sandbox.run(['connect', server.url, '--header', 'Authorization: Bearer wr0ng-s3cret'], { hold: 5000 })
    expect(code).toBe(5)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/BACKEND_NEEDS_AUTH.*401/)
    expect(stderr).not.toMatch(/s3cret|who are you/)
  })
})

describe('through a proxy', () => {
  const sandbox = createSandbox()
  const told: string[] = []
  const proxy = createServer().on('connect', (request, socket, head: Buffer) => {
    const signed = Buffer.from((request.headers['proxy-authorization'] ?? '').slice('Basic '.length), 'base64').toString()
    told.push(signed)
    socket.on('error', () => {})
    if (signed !== 'me:p@ss-s3cret') return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n')
    const target = dial(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      target.write(head)
      target.pipe(socket).pipe(target)
    }).on('error', () => socket.destroy())
  })
  let server: RemoteServer
  let at = ''
  beforeAll(async () => {
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    at = `127.0.0.1:${(proxy.address() as AddressInfo).port}`
    server = await remoteServer(asked => {
      const { message, method, response } = asked
      if (method !== 'POST') return void response.writeHead(405).end()
      if (message?.method === 'initialize') return result(asked, { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'far', version: '1' } })
      if (message?.method === 'tools/list') return result(asked, { tools: [{ name: 'who', inputSchema: { type: 'object' } }] })
      if (message?.id === undefined) return void response.writeHead(202).end()
      json(asked, 400, { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no such method' } })
    })
  })
  afterAll(async () => {
    proxy.close()
    await server.close()
    await sandbox.dispose()
  })
  const url = (): string => `http://far.example.test:${new URL(server.url).port}/mcp`

  it.each(['http://', ''])('that wants credentials, written as %j HOST:PORT', async scheme => {
    const env = { ...sandbox.env, HTTP_PROXY: `${scheme}me:p%40ss-s3cret@${at}` }
    const client = await connectClient({ kind: 'v1', command: process.execPath, args: [bin, 'connect', url(), '--debug'], env, cwd: sandbox.dir })
    expect((await client.tools()).map(tool => tool['name'])).toEqual(['who'])
    await client.close()
    expect(new Set(told.splice(0))).toEqual(new Set(['me:p@ss-s3cret']))
    for (const { request } of server.asked) expect(JSON.stringify(request.rawHeaders)).not.toMatch(/proxy-auth|s3cret/i)
    expect(client.stderr()).not.toMatch(/s3cret|cEBzcy1zM2NyZX/)
  })

  it.each([
    ['that is given others', () => `http://me:0ther-s3cret@${at}`, /the proxy on the way answered 407 it wants credentials.*HTTP_PROXY/s],
    ['that is away', () => 'http://me:0ther-s3cret@127.0.0.1:1', /the proxy on the way cannot be reached \(ECONNREFUSED\)/],
    ['that is none', () => 'ftp://me:0ther-s3cret@x', /HTTP_PROXY does not name a proxy/],
  ])('%s', async (_name, proxied, text) => {
    const { stderr } = await sandbox.run(['connect', url(), '--debug'], { hold: 1500, env: { HTTP_PROXY: proxied() } })
    expect(stderr.replace(/"hint":"([^"]*)".*"msg":"([^"]*)"/g, '$2 $1')).toMatch(text)
    expect(stderr).not.toMatch(/s3cret|internal error/)
  })
})

describe('what cannot work', () => {
  const sandbox = createSandbox()
  afterAll(() => sandbox.dispose())
  it.each([
    [['connect'], /missing required argument/],
    [['connect', 'example.com/mcp'], /http:\/\/ or https:\/\//],
    [['connect', 'ftp://example.com/'], /http:\/\/ or https:\/\//],
    [['connect', 'http://127.0.0.1:1/', '--type', 'stdio'], /http or sse/],
    [['connect', 'http://127.0.0.1:1/', '--header', 'no colon s3cret'], /Name: value/],
    [['connect', 'http://127.0.0.1:1/', '--header', 'A: ${NOT_SET_ANYWHERE}'], /NOT_SET_ANYWHERE/],
    [['connect', 'http://127.0.0.1:1/', '--header-file', 'nowhere.txt'], /nowhere\.txt/],
  ])('%j', async (args, text) => {
    const { code, stderr } = await sandbox.run(args)
    expect(stderr).toMatch(text)
    expect(stderr).not.toMatch(/s3cret|\n\s+at /)
    expect(code).toBe(2)
  })

  it('a page that is no server is told at once', async () => {
    const page = await remoteServer(({ response }) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'))
    const { code, stderr } = await sandbox.run(['connect', page.url], { hold: 5000 })
    await page.close()
    expect(stderr).toMatch(/web page/)
    expect(code).toBe(1)
  })

  it('a server that is away is waited for', async () => {
    const away = await remoteServer(() => {})
    await away.close()
    const { code, stderr } = await sandbox.run(['connect', away.url], { hold: 1500 })
    expect(stderr).toMatch(/refused/)
    expect(code).toBe(0)
  })
})
