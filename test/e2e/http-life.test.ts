/** `serve` as a process: where it listens and refuses to, who is told what of its readiness, and how it ends. */
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { modernRequest, openSession, rawHttp, type RawHttp } from '../fixtures/clients/raw-http.ts'
import { plainRequest, wire } from '../fixtures/clients/wire.ts'
import { bin, createSandbox, serve, startListening, stdioBackend, type Sandbox, type Started } from './harness.ts'

let sandbox: Sandbox
const running: Started[] = []
const clients: RawHttp[] = []
beforeEach(() => void (sandbox = createSandbox()))
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await Promise.all(running.splice(0).map(each => each.stop()))
  await sandbox.dispose()
})

const one = (extra: JsonObject = {}) => ({ mcpServers: { one: { ...stdioBackend(sandbox, 'v1', 'one'), ...extra } } })
const started = async (config: JsonObject, args: readonly string[] = []) => {
  const listener = await serve(sandbox, config, args)
  running.push(listener)
  return listener
}
const client = (url: string) => {
  const raw = rawHttp(url)
  clients.push(raw)
  return raw
}
const at = (url: string, path: string) => client(url.replace(/\/mcp$/, path)).send('GET')
const slow = (id: string, ms: number) => modernRequest(id, 'tools/call', { name: 'one__slow', arguments: { key: id, ms } })
const hasStarted = (key: string) => eventually(() => sandbox.readJournal('one').find(entry => entry.event === 'started' && entry.key === key), `${key} to start`)

describe('where it listens', () => {
  const refused: ReadonlyArray<[what: string, args: string[], code: string]> = [
    ['nowhere', [], 'USAGE'],
    ['everywhere without a token', ['--http', '--host', '0.0.0.0', '--no-auth'], 'USAGE'],
    ['on any address without a token', ['--http', '--host', '::', '--no-auth'], 'USAGE'],
    ['on a name without a token', ['--http', '--host', 'example.com', '--no-auth'], 'USAGE'],
    ['on a port that is none', ['--http', '--port', '65536'], 'USAGE'],
    ['on a port in words', ['--http', '--port', 'http'], 'USAGE'],
    ['with half a certificate', ['--http', '--tls-cert', 'c.pem'], 'USAGE'],
    ['with a certificate that is none', ['--http', '--tls-cert', 'none.pem', '--tls-key', 'none.pem'], 'CONFIG_INVALID'],
    ['with a token file that is not there', ['--http', '--token-file', 'none'], 'CONFIG_INVALID'],
    ['with an empty token', ['--http', '--token-file', 'empty'], 'CONFIG_INVALID'],
    ['with a token anybody could guess', ['--http', '--token-file', 'short'], 'CONFIG_INVALID'],
    ['on a path of its own', ['--http', '--path', '/status'], 'USAGE'],
    ['on a path that no request has', ['--http', '--port', '0', '--path', 'mcp'], 'USAGE'],
  ]
  it.each(refused)('refuses to listen %s', async (_what, args, code) => {
    sandbox.write('empty', '\n')
    sandbox.write('short', 'secret')
    const { code: exit, stderr } = await sandbox.run(['serve', '--json', '--config', sandbox.config({ mcpServers: {} }), ...args])
    expect(stderr).toContain(`"code":"${code}"`)
    expect(exit).toBe(2)
  })

  it('says so when the port is taken', async () => {
    const { url } = await started({ mcpServers: {} })
    const { code, stderr } = await sandbox.run(['serve', '--http', '--no-auth', '--json', '--port', new URL(url).port, '--config', sandbox.config({ mcpServers: {} })])
    expect([code, stderr]).toEqual([1, expect.stringContaining('LISTEN_FAILED')])
  })

  it.skipIf(process.platform === 'win32')('says so when the folder of the socket is not there', async () => {
    const { code, stderr } = await sandbox.run(['serve', '--socket', 'none/p.sock', '--no-auth', '--config', sandbox.config({ mcpServers: {} })])
    expect([code, stderr]).toEqual([1, expect.stringContaining(`there is no folder ${join(sandbox.dir, 'none')}`)])
  })

  it.runIf(process.platform === 'linux')('leaves the socket of a process that has too many clients waiting to answer', async () => {
    const path = join(sandbox.dir, 'p.sock')
    const stands = `require('net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => process.kill(process.pid, 'SIGSTOP'))`
    const other = spawn(process.execPath, ['-e', stands], { stdio: 'ignore' })
    const waiting: Socket[] = []
    try {
      await eventually(() => /^State:\s+T/m.test(readFileSync(`/proc/${other.pid}/status`, 'utf8')) || undefined, 'it to stand still')
      for (let n = 0; n < 4; n++) waiting.push(connect(path).on('error', () => {}))
      const { ino } = statSync(path)
      const { code, stderr } = await sandbox.run(['serve', '--socket', path, '--no-auth', '--config', sandbox.config({ mcpServers: {} })], { timeoutMs: 5000 })
      expect([code, stderr]).toEqual([1, expect.stringContaining('it is in use')])
      expect(statSync(path).ino).toBe(ino)
    } finally {
      for (const socket of waiting) socket.destroy()
      other.kill('SIGKILL')
    }
  })

  it('makes a token once, for nobody else to read, and says where it is', async () => {
    const config = sandbox.config({ mcpServers: {} })
    const file = join(sandbox.env['MCP_PROXY_HOME'] as string, 'state', 'token')
    const tokens: string[] = []
    for (let round = 0; round < 2; round++) {
      const listener = await startListening(process.execPath, [bin, 'serve', '--http', '--port', '0', '--config', config], { env: { ...sandbox.env }, cwd: sandbox.dir })
      tokens.push(readFileSync(file, 'utf8').trim())
      expect(listener.stderr()).toContain(`token in ${file}`)
      expect(listener.stderr()).not.toContain(tokens[round])
      const ask = (token: string) => client(listener.url).post(...withToken(token))
      expect([(await ask(tokens[round] as string)).status, (await ask('x'.repeat(43))).status]).toEqual([200, 401])
      await listener.stop()
    }
    expect(tokens[0]).toBe(tokens[1])
    expect(Buffer.from(tokens[0] as string, 'base64url')).toHaveLength(32)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })
  const withToken = (token: string): [JsonObject, Record<string, string>] => {
    const [message, headers] = modernRequest(1, 'tools/list')
    return [message, { ...headers, authorization: `Bearer ${token}` }]
  }

  it.skipIf(process.platform === 'win32')('listens on a socket that only its owner can use, and takes over a dead one', async () => {
    const path = join(sandbox.dir, 'p.sock')
    for (let round = 0; round < 2; round++) {
      const listener = await started({ ...one(), listen: { socket: path } }, ['--socket', path])
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const [message, headers] = modernRequest(1, 'tools/call', { name: 'one__echo', arguments: { message: 'by socket' } })
      const lines = ['Host: localhost', 'Content-Type: application/json', ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)]
      expect((await wire({ path }, plainRequest('POST', '/mcp', lines, JSON.stringify(message)), 500)).body).toContain('by socket')
      if (round === 0) {
        const { stderr } = await sandbox.run(['serve', '--socket', path, '--no-auth', '--json', '--config', sandbox.config({ mcpServers: {} })])
        expect(stderr).toContain('LISTEN_FAILED')
        process.kill(listener.pid, 'SIGKILL')
        await running.pop()?.stop()
      }
    }
  })

  it('serves HTTPS, and takes a new certificate without a break', async () => {
    const make = (name: string): void =>
      void execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', `/CN=${name}`,
        '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(sandbox.dir, `${name}-key.pem`), '-out', join(sandbox.dir, `${name}.pem`)], { stdio: 'ignore' })
    make('first')
    make('second')
    const file = (name: string) => join(sandbox.dir, name)
    for (const part of ['', '-key']) writeFileSync(file(`now${part}.pem`), readFileSync(file(`first${part}.pem`)))
    const { url } = await started(one(), ['--tls-cert', 'now.pem', '--tls-key', 'now-key.pem'].map(word => (word.startsWith('now') ? file(word) : word)))
    expect(url).toMatch(/^https:/)
    const subject = () => new Promise<string>((resolve, reject) => {
      const ca = [readFileSync(file('first.pem')), readFileSync(file('second.pem'))]
      requestTls({ port: new URL(url).port, host: '127.0.0.1', servername: 'localhost', ca, path: '/healthz', agent: false }, answer => {
        const { subject } = (answer.socket as import('node:tls').TLSSocket).getPeerCertificate()
        answer.resume()
        resolve(`${answer.statusCode} ${subject.CN}`)
      }).on('error', reject).end()
    })
    expect(await subject()).toBe('200 first')
    writeFileSync(file('now-key.pem'), 'half a key')
    await new Promise(resolve => setTimeout(resolve, 1500))
    expect(await subject()).toBe('200 first')
    for (const part of ['', '-key']) writeFileSync(file(`now${part}.pem`), readFileSync(file(`second${part}.pem`)))
    await eventually(async () => ((await subject()) === '200 second' ? true : undefined), 'the second certificate', 8000)
    expect((await wire({ port: Number(new URL(url).port) }, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n').catch(() => ({ status: 0 }))).status).not.toBe(200)
  })
})

describe('readiness', () => {
  it('is about the servers, not about the port', async () => {
    const { url } = await started({
      mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), dead: { command: process.execPath, args: ['-e', 'process.exit(3)'] }, off: { command: 'x', enabled: false } },
    })
    expect((await at(url, '/healthz')).status).toBe(200)
    await eventually(async () => ((await at(url, '/status')).text.includes('"state":"healthy"') ? true : undefined), 'one to be up')
    const answer = await at(url, '/readyz')
    expect(answer.status).toBe(503)
    expect(Object.keys(JSON.parse(answer.text).backends)).toEqual(['dead'])
  })

  it('asks a server that seems alive', async () => {
    const { url } = await started(one())
    await eventually(async () => ((await at(url, '/readyz')).status === 200 ? true : undefined), 'readiness')
    const { pid } = JSON.parse((await at(url, '/status')).text).backends[0]
    process.kill(pid, 'SIGSTOP')
    await eventually(async () => ((await at(url, '/readyz')).text.includes('"one":"silent"') ? true : undefined), 'the silence to be noticed', 8000)
    process.kill(pid, 'SIGCONT')
    await eventually(async () => ((await at(url, '/readyz')).status === 200 ? true : undefined), 'readiness again', 8000)
  })
})

describe('the end', () => {
  it('lets calls in flight finish, takes no new ones, and says at once that it is not ready', async () => {
    const listener = await started(one())
    const raw = client(listener.url)
    const headers = await openSession(raw)
    const older = raw.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__slow', arguments: { key: 'older', ms: 1500 } } }, headers)
    const newer = client(listener.url).post(...slow('newer', 1500))
    const [message, fields] = modernRequest('l', 'subscriptions/listen', { notifications: { toolsListChanged: true } })
    const listening = client(listener.url).post(message, fields)
    await Promise.all([hasStarted('older'), hasStarted('newer')])
    const probe = client(listener.url.replace(/\/mcp$/, '/readyz'))
    process.kill(listener.pid, 'SIGTERM')
    await eventually(async () => ((await probe.send('GET')).status === 503 ? true : undefined), 'unreadiness', 1000)
    const refused = await raw.post(...modernRequest(2, 'tools/list'))
    expect(refused).toMatchObject({ status: 503, messages: [{ id: 2, error: { data: { code: 'SHUTTING_DOWN' } } }] })
    expect((await raw.post({ jsonrpc: '2.0', id: 3, method: 'ping' }, headers)).status).toBe(503)
    expect((await listening).messages.at(-1)).toMatchObject({ id: 'l', result: { resultType: 'complete' } })
    for (const answer of [await older, await newer]) expect(answer.messages.at(-1)).toMatchObject({ result: { content: [{ text: 'finished' }] } })
    await listener.stop()
  })

  it('does not wait for anybody after a second signal', async () => {
    const listener = await started(one())
    const raw = client(listener.url)
    const call = raw.post(...slow('doomed', 60_000))
    await hasStarted('doomed')
    const from = Date.now()
    process.kill(listener.pid, 'SIGTERM')
    await new Promise(resolve => setTimeout(resolve, 200))
    process.kill(listener.pid, 'SIGTERM')
    expect((await call).messages[0]).toMatchObject({ error: { data: { code: 'SHUTTING_DOWN' } } })
    await listener.stop()
    expect(Date.now() - from).toBeLessThan(2500)
  })

  it('is not kept by those who hold a stream', async () => {
    const listener = await started(one())
    const headers = await openSession(client(listener.url))
    const ended = (path: string, fields: Record<string, string>) => new Promise<void>(resolve => {
      request(new URL(path, listener.url), { headers: { accept: 'text/event-stream', ...fields }, agent: false }, answer => {
        answer.on('close', resolve)
        answer.resume()
      }).on('error', () => resolve()).end()
    })
    const streams = [ended('/mcp', headers), ended('/sse', {})]
    await new Promise(resolve => setTimeout(resolve, 100))
    const from = Date.now()
    process.kill(listener.pid, 'SIGTERM')
    await Promise.all(streams)
    await listener.stop()
    expect(Date.now() - from).toBeLessThan(5000)
  })
})
