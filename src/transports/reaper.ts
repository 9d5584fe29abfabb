/**
 * Sees to it that no child process outlives us, however we end: a reaper process that acts when we are gone, and a file
 * for the next start in case the reaper went too. Owns what is watched over; must not know what a backend is.
 * Starts nothing before there is something to watch over.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { silent, type Log } from '../gateway/log.ts'
import {
  family,
  findProcess,
  listProcesses,
  psEnvironment,
  readRow,
  unknownStart,
  viewOf,
  type ProcessRef,
} from './process-tree.ts'
import { reaperScript } from './reaper-script.ts'
import { RunFile } from './run-file.ts'

export interface ReaperOptions {
  /** Folder of our own for one small file per proxy process; undefined = keep none. */
  readonly runDir?: string | undefined
  readonly log?: Log | undefined
  /** A POSIX shell, by its absolute path. */
  readonly shell?: string | undefined
  /** How often to look who descends from the children, in ms. */
  readonly lookEveryMs?: number | undefined
  /** The same for the first look after a child was adopted: by then it has started what it starts. */
  readonly firstLookMs?: number | undefined
}

export const reaperDefaults = { shell: '/bin/sh', lookEveryMs: 30_000, firstLookMs: 1_000 } as const

/** A child process under watch. */
export interface Adopted {
  /** Its descendants, as of the last look, wherever they are by now. */
  descendants(): readonly ProcessRef[]
  /** Ends the watch: call it when the whole tree is gone. */
  release(): void
}

interface Ward {
  readonly pid: number
  start: string
  descendants: readonly ProcessRef[]
}

const line = (verb: '+' | '-', kind: 'g' | 'p', ref: ProcessRef): string => `${verb} ${kind} ${ref.pid} ${ref.start}\n`

export class Reaper {
  private readonly log: Log
  private readonly shell: string
  private readonly lookEveryMs: number
  private readonly firstLookMs: number
  private readonly file: RunFile | undefined
  private readonly wards = new Set<Ward>()
  private readonly view = viewOf()
  private shellProcess: ChildProcess | undefined
  private timer: NodeJS.Timeout | undefined
  private dueAt = 0
  private noShell = false
  private closed = false

  constructor(options: ReaperOptions = {}) {
    this.log = options.log ?? silent
    this.shell = options.shell ?? reaperDefaults.shell
    this.lookEveryMs = options.lookEveryMs ?? reaperDefaults.lookEveryMs
    this.firstLookMs = options.firstLookMs ?? reaperDefaults.firstLookMs
    this.file = options.runDir === undefined || this.view === 'none' ? undefined : new RunFile(options.runDir, this.log)
  }

  /** Process id of the reaper process, while there is one. */
  get pid(): number | undefined {
    return this.shellProcess?.pid
  }

  /** Watches over the process group that `pid` leads, and over what descends from it. Call it in the turn of the spawn. */
  adopt(pid: number): Adopted {
    const ward: Ward = { pid, start: (this.view === 'proc' ? readRow(pid)?.start : undefined) ?? unknownStart, descendants: [] }
    this.wards.add(ward)
    if (this.shellProcess) this.tell(line('+', 'g', ward))
    else this.startShell()
    if (ward.start === unknownStart) void this.learnStart(ward)
    this.save()
    this.lookIn(this.firstLookMs)
    return {
      descendants: () => ward.descendants,
      release: () => {
        if (!this.wards.delete(ward)) return
        this.tell(line('-', 'g', ward) + ward.descendants.map(ref => line('-', 'p', ref)).join(''))
        this.save()
      },
    }
  }

  /** Ends the reaper process and removes the file; whoever is still watched over stays so until released. Idempotent. */
  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.timer)
    if (this.wards.size > 0) return
    this.shellProcess?.stdin?.end()
    this.shellProcess = undefined
    await this.file?.remove()
  }

  private tell(text: string): void {
    const stdin = this.shellProcess?.stdin
    if (stdin?.writable) stdin.write(text)
  }

  private startShell(): void {
    if (this.view === 'none' || this.noShell) return
    try {
      accessSync(this.shell, constants.X_OK)
    } catch {
      this.noShell = true
      return this.log.debug(
        { shell: this.shell },
        'no shell for the reaper: children of a killed proxy are ended at its next start only',
      )
    }
    const shell = spawn(this.shell, ['-c', reaperScript, 'mcp-proxy-reaper', this.view], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A session of its own: what a terminal sends to our group must not reach it.
      detached: true,
      cwd: '/',
      env: psEnvironment,
    })
    this.shellProcess = shell
    const gone = (): void => {
      if (this.shellProcess !== shell) return
      this.shellProcess = undefined
      // Not at once: what ended it may last, such as a lack of processes.
      if (this.wards.size > 0) this.lookIn(this.firstLookMs)
    }
    shell.on('error', gone)
    shell.on('exit', gone)
    shell.stdin?.on('error', () => {})
    shell.unref()
    ;(shell.stdin as unknown as { unref(): void } | null)?.unref()
    let text = ''
    for (const ward of this.wards) text += line('+', 'g', ward) + ward.descendants.map(ref => line('+', 'p', ref)).join('')
    this.tell(text)
  }

  private async learnStart(ward: Ward): Promise<void> {
    const start = (await findProcess(ward.pid, this.view))?.start
    if (start === undefined || !this.wards.has(ward)) return
    const before = line('-', 'g', ward)
    ward.start = start
    this.tell(line('+', 'g', ward) + before)
    this.save()
  }

  private lookIn(ms: number): void {
    if (this.view === 'none' || this.closed) return
    const dueAt = performance.now() + ms
    // Children that come one after another must not put the look off for ever.
    if (this.timer && this.dueAt <= dueAt) return
    clearTimeout(this.timer)
    this.dueAt = dueAt
    this.timer = setTimeout(() => void this.look(), ms).unref()
  }

  /** Notes who descends from whom: once its parents are gone, nothing would lead to a process with a group of its own. */
  private async look(): Promise<void> {
    this.timer = undefined
    const rows = await listProcesses(this.view)
    const alive = new Set(rows.map(row => `${row.pid}/${row.start}`))
    let changed = false
    for (const ward of rows.length === 0 ? [] : this.wards) {
      const found = family(rows, new Set([ward.pid])).filter(row => row.pid !== ward.pid)
      const known = ward.descendants.filter(ref => alive.has(`${ref.pid}/${ref.start}`))
      const fresh = found.filter(row => !known.some(ref => ref.pid === row.pid)).map(({ pid, start }) => ({ pid, start }))
      if (fresh.length === 0 && known.length === ward.descendants.length) continue
      changed = true
      const lost = ward.descendants.filter(ref => !known.includes(ref))
      ward.descendants = [...known, ...fresh]
      this.tell(lost.map(ref => line('-', 'p', ref)).join('') + fresh.map(ref => line('+', 'p', ref)).join(''))
    }
    if (changed) this.save()
    if (this.wards.size === 0) return
    if (!this.shellProcess) this.startShell()
    this.lookIn(this.lookEveryMs)
  }

  private save(): void {
    const groups = [...this.wards].map(({ pid, start }) => ({ pid, start }))
    const descendants = [...this.wards].flatMap(ward => ward.descendants)
    void this.file?.write({ groups, descendants })
  }
}
