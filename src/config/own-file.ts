/** Files that only we can have written: what is in them is believed. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/**
 * The file's bytes, if it is a plain file (no link) of this user that nobody else can write, and not larger than `limit`
 * bytes; undefined for anything else, and when it cannot be read.
 */
export function readOwn(file: string, limit: number): { bytes: Buffer; mtimeMs: number } | undefined {
  let descriptor: number | undefined
  try {
    // Without NONBLOCK, opening a pipe would wait for its writer. Windows has neither flag.
    descriptor = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    const { mode, uid, size, mtimeMs } = fstatSync(descriptor)
    const foreign = process.getuid !== undefined && (uid !== process.getuid() || (mode & 0o022) !== 0)
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || foreign || size > limit) return undefined
    return { bytes: readFileSync(descriptor), mtimeMs }
  } catch {
    return undefined
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
