#!/usr/bin/env node
// The quickstart: merges three real MCP servers, lists their tools as one server's, and calls one of them. Stops at the first
// command that fails. Run: npm run demo
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const config = 'examples/quickstart/mcp-proxy.json'

for (const [command, ...args] of [
  ['list', 'tools'],
  ['call', 'everything__echo', '{"message":"hi"}'],
  ['call', 'files__read_text_file', '{"path":"hello.txt"}'],
  ['status'],
]) {
  const shown = [command, ...args].map(word => (/^[\w./-]+$/.test(word) ? word : `'${word}'`)).join(' ')
  console.log(`\n$ npx mcp-proxy ${shown} --config ${config}\n`)
  const { status } = spawnSync(process.execPath, ['bin/mcp-proxy.js', command, ...args, '--config', config], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
