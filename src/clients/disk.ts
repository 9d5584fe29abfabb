/**
 * Client files on disk: read once, replaced as a whole, never through a link that leads out of where the file belongs, and
 * only while they are still what was read. Backups lie beside them. Knows no format.
 */
import { createHash, randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, open, readFile, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { renameOver } from '../credentials/rename.ts'
import { McpError } from '../gateway/errors.ts'

/** A file as it was when we looked. */
export interface Snapshot {
  /** Where the client looks for it. */
  readonly file: string
  /** Where it really is, links followed. */
  readonly real: string
  /** undefined = there is none. */
  readonly bytes: Buffer | undefined
  /** Permission bits; undefined = there is none. */
  readonly mode: number | undefined
}

const maxBytes = 64 * 1024 * 1024

export const digest = (bytes: Buffer | undefined): string | null =>
  bytes === undefined ? null : createHash('sha256').update(bytes).digest('hex')

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR'

const isBelow = (path: string, folder: string): boolean => {
  const way = relative(folder, path)
  return way !== '..' && !way.startsWith(`..${sep}`) && !/^([A-Za-z]:|\\\\|\/)/.test(way)
}

/** Of the part of the path that exists, with the rest as it is written. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isMissing(error)) throw error
    // A link to nowhere is not "no file": writing would create its target.
    const dangling = await lstat(path).then(
      found => found.isSymbolicLink(),
      () => false,
    )
    if (dangling)
      throw new McpError('CLIENT_CONFIG_UNSAFE', `${path} is a link to a file that is not there`, {
        hint: 'remove the link or make its target',
      })
    const folder = dirname(path)
    return folder === path ? path : join(await realPath(folder), basename(path))
  }
}

/**
 * Reads a file. `root` is the folder it belongs to (the home, a project): links are followed only inside it. Throws
 * CLIENT_CONFIG_UNSAFE or CLIENT_CONFIG_INVALID.
 */
export async function look(file: string, root: string): Promise<Snapshot> {
  const real = await realPath(file).catch(error => {
    throw error instanceof McpError ? error : unreadable(file, error)
  })
  // What a variable put elsewhere belongs to its own folder.
  const allowed = await realPath(isBelow(file, root) ? root : dirname(file))
  if (!isBelow(real, allowed))
    throw new McpError('CLIENT_CONFIG_UNSAFE', `${file} leads to ${real}, outside of ${allowed}`, {
      hint: 'links are followed only inside that folder; put the file itself there',
    })
  try {
    const found = await stat(real)
    if (!found.isFile()) throw new McpError('CLIENT_CONFIG_INVALID', `${file} is no regular file`)
    if (found.size > maxBytes) throw new McpError('CLIENT_CONFIG_INVALID', `${file} is larger than 64 MiB`)
    return { file, real, bytes: await readFile(real), mode: found.mode & 0o7777 }
  } catch (error) {
    if (error instanceof McpError) throw error
    if (isMissing(error)) return { file, real, bytes: undefined, mode: undefined }
    throw unreadable(file, error)
  }
}

const unreadable = (file: string, error: unknown): McpError =>
  new McpError('CLIENT_CONFIG_INVALID', `${file} cannot be read (${codeOf(error) ?? 'unknown error'})`, { cause: error })

const unwritable = (file: string, error: unknown): McpError =>
  new McpError('CLIENT_CONFIG_UNSAFE', `${file} cannot be written (${codeOf(error) ?? 'unknown error'})`, {
    cause: error,
    hint: 'nothing was changed',
  })

/** Copies the bytes beside the file, readable by the owner alone, under a name nobody has. Returns its path. */
export async function backUp({ file, real, bytes }: Snapshot): Promise<string> {
  for (let number = 1; ; number++) {
    const path = `${real}.mcp-proxy-backup${number === 1 ? '' : `-${number}`}`
    try {
      await writeNew(path, bytes as Buffer, 0o600)
      return path
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || number > 999) throw unwritable(file, error)
    }
  }
}

/** Makes the folder of a path and returns those that had to be made, outermost first. */
export async function makeFolder(path: string): Promise<string[]> {
  const folder = dirname(path)
  const missing: string[] = []
  for (
    let at = folder;
    !(await stat(at).then(
      () => true,
      () => false,
    ));
    at = dirname(at)
  )
    missing.unshift(at)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(error => {
    throw unwritable(path, error)
  })
  return missing
}

/** Puts bytes in the file's place in one step, with its mode and owner; undefined removes it. `fresh`: mode of a new file. */
export async function replace(snapshot: Snapshot, bytes: Buffer | undefined, fresh = 0o600): Promise<void> {
  const { file, real, mode } = snapshot
  const temporary = join(dirname(real), `.${basename(real)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    if (bytes !== undefined) await writeNew(temporary, bytes, mode ?? fresh, real)
    await refuseChanged(snapshot)
    await (bytes === undefined ? rm(real) : renameOver(temporary, real))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error instanceof McpError ? error : unwritable(file, error)
  }
}

async function refuseChanged({ file, real, bytes }: Snapshot): Promise<void> {
  const now = await readFile(real).catch(error => (isMissing(error) ? undefined : Promise.reject(error as Error)))
  if (digest(now) !== digest(bytes))
    throw new McpError('CLIENT_CONFIG_CHANGED', `${file} was changed by another program just now`, {
      hint: 'nothing was changed; try again',
    })
}

/** `like` lends its owner and group: an administrator's command must not take the file away from its user. */
async function writeNew(path: string, bytes: Buffer, mode: number, like?: string): Promise<void> {
  const handle = await open(path, 'wx', mode & 0o700)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  if (process.platform === 'win32') return
  const owner = like === undefined ? undefined : await stat(like).catch(() => undefined)
  await chmod(path, owner && !(await handOver(path, owner)) ? mode & ~0o070 : mode)
}

/** Gives a file to this owner. False where its group is one we may not give to: then it is in another, which has no rights to it. */
async function handOver(path: string, { uid, gid }: { uid: number; gid: number }): Promise<boolean> {
  const now = await stat(path)
  if (now.uid === uid && now.gid === gid) return true
  return chown(path, uid, gid).then(
    () => true,
    error => (now.uid === uid ? false : Promise.reject(error as Error)),
  )
}

/** Removes folders that are empty, innermost first. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of [...folders].reverse()) await rmdir(folder).catch(() => {})
}

export const removeFile = (path: string): Promise<void> => rm(path, { force: true })
