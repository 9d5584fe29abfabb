import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'

export function machine(root) {
  const [cpu] = cpus()
  const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  let commit
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim()
  } catch {}
  return { cpu: cpu?.model ?? 'unknown', cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), kernel: `${process.platform} ${release()}`, node: process.version, version, commit, load: loadavg().map(x => Math.round(x * 10) / 10) }
}
