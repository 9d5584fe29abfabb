#!/usr/bin/env node
// `npm run conformance`: the official suite with the proxy as the server, for each era and transport of backend and with
// names prefixed or not, and with the proxy as the client. Filters for work on one cell: `--leg`, `--backend`,
// `--transport`, `--prefix`, `--revision`. A filtered run writes no page and looks for no stale expectations.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { readArgs } from '../fixtures/servers/lib/args.mjs'
import { page, table } from './report.mjs'
import { startShim } from './shim.mjs'
import { openSuite } from './suite.mjs'
import { root } from './tools.mjs'

const choices = {
  leg: ['control', 'server', 'client'],
  backend: ['dual', 'modern', 'legacy'],
  transport: ['stdio', 'http'],
  prefix: ['never', 'always'],
  revision: ['2025-11-25', '2026-07-28'],
}
const options = readArgs(Object.fromEntries(Object.entries(choices).map(([key, values]) => [key, { values: ['', ...values], fallback: '' }])))
const filtered = Object.values(options).some(value => value !== '')
const picked = key => (options[key] ? [options[key]] : choices[key])

const bin = process.env.MCP_PROXY_BIN ?? join(root, 'bin/mcp-proxy.js')
const server = join(root, 'test/fixtures/servers/everything-v2.mjs')
const work = mkdtempSync(join(tmpdir(), 'mcp-proxy-conformance-'))
const suite = await openSuite(work)

const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Starts a process and waits for the address it says on stderr. */
function listen(args, env = {}) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  children.add(child)
  child.once('close', () => children.delete(child))
  let words = ''
  return new Promise((resolve, reject) => {
    const early = code => reject(new Error(`${args.join(' ')} ended with ${code}\n${words}`))
    child.once('close', early)
    child.stderr.on('data', chunk => {
      words += chunk
      const ready = /^\{"port":(\d+)/m.exec(words)
      const url = /listening (http\S+)/.exec(words)?.[1] ?? (ready && `http://127.0.0.1:${ready[1]}/mcp`)
      if (!url) return
      resolve({
        url,
        stop: () => new Promise(done => {
          child.off('close', early)
          child.once('close', done)
          child.kill('SIGTERM')
        }),
      })
    })
  })
}

const results = []
const failures = []
const expected = parse(readFileSync(new URL('expected-failures.yaml', import.meta.url), 'utf8')) ?? []
for (const entry of expected)
  if (!entry.reason || !entry.checks?.length || !/^https:\/\/modelcontextprotocol\.io\/specification\//.test(entry.spec ?? ''))
    throw new Error(`expected failure ${entry.scenario} has no checks, no reason or no link into the specification`)
const used = new Set()

/** Takes the verdicts of one run in; `where` says which expectations apply, and is undefined for a control. */
function judge(title, revision, verdicts, where) {
  const entryFor = scenario => where && expected.find(candidate =>
    candidate.leg === where.leg && candidate.scenario === scenario && candidate.revision === revision &&
    (candidate.backend?.includes(where.backend) ?? true) && (candidate.transport?.includes(where.transport) ?? true))
  const failed = verdicts.filter(({ scenario, verdict }) => verdict !== 'pass')
  results.push({ title, revision, passed: verdicts.length - failed.length, total: verdicts.length })
  console.log(`${title} · ${revision}: ${verdicts.length - failed.length}/${verdicts.length}`)
  for (const { scenario, verdict, amiss, problems } of failed) {
    const candidate = entryFor(scenario)
    const entry = candidate && amiss.length > 0 && amiss.every(id => candidate.checks.includes(id)) ? candidate : undefined
    if (!entry) failures.push(`${title} · ${revision} · ${scenario}`)
    else used.add(entry)
    console.log(`  ${entry ? 'expected' : verdict}: ${scenario}${problems.map(problem => `\n    ${problem}`).join('')}`)
  }
}

async function serverCell(backend, transport, prefix, controls) {
  const args = [server, '--era', backend]
  const title = `${backend} backend over ${transport}, names ${prefix === 'never' ? 'as they are' : 'prefixed'}`
  for (const revision of picked('revision')) {
    const name = `${backend}-${transport}-${prefix}-${revision}`
    const remote = transport === 'http' ? await listen([...args, '--transport', 'http']) : undefined
    const config = join(work, `${name}.json`)
    const entry = remote ? { url: remote.url } : { command: process.execPath, args }
    writeFileSync(config, JSON.stringify({ mcpServers: { everything: entry }, names: { prefix } }))
    const proxy = await listen(
      [bin, 'serve', '--http', '--port', '0', '--no-auth', '--config', config],
      { MCP_PROXY_HOME: join(work, `home-${name}`), MCP_PROXY_NO_DAEMON: '1' },
    )
    const shim = prefix === 'always' ? await startShim(proxy.url, 'everything__') : undefined
    judge(title, revision, await suite.server((shim ?? proxy).url, revision, controls[revision]), { leg: 'server', backend, transport })
    shim?.close()
    await proxy.stop()
    await remote?.stop()
  }
}

async function serverLeg(only) {
  const controls = {}
  const alone = await listen([server, '--transport', 'http'])
  for (const revision of picked('revision')) {
    controls[revision] = await suite.server(alone.url, revision)
    judge('as server: no proxy, the test server alone', revision, controls[revision])
  }
  await alone.stop()
  if (only) return
  for (const backend of picked('backend'))
    for (const transport of picked('transport'))
      for (const prefix of picked('prefix')) await serverCell(backend, transport, prefix, controls)
}

async function clientLeg(only) {
  for (const revision of picked('revision')) {
    const control = await suite.client(revision, { CONFORMANCE_DIRECT: '1' })
    judge('as client: no proxy, the SDK client alone', revision, control)
    if (only) continue
    for (const prefix of picked('prefix'))
      judge(`as client, names ${prefix === 'never' ? 'as they are' : 'prefixed'}`, revision,
        await suite.client(revision, { CONFORMANCE_PREFIX: prefix }, control), { leg: 'client' })
  }
}

try {
  const control = options.leg === 'control'
  if (options.leg !== 'client') await serverLeg(control)
  if (options.leg !== 'server') await clientLeg(control)
} finally {
  rmSync(work, { recursive: true, force: true })
}

const stale = filtered ? [] : expected.filter(entry => !used.has(entry))
console.log(`\n${table(results)}`)
for (const entry of stale) console.error(`stale expectation: ${entry.scenario} (${entry.revision}) passes; take it out`)
for (const failure of failures) console.error(`failed: ${failure}`)
if (!filtered) writeFileSync(join(root, 'docs/conformance.md'), page(results, expected))
process.exitCode = failures.length + stale.length > 0 ? 1 : 0
