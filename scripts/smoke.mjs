#!/usr/bin/env node
// A built or installed mcp-proxy under the Node that runs this script: the quickstart from the terminal, and one client of each era
// over stdio. Run: node scripts/smoke.mjs PATH/TO/bin/mcp-proxy.js [NODE-MAJOR]
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const [bin = fileURLToPath(new URL('../bin/mcp-proxy.js', import.meta.url)), major] = process.argv.slice(2)
// A home of its own: nothing is known from earlier, nothing is left behind.
const home = mkdtempSync(join(tmpdir(), 'mcp-proxy-smoke-'))
const env = { ...process.env, MCP_PROXY_HOME: home, MCP_PROXY_NO_DAEMON: '1' }
process.on('exit', () => rmSync(home, { recursive: true, force: true }))
const config = fileURLToPath(new URL('../examples/quickstart/mcp-proxy.json', import.meta.url))
if (major !== undefined) assert.equal(process.versions.node.split('.')[0], major, 'another Node than asked for')

function run(expected, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', timeout: 60_000, env })
  assert.equal(status, expected, `${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`)
  return stdout
}

/** Sends requests one after the other and returns the results. */
async function talk(...requests) {
  const child = spawn(process.execPath, [bin, 'run', '--config', config, '--quiet'], { stdio: ['pipe', 'pipe', 'inherit'], env })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const results = []
  for (const [index, request] of requests.entries()) {
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: index + 1, ...request })}\n`)
    for (;;) {
      const { value, done } = await lines.next()
      assert.ok(!done, 'the program ended before it answered')
      const message = JSON.parse(value)
      if (message.id !== index + 1 || message.method !== undefined) continue
      assert.ok(message.result, `no result: ${value}`)
      results.push(message.result)
      break
    }
  }
  child.stdin.end()
  const code = await new Promise(resolve => child.once('exit', resolve))
  assert.equal(code, 0, 'exit code after the client has gone')
  return results
}

assert.match(run(0, '--version'), /^\d+\.\d+\.\d+/)
assert.equal(JSON.parse(run(0, 'version', '--json')).node, process.versions.node)
const { tools, backends } = JSON.parse(run(0, 'list', '--json', '--config', config))
assert.ok(tools.length >= 30, `${tools.length} tools`)
assert.deepEqual(backends.map(({ state }) => state), ['healthy', 'healthy', 'healthy'])
assert.equal(run(0, 'call', 'everything__echo', '{"message":"hi"}', '--config', config), 'Echo: hi\n')
run(0, 'validate', config, '--strict')
run(0, 'status', '--config', config)
run(2, 'call', 'everything__echo', 'no json', '--config', config)
run(2, 'lst')

const client = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'smoke', version: '1' } }
const [hello, older] = await talk(
  { method: 'initialize', params: client },
  { method: 'tools/call', params: { name: 'everything__echo', arguments: { message: 'older' } } },
)
assert.equal(hello.protocolVersion, '2025-11-25')
assert.equal(older.content[0].text, 'Echo: older')

const _meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': client.clientInfo,
  'io.modelcontextprotocol/clientCapabilities': {},
}
const [newer] = await talk({ method: 'tools/call', params: { name: 'everything__echo', arguments: { message: 'newer' }, _meta } })
assert.equal(newer.content[0].text, 'Echo: newer')

// Settings that this V8 does not know would be told on stderr: at once by a listener, after a second by others.
const words = await Promise.all([['run'], ['serve', '--http', '--port', '0', '--no-auth']].map(async args => {
  const child = spawn(process.execPath, [bin, ...args, '--config', config], { stdio: ['pipe', 'ignore', 'pipe'], env })
  setTimeout(() => child.kill('SIGTERM'), 2500)
  let stderr = ''
  for await (const chunk of child.stderr) stderr += chunk
  return stderr
}))
assert.doesNotMatch(words.join('\n'), /unrecognized flag|--help for options/)
console.log(`node ${process.version}: ${tools.length} tools, both eras answered`)
