/**
 * The start-up sweep: ends what a proxy that is no more has left running. Owns the proof that a process is really one
 * of those; in doubt it is left alone.
 */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { silent, type Log } from '../gateway/log.ts'
import { family, findProcess, listProcesses, signalProcess, type ProcessRow } from './process-tree.ts'
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
  const abandoned: FoundRecord[] = []
  for (const found of await readRunFiles(runDir)) {
    const { record } = found
    const owner = record && (await findProcess(record.owner.pid))
    if (!record || owner?.start !== record.owner.start) abandoned.push(found)
  }
  if (abandoned.length === 0) return 0
  const rows = await listProcesses()
  const victims = new Map(abandoned.flatMap(found => (found.record ? leftovers(found.record, found.writtenAt, rows) : [])).map(row => [row.pid, row]))
  if (victims.size > 0) {
    log.info({ processes: victims.size }, 'ending what an earlier run left behind')
    for (const victim of victims.values()) await signalProcess(victim, 'SIGTERM')
    const deadline = performance.now() + termMs
    while (performance.now() < deadline && (await anyAlive(victims))) await new Promise(resolve => setTimeout(resolve, 50))
    // What they started in the meantime goes with them.
    const now = await listProcesses()
    const alive = now.filter(row => victims.get(row.pid)?.start === row.start)
    for (const victim of family(now, new Set(alive.map(row => row.pid)))) await signalProcess(victim, 'SIGKILL')
  }
  for (const { path } of abandoned) await rm(path, { force: true }).catch(() => {})
  return victims.size
}

/** The processes of a record that are provably still the ones it was written for, and their descendants. */
export function leftovers(record: RunRecord, writtenAt: number, rows: readonly ProcessRow[], boot: string = bootId()): ProcessRow[] {
  // Starts count from the boot: after another one, equal numbers mean nothing.
  if (record.boot !== boot) return []
  const byId = new Map(rows.map(row => [row.pid, row]))
  const roots = new Set<number>()
  const members: ProcessRow[] = []
  for (const { pid, start } of record.groups) {
    const leader = byId.get(pid)
    if (leader) {
      if (leader.start === start) roots.add(pid)
    } else {
      // The leader is gone. Its group, if there is one, is ours only if its members are older than our last word of it.
      members.push(...rows.filter(row => row.group === pid && row.session === pid && startedBefore(row, writtenAt)))
    }
  }
  for (const { pid, start } of record.strays) if (byId.get(pid)?.start === start) members.push(byId.get(pid) as ProcessRow)
  const all = [...family(rows, roots), ...members, ...members.flatMap(row => family(rows, new Set([row.pid])))]
  return [...new Map(all.map(row => [row.pid, row])).values()].filter(row => row.pid !== process.pid)
}

let clock: { readonly bootAt: number } | undefined

/** Linux only: clock ticks since the boot, a hundred a second whatever the kernel's own rate (proc(5), USER_HZ). */
function startedBefore(row: ProcessRow, at: number): boolean {
  if (!/^[0-9]+$/.test(row.start)) return false
  try {
    clock ??= { bootAt: Number(/^btime ([0-9]+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 1000 }
  } catch {
    return false
  }
  return clock.bootAt + Number(row.start) * 10 < at
}

async function anyAlive(victims: ReadonlyMap<number, ProcessRow>): Promise<boolean> {
  return (await listProcesses()).some(row => victims.get(row.pid)?.start === row.start)
}
