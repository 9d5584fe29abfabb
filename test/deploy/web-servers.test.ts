/**
 * nginx and Caddy, the real ones, with our templates in front of `serve --http`: TLS, calls in both eras, events that come when
 * they happen, bodies up to the limit, and nothing of the probes.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { bin, createSandbox, root, startListening, stdioBackend, type Sandbox, type Started } from '../e2e/harness.ts'
import { freePort, need, ok, start, type Running } from './tools.ts'

const name = 'mcp.example.com'
const token = 'A-Token-For-The-Web-Servers-0123456789'

interface Answer {
  readonly status: number | undefined
  readonly body: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Milliseconds from the request to each chunk of the body. */
  readonly chunks: readonly number[]
}

describe.each(['nginx', 'caddy'] as const)('%s', kind => {
  let sandbox: Sandbox
  let proxy: Started
  let front: Running
  let folder: string
  let port: number

  function ask(path: string, body: string | undefined, headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const began = performance.now()
      const call = request({
        host: '127.0.0.1', port, path, servername: name, ca: readFileSync(join(folder, 'cert.pem')), method: body === undefined ? 'GET' : 'POST',
        headers: { Host: name, Authorization: `Bearer ${token}`, Accept: 'application/json, text/event-stream', ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }), ...headers },
      }, response => {
        let text = ''
        const chunks: number[] = []
        response.on('data', chunk => {
          text += chunk
          chunks.push(performance.now() - began)
        })
        response.on('end', () => resolve({ status: response.statusCode, body: text, headers: response.headers, chunks }))
        response.on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
  }

  beforeAll(async () => {
    need(kind, 'openssl')
    sandbox = createSandbox()
    folder = mkdtempSync(join(tmpdir(), `mcp-proxy-${kind}-`))
    ok('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
      '-addext', `subjectAltName=DNS:${name}`, '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')])
    const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') }, listen: { http: { allowedHosts: [name] } } })
    proxy = await startListening(process.execPath, [bin, 'serve', '--http', '--port', '0', '--config', config], { env: { ...sandbox.env, MCP_PROXY_TOKEN: token } })
    port = await freePort()
    const inner = `127.0.0.1:${new URL(proxy.url).port}`
    if (kind === 'nginx') {
      const text = readFileSync(join(root, 'templates/nginx.conf'), 'utf8')
        .replace('127.0.0.1:3050', inner).replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`).replaceAll('/etc/ssl/mcp', folder)
      mkdirSync(join(folder, 'tmp'))
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(one => `${one}_temp_path ${folder}/tmp/${one};`).join('\n')
      writeFileSync(join(folder, 'nginx.conf'), `daemon off; user root; pid ${folder}/pid; error_log stderr; worker_processes 1;\nevents {}\nhttp { access_log off; ${temporary}\n${text}\n}\n`)
      const words = ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')]
      ok('/usr/sbin/nginx', ['-t', ...words])
      front = start('/usr/sbin/nginx', words)
    } else {
      const text = readFileSync(join(root, 'templates/Caddyfile'), 'utf8')
        .replace('127.0.0.1:3050', inner).replace(`${name} {`, `${name}:${port} {\n\ttls ${folder}/cert.pem ${folder}/key.pem`)
      writeFileSync(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${text}`)
      const env = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
      ok('caddy', ['validate', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')], { env })
      front = start('caddy', ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')], { env })
    }
    await eventually(async () => (await ask('/status', undefined).catch(() => undefined))?.status === 200 || undefined, `${kind} to answer\n${front.words()}`, 20_000)
  })
  afterAll(async () => {
    await front?.stop(kind === 'nginx' ? 'SIGQUIT' : 'SIGTERM')
    await proxy?.stop()
    await sandbox?.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  const revision = '2026-07-28'
  const meta = { 'io.modelcontextprotocol/protocolVersion': revision, 'io.modelcontextprotocol/clientInfo': { name: 'a', version: '0' }, 'io.modelcontextprotocol/clientCapabilities': {} }
  const opening = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '0' } } })

  it('passes the newer era', async () => {
    const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } })
    const { status, body } = await ask('/mcp', list, { 'MCP-Protocol-Version': revision, 'Mcp-Method': 'tools/list' })
    expect(status).toBe(200)
    expect(body).toContain('one__')
  })

  it('passes the older era, its session and its streams', async () => {
    const opened = await ask('/mcp', opening)
    expect(opened.status).toBe(200)
    const session = opened.headers['mcp-session-id'] as string
    expect(session).toBeTruthy()
    const headers = { 'Mcp-Session-Id': session, 'MCP-Protocol-Version': '2025-11-25' }
    expect((await ask('/mcp', JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), headers)).status).toBe(202)
    const { body } = await ask('/mcp', JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' }), headers)
    expect(body).toContain('one__')
  })

  it('passes events when they happen', async () => {
    const { name: tool, args } = { name: 'one__steps', args: { count: 4, delayMs: 250 } }
    const call = JSON.stringify({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: tool, arguments: args, _meta: { ...meta, progressToken: 'p' } } })
    const { status, chunks, headers, body } = await ask('/mcp', call, { 'MCP-Protocol-Version': revision, 'Mcp-Method': 'tools/call', 'Mcp-Name': tool })
    expect(status).toBe(200)
    expect(headers['content-type'], body).toContain('text/event-stream')
    expect(body.split('notifications/progress').length).toBeGreaterThan(3)
    // Kept back, they would come all at once.
    expect((chunks.at(-1) as number) - (chunks[0] as number)).toBeGreaterThan(400)
  })

  it('lets nobody in without the token, and passes our refusals', async () => {
    expect((await ask('/mcp', opening, { Authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await ask('/mcp/', opening)).status).toBe(404)
  })

  it('takes bodies up to our limit, and no larger ones', async () => {
    const padded = (size: number): string => opening.replace('"name":"a"', `"name":"${'a'.repeat(size)}"`)
    expect((await ask('/mcp', padded(3_900_000))).status).toBe(200)
    expect((await ask('/mcp', padded(5_000_000)).catch(() => ({ status: 413 }))).status).toBe(413)
  })

  it('sends no call by a connection that is about to be closed', async () => {
    expect((await ask('/mcp', opening)).status).toBe(200)
    // We close what was quiet for 30 seconds, and one who is busy at that moment does it with the next request unread.
    await sleep(29_000)
    process.kill(proxy.pid, 'SIGSTOP')
    await sleep(2000)
    const answer = ask('/mcp', opening)
    await sleep(500)
    process.kill(proxy.pid, 'SIGCONT')
    expect((await answer).status).toBe(200)
  }, 60_000)

  it('shows nobody the probes', async () => {
    for (const path of ['/healthz', '/readyz']) expect((await ask(path, undefined)).status).toBe(404)
  })
})
