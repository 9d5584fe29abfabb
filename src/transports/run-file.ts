/**
 * The file in which a proxy process keeps the ids of what it has started, for the next one to find after a crash. Owns
 * its form and its safety; acts on nothing.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../gateway/log.ts'
import { findProcess, startPattern, unknownStart, type ProcessRef } from './process-tree.ts'

export interface Watched {
  /** Leaders of process groups. */
  readonly groups: readonly ProcessRef[]
  /** Processes that descend from them. */
  readonly descendants: readonly ProcessRef[]
}

export interface RunRecord extends Watched {
  readonly owner: ProcessRef
  /** Which boot of the machine the starts count from; empty where that is not known. */
  readonly boot: string
}

const suffix = '.run.json'
const maxEntries = 10_000
const maxFileBytes = 1024 * 1024
/** A file that is being written takes milliseconds; one this old was being written when its process died. */
const tornAfterMs = 60_000

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}

export class RunFile {
  private readonly folder: string
  private readonly path: string
  private readonly log: Log
  private latest: Watched | undefined
  private writing: Promise<void> | undefined
  private removed = false

  constructor(folder: string, log: Log) {
    this.folder = folder
    // An earlier process with our id may have left a file that is still to be read.
    this.path = join(folder, `${process.pid}-${randomBytes(4).toString('hex')}${suffix}`)
    this.log = log
  }

  /** Replaces the content, sooner or later; of several in a row the last one counts. Never rejects. */
  write(watched: Watched): Promise<void> {
    this.latest = watched
    return (this.writing ??= this.writeAll().finally(() => (this.writing = undefined)))
  }

  async remove(): Promise<void> {
    this.removed = true
    await this.writing
    await rm(this.path, { force: true }).catch(() => {})
  }

  private async writeAll(): Promise<void> {
    try {
      const start = (await findProcess(process.pid))?.start ?? unknownStart
      const owner: ProcessRef = { pid: process.pid, start }
      await mkdir(this.folder, { recursive: true, mode: 0o700 })
      while (this.latest && !this.removed) {
        const record: RunRecord = { owner, boot: bootId(), ...this.latest }
        this.latest = undefined
        await writeFile(`${this.path}.new`, JSON.stringify(record), { mode: 0o600 })
        await rename(`${this.path}.new`, this.path)
      }
    } catch (error) {
      this.log.debug({ code: (error as NodeJS.ErrnoException).code }, 'the list of child processes could not be written')
    }
  }
}

export interface FoundRecord {
  readonly path: string
  /** Undefined = the file is not one of ours, or broken. */
  readonly record: RunRecord | undefined
}

/** All run files of a folder. Reads nothing of a folder or file that others could have written to, and waits for nothing. */
export function readRunFiles(folder: string): FoundRecord[] {
  return namesIn(folder).flatMap(name => {
    const path = join(folder, name)
    try {
      const state = statSync(path)
      // A pipe would be waited for.
      if (!state.isFile() || !isOurs(state) || state.size > maxFileBytes) return []
      if (name.endsWith(suffix)) return [{ path, record: parseRecord(readFileSync(path, 'utf8')) }]
      const torn = name.endsWith(`${suffix}.new`) && Date.now() - state.mtimeMs > tornAfterMs
      return torn ? [{ path, record: undefined }] : []
    } catch {
      // Gone since: says nothing of the others.
      return []
    }
  })
}

function namesIn(folder: string): string[] {
  try {
    return isOurs(statSync(folder)) ? readdirSync(folder) : []
  } catch {
    return []
  }
}

const isOurs = (state: { uid: number; mode: number }): boolean =>
  process.getuid === undefined || (state.uid === process.getuid() && (state.mode & 0o022) === 0)

export function parseRecord(text: string): RunRecord | undefined {
  try {
    const { owner, boot, groups, descendants } = JSON.parse(text) as RunRecord
    if (!isRef(owner) || typeof boot !== 'string' || !areRefs(groups) || !areRefs(descendants)) return undefined
    return { owner, boot, groups, descendants }
  } catch {
    return undefined
  }
}

const areRefs = (value: unknown): value is readonly ProcessRef[] =>
  Array.isArray(value) && value.length <= maxEntries && value.every(isRef)

function isRef(value: unknown): value is ProcessRef {
  const { pid, start } = (value ?? {}) as Partial<ProcessRef>
  return Number.isSafeInteger(pid) && (pid as number) > 1 && typeof start === 'string' && startPattern.test(start)
}
