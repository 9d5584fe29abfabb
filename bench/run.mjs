// The benchmark. Every figure is one of an interleaved run: direct, through a null relay, through us, through others.
//   node bench/run.mjs [--quick] [--peers] [--only calls,sizes,lists,clients,start,memory,soak,install] [--out FILE.json] [--docs]
// `--peers` installs the other programs (bench/package.json, no scripts); `--docs` writes docs/benchmarks.md.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { machine } from './lib/machine.mjs'
import { markdown } from './lib/report.mjs'
import * as sections from './lib/sections.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const flag = name => process.argv.includes(name)
const value = name => (flag(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined)
const quick = flag('--quick')
const wanted = value('--only')?.split(',') ?? (quick ? ['calls', 'sizes', 'lists', 'start', 'memory'] : Object.keys(sections))

if (!existsSync(`${root}dist/start.cjs`) && !process.env.BENCH_BIN) execFileSync('npm', ['run', '--silent', 'build', '--', '--silent'], { cwd: root, stdio: 'inherit' })
if (flag('--peers') && !process.env.BENCH_PEERS && !existsSync(`${root}bench/node_modules`))
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: `${root}bench`, stdio: 'inherit' })

const began = new Date()
const results = { machine: machine(root), date: began.toISOString(), quick, sections: {} }
for (const name of wanted) {
  process.stderr.write(`${name}\n`)
  results.sections[name] = await sections[name]({ quick, peers: flag('--peers'), root, say: text => process.stderr.write(`  ${text}\n`) })
}
results.seconds = Math.round((Date.now() - began.getTime()) / 1000)
results.machine.loadAtEnd = machine(root).load
const out = value('--out')
if (out) writeFileSync(out, JSON.stringify(results, null, 1))
const text = markdown(results)
if (flag('--docs')) {
  const page = `${root}docs/benchmarks.md`
  const mark = '<!-- generated from here on: npm run bench -- --peers --docs -->'
  const head = existsSync(page) ? readFileSync(page, 'utf8').split(mark)[0] : '# Benchmarks\n\n'
  writeFileSync(page, `${head}${mark}\n\n${text}`)
} else process.stdout.write(text)
process.exit(0)
