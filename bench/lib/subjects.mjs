// Who is measured on which path, and how each is started. A subject opens to a target with `call`, `list`, `rss`, `close`.
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, openHttp } from './http-load.mjs'
import { open } from './stdio-load.mjs'

const here = name => fileURLToPath(new URL(name, import.meta.url))
export const node = process.execPath
export const ours = process.env.BENCH_BIN ?? here('../../bin/mcp-proxy.js')
export const backendScript = here('backend.mjs')
export const httpBackendScript = here('backend-http.mjs')
const peerFolder = process.env.BENCH_PEERS ?? here('../')
const bin = name => join(peerFolder, 'node_modules/.bin', name)
const folder = () => mkdtempSync(join(tmpdir(), 'mcp-bench-'))

/** A config of ours over `servers`, in a home of its own. */
export function ourHome(servers, rest = {}) {
  const dir = folder()
  const config = join(dir, 'config.json')
  writeFileSync(config, JSON.stringify({ mcpServers: servers, ...rest }))
  return { dir, config, env: { MCP_PROXY_HOME: dir } }
}

export const ourRun = (servers, rest) => {
  const { config, env } = ourHome(servers, rest)
  return { command: node, args: [ours, 'run', '--no-daemon', '--config', config], env }
}

async function ourServe(servers) {
  const { config, env } = ourHome(servers)
  const port = await freePort()
  return { command: node, args: [ours, 'serve', '--http', '--no-auth', '--port', String(port), '--config', config], env, url: `http://127.0.0.1:${port}/mcp` }
}

/** Paths are `client>backend`. `backend`: arguments of the stdio backend, or the URL of the one over HTTP. `limits`: ours, if not the usual. */
export function subjectsOf(path, { backend, url, httpPid, era, backendEra = era, limits }) {
  const [front, back] = path.split('>')
  const servers = { b: { ...(back === 'stdio' ? { command: node, args: backend } : { url }), ...(limits && { limits }) } }
  const stdio = spec => async () => open({ era, ...(await spec()) })
  const http = spec => async () => openHttp({ era, ...(await spec()) })
  const start = front === 'stdio' ? stdio : http
  const crosses = era !== backendEra
  const list = []
  if (!crosses)
    list.push(
      ['direct', front === 'stdio' && back === 'stdio' ? stdio(() => ({ command: node, args: backend, direct: true })) : back === 'http' ? http(() => ({ url, pid: httpPid })) : undefined],
      ['null relay', nullRelay(front, back, { backend, url, start })],
    )
  list.push(['mcp-proxy-server', front === 'stdio' ? stdio(() => ourRun(servers)) : http(() => ourServe(servers))])
  return list.filter(([, opens]) => opens).map(([name, opens]) => ({ name, opens }))
}

function nullRelay(front, back, { backend, url, start }) {
  const behind = back === 'stdio' ? ['--', node, ...backend] : ['--url', url]
  if (front === 'http')
    return start(async () => {
      const port = await freePort()
      return { command: node, args: [here('null-http.mjs'), '--port', String(port), ...behind], url: `http://127.0.0.1:${port}/mcp` }
    })
  return back === 'stdio' ? start(() => ({ command: node, args: [here('null-relay.mjs'), ...behind] })) : undefined
}

/** The plain pipe: what moving the bytes costs without a look at them. */
export const plainPipe = backend => ({ name: 'plain pipe', opens: () => open({ command: node, args: [here('pipe.mjs'), '--', node, ...backend] }) })

/** Programs beside us that have this path; empty when they are not installed. All of them speak the older era only here. */
export function peersOf(path, { backend, url }) {
  if (!existsSync(bin('mcp-remote'))) return []
  const commandLine = [node, ...backend].join(' ')
  const peers = {
    'stdio>stdio': {
      mcporter: () => {
        const dir = mcporterHome({ b: { command: node, args: backend, lifecycle: 'keep-alive' } })
        return open({ command: bin('mcporter'), args: ['serve', '--stdio'], cwd: dir, env: { HOME: dir } })
      },
    },
    'stdio>http': {
      'mcp-remote': () => open({ command: bin('mcp-remote'), args: [url, '--allow-http', '--transport', 'http-only'], env: { HOME: folder() } }),
      supergateway: () => open({ command: bin('supergateway'), args: ['--streamableHttp', url, '--logLevel', 'none'] }),
    },
    'http>stdio': {
      'mcp-proxy': at(port => ({ command: bin('mcp-proxy'), args: ['--host', '127.0.0.1', '--port', port, '--server', 'stream', '--', node, ...backend] })),
      supergateway: at(port => ({ command: bin('supergateway'), args: ['--stdio', commandLine, '--outputTransport', 'streamableHttp', '--stateful', '--port', port, '--logLevel', 'none'] })),
      mcporter: at(port => {
        const dir = mcporterHome({ b: { command: node, args: backend, lifecycle: 'keep-alive' } })
        return { command: bin('mcporter'), args: ['serve', '--http', port], cwd: dir, env: { HOME: dir } }
      }),
      'mcp-hub': at(port => {
        const dir = folder()
        const config = join(dir, 'hub.json')
        writeFileSync(config, JSON.stringify({ mcpServers: { b: { command: node, args: backend } } }))
        return { command: bin('mcp-hub'), args: ['--port', port, '--config', config], env: { HOME: dir } }
      }),
    },
    'http>http': {
      mcporter: at(port => {
        const dir = mcporterHome({ b: { url, allowHttp: true, lifecycle: 'keep-alive' } })
        return { command: bin('mcporter'), args: ['serve', '--http', port], cwd: dir, env: { HOME: dir } }
      }),
      '@fiberplane/mcp-gateway': at(port => {
        const dir = folder()
        writeFileSync(join(dir, 'mcp.json'), JSON.stringify({ mcpServers: { b: { url, type: 'http', headers: {} } } }))
        return { command: bin('mcp-gateway'), args: ['--port', port, '--storage-dir', dir], env: { HOME: dir }, path: '/servers/b/mcp' }
      }),
    },
  }
  return Object.entries(peers[path] ?? {}).map(([name, opens]) => ({ name, opens, peer: true }))
}

const at = spec => async () => {
  const port = String(await freePort())
  const { path = '/mcp', ...rest } = spec(port)
  return openHttp({ ...rest, url: `http://127.0.0.1:${port}${path}` })
}

function mcporterHome(mcpServers) {
  const dir = folder()
  mkdirSync(join(dir, 'config'))
  writeFileSync(join(dir, 'config/mcporter.json'), JSON.stringify({ mcpServers }))
  return dir
}
