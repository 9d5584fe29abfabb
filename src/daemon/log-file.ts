/**
 * A log that does not grow for ever: what fills a file is moved into an older one, and the oldest goes. The file itself stays the
 * same one, since whoever was given its descriptor writes there for as long as he lives. Knows no line's meaning.
 */
import { closeSync, copyFileSync, fstatSync, ftruncateSync, openSync, renameSync, statSync, truncateSync, writeSync } from 'node:fs'
import { Writable } from 'node:stream'

export interface LogFileLimits {
  /** Of one file. */
  readonly bytes: number
  /** Besides the current one: `x.log.1` is newer than `x.log.2`. */
  readonly older: number
}

export const logFileDefaults: LogFileLimits = { bytes: 4 * 1024 * 1024, older: 2 }

/** Opens the file of a process that starts, rotating it first if it is full; what writes on its own gets this descriptor. */
export function openLogFile(path: string, limits: LogFileLimits = logFileDefaults): number {
  const fd = openSync(path, 'a', 0o600)
  if (fstatSync(fd).size >= limits.bytes) rotate(path, fd, limits)
  return fd
}

function rotate(path: string, fd: number, { older }: LogFileLimits): void {
  for (let n = older; n > 0; n--)
    try {
      if (n > 1) renameSync(`${path}.${n - 1}`, `${path}.${n}`)
      else copyFileSync(path, `${path}.1`)
    } catch {
      // There are not that many yet, or there is no room for them: the bound counts more.
    }
  // Windows lets nobody do the former who may only append.
  for (const empty of [() => ftruncateSync(fd), () => truncateSync(path)])
    try {
      return empty()
    } catch {
      // It grows on, and is tried again when as much has come.
    }
}

/** The file that stands there now; one that was moved away is its mover's, and nobody would find what came into a deleted one. */
function renewed(path: string, fd: number): number {
  try {
    const [there, ours] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)]
    if (there?.ino === ours.ino && there.dev === ours.dev) return fd
    const next = openSync(path, 'a', 0o600)
    closeSync(fd)
    return next
  } catch {
    // The folder is gone: better in the wrong place than nowhere.
    return fd
  }
}

/** Appends at once. A disk that is full or gone costs lines, never the process. */
export class LogFile extends Writable {
  private readonly path: string
  private readonly limits: LogFileLimits
  private fd: number
  private size: number

  constructor(path: string, limits: LogFileLimits = logFileDefaults) {
    super({ decodeStrings: true })
    this.path = path
    this.limits = limits
    this.fd = openLogFile(path, limits)
    this.size = fstatSync(this.fd).size
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    try {
      if (this.size + chunk.length > this.limits.bytes && this.size > 0) {
        this.fd = renewed(this.path, this.fd)
        // Others write here too, and may have emptied it.
        this.size = fstatSync(this.fd).size
        if (this.size > 0 && this.size + chunk.length > this.limits.bytes) {
          rotate(this.path, this.fd, this.limits)
          this.size = 0
        }
      }
      writeSync(this.fd, chunk)
      this.size += chunk.length
    } catch {
      // Nowhere left to say it.
    }
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    try {
      closeSync(this.fd)
    } catch {
      // It is closed, which is all we want.
    }
    done(error)
  }
}
