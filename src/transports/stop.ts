/**
 * Ends a child process and everything it started: politely, then less so. Owns the ladder of the spec (close its input,
 * wait, terminate, kill: basic/lifecycle, shutdown, stdio); must not know what the process was for.
 */
import { execFile } from 'node:child_process'
import { family, listProcesses, signalGroup, signalProcess, type ProcessRef } from './process-tree.ts'

export const stopDefaults = { eofMs: 2_000, termMs: 3_000, strayMs: 500, killMs: 1_000 } as const

export interface StopTiming {
  /** How long to wait after its input was closed; 0 = do not wait. */
  readonly eofMs?: number | undefined
  /** How long to wait after SIGTERM. */
  readonly termMs?: number | undefined
  /** The same for what the leader left behind: nobody but us knows of it any more. */
  readonly strayMs?: number | undefined
}

export interface Target {
  readonly pid: number
  /** It leads a process group, which may be signalled as a whole. */
  readonly leads: boolean
  readonly exited: Promise<unknown>
  /** Its descendants, as far as they are known from earlier. */
  known(): readonly ProcessRef[]
}

/** Ends the whole tree. Resolves when nothing of it is left, or nothing that can be killed; says which. */
export async function stopTree(target: Target, closeInput: () => void, timing: StopTiming = {}): Promise<boolean> {
  const { eofMs, termMs } = { ...stopDefaults, ...defined(timing) }
  const outside = new Map(target.known().map(ref => [ref.pid, ref]))
  // Before its parents go: afterwards nothing tells that a process with a group of its own belonged here.
  if (target.leads) await noteOutsiders(target.pid, outside)
  closeInput()
  if (!(await within(target.exited, eofMs))) {
    if (process.platform === 'win32') await taskkill(target.pid)
    else await signalTree(target, 'SIGTERM', outside)
    if (!(await within(target.exited, termMs))) {
      await signalTree(target, 'SIGKILL', outside)
      await within(target.exited, stopDefaults.killMs)
    }
  }
  return clearRemains(target, timing, outside)
}

/** Ends what a leader left behind when it exited. Says whether nothing is left. */
export async function clearRemains(
  target: Target,
  timing: StopTiming = {},
  outside = new Map<number, ProcessRef>(),
): Promise<boolean> {
  const { strayMs } = { ...stopDefaults, ...defined(timing) }
  for (const ref of target.known()) outside.set(ref.pid, ref)
  if (!(await anybodyLeft(target, outside))) return true
  await signalTree(target, 'SIGTERM', outside)
  if (await emptied(target, outside, strayMs)) return true
  await signalTree(target, 'SIGKILL', outside)
  return emptied(target, outside, stopDefaults.killMs)
}

async function noteOutsiders(leader: number, outside: Map<number, ProcessRef>): Promise<void> {
  for (const row of family(await listProcesses(), new Set([leader]))) if (row.group !== leader) outside.set(row.pid, row)
}

async function signalTree(target: Target, signal: NodeJS.Signals, outside: Map<number, ProcessRef>): Promise<void> {
  if (!target.leads) return void (await signalProcess({ pid: target.pid, start: '-' }, signal))
  await noteOutsiders(target.pid, outside)
  signalGroup(target.pid, signal)
  for (const ref of outside.values()) await signalProcess(ref, signal)
}

async function anybodyLeft(target: Target, outside: ReadonlyMap<number, ProcessRef>): Promise<boolean> {
  const grouped = target.leads && signalGroup(target.pid, 0)
  if (!grouped && outside.size === 0) return false
  // A zombie that nobody reaps still answers to the group's id, so where one can look, one looks.
  const rows = await listProcesses()
  if (rows.length === 0) return grouped
  return rows.some(row => (target.leads && row.group === target.pid) || outside.get(row.pid)?.start === row.start)
}

async function emptied(target: Target, outside: ReadonlyMap<number, ProcessRef>, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  for (let pause = 10; ; pause = Math.min(pause * 2, 100)) {
    if (!(await anybodyLeft(target, outside))) return true
    if (performance.now() >= deadline) return false
    await new Promise(resolve => setTimeout(resolve, pause))
  }
}

/** Waits for `event`, but not longer than `ms`; says whether it came. */
async function within(event: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => (timer = setTimeout(resolve, ms, false)))
  const came = await Promise.race([event.then(() => true), late])
  clearTimeout(timer)
  return came
}

const defined = (timing: StopTiming): { [K in keyof StopTiming]: number } =>
  Object.fromEntries(Object.entries(timing).filter(([, value]) => value !== undefined))

type Run = (file: string, args: readonly string[], done: () => void) => void

const runQuietly: Run = (file, args, done) => void execFile(file, args, { windowsHide: true, timeout: 5_000 }, () => done())

/**
 * Windows has neither groups nor signals: the tree is ended at once. It misses what was started by a process that has
 * since exited. Not tried on a real Windows.
 */
export const taskkill = (pid: number, run: Run = runQuietly): Promise<void> =>
  new Promise(resolve => {
    const root = process.env['SystemRoot'] ?? 'C:\\Windows'
    run(`${root}\\System32\\taskkill.exe`, ['/PID', String(pid), '/T', '/F'], resolve)
  })
