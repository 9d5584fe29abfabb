#!/usr/bin/env node
// `npm run conformance`: the official suite through `serve --http`, for each era and transport of backend and with names
// prefixed or not. Filters for work on one cell: `--backend`, `--transport`, `--prefix`, `--revision`, `--direct-only yes`,
// `--verbose yes`. A filtered run writes no page and does not look for stale expectations.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { readArgs } from '../fixtures/servers/lib/args.mjs'
import { page, table } from './report.mjs'
import { startShim } from './shim.mjs'
import { prepareTools, requiredScenarios, root } from './tools.mjs'
import { readVerdicts } from './verdict.mjs'

const options = readArgs({
  backend: { values: ['', 'dual', 'modern', 'legacy'], fallback: '' },
  transport: { values: ['', 'stdio', 'http'], fallback: '' },
  prefix: { values: ['', 'never', 'always'], fallback: '' },
  revision: { values: ['', '2025-11-25', '2026-07-28'], fallback: '' },
  'direct-only': { values: ['', 'yes'], fallback: '' },
  verbose: { values: ['', 'yes'], fallback: '' },
})
const pick = (value, all) => (value ? [value] : all)
const filtered = Object.values(options).some(value => value !== '')
const revisions = pick(options.revision, ['2025-11-25', '2026-07-28'])
const server = join(root, 'test/fixtures/servers/everything-v2.mjs')
const { node, suite } = await prepareTools()
const work = mkdtempSync(join(tmpdir(), 'mcp-proxy-conformance-'))

/** Starts a process and waits for the address it says on stderr. */
function listen(args, env = {}) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let words = ''
  return new Promise((resolve, reject) => {
    child.once('close', code => reject(new Error(`${args.join(' ')} ended with ${code}\n${words}`)))
    child.stderr.on('data', chunk => {
      words += chunk
      const ready = /^\{"port":(\d+)/m.exec(words)
      const url = /listening (http\S+)/.exec(words)?.[1] ?? (ready && `http://127.0.0.1:${ready[1]}/mcp`)
      if (url)
        resolve({
          url,
          stop: () => new Promise(done => {
            child.removeAllListeners('close')
            child.once('close', done)
            child.kill('SIGTERM')
          }),
        })
    })
  })
}

let runs = 0
/** Runs the suite's required server scenarios against an address. */
async function check(url, revision) {
  const out = join(work, `run-${++runs}`)
  await new Promise((resolve, reject) => {
    const child = spawn(node, [suite, 'server', '--url', url, '--requirements', revision, '-o', out], { stdio: 'ignore' })
    child.once('error', reject)
    child.once('close', resolve)
  })
  return readVerdicts(out, 'server', requiredScenarios(revision, 'server'))
}

const results = []
const failures = []
const expected = parse(readFileSync(new URL('expected-failures.yaml', import.meta.url), 'utf8')) ?? []
for (const entry of expected)
  if (!entry.reason || !/^https:\/\/modelcontextprotocol\.io\/specification\//.test(entry.spec ?? '')) throw new Error(`expected failure ${entry.scenario} has no reason or no link into the specification`)
const used = new Set()

/** Takes the verdicts of one run in; `where` is undefined for the control. */
function judge(title, revision, verdicts, where) {
  const failed = verdicts.filter(({ verdict }) => verdict !== 'pass')
  results.push({ title, revision, passed: verdicts.length - failed.length, total: verdicts.length })
  console.log(`${title} · ${revision}: ${verdicts.length - failed.length}/${verdicts.length}`)
  for (const { scenario, verdict, problems } of failed) {
    const entry = where && expected.find(candidate =>
      candidate.scenario === scenario && candidate.revision === revision &&
      (candidate.backend?.includes(where.backend) ?? true) && (candidate.transport?.includes(where.transport) ?? true))
    if (entry) used.add(entry)
    else failures.push(`${title} · ${revision} · ${scenario}`)
    if (!entry || options.verbose) console.log(`  ${entry ? 'expected' : verdict}: ${scenario}${problems.map(problem => `\n    ${problem}`).join('')}`)
  }
}

async function control() {
  const backend = await listen([server, '--transport', 'http'])
  for (const revision of revisions) judge('the test server alone', revision, await check(backend.url, revision))
  await backend.stop()
}

async function cell(backend, transport, prefix) {
  const title = `${backend} server over ${transport}, names ${prefix === 'never' ? 'as they are' : 'prefixed'}`
  const args = [server, '--era', backend]
  const remote = transport === 'http' ? await listen([...args, '--transport', 'http']) : undefined
  const config = join(work, `config-${backend}-${transport}-${prefix}.json`)
  const entry = remote ? { url: remote.url } : { command: process.execPath, args }
  writeFileSync(config, JSON.stringify({ mcpServers: { everything: entry }, names: { prefix } }))
  const proxy = await listen(
    [join(root, 'bin/mcp-proxy.js'), 'serve', '--http', '--port', '0', '--no-auth', '--config', config],
    { MCP_PROXY_HOME: join(work, 'home'), MCP_PROXY_NO_DAEMON: '1' },
  )
  const shim = prefix === 'always' ? await startShim(proxy.url, 'everything__') : undefined
  for (const revision of revisions) judge(title, revision, await check((shim ?? proxy).url, revision), { backend, transport })
  shim?.close()
  await proxy.stop()
  await remote?.stop()
}

try {
  await control()
  if (!options['direct-only'])
    for (const backend of pick(options.backend, ['dual', 'modern', 'legacy']))
      for (const transport of pick(options.transport, ['stdio', 'http']))
        for (const prefix of pick(options.prefix, ['never', 'always'])) await cell(backend, transport, prefix)
} finally {
  rmSync(work, { recursive: true, force: true })
}

const stale = filtered ? [] : expected.filter(entry => !used.has(entry))
console.log(`\n${table(results)}`)
for (const entry of stale) console.error(`stale expectation: ${entry.scenario} (${entry.revision}) passes; take it out`)
for (const failure of failures) console.error(`failed: ${failure}`)
if (!filtered) writeFileSync(join(root, 'docs/conformance.md'), page(results, expected))
process.exitCode = failures.length + stale.length > 0 ? 1 : 0
