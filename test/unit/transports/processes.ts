/** What tests of processes need to know of them. */
import { readRow, viewOf } from '../../../src/transports/process-tree.ts'

/** A zombie counts as gone. */
export function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false
  if (viewOf() === 'proc') return readRow(pid) !== undefined
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Resolves once `holds` does; rejects after `ms`. */
export async function until(holds: () => boolean, ms = 5000): Promise<void> {
  const deadline = performance.now() + ms
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${holds}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
