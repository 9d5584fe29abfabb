/** A log that does not grow for ever: when a file is full it becomes the older one, and the oldest goes. Knows no line's meaning. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
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
  let fd = openSync(path, 'a', 0o600)
  if (fstatSync(fd).size < limits.bytes) return fd
  closeSync(fd)
  rotate(path, limits)
  fd = openSync(path, 'a', 0o600)
  return fd
}

function rotate(path: string, { older }: LogFileLimits): void {
  for (let n = older; n > 0; n--)
    try {
      renameSync(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`)
    } catch {
      // There are not that many yet.
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
        closeSync(this.fd)
        rotate(this.path, this.limits)
        this.fd = openSync(this.path, 'a', 0o600)
        this.size = 0
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
