// A load over HTTP: `clients` sessions, each with one call on the way at a time over a connection of its own.
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { Pool } from 'undici'
import { cpuOf, pidsOf, rssOf } from './processes.mjs'
import { spread } from './spread.mjs'

let marks = 0
const revision = '2026-07-28'
const meta = { 'io.modelcontextprotocol/protocolVersion': revision, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' } }
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

export const freePort = () =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

/** Starts a backend over HTTP; resolves with its URL. */
export async function startBackend(args) {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const url = await new Promise(resolve => child.stdout.once('data', data => resolve(String(data).trim())))
  return { url, pid: child.pid, close: () => child.stdin.end() }
}

/** Starts a server and waits until it answers. Without `command` it is there already, and `pid` is its process. */
export async function openHttp({ command, args, env, cwd, url, pid, era = 'legacy', patienceMs = 20_000 }) {
  const mark = `http-${process.pid}-${++marks}`
  const child = command && spawn(command, args, { stdio: ['pipe', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore'], cwd, env: { ...process.env, ...env, BENCH_SUBJECT: mark } })
  const { origin, pathname } = new URL(url)
  let pool = new Pool(origin, { connections: 16, pipelining: 1 })

  async function post(message, session) {
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    if (session) headers['mcp-session-id'] = session
    if (era === 'modern') {
      headers['mcp-protocol-version'] = revision
      headers['mcp-method'] = message.method
      if (message.params?.name) headers['mcp-name'] = message.params.name
    } else if (session) headers['mcp-protocol-version'] = '2025-11-25'
    const { statusCode, headers: got, body } = await pool.request({ path: pathname, method: 'POST', headers, body: JSON.stringify(message), headersTimeout: 60_000 })
    const text = await body.text()
    return { statusCode, session: got['mcp-session-id'], text }
  }
  const answerOf = text => JSON.parse(text.startsWith('{') ? text : text.split('\n').filter(line => line.startsWith('data:')).at(-1).slice(5))
  let next = 0
  const params = given => (era === 'modern' ? { _meta: meta, ...given } : given)

  async function openSession() {
    if (era === 'modern') return undefined
    const { statusCode, session, text } = await post({ jsonrpc: '2.0', id: ++next, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } })
    if (statusCode !== 200) throw new Error(`initialize: status ${statusCode} ${text.slice(0, 80)}`)
    await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, session)
    return session
  }

  let tool
  let failure
  const sessions = []
  const until = performance.now() + patienceMs
  while (!tool) {
    if (performance.now() > until || (child && child.exitCode !== null)) {
      child?.kill('SIGKILL')
      throw new Error(`not ready: ${failure?.message}`)
    }
    try {
      sessions[0] = await openSession()
      const { result, error } = answerOf((await post({ jsonrpc: '2.0', id: ++next, method: 'tools/list', params: params({}) }, sessions[0])).text)
      tool = result?.tools.find(({ name }) => name.endsWith('echo'))?.name
      if (!tool) failure = new Error(error?.message ?? 'it lists no echo tool')
    } catch (error) {
      failure = error
    }
    if (!tool) await pause(150)
  }
  const pids = child ? pidsOf(mark) : [pid]

  /** `perSecond`: calls fall due at this rate, whatever became of earlier ones; without it, each client calls as fast as it is answered. */
  async function load({ method, params: given, calls, clients, perSecond }) {
    if (pool.stats?.size !== undefined && clients > 16) {
      await pool.close()
      pool = new Pool(origin, { connections: clients, pipelining: 1 })
    }
    while (era === 'legacy' && sessions.length < clients) sessions.push(await openSession())
    const latencies = new Float64Array(calls)
    const perClient = new Uint32Array(clients)
    let sent = 0
    let done = 0
    let errors = 0
    const cpu = cpuOf(pids)
    const began = performance.now()
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let turn = client; perSecond ? turn < calls : sent < calls; turn += clients) {
          const due = perSecond && began + (turn * 1000) / perSecond
          if (due > performance.now()) await pause(due - performance.now())
          sent++
          // A call that fell due while its client still waited has waited too.
          const at = perSecond && performance.now() - due > 2 ? due : performance.now()
          try {
            const { statusCode, text } = await post({ jsonrpc: '2.0', id: ++next, method, params: params(given) }, sessions[client])
            if (statusCode !== 200 || (text.length < 4096 && text.includes('"error"'))) errors++
          } catch {
            errors++
          }
          perClient[client]++
          latencies[done++] = performance.now() - at
        }
      }),
    )
    const ms = performance.now() - began
    return { ...spread(latencies), microsPerCall: (cpuOf(pids) - cpu) / calls, perSecond: (calls / ms) * 1000, errors, fairness: Math.min(...perClient) / Math.max(...perClient) }
  }
  return {
    tool, mark, pids, load, openSession,
    rss: () => rssOf(child ? pidsOf(mark) : pids),
    call: (args, calls, clients, perSecond) => load({ method: 'tools/call', params: { name: tool, arguments: args }, calls, clients, perSecond }),
    list: (calls, clients) => load({ method: 'tools/list', params: {}, calls, clients }),
    async close() {
      await pool.destroy()
      if (!child || child.exitCode !== null) return
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
      await ended
      clearTimeout(timer)
      for (const each of pidsOf(mark, true)) process.kill(each, 'SIGTERM')
    },
  }
}
