// A load over stdio: keeps `depth` requests in flight and counts what they cost the process at the other end.
import { spawn } from 'node:child_process'
import { cpuOf, pidsOf, rssOf } from './processes.mjs'
import { spread } from './spread.mjs'

let marks = 0

/** Opens a process and its handshake. `era`: legacy | modern. */
export async function open({ command, args, env, cwd, era = 'legacy', patienceMs = 20_000, direct = false }) {
  const mark = `stdio-${process.pid}-${++marks}`
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore'], cwd, env: { ...process.env, ...env, BENCH_SUBJECT: mark } })
  const limit = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  child.stdin.on('error', () => {})
  const gone = new Promise((_, reject) => child.once('exit', () => reject(new Error('exited'))))
  gone.catch(() => {})
  const pending = new Map()
  let chunks = []
  let next = 0
  child.stdout.on('data', chunk => {
    let from = 0
    for (let at; (at = chunk.indexOf(10, from)) >= 0; from = at + 1) {
      const line = chunks.length > 0 ? Buffer.concat([...chunks.splice(0), chunk.subarray(from, at)]) : chunk.subarray(from, at)
      // Only the id is read: the load must cost less than what it measures.
      const head = line.length > 4096 ? undefined : line.toString()
      const id = head === undefined ? idOf(line) : JSON.parse(head).id
      const entry = pending.get(id)
      if (!entry) continue
      pending.delete(id)
      entry(line)
    }
    if (from < chunk.length) chunks.push(chunk.subarray(from))
  })
  const meta = era === 'modern' ? { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' } } } : {}
  const request = (method, params = {}) =>
    new Promise((resolve, reject) => {
      const id = ++next
      pending.set(id, line => resolve(line))
      gone.catch(reject)
      child.stdin.write(JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...meta, ...params } }) + '\n')
    })
  if (era === 'modern') await request('server/discover')
  else {
    await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } })
    child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
  }
  const { tools } = JSON.parse((await request('tools/list')).toString()).result
  const tool = tools.find(({ name }) => name.endsWith('echo'))?.name
  if (!tool) throw new Error('it lists no echo tool')
  clearTimeout(limit)
  const pids = pidsOf(mark, direct)

  /** `calls` calls of `method` with `depth` in flight. Returns µs of CPU per call, calls per second, latencies in ms. */
  async function load({ method, params, calls, depth }) {
    const body = JSON.stringify({ ...meta, ...params })
    const latencies = new Float64Array(calls)
    const cpu = cpuOf(pids)
    const started = performance.now()
    let sent = 0
    let done = 0
    await Promise.race([gone, new Promise(resolve => {
      let batch = ''
      const send = () => {
        if (sent >= calls) return
        sent++
        const id = ++next
        const at = performance.now()
        pending.set(id, () => {
          latencies[done++] = performance.now() - at
          if (done === calls) resolve()
          send()
          flush()
        })
        batch += `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${body}}\n`
      }
      let queued = false
      const flush = () => {
        if (queued) return
        queued = true
        queueMicrotask(() => {
          queued = false
          if (batch) child.stdin.write(batch)
          batch = ''
        })
      }
      for (let i = 0; i < depth; i++) send()
      flush()
    })])
    const ms = performance.now() - started
    return { ...spread(latencies), microsPerCall: (cpuOf(pids) - cpu) / calls, perSecond: (calls / ms) * 1000, errors: 0 }
  }
  return {
    pid: child.pid,
    tool,
    mark,
    request,
    load,
    rss: () => rssOf(pidsOf(mark, direct)),
    call: (args, calls, depth) => load({ method: 'tools/call', params: { name: tool, arguments: args }, calls, depth }),
    list: (calls, depth) => load({ method: 'tools/list', params: {}, calls, depth }),
    async close(patienceMs = 3000) {
      if (child.exitCode !== null) return
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
      await ended
      clearTimeout(timer)
      // A daemon of its own would outlive it.
      for (const pid of pidsOf(mark, true)) process.kill(pid, 'SIGTERM')
    },
  }
}

function idOf(line) {
  const text = line.subarray(0, 64).toString()
  const head = /"id":(\d+)/.exec(text) ?? /"id":(\d+)\}?\s*$/.exec(line.subarray(-64).toString())
  return Number(head?.[1])
}
