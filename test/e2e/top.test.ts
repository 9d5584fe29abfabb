/** What a listener says of its servers while they work: callers, times, memory. */
import { spawn } from 'node:child_process'
import { afterEach, expect, it } from 'vitest'
import { bin, createSandbox, fixture, type Sandbox } from './harness.ts'

let sandbox: Sandbox
afterEach(() => sandbox.dispose())

it('top and status ask a listener by its address', async () => {
  sandbox = createSandbox()
  const token = 'e2e-token-of-some-length'
  const config = sandbox.config({ mcpServers: { one: { command: 'node', args: [fixture('everything-v2.mjs')] } } })
  const env = { ...sandbox.env, MCP_PROXY_TOKEN: token }
  const child = spawn(process.execPath, [bin, 'serve', '--http', '--port', '0', '--config', config], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)))
  try {
    await expect.poll(() => said, { timeout: 20_000 }).toMatch(/listening http:\S+/)
    const url = /listening (http:\S+)/.exec(said)?.[1] as string
    const call = (name: string, id: number) =>
      fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${token}`,
          'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name,
        },
        body: JSON.stringify({
          jsonrpc: '2.0', id, method: 'tools/call',
          params: {
            name, arguments: { text: 'x' },
            _meta: {
              'io.modelcontextprotocol/protocolVersion': '2026-07-28',
              'io.modelcontextprotocol/clientInfo': { name: 'prober', version: '1' },
              'io.modelcontextprotocol/clientCapabilities': {},
            },
          },
        }),
      }).then(response => response.text())
    for (let id = 1; id <= 5; id++) expect(await call('one__echo', id)).toContain('x')
    const shown = await sandbox.run(['top', '--url', url, '--json'], { env: { MCP_PROXY_TOKEN: token } })
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    const [one] = JSON.parse(shown.stdout).backends
    expect(one).toMatchObject({ alias: 'one', state: 'healthy', calls: { p50Ms: expect.any(Number), now: [] } })
    expect(one.calls.total).toBeGreaterThanOrEqual(5)
    expect((await sandbox.run(['status', '--url', url], { env: { MCP_PROXY_TOKEN: token } })).code).toBe(0)
  } finally {
    child.kill('SIGTERM')
    await new Promise(resolve => child.once('exit', resolve))
  }
  expect((await sandbox.run(['top', '--config', config])).code).toBe(4)
})
