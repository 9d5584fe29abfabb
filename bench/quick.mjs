// A first look at the cost of a call: direct, null relay, through us. `node bench/quick.mjs [calls]`
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { open } from './lib/stdio-load.mjs'

const here = name => fileURLToPath(new URL(name, import.meta.url))
const backend = [here('lib/backend.mjs')]
const dir = mkdtempSync(join(tmpdir(), 'mcp-bench-'))
const config = join(dir, 'config.json')
writeFileSync(config, JSON.stringify({ mcpServers: { b: { command: process.execPath, args: backend } } }))
const subjects = {
  direct: { command: process.execPath, args: backend },
  'null relay': { command: process.execPath, args: [here('lib/null-relay.mjs'), '--', process.execPath, ...backend] },
  'mcp-proxy': { command: process.execPath, args: [process.env.BENCH_BIN ?? here('../bin/mcp-proxy.js'), 'run', '--no-daemon', '--config', config], env: { MCP_PROXY_HOME: dir }, tool: 'b__echo' },
}
const calls = Number(process.argv[2] ?? 100_000)
for (const era of ['legacy', 'modern']) {
  for (const [name, { tool = 'echo', ...subject }] of Object.entries(subjects)) {
    const target = await open({ ...subject, era })
    await target.request('tools/list')
    const params = { name: tool, arguments: { message: 'hello' } }
    await target.load({ method: 'tools/call', params, calls: 20_000, depth: 32 })
    const echo = await target.load({ method: 'tools/call', params, calls, depth: 32 })
    const big = await target.load({ method: 'tools/call', params: { name: tool, arguments: { bytes: 10_000 } }, calls: calls / 10, depth: 32 })
    console.log(`${era.padEnd(7)} ${name.padEnd(11)} echo ${echo.microsPerCall.toFixed(1)} µs ${Math.round(echo.perSecond)}/s p99 ${echo.p99.toFixed(2)} ms; 10 KB ${big.microsPerCall.toFixed(1)} µs ${Math.round(big.perSecond)}/s`)
    await target.close()
  }
}
