/**
 * Which processes there are, who descends from whom, and signals that cannot hit a stranger. Owns the two ways to look
 * (/proc on Linux, ps elsewhere); must not know why a process is to go.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** A process that is still itself: its id and when it started, in the operating system's own notation. */
export interface ProcessRef {
  readonly pid: number
  /** `-` = unknown, then only the id counts. */
  readonly start: string
}

export interface ProcessRow extends ProcessRef {
  readonly parent: number
  readonly group: number
  readonly session: number
}

/** How this system shows its processes. The reaper's script is told the same word. */
export type ProcessView = 'proc' | 'ps' | 'none'

export const viewOf = (platform: NodeJS.Platform = process.platform): ProcessView =>
  platform === 'linux' ? 'proc' : platform === 'win32' ? 'none' : 'ps'

export const unknownStart = '-'
/** What a start may look like, here and in the reaper's script: it is put together with others into one line. */
export const startPattern = /^[0-9A-Za-z:_-]{1,40}$/

/**
 * The line of /proc/<pid>/stat; the command in it may itself hold spaces and parentheses (proc(5)). Undefined for a
 * zombie: it is dead, only nobody has asked for its exit code yet.
 */
export function parseStat(text: string): ProcessRow | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const start = fields[19]
  if (fields[0] === 'Z' || start === undefined || !startPattern.test(start)) return undefined
  return { pid: Number.parseInt(text), parent: Number(fields[1]), group: Number(fields[2]), session: Number(fields[3]), start }
}

/** Lines of `ps -o pid= -o ppid= -o pgid= -o lstart=`. There is no portable session column; the group stands for it. */
export function parsePs(text: string): ProcessRow[] {
  const rows: ProcessRow[] = []
  for (const line of text.split('\n')) {
    const [pid, parent, group, ...lstart] = line.trim().split(/\s+/)
    const start = lstart.join('_')
    if (!startPattern.test(start)) continue
    rows.push({ pid: Number(pid), parent: Number(parent), group: Number(group), session: Number(group), start })
  }
  return rows
}

export function readRow(pid: number): ProcessRow | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

const psColumns = ['-o', 'pid=', '-o', 'ppid=', '-o', 'pgid=', '-o', 'lstart=']
// One notation of dates for everybody who compares them, whatever the user's language and zone.
export const psEnvironment = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC0' } as const

const ps = (which: readonly string[]): Promise<ProcessRow[]> =>
  new Promise(resolve => {
    const options = { env: psEnvironment, timeout: 2_000, maxBuffer: 16 * 1024 * 1024 }
    // Half a list, as of one that took too long, says of nobody that he is gone.
    execFile('ps', [...which, ...psColumns], options, (error, stdout) => resolve(error ? [] : parsePs(stdout)))
  })

/** The row of one process; undefined when it is gone or cannot be seen. */
export async function findProcess(pid: number, view: ProcessView = viewOf()): Promise<ProcessRow | undefined> {
  if (view === 'proc') return readRow(pid)
  return view === 'ps' ? (await ps(['-p', String(pid)]))[0] : undefined
}

/** Reading one row takes some 15 µs; so many at a time keep the event loop free on a machine with thousands. */
const rowsPerTurn = 128

async function scan(view: ProcessView): Promise<ProcessRow[]> {
  if (view === 'none') return []
  if (view === 'ps') return ps(['-A'])
  const rows: ProcessRow[] = []
  let turn = 0
  for (const name of readNames()) {
    const first = name.charCodeAt(0)
    if (first < 0x30 || first > 0x39) continue
    const row = readRow(Number(name))
    if (row) rows.push(row)
    if (++turn % rowsPerTurn === 0) await new Promise(setImmediate)
  }
  return rows
}

/** Without descriptors left, or without /proc, there is nothing to see. */
function readNames(): string[] {
  try {
    return readdirSync('/proc')
  } catch {
    return []
  }
}

let scanning: Promise<ProcessRow[]> | undefined

/**
 * All processes, as of a moment ago: those who ask while somebody is looking are told the same. Empty where they cannot
 * be seen. Never rejects.
 */
export function listProcesses(view: ProcessView = viewOf()): Promise<ProcessRow[]> {
  if (view !== viewOf()) return scan(view)
  return (scanning ??= scan(view).finally(() => (scanning = undefined)))
}

/** Every process of these groups or sessions, and every descendant of one. `roots` are ids of group leaders. */
export function family(rows: readonly ProcessRow[], roots: ReadonlySet<number>): ProcessRow[] {
  const children = new Map<number, ProcessRow[]>()
  for (const row of rows) {
    const siblings = children.get(row.parent)
    if (siblings) siblings.push(row)
    else children.set(row.parent, [row])
  }
  const found = new Map<number, ProcessRow>()
  const queue = rows.filter(row => roots.has(row.pid) || roots.has(row.group) || roots.has(row.session))
  for (let row = queue.pop(); row !== undefined; row = queue.pop()) {
    if (row.pid <= 1 || row.pid === process.pid || found.has(row.pid)) continue
    found.set(row.pid, row)
    queue.push(...(children.get(row.pid) ?? []))
  }
  return [...found.values()]
}

/** Sends a signal to a whole group. False = there is nobody in it, or nobody we may signal. */
export const signalGroup = (group: number, signal: NodeJS.Signals | 0): boolean => group > 1 && send(-group, signal)

/** Sends a signal to one process if it is still the one that was meant. */
export async function signalProcess(ref: ProcessRef, signal: NodeJS.Signals | 0): Promise<boolean> {
  if (ref.pid <= 1 || ref.pid === process.pid) return false
  if (ref.start !== unknownStart && viewOf() !== 'none' && (await findProcess(ref.pid))?.start !== ref.start) return false
  return send(ref.pid, signal)
}

function send(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal)
    return true
  } catch {
    return false
  }
}
