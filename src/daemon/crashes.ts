/**
 * How often the daemon has crashed in a row, and what follows from it: longer and longer pauses before it starts again, in the
 * end none at all. Whoever starts next reads it, so no process has to watch.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { renameOver } from '../credentials/rename.ts'

interface Recorded {
  /** In a row. */
  readonly crashes: number
  /** Epoch milliseconds. */
  readonly last: number
}

/** Before the start after the first, second … crash, milliseconds; after one more it is held. */
export const pauses = [1_000, 2_000, 4_000, 8_000, 16_000] as const
/** A daemon that lived for so long was well: its crash counts as the first, milliseconds. */
const wellAfterMs = 60_000
/** A held daemon is tried again after so long, even if nobody says so, milliseconds. */
export const heldForMs = 10 * 60_000

async function read(path: string): Promise<Recorded | undefined> {
  try {
    const { crashes, last } = JSON.parse(await readFile(path, 'utf8')) as Recorded
    return Number.isSafeInteger(crashes) && Number.isFinite(last) ? { crashes, last } : undefined
  } catch {
    return undefined
  }
}

/** Records a crash of a daemon that had started at `since`; the pause before the next start, undefined = hold it. */
export async function recordCrash(path: string, since: number, now = Date.now()): Promise<number | undefined> {
  const before = now - since > wellAfterMs ? undefined : await read(path)
  const isRecent = before !== undefined && now - before.last < heldForMs
  const crashes = (isRecent ? before.crashes : 0) + 1
  await writeFile(`${path}.new`, JSON.stringify({ crashes, last: now } satisfies Recorded), { mode: 0o600 })
  await renameOver(`${path}.new`, path)
  return pauses[crashes - 1]
}

/** Until when it is held, epoch milliseconds; undefined = it is not. */
export async function heldUntil(path: string, now = Date.now()): Promise<number | undefined> {
  const found = await read(path)
  if (!found || found.crashes <= pauses.length) return undefined
  const until = found.last + heldForMs
  return until > now ? until : undefined
}

export const forgetCrashes = (path: string): Promise<void> => rm(path, { force: true })
