// The gate for CI: what a call costs, counted in instructions (valgrind's callgrind), as a multiple of what the null relay
// costs. Counts hardly depend on the machine and not at all on who else uses it, so a rise of 10 % over the committed baseline is ours.
//   node bench/gate.mjs [--update]      exit 0 within bounds, 1 beyond (or without a baseline, or if we fail), 3 if nothing could be counted: no valgrind, or even the null relay fails under it
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { open } from './lib/stdio-load.mjs'
import { backendScript, node, ourRun } from './lib/subjects.mjs'

const here = name => fileURLToPath(new URL(name, import.meta.url))
const baselineFile = here('baseline.json')
const allowed = 1.1
const began = performance.now()
const giveUp = (code, why) => {
  console.log(why)
  process.exit(code)
}
if (spawnSync('valgrind', ['--version']).status !== 0) giveUp(3, 'not measured: valgrind is not installed')

const backend = [backendScript, '--legacy', '--tools', '100']
// No optimising compiler: when it runs is chance, and what it does outweighs thousands of calls. Baseline code does the same work.
// And no full collection: whether one falls into what is counted is chance, and it costs as much as 150 lists. Young objects are collected as ever.
const steady = ['--initial-old-space-size=512', '--single-threaded', '--predictable', '--hash-seed=1', '--random-seed=1', '--no-opt', '--always-sparkplug']
const run = ourRun({ b: { command: node, args: backend } }, { catalog: { cache: false }, log: { level: 'silent' }, startWait: '60s', defaults: { timeouts: { start: '60s' } } })
const subjects = {
  ours: run,
  null: { command: node, args: [here('lib/null-relay.mjs'), '--', node, ...backend] },
}
// What goes before the counting begins: start and compilation are not what a call costs.
const warmUp = async target => {
  await target.call({ message: 'hello' }, 400, 16)
  await target.call({ bytes: 10_000 }, 60, 8)
  await target.list(40, 4)
}
const cells = {
  echo: [1500, (target, count) => target.call({ message: 'hello' }, count, 16)],
  '10 KB': [200, (target, count) => target.call({ bytes: 10_000 }, count, 8)],
  list: [400, (target, count) => target.list(count, 4)],
}

/** Instructions per call, cell by cell, of one run: callgrind writes down what was counted since it last did. */
async function measure({ command, args, env }) {
  const out = join(mkdtempSync(join(tmpdir(), 'mcp-gate-')), 'out')
  const target = await open({
    command: 'setarch',
    args: ['-R', 'valgrind', '--tool=callgrind', `--callgrind-out-file=${out}`, '--log-file=/dev/null', command, ...steady, ...args],
    // What V8 compiled would be kept at some moment of the run.
    env: { ...env, NODE_DISABLE_COMPILE_CACHE: '1' },
    patienceMs: 200_000,
  })
  let dumps = 0
  const counted = async () => {
    await promisify(execFile)('callgrind_control', ['-d', String(target.pid)])
    const file = `${out}.${++dumps}`
    for (;;) {
      const total = existsSync(file) && /^(?:totals|summary): (\d+)/m.exec(readFileSync(file, 'utf8'))
      if (total) return Number(total[1])
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
  const within = (what, work) => {
    let timer
    const late = new Promise((_, reject) => void (timer = setTimeout(() => reject(new Error(`${what}: no end after 5 minutes`)), 300_000)))
    return Promise.race([work, late]).finally(() => clearTimeout(timer))
  }
  await within('warm-up', warmUp(target))
  await within('counting', counted())
  const figures = {}
  for (const [cell, [count, load]] of Object.entries(cells)) {
    await within(cell, load(target, count))
    figures[cell] = (await within('counting', counted())) / count
  }
  // Errors are cheap.
  const probe = JSON.parse((await within('probe', target.request('tools/call', { name: target.tool, arguments: { bytes: 10_000 } }))).toString())
  if (!(probe.result?.content?.[0]?.text?.length >= 10_000)) throw new Error(`answered ${JSON.stringify(probe).slice(0, 200)}`)
  await target.close(0)
  return figures
}

const update = process.argv.includes('--update')
const key = `node ${process.versions.node.split('.')[0]}`
const baselines = existsSync(baselineFile) ? JSON.parse(readFileSync(baselineFile, 'utf8')) : {}
if (!update && !baselines[key]) giveUp(1, `bench/baseline.json has nothing for ${key}: node bench/gate.mjs --update`)
const least = (a, b) => Object.fromEntries(Object.keys(cells).map(cell => [cell, Math.min(a?.[cell] ?? Infinity, b[cell])]))

// How bytes fall into chunks is chance and only ever adds: the least of up to three runs is what a call costs.
const measured = {}
let ratios
for (let turn = 0; turn < 3; turn++) {
  const [mine, null_] = await Promise.allSettled([measure(subjects.ours), measure(subjects.null)])
  if (null_.status === 'rejected') giveUp(3, `not measured: the null relay under valgrind: ${null_.reason.message}`)
  if (mine.status === 'rejected') giveUp(1, `mcp-proxy under valgrind: ${mine.reason.message}`)
  const [ours, floor] = [mine.value, null_.value]
  measured.ours = least(measured.ours, ours)
  measured.null = least(measured.null, floor)
  ratios = Object.fromEntries(Object.keys(cells).map(cell => [cell, measured.ours[cell] / measured.null[cell]]))
  if (!update && Object.entries(ratios).every(([cell, ratio]) => !(ratio > (baselines[key]?.[cell] ?? 0) * allowed))) break
}
let failed = false
for (const [cell, ratio] of Object.entries(ratios)) {
  const base = baselines[key]?.[cell]
  const worse = base !== undefined && ratio > base * allowed
  failed ||= worse
  console.log(`${cell.padEnd(6)} ${Math.round(measured.ours[cell]).toLocaleString('en')} instructions, ${ratio.toFixed(3)} × null relay; baseline ${base?.toFixed(3) ?? 'none'}${worse ? '  TOO MUCH' : ''}`)
}
console.log(`${((performance.now() - began) / 1000).toFixed(0)} s`)
if (update) {
  baselines[key] = Object.fromEntries(Object.entries(ratios).map(([cell, ratio]) => [cell, Number(ratio.toFixed(3))]))
  writeFileSync(baselineFile, JSON.stringify(baselines, null, 2) + '\n')
} else if (failed) {
  console.log('A call costs over 10 % more than the baseline. If that is the price of something worth it: node bench/gate.mjs --update, and say why.')
}
process.exit(failed && !update ? 1 : 0)
