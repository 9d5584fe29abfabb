/** Replacing a private file as one step: nobody sees half of it, nobody else can read it, two writers do not lose a change. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpError } from '../gateway/errors.ts'
import { isPassing, renameOver } from './rename.ts'

/** A writer that takes longer has died. */
const staleMs = 10_000
const waitMs = 5000

/** Calls `make` under a lock beside the file and puts its text in the file's place, 0600; undefined = leave it. */
export async function changeFile(file: string, make: () => string | undefined): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(error => failed(dirname(file), 'made', error))
  const unlock = await lock(`${file}.lock`)
  try {
    const text = make()
    if (text !== undefined) await replace(file, text)
  } finally {
    await unlock()
  }
}

async function replace(file: string, text: string): Promise<void> {
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
    await renameOver(temporary, file)
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

async function lock(path: string): Promise<() => Promise<void>> {
  const until = performance.now() + waitMs
  for (;;) {
    try {
      const handle = await open(path, 'wx', 0o600)
      await handle.close()
      return () => rm(path, { force: true })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // One that is just being removed is there and is not, on Windows.
      if (code !== 'EEXIST' && !isPassing(error)) failed(path, 'made', error)
      const since = await stat(path).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      )
      if (since > staleMs) await rm(path, { force: true })
      else if (performance.now() > until) {
        if (code !== 'EEXIST') failed(path, 'made', error)
        throw new McpError('CREDENTIALS_INVALID', `another process holds ${path}`, {
          hint: 'try again; remove that file if nothing is running',
        })
      } else await sleep(20)
    }
  }
}
