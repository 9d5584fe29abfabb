/**
 * credentials.json: names and values, readable by its owner alone. Refuses to read what others could have read or
 * written. Knows nothing of what the values are for.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, realpathSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { Secret } from './secret.ts'
import { changeFile } from './write.ts'

export const credentialName = /^[A-Za-z0-9_.-]{1,64}$/

const maxBytes = 1024 * 1024

export interface CredentialProblem {
  readonly message: string
  readonly hint: string | undefined
}

export interface Credentials {
  readonly file: string
  /** undefined = there is none. Throws CREDENTIALS_UNSAFE or CREDENTIALS_INVALID. The file is read once, on first use. */
  get(name: string): Secret | undefined
  /** Sorted names. Throws like `get`. */
  names(): string[]
  /** Writes atomically, 0600. Rejects with CREDENTIALS_INVALID for an impossible name or value. */
  set(name: string, value: string): Promise<void>
  /** False when there was none of this name. */
  remove(name: string): Promise<boolean>
  /** What is wrong with the file; empty when all is well or there is no file yet. */
  check(): CredentialProblem[]
}

export function openCredentials(file: string): Credentials {
  let known: Map<string, string> | undefined
  const entries = (): Map<string, string> => (known ??= readEntries(file))
  const change = async (alter: (entries: Map<string, string>) => boolean): Promise<boolean> => {
    let altered = false
    await changeFile(file, () => {
      // Read again under the lock: another process may have written since.
      known = readEntries(file)
      altered = alter(known)
      return altered ? `${JSON.stringify(Object.fromEntries(known), null, 2)}\n` : undefined
    })
    return altered
  }
  return {
    file,
    get(name) {
      const value = entries().get(name)
      return value === undefined ? undefined : new Secret(value)
    },
    names: () => [...entries().keys()].sort(),
    async set(name, value) {
      checkName(name)
      if (value === '') throw new McpError('CREDENTIALS_INVALID', `the value of ${name} is empty`)
      if (value.includes('\0')) throw new McpError('CREDENTIALS_INVALID', `the value of ${name} contains a NUL character`)
      if (Buffer.byteLength(value) > maxBytes / 16)
        throw new McpError('CREDENTIALS_INVALID', `the value of ${name} is larger than 64 KiB`)
      await change(found => Boolean(found.set(name, value)))
    },
    remove(name) {
      checkName(name)
      return change(found => found.delete(name))
    },
    check() {
      try {
        readEntries(file)
        return []
      } catch (error) {
        if (!(error instanceof McpError)) throw error
        return [{ message: error.message, hint: error.details.hint }]
      }
    },
  }
}

function checkName(name: string): void {
  if (!credentialName.test(name) || name === '__proto__')
    throw new McpError('CREDENTIALS_INVALID', `${JSON.stringify(name.slice(0, 80))} is no name for a credential`, {
      hint: 'use up to 64 of A-Z a-z 0-9 . _ -',
    })
}

function readEntries(file: string): Map<string, string> {
  const text = readSafely(file)
  if (text === undefined) return new Map()
  let value: unknown
  try {
    // Editors of Windows may begin a file with a mark.
    value = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch {
    // The parser's own message quotes the file.
    throw new McpError('CREDENTIALS_INVALID', `${file} is not JSON`, { hint: 'it should read {"NAME": "value"}' })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new McpError('CREDENTIALS_INVALID', `${file} is not an object of names and values`, {
      hint: 'it should read {"NAME": "value"}',
    })
  const entries = new Map<string, string>()
  for (const [name, entry] of Object.entries(value)) {
    checkName(name)
    if (typeof entry !== 'string') throw new McpError('CREDENTIALS_INVALID', `${file}: the value of ${name} is not a text`)
    entries.set(name, entry)
  }
  return entries
}

/** The text of the file, undefined when there is none. Opens without following a last link that leads elsewhere. */
function readSafely(file: string): string | undefined {
  let handle: number | undefined
  try {
    refuseForeignLink(file)
    handle = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    // Of the open file, not of the name: nobody can swap it in between.
    const stat = fstatSync(handle)
    if (!stat.isFile()) throw new McpError('CREDENTIALS_UNSAFE', `${file} is no regular file`)
    refuseOthers(file, stat)
    if (stat.size > maxBytes) throw new McpError('CREDENTIALS_INVALID', `${file} is larger than 1 MiB`)
    return readFileSync(handle, 'utf8')
  } catch (error) {
    if (error instanceof McpError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new McpError('CREDENTIALS_INVALID', `${file} cannot be read (${code ?? 'unknown error'})`, { cause: error })
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** A link within the same folder is somebody's way of keeping versions; one that leads out of it is somebody else's file. */
function refuseForeignLink(file: string): void {
  if (!lstatSync(file).isSymbolicLink()) return
  const target = realpathSync(file)
  if (dirname(target) !== realpathSync(dirname(file)))
    throw new McpError('CREDENTIALS_UNSAFE', `${file} is a link to ${target}`, {
      hint: `put the file itself there: rm '${file}' && install -m 600 '${target}' '${file}'`,
    })
}

function refuseOthers(file: string, stat: Stats): void {
  // Windows has no such bits; the profile folder's access list protects the file there.
  if (process.platform === 'win32') return
  const own = process.getuid?.()
  if (own !== undefined && stat.uid !== own)
    throw new McpError('CREDENTIALS_UNSAFE', `${file} belongs to another user (uid ${stat.uid})`, {
      hint: `chown ${own} '${file}' && chmod 600 '${file}'`,
    })
  if ((stat.mode & 0o077) !== 0)
    throw new McpError(
      'CREDENTIALS_UNSAFE',
      `others can access ${file} (mode ${(stat.mode & 0o777).toString(8).padStart(4, '0')})`,
      { hint: `chmod 600 '${file}'` },
    )
}
