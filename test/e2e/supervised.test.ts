/**
 * What a supervisor sees of `serve`: it takes over the socket it is handed, says when it is ready and when it stops, and
 * finds its token where containers lay secrets out. The real systemd is in test/deploy.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { bin, createSandbox, stdioBackend, type Sandbox } from './harness.ts'

let sandbox: Sandbox
beforeEach(() => void (sandbox = createSandbox()))
afterEach(() => sandbox.dispose())

/** A stand-in for systemd-notify that keeps what it was told. */
function notifier(): string {
  const path = sandbox.write('bin/systemd-notify', `#!/bin/sh\necho "$@" >> "${sandbox.dir}/told"\n`)
  chmodSync(path, 0o755)
  return join(sandbox.dir, 'bin')
}
const told = (): string => (existsSync(join(sandbox.dir, 'told')) ? readFileSync(join(sandbox.dir, 'told'), 'utf8') : '')

it('takes over the listening sockets, and tells how it is', async () => {
  const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') } })
  sandbox.write('secret', 'A-Token-Of-A-Container-0123456789\n')
  const listenings = [createServer(), createServer()]
  for (const listening of listenings) await new Promise<void>(resolve => listening.listen(0, '127.0.0.1', resolve))
  const [port, second] = listenings.map(listening => (listening.address() as { port: number }).port)
  // LISTEN_PID must be the pid of the one who reads it: the shell keeps its own when it turns into node.
  const script = `LISTEN_PID=$$ exec "${process.execPath}" "${bin}" serve --http --config "${config}"`
  const handles = listenings.map(listening => (listening as unknown as { _handle: { fd: number } })._handle.fd)
  const child = spawn('sh', ['-c', script], {
    stdio: ['ignore', 'ignore', 'pipe', ...handles],
    env: {
      ...sandbox.env, LISTEN_FDS: '2', NOTIFY_SOCKET: '/run/none', WATCHDOG_USEC: '300000',
      MCP_PROXY_TOKEN_FILE: join(sandbox.dir, 'secret'), PATH: `${notifier()}:${sandbox.env['PATH']}`,
    },
  })
  let words = ''
  child.stderr?.on('data', chunk => void (words += chunk))
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  await eventually(() => /^listening /m.test(words) || undefined, 'it to listen')
  expect(words).toContain(`listening http://127.0.0.1:${port}/mcp`)
  // From here on only the child listens.
  for (const listening of listenings) await new Promise(resolve => listening.close(resolve))
  expect((await fetch(`http://127.0.0.1:${second}/healthz`, { signal: AbortSignal.timeout(5000) })).status).toBe(200)
  const ask = (token: string) => fetch(`http://127.0.0.1:${port}/status`, { headers: { Authorization: `Bearer ${token}` } })
  expect((await ask('A-Token-Of-A-Container-0123456789')).status).toBe(200)
  expect((await ask('another')).status).toBe(401)
  await eventually(() => told().split('WATCHDOG=1').length > 3 || undefined, 'signs of life')
  // The servers it starts inherit neither the socket nor the supervisor.
  await eventually(async () => (await (await ask('A-Token-Of-A-Container-0123456789')).json() as { backends: { pid: number | null }[] }).backends[0]?.pid ?? undefined, 'a server')
    .then(pid => {
      const links = execFileSync('sh', ['-c', `ls -l /proc/${pid}/fd`], { encoding: 'utf8' })
      const own = execFileSync('sh', ['-c', `readlink /proc/${child.pid}/fd/3`], { encoding: 'utf8' }).trim()
      expect(own).toMatch(/^socket:/)
      expect(links).not.toContain(own)
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toMatch(/NOTIFY_SOCKET|LISTEN_FDS|MCP_PROXY_TOKEN_FILE/)
    })
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  const lines = told().trim().split('\n')
  expect(lines[0]).toMatch(new RegExp(`^--pid=${child.pid} READY=1 STATUS=listening http`))
  expect(lines.some(line => line.endsWith('STOPPING=1'))).toBe(true)
})

it('asks for a token on a socket whose address it did not choose', async () => {
  const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') } })
  const script = `LISTEN_FDS=1 LISTEN_PID=$$ exec "${process.execPath}" "${bin}" serve --http --no-auth --config "${config}"`
  const child = spawn('sh', ['-c', script], { env: sandbox.env, stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  child.stderr.on('data', chunk => void (words += chunk))
  expect(await new Promise(resolve => child.once('exit', resolve))).toBe(2)
  expect(words).toContain('--no-auth is refused')
})
