/**
 * Keeps what a fault test measured, one file per figure, for `npm run reliability` to turn into docs/reliability.md. A
 * figure that misses its promise is kept as such, and fails its test.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from '../../e2e/harness.ts'

/** `FAULTS_FULL=1` runs everything at the size that is promised; else a part that fits into a build. */
export const full = process.env['FAULTS_FULL'] === '1'
export const size = (inShort: number, inFull: number): number => (full ? inFull : inShort)

export interface Figure {
  /** Number in the catalogue of faults; `-` for what is in none. */
  readonly fault: string
  /** Names the file. */
  readonly id: string
  readonly what: string
  readonly promise: string
  /** What was measured, in words and numbers. */
  readonly measured: string
  readonly met: boolean
  /** It was not measured at the size that is promised. */
  readonly open?: boolean
  /** What the figures were reckoned from, for whoever wants to look closer. Not on the page. */
  readonly series?: readonly object[]
}

export function record(figure: Figure): void {
  const folder = join(root, '.results', 'faults')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${figure.id}.${full ? 'full' : 'short'}.json`), JSON.stringify({
    ...figure,
    size: full ? 'full' : 'short',
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}, Node ${process.versions.node}`,
  }, null, 2))
}

export const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits
