/**
 * Settings from the environment: `MCP_PROXY_LOG_LEVEL` is `log.level`. Underscores and case do not count, so
 * `MCP_PROXY_START_WAIT` and `MCP_PROXY_STARTWAIT` are both `startWait`. Servers cannot be configured this way.
 */
import type * as z from 'zod/mini'
import { bare, shapeOf } from './examine.ts'
import type { Environment } from './expand.ts'
import { warning, type Finding, type Path } from './problems.ts'
import { settingsSchema } from './schema.ts'
import { similar } from './similar.ts'
import { isRaw, type Raw } from './spellings.ts'

const prefix = 'MCP_PROXY_'

/** Variables with a meaning of their own; `MCP_PROXY__…` is left to our own processes. */
export const reservedVariables = ['CONFIG', 'HOME', 'TOKEN', 'TOKEN_FILE', 'NO_DAEMON', 'PROFILE', 'CLIENT', 'DEBUG'] as const

export interface Overrides {
  /** A copy of the settings with the environment's values over the file's. */
  readonly settings: Raw
  /** Path as JSON → the variable that set it. */
  readonly variables: ReadonlyMap<string, string>
}

interface Leaf {
  readonly path: readonly string[]
  readonly isList: boolean
}

function* leaves(schema: z.core.$ZodType, path: readonly string[]): Generator<Leaf> {
  const { type } = bare(schema)._zod.def
  const shape = shapeOf(schema)
  if (shape) for (const [key, inner] of Object.entries(shape)) yield* leaves(inner, [...path, key])
  else if (type !== 'record') yield { path, isList: type === 'array' }
}

const fold = (name: string): string => name.replaceAll('_', '').toLowerCase()

/** `startWait` → `MCP_PROXY_START_WAIT`. */
export const variableFor = (path: Path): string =>
  prefix +
  path
    .map(step =>
      String(step)
        .replace(/([a-z])([A-Z])/g, '$1_$2')
        .toUpperCase(),
    )
    .join('_')

export function applyOverrides(settings: Raw, env: Environment, findings: Finding[]): Overrides {
  const variables = new Map<string, string>()
  const names = Object.keys(env).filter(name => name.startsWith(prefix) && !name.startsWith(`${prefix}_`) && env[name] !== '')
  const open = names.filter(name => !(reservedVariables as readonly string[]).includes(name.slice(prefix.length)))
  if (open.length === 0) return { settings, variables }

  const known = new Map([...leaves(settingsSchema, [])].map(leaf => [fold(leaf.path.join('')), leaf]))
  const result = structuredClone(settings)
  for (const name of open.sort()) {
    const leaf = known.get(fold(name.slice(prefix.length)))
    const value = env[name] as string
    if (!leaf) findings.push(unknownVariable(name, known))
    else if (
      set(
        result,
        leaf.path,
        leaf.isList
          ? value
              .split(',')
              .map(item => item.trim())
              .filter(Boolean)
          : value,
      )
    )
      variables.set(JSON.stringify(leaf.path), name)
  }
  return { settings: result, variables }
}

function unknownVariable(name: string, known: ReadonlyMap<string, Leaf>): Finding {
  const meant = similar(fold(name.slice(prefix.length)), known.keys())
  const hint =
    meant === undefined
      ? 'MCP_PROXY_<SETTING>, as in MCP_PROXY_LOG_LEVEL'
      : `did you mean ${variableFor((known.get(meant) as Leaf).path)}?`
  return warning('UNKNOWN_OVERRIDE', [name], `the variable ${name} is no setting`, { hint, variable: name })
}

/** False where the file has something other than an object on the way: the schema will say so. */
function set(target: Raw, path: readonly string[], value: unknown): boolean {
  let node = target
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(node, key) ? node[key] : (node[key] = {})
    if (!isRaw(next)) return false
    node = next
  }
  node[path.at(-1) as string] = value
  return true
}
