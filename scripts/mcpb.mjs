/**
 * `npm run mcpb`: the bundle that Claude Desktop installs with a double click. A zip with a manifest (spec 0.3) and the built
 * program; the same input gives the same bytes. `node scripts/mcpb.mjs [FILE]` writes it elsewhere.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { zipSync } from 'fflate'

const root = fileURLToPath(new URL('..', import.meta.url))
const { name, version, description, license, keywords, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const target = resolve(process.argv[2] ?? join(root, 'build', `mcp-proxy-${version}.mcpb`))
const dist = process.env['MCP_PROXY_DIST'] ?? join(root, 'dist')

const manifest = {
  manifest_version: '0.3',
  name,
  display_name: 'mcp-proxy',
  version,
  description,
  long_description:
    'Merges the MCP servers of your config into one. The config is the one of the command line: "npx mcp-proxy-server init" makes it from the clients you have.',
  author: { name: 'mcp-proxy contributors' },
  license,
  keywords,
  server: {
    type: 'node',
    entry_point: 'server/bin/mcp-proxy.js',
    mcp_config: {
      command: 'node',
      args: ['${__dirname}/server/bin/mcp-proxy.js', 'run', '--client', 'claude-desktop'],
      // Empty means the usual place.
      env: { MCP_PROXY_CONFIG: '${user_config.config}' },
    },
  },
  // What there is to call is known only when it runs.
  tools_generated: true,
  prompts_generated: true,
  user_config: {
    config: {
      type: 'file',
      title: 'Config file',
      description: 'The file with your servers. Left empty: config.json in the user config folder, where "mcp-proxy init" writes it.',
      required: false,
      default: '',
    },
  },
  compatibility: { platforms: ['darwin', 'win32', 'linux'], runtimes: { node: engines.node } },
}

const files = { 'manifest.json': Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) }
const add = (path, file) => void (files[path] = readFileSync(file))
add('LICENSE', join(root, 'LICENSE'))
add('server/bin/mcp-proxy.js', join(root, 'bin/mcp-proxy.js'))
add('server/bin/package.json', join(root, 'bin/package.json'))
for (const file of readdirSync(dist, { recursive: true }).map(String).sort())
  if (statSync(join(dist, file)).isFile()) add(`server/dist/${file.replaceAll('\\', '/')}`, join(dist, file))
files['server/package.json'] = Buffer.from(`${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`)

mkdirSync(dirname(target), { recursive: true })
writeFileSync(target, zipSync(files, { level: 9, mtime: new Date(1980, 0, 1, 12) }))
console.log(`${target} (${Math.round(statSync(target).size / 1024)} KB)`)
