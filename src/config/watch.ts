/**
 * Watches the files a config is made of. Folders are watched, not files: editors and mounts replace a file instead of
 * writing it. Tells that something changed; whether that is an improvement is for the reader to find out.
 */
import { statSync, watch as watchFolder, type FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import type { Log } from '../gateway/log.ts'

export interface WatchOptions {
  /** Absolute paths; they need not exist yet. */
  readonly files: readonly string[]
  /** Called with the files that changed, appeared or went. */
  readonly changed: (files: readonly string[]) => void
  readonly log: Log
  /** Quiet time after the last event, milliseconds; an editor saves in several steps. */
  readonly settleMs?: number
  /** Also looks this often, milliseconds: network mounts send no events. */
  readonly pollMs?: number
}

export interface FileWatch {
  /** Watches these files instead. */
  update(files: readonly string[]): void
  close(): void
}

/** So many quiet times are waited for one that does not come. */
const longestSettle = 10

/** What a change of content changes; following links, so that a link swapped underneath counts. */
function stamp(file: string): string {
  try {
    const { mtimeMs, ctimeMs, size, ino, dev } = statSync(file)
    return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`
  } catch {
    return 'none'
  }
}

/** Starts to watch. Never throws, and never keeps the process alive by itself. */
export function watchFiles({ files, changed, log, settleMs = 100, pollMs = 5000 }: WatchOptions): FileWatch {
  const stamps = new Map<string, string>()
  const folders = new Map<string, FSWatcher>()
  const missed = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  /** When the first event came that nobody has looked into; monotonic milliseconds. */
  let since: number | undefined
  let closed = false

  const compare = (): void => {
    timer = since = undefined
    const different = [...stamps].filter(([file, before]) => stamp(file) !== before).map(([file]) => file)
    if (different.length === 0) return
    for (const file of different) stamps.set(file, stamp(file))
    changed(different)
  }

  const soon = (): void => {
    if (closed) return
    const now = performance.now()
    since ??= now
    clearTimeout(timer)
    // Where a log is written beside the config it is never quiet.
    timer = setTimeout(compare, Math.max(0, Math.min(settleMs, since + longestSettle * settleMs - now)))
    timer.unref()
  }

  /** A folder that is missing, or goes, is left to the poll, which takes it up again when it is back. */
  const open = (folder: string): void => {
    if (folders.has(folder)) return
    try {
      const watcher = watchFolder(folder, { persistent: false }, soon)
      watcher.on('error', error => {
        log.debug({ folder, error }, `cannot watch ${folder} any more; looking now and then`)
        watcher.close()
        folders.delete(folder)
        soon()
      })
      folders.set(folder, watcher)
      missed.delete(folder)
    } catch (error) {
      if (missed.has(folder)) return
      missed.add(folder)
      log.debug({ folder, error }, `cannot watch ${folder}; looking now and then`)
    }
  }

  const update = (next: readonly string[]): void => {
    if (closed) return
    const wanted = new Set(next)
    for (const file of stamps.keys()) if (!wanted.has(file)) stamps.delete(file)
    for (const file of wanted) if (!stamps.has(file)) stamps.set(file, stamp(file))
    const needed = new Set([...wanted].map(file => dirname(file)))
    for (const [folder, watcher] of folders)
      if (!needed.has(folder)) {
        watcher.close()
        folders.delete(folder)
      }
    for (const folder of needed) open(folder)
  }

  const poll = setInterval(() => {
    for (const file of stamps.keys()) open(dirname(file))
    if (timer === undefined) compare()
  }, pollMs)
  poll.unref()
  update(files)

  return {
    update,
    close() {
      closed = true
      clearTimeout(timer)
      clearInterval(poll)
      for (const watcher of folders.values()) watcher.close()
      folders.clear()
    },
  }
}
