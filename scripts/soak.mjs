#!/usr/bin/env node
// The long run: `npm run soak -- --minutes 60 [--seed N]`. Its figure goes to .results/faults, see scripts/reliability.mjs.
import { spawn } from 'node:child_process'

const valueOf = (flag, fallback) => {
  const at = process.argv.indexOf(flag)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (Number.isFinite(value) && value > 0) return String(value)
  process.stderr.write(`usage: npm run soak -- [--minutes N] [--seed N]\n`)
  process.exit(2)
}
const child = spawn('npx', ['vitest', 'run', '--project', 'soak'], {
  stdio: 'inherit', env: { ...process.env, SOAK_MINUTES: valueOf('--minutes', 5), SOAK_SEED: valueOf('--seed', 20261120) },
})
child.on('exit', code => process.exit(code ?? 1))
