/**
 * Keeps a running house like its files: looks at them, loads them again, and hands over what is valid. What is not valid
 * changes nothing but the word about the last attempt. Knows no server.
 */
import type { Loaded } from '../config/load.ts'
import type { Problem } from '../config/problems.ts'
import { watchFiles } from '../config/watch.ts'
import { toMcpError, type McpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'

/** Of the last time the files were read again. */
export interface LastReload {
  /** ISO 8601. */
  readonly at: string
  readonly ok: boolean
  /** What changed, or why nothing did: with the place in the file. */
  readonly message?: string
}

export interface LifecycleOptions {
  /** What the house was built from. */
  readonly loaded: Loaded
  /** Files to look at besides those the config names; absolute. */
  readonly files: readonly string[]
  readonly load: () => Promise<Loaded>
  /** Makes the house like this; resolves with what changed. */
  readonly apply: (loaded: Loaded) => Promise<string>
  readonly log: Log
}

export interface Lifecycle {
  readonly last: LastReload | undefined
  /** Reads the files and applies them; resolves with what became of it. Asked again meanwhile, it reads once more after that. */
  reload(): Promise<LastReload>
  close(): void
}

export function followFiles({ loaded, files, load, apply, log }: LifecycleOptions): Lifecycle {
  const watch = watchFiles({ files: [...loaded.files, ...files], changed: () => void reload(), log })
  let told = new Set(loaded.problems.map(placed))
  let last: LastReload | undefined
  let running: Promise<LastReload> | undefined
  let next: Promise<LastReload> | undefined

  async function attempt(): Promise<LastReload> {
    const at = new Date().toISOString()
    try {
      const fresh = await load()
      watch.update([...fresh.files, ...files])
      const message = await apply(fresh)
      for (const problem of fresh.problems)
        if (!told.has(placed(problem))) log.warn({ backend: problem.backend, code: problem.code, hint: problem.hint }, placed(problem))
      told = new Set(fresh.problems.map(placed))
      log.info({}, `config read again: ${message}`)
      last = { at, ok: true, message }
    } catch (thrown) {
      const error = toMcpError(thrown)
      const message = explained(error)
      // A file that stays broken is saved more than once on the way to being mended.
      const say = last?.message === message ? 'debug' : 'error'
      log[say](error.code === 'INTERNAL' ? { error: thrown } : {}, `config not applied, the running one stays: ${message}`)
      last = { at, ok: false, message }
    }
    return last
  }

  function start(): Promise<LastReload> {
    const mine = attempt().finally(() => {
      if (running === mine) running = undefined
    })
    return (running = mine)
  }

  function reload(): Promise<LastReload> {
    if (!running) return start()
    return (next ??= running.then(() => {
      next = undefined
      return start()
    }))
  }

  return {
    get last() {
      return last
    },
    reload,
    close: () => watch.close(),
  }
}

const placed = ({ file, line, column, message }: Problem): string => `${file}:${line}:${column}: ${message}`

/** The first problem with its place, and how many more there are. */
function explained({ message, details }: McpError): string {
  const problems = (details.problems ?? []) as readonly Problem[]
  const [first, ...more] = problems.filter(({ severity }) => severity === 'error')
  if (!first) return message
  return more.length === 0 ? placed(first) : `${placed(first)} (and ${more.length} more)`
}
