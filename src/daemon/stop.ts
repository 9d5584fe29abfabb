/** Waits for a daemon's end and, if it does not come, makes it. Never harms a process that merely has its id. */
import { findProcess, signalProcess, type ProcessRef } from '../transports/process-tree.ts'
import { isAlive, type LockOwner } from './lock.ts'

const stepMs = 25

export interface StopPatience {
  /** Whether it has been asked already; else it gets SIGTERM. */
  readonly isTold: boolean
  readonly drainMs: number
  readonly killMs: number
  /** Must not start another one when this one is killed. */
  readonly supervisor: ProcessRef | undefined
}

/** Resolves with whether it is gone. */
export async function endProcess(owner: LockOwner, { isTold, drainMs, killMs, supervisor }: StopPatience): Promise<boolean> {
  if (!isTold) await signalProcess(owner, 'SIGTERM')
  if (await isGone(owner, drainMs)) return true
  if (supervisor) await signalProcess(supervisor, 'SIGKILL')
  await signalProcess(owner, 'SIGKILL')
  return isGone(owner, killMs)
}

async function isGone(owner: LockOwner, ms: number): Promise<boolean> {
  const until = performance.now() + ms
  while (await isAlive(owner)) {
    if (performance.now() > until) return false
    await new Promise(resolve => setTimeout(resolve, stepMs))
  }
  return true
}

export const parentProcess = async (): Promise<ProcessRef | undefined> => {
  const row = await findProcess(process.ppid)
  return row && { pid: row.pid, start: row.start }
}
