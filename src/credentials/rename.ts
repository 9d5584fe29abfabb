/** Putting a file in the place of another in one step, on Windows too. Knows nothing of what is in it. */
import { rename } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Windows refuses it while anybody has the old file open: a reader, a virus scanner, an indexer. That passes. Milliseconds. */
const patienceMs = 2_000
const stepMs = 20
const passing = new Set(['EPERM', 'EACCES', 'EBUSY'])

/** Whether a failure to make, replace or remove a file may be gone in a moment. */
export const isPassing = (error: unknown, platform: NodeJS.Platform = process.platform): boolean =>
  platform === 'win32' && passing.has((error as NodeJS.ErrnoException).code ?? '')

export interface RenameOptions {
  readonly platform?: NodeJS.Platform | undefined
  readonly rename?: typeof rename | undefined
}

/** Rejects as `rename` does, on Windows only when the obstacle stays. */
export async function renameOver(from: string, to: string, { platform, rename: move = rename }: RenameOptions = {}): Promise<void> {
  for (const until = performance.now() + patienceMs; ;)
    try {
      return await move(from, to)
    } catch (error) {
      if (!isPassing(error, platform) || performance.now() > until) throw error
      await sleep(stepMs)
    }
}
