/** Replacing a private file as one step: nobody sees half of it, nobody else can read it, two writers do not lose a change. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpError } from '../gateway/errors.ts'
import { isPassing, renameOver } from './rename.ts'

/** A writer that takes longer has died. */
const staleMs = 10_000
const waitMs = 5000

interface Lock {
  /** False when it took so long that another writer has taken its place. */
  isOurs(): Promise<boolean>
  release(): Promise<void>
}

/**
 * Calls `make` under a lock beside the file and puts its text in the file's place, 0600; undefined = leave it. Calls it
 * again when another writer came in between.
 */
export async function changeFile(file: string, make: () => string | undefined): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(error => failed(dirname(file), 'made', error))
  for (let done = false; !done; ) {
    const lock = await take(`${file}.lock`)
    try {
      const text = make()
      done = text === undefined || (await replace(file, text, lock))
    } finally {
      await lock.release()
    }
  }
}

/** False when the lock was lost meanwhile: then the text is of what the file no longer says. */
async function replace(file: string, text: string, lock: Lock): Promise<boolean> {
  const temporary = join(dirname(file), `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    // Exclusive: the name is ours, and no link somebody left there is followed.
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    const stands = await lock.isOurs()
    if (stands) await renameOver(temporary, file)
    else await rm(temporary, { force: true })
    return stands
  } catch (error) {
    await rm(temporary, { force: true })
    failed(file, 'written', error)
  }
}

function failed(path: string, done: string, error: unknown): never {
  throw new McpError(
    'CREDENTIALS_INVALID',
    `${path} cannot be ${done} (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
    { cause: error },
  )
}

async function take(path: string): Promise<Lock> {
  const until = performance.now() + waitMs
  const mark = randomBytes(8).toString('hex')
  for (;;) {
    try {
      await makeLock(path, mark)
      // One that cannot be read for a moment (a virus scanner on Windows, no file descriptors left) has not changed hands for that.
      const isOurs = (): Promise<boolean> => readFile(path, 'utf8').then(text => text === mark, error => (error as NodeJS.ErrnoException).code !== 'ENOENT')
      return { isOurs, release: async () => void ((await isOurs()) && (await rm(path, { force: true }))) }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // One that is just being removed is there and is not, on Windows.
      if (code !== 'EEXIST' && !isPassing(error)) failed(path, 'made', error)
      if (await isStale(path)) await removeStale(path)
      else if (performance.now() > until) {
        if (code !== 'EEXIST') failed(path, 'made', error)
        throw new McpError('CREDENTIALS_INVALID', `another process holds ${path}`, {
          hint: 'try again; remove that file if nothing is running',
        })
      } else await sleep(20)
    }
  }
}

/** Leaves nothing there when it fails half-way, as on a full disk. */
async function makeLock(path: string, mark: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(mark)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

const isStale = (path: string): Promise<boolean> =>
  stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > staleMs,
    () => false,
  )

/** One at a time, each looking again: for whoever comes second, the lock in its place is that of the first, and alive. */
async function removeStale(path: string): Promise<void> {
  const turn = await take(`${path}.stale`)
  try {
    if (await isStale(path)) await rm(path, { force: true })
  } finally {
    await turn.release()
  }
}
