/** Memory of process trees, for people who look: read once per look, never on the way of a call. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { family, listProcesses, viewOf } from '../transports/process-tree.ts'

/** Resident bytes of each of these processes with all its descendants, by pid; nothing where it cannot be seen. */
export async function treeMemory(pids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const sums = new Map<number, number>()
  if (viewOf() === 'none' || pids.length === 0) return sums
  const rows = await listProcesses()
  const trees = pids.map(pid => [pid, family(rows, new Set([pid])).map(row => row.pid)] as const)
  const resident = await residentOf([...new Set(trees.flatMap(([, members]) => members))])
  for (const [pid, members] of trees) {
    const sum = members.reduce((bytes, member) => bytes + (resident.get(member) ?? 0), 0)
    if (sum > 0) sums.set(pid, sum)
  }
  return sums
}

function residentOf(pids: readonly number[]): Promise<Map<number, number>> {
  return viewOf() === 'proc' ? fromProc(pids) : fromPs(pids)
}

async function fromProc(pids: readonly number[]): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  await Promise.all(
    pids.map(async pid => {
      const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]
      if (kilobytes !== undefined) found.set(pid, Number(kilobytes) * 1024)
    }),
  )
  return found
}

const fromPs = (pids: readonly number[]): Promise<Map<number, number>> =>
  new Promise(resolve => {
    execFile('ps', ['-o', 'pid=', '-o', 'rss=', '-p', pids.join(',')], { timeout: 2_000 }, (_error, stdout) => {
      const rows = stdout.split('\n').map(line => line.trim().split(/\s+/).map(Number))
      resolve(new Map(rows.flatMap(([pid, kilobytes]) => (pid && kilobytes !== undefined ? [[pid, kilobytes * 1024] as const] : []))))
    })
  })
