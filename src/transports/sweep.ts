/**
 * The start-up sweep: ends what a proxy that is no more has left running. Owns the proof that a process is really one
 * of those; in doubt it is left alone.
 */
import { rm } from 'node:fs/promises'
import { silent, type Log } from '../gateway/log.ts'
import { family, findProcess, listProcesses, signalProcess, unknownStart, type ProcessRef, type ProcessRow } from './process-tree.ts'
import { bootId, readRunFiles, type FoundRecord, type RunRecord } from './run-file.ts'

export interface SweepOptions {
  readonly log?: Log | undefined
  /** How long to wait between SIGTERM and SIGKILL, in ms. */
  readonly termMs?: number | undefined
}

/**
 * Ends the leftovers of every proxy that has a file in `runDir` and is gone, and removes those files. Resolves with how
 * many processes there were. Never rejects; takes a moment, so run it beside the start, not before it.
 */
export async function sweep(runDir: string, { log = silent, termMs = 500 }: SweepOptions = {}): Promise<number> {
  const suspects: FoundRecord[] = []
  for (const found of readRunFiles(runDir)) {
    const { record } = found
    const owner = record && (await findProcess(record.owner.pid))
    if (!record || !owner || !isStill(record.owner, owner)) suspects.push(found)
  }
  if (suspects.length === 0) return 0
  const rows = await listProcesses()
  const abandoned = suspects.filter(({ record }) => !record || isGone(record.owner, rows))
  const found = abandoned.flatMap(({ record }) => (record ? leftovers(record, rows) : []))
  const victims = new Map(found.map(row => [row.pid, row]))
  if (victims.size > 0) {
    log.info({ processes: victims.size }, 'ending what an earlier run left behind')
    for (const victim of victims.values()) await signalProcess(victim, 'SIGTERM')
    const deadline = performance.now() + termMs
    while (performance.now() < deadline && (await anyAlive(victims))) await new Promise(resolve => setTimeout(resolve, 50))
    // What they started in the meantime goes with them.
    const now = await listProcesses()
    // Whoever cannot be seen may be deaf to that: a later start judges.
    if (now.length === 0) return victims.size
    const alive = now.filter(row => victims.get(row.pid)?.start === row.start)
    for (const victim of family(now, new Set(alive.map(row => row.pid)))) await signalProcess(victim, 'SIGKILL')
  }
  for (const { path } of abandoned) await rm(path, { force: true }).catch(() => {})
  return victims.size
}

/** An owner that could not see its own start is any process with its id. */
const isStill = ({ pid, start }: ProcessRef, row: ProcessRow): boolean => row.pid === pid && (start === unknownStart || row.start === start)

/** Not to be seen once proves nothing where `ps` may be late; where nobody can be seen, nothing does. */
export const isGone = (owner: ProcessRef, rows: readonly ProcessRow[]): boolean => rows.length > 0 && !rows.some(row => isStill(owner, row))

/** The processes of a record that are provably still the ones it was written for, and what descends from them by now. */
export function leftovers(record: RunRecord, rows: readonly ProcessRow[], boot: string = bootId()): ProcessRow[] {
  // Starts count from the boot: after another one, equal numbers mean nothing.
  if (record.boot !== boot) return []
  const starts = new Map([...record.groups, ...record.descendants].map(({ pid, start }) => [pid, start]))
  const same = rows.filter(row => starts.get(row.pid) === row.start)
  const groups = new Set(record.groups.map(({ pid }) => pid))
  // A group without its leader is ours if one of its members is: while it has members, nobody else gets its id.
  return family(rows, new Set(same.flatMap(({ pid, group }) => (groups.has(group) ? [pid, group] : [pid]))))
}

async function anyAlive(victims: ReadonlyMap<number, ProcessRow>): Promise<boolean> {
  return (await listProcesses()).some(row => victims.get(row.pid)?.start === row.start)
}
