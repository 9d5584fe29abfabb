// What is measured, section by section. Each returns tables: {title, columns, rows}.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openHttp, startBackend } from './http-load.mjs'
import { open } from './stdio-load.mjs'
import { pidsOf } from './processes.mjs'
import { median } from './spread.mjs'
import { timeNothing, timeStart } from './start.mjs'
import { backendScript, httpBackendScript, node, ourHome, ourRun, ours, peersOf, plainPipe, subjectsOf } from './subjects.mjs'

const paths = ['stdio>stdio', 'http>stdio', 'http>http', 'stdio>http']
const watch = fileURLToPath(new URL('watch.mjs', import.meta.url))
const round = (x, digits = 1) => (x === undefined || Number.isNaN(x) ? '–' : Number(x.toFixed(digits)).toLocaleString('en'))
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Opens all subjects of a cell, and lets them finish with their start; who cannot be opened is told of and left out. */
async function openAll(subjects, say) {
  const opened = []
  const failed = []
  for (const subject of subjects)
    try {
      opened.push({ ...subject, target: await subject.opens() })
    } catch (error) {
      failed.push({ name: subject.name, why: error.message })
      say(`${subject.name}: ${error.message}`)
    }
  await pause(1500)
  return { opened, failed }
}

/** Rounds over all targets in turn; the first one warms up. Returns the median of each figure per subject. */
async function interleaved(opened, rounds, measure) {
  const all = new Map(opened.map(({ name }) => [name, []]))
  for (let i = 0; i <= rounds; i++)
    for (const { name, target } of opened) {
      const figures = await measure(target, name)
      if (i > 0) all.get(name).push(figures)
    }
  const result = {}
  for (const [name, list] of all) {
    result[name] = {}
    for (const key of Object.keys(list[0] ?? {})) result[name][key] = median(list.map(each => each[key]))
  }
  return result
}

const callColumns = ['path', 'client → backend', 'through', 'CPU µs per call', '× null relay', 'calls/s', 'of null relay', 'p50 ms', 'p99 ms', 'p99.9 ms', 'added p50 ms', 'added p99 ms', 'RSS MB', 'errors']

function callRows(path, eras, figures, failed) {
  const floor = figures['null relay']
  const { direct } = figures
  return [
    ...Object.entries(figures).map(([name, f]) => [
      path, eras, name, round(f.microsPerCall), floor && name !== 'direct' ? round(f.microsPerCall / floor.microsPerCall, 2) : '', round(f.perSecond, 0),
      floor && name !== 'direct' ? `${round((100 * f.perSecond) / floor.perSecond, 0)} %` : '', round(f.p50, 2), round(f.p99, 2), round(f.p999, 2),
      direct && name !== 'direct' ? round(f.p50 - direct.p50, 2) : '', direct && name !== 'direct' ? round(f.p99 - direct.p99, 2) : '', round(f.rss / 1e6, 0), f.errors,
    ]),
    ...failed.map(({ name, why }) => [path, eras, name, `not measured: ${why.replace(/\s*[<\n][^]*$/, '').slice(0, 60)}`, ...Array(callColumns.length - 4).fill('')]),
  ]
}

/** `echo` on every path, in each era and across them; and the same for others where they have the path. */
export async function calls({ quick, peers, say }) {
  const rows = []
  const cells = quick ? [['legacy', 'legacy'], ['modern', 'modern']] : [['legacy', 'legacy'], ['modern', 'modern'], ['legacy', 'modern'], ['modern', 'legacy']]
  for (const path of quick ? paths.slice(0, 3) : paths)
    for (const [era, backendEra] of cells) {
      const flags = backendEra === 'legacy' ? ['--legacy'] : []
      const behind = await startBackend([httpBackendScript, ...flags])
      const given = { backend: [backendScript, ...flags], url: behind.url, httpPid: behind.pid, era, backendEra }
      const subjects = [...subjectsOf(path, given), ...(peers && era === 'legacy' && backendEra === 'legacy' ? peersOf(path, given) : [])]
      const { opened, failed } = await openAll(subjects, say)
      const isStdio = path.startsWith('stdio')
      const figures = await interleaved(opened, quick ? 2 : 5, async (target, name) => {
        const scale = opened.find(each => each.name === name)?.peer ? 0.2 : path.endsWith('http') ? 0.5 : 1
        const count = Math.round((isStdio ? 30_000 : 8_000) * scale * (quick ? 0.5 : 1))
        return { ...(await target.call({ message: 'hello' }, count, isStdio ? 32 : 16)), rss: target.rss() }
      })
      rows.push(...callRows(path.replace('>', '→'), `${era} → ${backendEra}`, figures, failed))
      say(`${path} ${era}>${backendEra} ${Object.entries(figures).map(([name, f]) => `${name} ${round(f.microsPerCall)} µs ${round(f.perSecond, 0)}/s`).join(', ')}`)
      for (const { target } of opened) await target.close()
      behind.close()
    }
  return [{ title: 'One call (echo)', note: '32 calls on the way over stdio, 16 clients over HTTP. CPU is that of everything between client and backend.', columns: callColumns, rows }]
}

/** Results of 10 KB, 1 MB and 50 MB, beside a plain pipe. */
export async function sizes({ quick, say }) {
  const rows = []
  const given = { backend: [backendScript, '--legacy'], era: 'legacy' }
  const { opened } = await openAll([plainPipe(given.backend), ...subjectsOf('stdio>stdio', given)].map(subject =>
    subject.name === 'mcp-proxy-server' ? { ...subject, opens: () => open(ourRun({ b: { command: node, args: given.backend, limits: { messageBytes: '128MiB' } } })) } : subject), say)
  const cells = [['10 KB', 10_000, 4_000, 32], ['1 MB', 1_000_000, 40, 4], ...(quick ? [] : [['50 MB', 50_000_000, 2, 1]])]
  for (const [label, bytes, count, depth] of cells)
    for (const kind of quick ? ['text'] : ['text', 'ascii', 'hostile']) {
      const figures = await interleaved(opened, quick ? 2 : 3, target => target.call({ bytes, kind }, count, depth))
      const pipe = figures['plain pipe']
      for (const [name, f] of Object.entries(figures))
        rows.push([label, kind, name, round(f.microsPerCall), name === 'direct' ? '' : round(f.microsPerCall / pipe.microsPerCall, 2), name === 'direct' ? '' : round(f.microsPerCall / figures['null relay'].microsPerCall, 2), round(f.perSecond), round(f.p50, 2)])
      say(`${label} ${kind} ${Object.entries(figures).map(([name, f]) => `${name} ${round(f.microsPerCall)} µs`).join(', ')}`)
    }
  for (const { target } of opened) await target.close()
  return [{ title: 'Large results (stdio → stdio)', note: '`text` is source code with its line ends and quotes, `ascii` has nothing to escape, `hostile` has an escape every other character.', columns: ['result', 'kind', 'through', 'CPU µs per call', '× plain pipe', '× null relay', 'calls/s', 'p50 ms'], rows }]
}

/** `tools/list`: by tools and by backends. A null relay has one backend. */
export async function lists({ quick, say }) {
  const rows = []
  for (const tools of quick ? [100, 1000] : [10, 100, 1000])
    for (const backends of quick ? [1] : [1, 10, 50]) {
      const each = Math.max(1, Math.round(tools / backends))
      const args = n => [backendScript, '--legacy', '--tools', String(n)]
      const servers = Object.fromEntries(Array.from({ length: backends }, (_, i) => [`b${i}`, { command: node, args: args(each) }]))
      const subjects = [...subjectsOf('stdio>stdio', { backend: args(tools), era: 'legacy' }).slice(0, 2), { name: 'mcp-proxy-server', opens: () => open(ourRun(servers, { startWait: '30s' })) }]
      const { opened } = await openAll(subjects, say)
      const figures = await interleaved(opened, quick ? 2 : 3, target => target.list(Math.round(60_000 / tools), 8))
      for (const [name, f] of Object.entries(figures))
        rows.push([tools, name === 'mcp-proxy-server' ? backends : 1, name, round(f.microsPerCall), name === 'direct' ? '' : round(f.microsPerCall / figures['null relay'].microsPerCall, 2), round(f.perSecond, 0), round(f.p99, 2)])
      say(`${tools} tools ${backends} backends ${Object.entries(figures).map(([name, f]) => `${name} ${round(f.microsPerCall)} µs`).join(', ')}`)
      for (const { target } of opened) await target.close()
    }
  return [{ title: 'tools/list', columns: ['tools', 'backends', 'through', 'CPU µs per call', '× null relay', 'calls/s', 'p99 ms'], rows }]
}

/** Many clients at once over HTTP: as fast as they are answered, and at half the rate that we reach so. */
export async function clients({ quick, say }) {
  const full = []
  const half = []
  for (const path of ['http>stdio', 'http>http'])
    for (const count of quick ? [1, 100] : [1, 16, 100, 1000]) {
      const behind = await startBackend([httpBackendScript, '--legacy'])
      const { opened } = await openAll(subjectsOf(path, { backend: [backendScript, '--legacy'], url: behind.url, httpPid: behind.pid, era: 'legacy', limits: { queue: 1000 } }), say)
      const through = path.replace('>', '→')
      const figures = await interleaved(opened, quick ? 1 : 3, async target => ({ ...(await target.call({ message: 'hello' }, Math.max(5_000, count * 5), count)), rss: target.rss() }))
      for (const [name, f] of Object.entries(figures))
        full.push([through, count, name, round(f.microsPerCall), round(f.perSecond, 0), round(f.p50, 2), round(f.p99, 2), round(f.p999, 2), round(f.fairness, 2), round(f.rss / 1e6, 0), f.errors])
      say(`${path} ${count} clients ${Object.entries(figures).map(([name, f]) => `${name} ${round(f.perSecond, 0)}/s p99 ${round(f.p99)} ms, ${f.errors} errors`).join(', ')}`)
      const rate = figures['mcp-proxy-server'].perSecond / 2
      // One client is the table of single calls.
      const eased = count === 1 ? {} : await interleaved(opened, quick ? 1 : 3, target => target.call({ message: 'hello' }, Math.round(rate * 3), count, rate))
      const base = eased.direct ?? eased['null relay']
      for (const [name, f] of Object.entries(eased))
        half.push([through, count, name, round(rate, 0), round(f.microsPerCall), round(f.p50, 2), round(f.p99, 2), f === base ? '' : round(f.p99 - base.p99, 2), f.errors])
      if (count > 1) say(`  at ${round(rate, 0)}/s ${Object.entries(eased).map(([name, f]) => `${name} p99 ${round(f.p99)} ms`).join(', ')}`)
      for (const { target } of opened) await target.close()
      behind.close()
    }
  return [
    { title: 'Concurrent clients over HTTP (legacy era, one session each, full load)', note: 'Fairness: calls of the client served least, over those of the one served most. `limits.queue` is 1000 here: with the usual 256, of a thousand calls at once to one server some are refused, as they should be.', columns: ['path', 'clients', 'through', 'CPU µs per call', 'calls/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'fairness', 'RSS MB', 'errors'], rows: full },
    { title: 'The same clients at half load', note: 'Calls fall due at half the rate that mcp-proxy-server reached above, for all subjects alike; added: beyond direct, or beyond the null relay where there is no direct way.', columns: ['path', 'clients', 'through', 'calls/s', 'CPU µs per call', 'p50 ms', 'p99 ms', 'added p99 ms', 'errors'], rows: half },
  ]
}

/** Process start → first byte → initialize → tools/list. */
export async function start({ quick, say }) {
  const rows = []
  const rounds = quick ? 9 : 15
  const subjects = []
  for (const backends of quick ? [1, 10] : [1, 10, 50])
    for (const warm of [true, false]) {
      const servers = Object.fromEntries(Array.from({ length: backends }, (_, i) => [`b${i}`, { command: node, args: [backendScript, '--legacy'] }]))
      subjects.push({ backends, warm, spec: ourRun(servers, { startWait: '30s', ...(warm ? {} : { catalog: { cache: false } }) }), marks: [] })
    }
  for (const { spec, warm } of subjects) if (warm) await timeStart(spec, 1500)
  const bare = []
  for (let i = 0; i < rounds; i++) {
    bare.push(await timeNothing())
    for (const each of subjects) if (each.warm || i % 3 === 0) each.marks.push(await timeStart(each.spec))
  }
  const nothing = median(bare)
  rows.push(['node -e ""', '', '', '', round(nothing), '1'])
  for (const { backends, warm, marks } of subjects) {
    const of = key => median(marks.map(mark => mark[key]))
    rows.push([warm ? 'known catalogue' : 'nothing known', backends, round(of('firstByte')), round(of('initialize')), round(of('list')), round(of('list') / nothing, 2)])
    say(`${backends} backends ${warm ? 'warm' : 'cold'}: list ${round(of('list'))} ms, ${round(of('list') / nothing, 2)} × node`)
  }
  return [{ title: 'Start, milliseconds (stdio, medians)', columns: ['start', 'backends', 'first byte', 'initialize', 'tools/list', '× node -e ""'], rows }]
}

async function asked(mark) {
  const [pid] = pidsOf(mark)
  const file = `${process.env.BENCH_WATCH}.${pid}`
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  for (let i = 0; i < 100; i++) {
    await pause(50)
    try {
      return JSON.parse(readFileSync(file, 'utf8'))
    } catch {}
  }
  throw new Error('no figures came')
}
const watched = spec => ({ ...spec, args: ['--expose-gc', '--import', watch, ...spec.args] })

/** Idle memory of the whole process tree, and what one idle session adds. */
export async function memory({ quick, say }) {
  const rows = []
  const bare = spawnSync(node, ['-e', 'console.log(process.memoryUsage().rss)'], { encoding: 'utf8' })
  rows.push(['node, nothing else', round(Number(bare.stdout) / 1e6)])
  for (const backends of quick ? [20] : [0, 5, 20]) {
    const servers = Object.fromEntries(Array.from({ length: Math.max(1, backends) }, (_, i) => [`b${i}`, { command: node, args: [backendScript, '--legacy'], ...(backends === 0 ? { enabled: false } : {}) }]))
    const spec = ourRun(servers, { startWait: '30s' })
    if (backends > 0) await timeStart(spec, 2500)
    const child = await openIdle(spec)
    await pause(1500)
    const early = child.rss()
    await pause(18_500)
    rows.push([`run, ${backends} lazy backends, none started: after 1.5 s`, round(early / 1e6)], [`the same after 20 s`, round(child.rss() / 1e6)])
    say(rows.slice(-2).map(row => row.join(': ')).join(', '))
    child.close()
  }
  process.env.BENCH_WATCH = join(mkdtempSync(join(tmpdir(), 'mcp-bench-')), 'watch')
  const { config, env } = ourHome({ b: { command: node, args: [backendScript, '--legacy'] } })
  const port = 20_000 + (process.pid % 20_000)
  const server = await openHttp(watched({ command: node, args: [ours, 'serve', '--http', '--no-auth', '--port', String(port), '--config', config], env, url: `http://127.0.0.1:${port}/mcp` }))
  const sessions = quick ? 500 : 900
  for (let i = 0; i < 50; i++) await server.openSession()
  const before = await asked(server.mark)
  for (let i = 0; i < sessions; i++) await server.openSession()
  const after = await asked(server.mark)
  rows.push([`one idle session (of ${sessions}), KiB of heap`, round((after.heapUsed - before.heapUsed) / sessions / 1024, 2)])
  say(rows.at(-1).join(': '))
  await server.close()
  return [{ title: 'Memory, MB unless said', columns: ['what', 'RSS'], rows }]
}

async function openIdle({ command, args, env }) {
  const { spawn } = await import('node:child_process')
  const mark = `idle-${process.pid}-${Date.now()}`
  const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, ...env, BENCH_SUBJECT: mark } })
  const { rssOf } = await import('./processes.mjs')
  child.stdin.write('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}\n')
  return { rss: () => rssOf(pidsOf(mark, true)), close: () => child.stdin.end() }
}

/** What is left after a million calls and ten thousand sessions. */
export async function soak({ say }) {
  const rows = []
  process.env.BENCH_WATCH = join(mkdtempSync(join(tmpdir(), 'mcp-bench-')), 'watch')
  const target = await open(watched(ourRun({ b: { command: node, args: [backendScript, '--legacy'] } })))
  await target.call({ message: 'hello' }, 50_000, 32)
  const first = await asked(target.mark)
  for (let i = 0; i < 10; i++) await target.call({ message: 'hello' }, 100_000, 32)
  const last = await asked(target.mark)
  rows.push(['stdio, 10⁶ calls', round(first.heapUsed / 1e6, 2), round(last.heapUsed / 1e6, 2), round(last.rss / 1e6, 0), round(last.delayP99, 1)])
  say(rows.at(-1).join(' '))
  await target.close()
  const { config, env } = ourHome({ b: { command: node, args: [backendScript, '--legacy'] } })
  const port = 20_000 + ((process.pid + 1) % 20_000)
  const server = await openHttp(watched({ command: node, args: [ours, 'serve', '--http', '--no-auth', '--port', String(port), '--config', config], env, url: `http://127.0.0.1:${port}/mcp` }))
  for (let i = 0; i < 1000; i++) await server.openSession()
  const some = await asked(server.mark)
  for (let i = 0; i < 10_000; i++) await server.openSession()
  const many = await asked(server.mark)
  rows.push(['HTTP, 10,000 sessions', round(some.heapUsed / 1e6, 2), round(many.heapUsed / 1e6, 2), round(many.rss / 1e6, 0), round(many.delayP99, 1)])
  say(rows.at(-1).join(' '))
  await server.close()
  return [{ title: 'What is left behind', note: 'Heap after a full collection, MB; the event-loop delay is that of the run between.', columns: ['after', 'heap before', 'heap after', 'RSS MB', 'event-loop delay p99 ms'], rows }]
}

/** A cold install of the packed tarball. */
export async function install({ root, say }) {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-bench-'))
  const tarball = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir], { cwd: root, encoding: 'utf8' }).trim().split('\n').at(-1)
  const seconds = []
  for (let i = 0; i < 3; i++) {
    const at = mkdtempSync(join(tmpdir(), 'mcp-bench-'))
    const began = performance.now()
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--silent', '--prefix', at, '--cache', join(at, 'cache'), join(dir, tarball)], { stdio: 'ignore' })
    seconds.push((performance.now() - began) / 1000)
    if (i === 2) {
      const modules = join(at, 'node_modules')
      const packages = readdirSync(modules).filter(name => !name.startsWith('.')).length
      const files = readdirSync(modules, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
      const bytes = files.reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0)
      const row = [packages, round(bytes / 1e6), round(statSync(join(dir, tarball)).size / 1e6), round(median(seconds), 2)]
      say(row.join(' '))
      return [{ title: 'Cold install of the packed tarball', columns: ['packages', 'MB on disk', 'MB packed', 'seconds (median of 3)'], rows: [row] }]
    }
  }
}
