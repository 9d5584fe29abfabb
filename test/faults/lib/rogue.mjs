#!/usr/bin/env node
// A server that misbehaves as it is told. Plain JSON-RPC without an SDK: it starts fast and can break every rule. Each of
// its answers carries its own marker and its caller's, so that whoever gets one can tell whether it was meant for him.
// Flags: --marker M --journal FILE --tools N --mute --die --deaf --slow-start MS --modern
// --blab NAME (prints that variable) --refuse NAME (refuses everything and says the variable)
import { appendFileSync, writeSync } from 'node:fs'

const flags = new Map()
for (let i = 2; i < process.argv.length; i++) {
  const next = process.argv[i + 1]
  const valued = next !== undefined && !next.startsWith('--')
  flags.set(process.argv[i].slice(2), valued ? next : '')
  if (valued) i++
}
const marker = flags.get('marker') ?? 'b-none'
const modern = flags.has('modern')
const journal = (event, key) => {
  try {
    if (flags.has('journal')) appendFileSync(flags.get('journal'), `${JSON.stringify({ event, key, pid: process.pid })}\n`)
  } catch {
    // A full disk is not this server's fault.
  }
}
journal('spawned')

if (flags.has('blab')) {
  const secret = process.env[flags.get('blab')] ?? ''
  const bytes = Buffer.from(secret)
  const spellings = [
    secret, encodeURIComponent(secret), JSON.stringify(secret), bytes.toString('base64'), bytes.toString('base64url'),
    Buffer.from(`user:${secret}`).toString('base64'), `${'x'.repeat(460)}${secret}`, `${'x'.repeat(1960)}${secret}`,
  ]
  for (const spelling of spellings) {
    process.stderr.write(`my secret is ${spelling}\n`)
    process.stdout.write(`my secret is ${spelling}\n`)
  }
}
if (flags.has('die')) process.exit(3)
if (flags.has('deaf')) {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {})
  setInterval(() => {}, 1000)
}

const write = (text, done) => process.stdout.write(text, done)
/** Lines that wait for the end of one that is written in pieces: as any server, it says one thing after the other. */
let unsaid
const sayLine = line => void (unsaid ? unsaid.push(line) : write(line))
const say = message => sayLine(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const complete = modern ? { resultType: 'complete' } : {}
const textOf = fields => ({ ...complete, content: [{ type: 'text', text: JSON.stringify({ from: marker, pid: process.pid, ...fields }) }] })
const answer = (id, fields) => say({ id, result: textOf(fields) })
const lineOf = (id, fields) => JSON.stringify({ jsonrpc: '2.0', id, result: textOf(fields) })
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
const open = new Map()
const late = new Set()

const tools = {
  echo: (id, { mark, ...rest }) => answer(id, { mark, ...rest }),
  fail: (id, { mark }) => say({ id, result: { ...textOf({ mark }), isError: true } }),
  sleep: async (id, { mark, ms }) => {
    await pause(ms)
    if (open.has(id)) answer(id, { mark })
  },
  /** Tells its pid by a progress message and never answers. */
  hang: (id, { mark }, token) => {
    journal('hanging', mark)
    if (token !== undefined) say({ method: 'notifications/progress', params: { progressToken: token, progress: 1, message: `${mark} ${process.pid}` } })
    return 'stays open'
  },
  /** Answers even though it was cancelled. */
  late: (id, { mark }) => {
    late.add(id)
    journal('hanging', mark)
    return 'stays open'
  },
  exit: (_id, { code = 1, words }) => {
    if (words) process.stderr.write(`${words}\n`)
    process.exitCode = code
    process.stdin.destroy()
    setTimeout(() => process.exit(code), 50)
  },
  /** Both write synchronously, so that nothing else is said before the end. */
  partial: (id, { mark }) => {
    writeSync(1, lineOf(id, { mark }).slice(0, -20))
    process.exit(0)
  },
  unended: (id, { mark }) => {
    writeSync(1, lineOf(id, { mark }))
    process.exit(0)
  },
  /** One answer cut into writes: `cuts` are byte offsets, from the end if negative. */
  cut: async (id, { mark, text, cuts, gapMs = 1, end = '\n', before }) => {
    if (before !== undefined) write(Buffer.from(before, 'base64'))
    const bytes = Buffer.from(lineOf(id, { mark, text }) + end)
    let from = 0
    for (const cut of cuts) {
      write(bytes.subarray(from, cut))
      from = cut
      await pause(gapMs)
    }
    write(bytes.subarray(from))
  },
  /** An answer whose text is not valid UTF-8. */
  invalid: (id, { mark }) => {
    const bytes = Buffer.from(`${lineOf(id, { mark, text: 'AAAA' })}\n`)
    bytes[bytes.indexOf('AAAA')] = 0xff
    write(bytes)
  },
  drip: async (id, { mark, everyMs }) => {
    for (const byte of Buffer.from(`${lineOf(id, { mark })}\n`)) {
      write(Buffer.from([byte]))
      await pause(everyMs)
    }
  },
  big: (id, { mark, bytes }) => {
    const line = lineOf(id, { mark, text: '@' })
    const at = line.indexOf('@')
    if (bytes <= 4 * 1024 * 1024) return sayLine(`${line.slice(0, at)}${'x'.repeat(bytes)}${line.slice(at + 1)}\n`)
    if (unsaid) return void setTimeout(tools.big, 10, id, { mark, bytes })
    unsaid = []
    write(line.slice(0, at))
    const piece = Buffer.alloc(1024 * 1024, 'x')
    let left = bytes
    const more = () => {
      if (left <= 0) {
        write(`${line.slice(at + 1)}\n`)
        for (const waiting of unsaid) write(waiting)
        unsaid = undefined
        return
      }
      const size = Math.min(left, piece.length)
      left -= size
      write(piece.subarray(0, size), more)
    }
    more()
  },
  endless: () => {
    const piece = Buffer.alloc(65_536, 'x')
    const more = () => void write(piece, more)
    more()
    return 'stays open'
  },
  ids: (id, { mark, kind }) => {
    const wrong = { mark: 'WRONG' }
    if (kind === 'text') say({ id: String(id), result: textOf(wrong) })
    if (kind === 'unknown') for (const other of [id + 100_000, -1, 0, 'x', `${id}`]) say({ id: other, result: textOf(wrong) })
    if (kind === 'float') say({ id: id + 0.5, result: textOf(wrong) })
    if (kind === 'null') say({ id: null, error: { code: -32600, message: 'WRONG' } })
    if (kind === 'huge') write(`{"jsonrpc":"2.0","id":9007199254740993,"result":{}}\n`)
    if (kind === 'method') say({ id, method: 'custom/ask', params: {} })
    if (kind === 'progress') say({ method: 'notifications/progress', params: { progressToken: id + 100_000, progress: 1, message: 'WRONG' } })
    answer(id, { mark })
    if (kind === 'twice') answer(id, wrong)
    if (kind === 'late progress') say({ method: 'notifications/progress', params: { progressToken: id, progress: 2, message: 'WRONG' } })
  },
  flood: async (id, { mark, kind, count }, token) => {
    const one = {
      lists: () => ({ method: 'notifications/tools/list_changed' }),
      logs: n => ({ method: 'notifications/message', params: { level: 'info', data: `${marker} line ${n}` } }),
      progress: n => ({ method: 'notifications/progress', params: { progressToken: token, progress: n + 1, message: `${mark} ${n}` } }),
      banners: n => n,
    }[kind]
    for (let n = 0; n < count;) {
      let text = ''
      for (let i = 0; i < 500 && n < count; i++, n++) {
        const message = one(n)
        text += typeof message === 'number' ? `banner ${message} of nothing at all\n` : `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`
      }
      while (unsaid) await pause(5)
      await new Promise(resolve => write(text, resolve))
    }
    answer(id, { mark })
  },
  words: (id, { mark, bytes }) => {
    const line = `${'words '.repeat(170)}\n`
    for (let sent = 0; sent < bytes; sent += line.length) process.stderr.write(line)
    answer(id, { mark })
  },
  /** Reads nothing more. */
  deafen: (id, { mark }) => {
    answer(id, { mark })
    process.stdin.pause()
    setInterval(() => {}, 1000)
  },
}

const toolCount = Number(flags.get('tools') ?? 0)
const listed = () => [
  ...Object.keys(tools).map(name => ({ name, description: name, inputSchema: { type: 'object' } })),
  ...Array.from({ length: toolCount }, (_, n) => ({ name: `more_${n}`, description: `number ${n}`, inputSchema: { type: 'object' } })),
]
const about = {
  capabilities: { tools: { listChanged: true }, logging: {} },
  serverInfo: { name: 'rogue', version: '1' },
}

const methods = {
  'initialize': () => ({ protocolVersion: '2025-11-25', ...about }),
  ...(modern && {
    'server/discover': () => ({
      ...complete, supportedVersions: ['2026-07-28'], capabilities: about.capabilities, ttlMs: 0, cacheScope: 'private',
      _meta: { 'io.modelcontextprotocol/serverInfo': about.serverInfo },
    }),
  }),
  'ping': () => ({}),
  'logging/setLevel': () => ({}),
  'tools/list': () => ({ ...complete, tools: listed(), ...(modern && { ttlMs: 0, cacheScope: 'private' }) }),
}

function take({ id, method, params }) {
  if (method === 'notifications/cancelled') {
    if (open.delete(params.requestId)) journal('cancelled', String(params.requestId))
    if (late.delete(params.requestId)) answer(params.requestId, { mark: 'WRONG' })
    return
  }
  if (id === undefined || method === undefined || flags.has('mute')) return
  if (flags.has('refuse')) return say({ id, error: { code: -32000, message: `the token ${process.env[flags.get('refuse')]} is not mine` } })
  if (method === 'tools/call') {
    const tool = tools[params.name]
    if (!tool) return say({ id, error: { code: -32602, message: `no tool ${params.name}` } })
    open.set(id, params.name)
    const ran = tool(id, params.arguments ?? {}, params._meta?.progressToken)
    if (ran !== 'stays open') void Promise.resolve(ran).then(() => open.delete(id))
    return
  }
  const known = methods[method]
  say(known ? { id, result: known(params) } : { id, error: { code: -32601, message: `no ${method}` } })
}

function listen() {
  let rest = ''
  process.stdin.setEncoding('utf8').on('data', chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    for (const line of lines) if (line !== '') take(JSON.parse(line))
  })
  process.stdin.on('end', () => {
    if (!flags.has('deaf')) process.exit(0)
  })
  process.stdin.on('error', () => {})
  process.stdout.on('error', () => {})
}
if (flags.has('slow-start')) setTimeout(listen, Number(flags.get('slow-start')))
else listen()
