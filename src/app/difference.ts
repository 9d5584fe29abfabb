/** What differs between two configs: which servers can stay as they are, and what only a restart can change. No behaviour. */
import { isDeepStrictEqual } from 'node:util'
import type { BackendConfig, Config } from '../config/config.ts'

export interface Difference {
  readonly added: readonly string[]
  /** Those whose server must be another one; other rules for what is shown of it are no such change. */
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  /** Settings that are read only at the start, e.g. `listen.http.port`. */
  readonly needRestart: readonly string[]
}

/** Read once: they belong to what is opened at the start. */
const settled = ['listen', 'log', 'daemon', 'catalog'] as const

/** `before` and `after` are what runs and what shall run; `started` is the config of the start. */
export function difference(before: Config, after: Config, started: Config): Difference {
  const earlier = new Map(before.backends.map(backend => [backend.alias, backend]))
  const later = new Set(after.backends.map(({ alias }) => alias))
  const changed = (backend: BackendConfig): boolean => {
    const known = earlier.get(backend.alias)
    return known !== undefined && !isSameServer(known, backend)
  }
  return {
    added: [...later].filter(alias => !earlier.has(alias)),
    changed: after.backends.filter(changed).map(({ alias }) => alias),
    removed: [...earlier.keys()].filter(alias => !later.has(alias)),
    needRestart: settled.flatMap(section => [...paths(started[section], after[section], section)]),
  }
}

/** Everything but the rules for what is shown of it. */
function isSameServer(before: BackendConfig, after: BackendConfig): boolean {
  const server = ({ tools: _tools, prompts: _prompts, resources: _resources, ...rest }: BackendConfig): object => rest
  return isDeepStrictEqual(server(before), server(after))
}

/** Paths of the values that differ, as far down as both sides have a group there. */
function* paths(before: unknown, after: unknown, path: string): Generator<string> {
  if (isDeepStrictEqual(before, after)) return
  if (!isGroup(before) || !isGroup(after)) return yield path
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
    yield* paths(before[key], after[key], `${path}.${key}`)
}

const isGroup = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** One line for the log. */
export function summaryOf({ added, changed, removed }: Difference): string {
  const part = (what: string, aliases: readonly string[]): string[] => {
    const more = aliases.length > 8 ? ` and ${aliases.length - 8} more` : ''
    return aliases.length === 0 ? [] : [`${what} ${aliases.slice(0, 8).join(', ')}${more}`]
  }
  const parts = [...part('added', added), ...part('changed', changed), ...part('removed', removed)]
  return parts.length === 0 ? 'no server changed' : parts.join('; ')
}
