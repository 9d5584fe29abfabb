/**
 * The effective config for people: every value with where it comes from, secrets masked. For `config show`; nothing on
 * the way of a call needs it.
 */
import { bare, shapeOf } from './examine.ts'
import type { Loaded, Trail } from './load.ts'
import { pathText, warning, type Path } from './problems.ts'
import { settingsSchema } from './schema.ts'
import { backendSchema } from './schema-backend.ts'
import { isTokenShaped, looksSecret } from './secrets.ts'
import { isRaw, type Raw } from './spellings.ts'
import type * as z from 'zod/mini'

export interface ShownValue {
  /** `mcpServers.files.timeouts.call`. */
  readonly path: string
  /** As written, references resolved; `[secret]` in the place of secrets, the reference itself where it has no value. */
  readonly value: unknown
  /** `file:line:column`, `environment NAME`, `defaults file:line:column` or `default`. */
  readonly origin: string
}

const secretMark = '[secret]'

interface Leaf {
  readonly at: Path
  readonly value: unknown
  readonly from: 'file' | 'defaults' | 'default'
}

/** Every setting and every key of every backend that has a value, in the order of the reference. */
export async function showConfig(loaded: Loaded): Promise<ShownValue[]> {
  const { settings, backends } = loaded.trail
  const { defaults, ...own } = settings.resolved
  const { defaults: _, ...shape } = shapeOf(settingsSchema) ?? {}
  const leaves = [...leavesOf(shape, own, undefined, [])]
  for (const [alias, { resolved }] of backends)
    leaves.push(
      ...leavesOf(shapeOf(backendSchema) ?? {}, resolved, isRaw(defaults) ? defaults : undefined, ['mcpServers', alias]),
    )
  return Promise.all(leaves.map(leaf => shown(leaf, loaded)))
}

function* leavesOf(shape: Record<string, z.core.$ZodType>, own: Raw, defaults: Raw | undefined, at: Path): Generator<Leaf> {
  for (const [key, schema] of Object.entries(shape)) {
    const path = [...at, key]
    const inner = shapeOf(schema)
    const [mine, shared] = [own[key], defaults?.[key]]
    if (inner && !Array.isArray(mine)) {
      // A group that is off unless it is named has no defaults to show.
      const isOptional = schema._zod.def.type === 'optional'
      if (isOptional && mine === undefined) continue
      yield* leavesOf(inner, isRaw(mine) ? mine : {}, isRaw(shared) ? shared : undefined, path)
    } else if (bare(schema)._zod.def.type === 'record') {
      const [mineRaw, sharedRaw] = [isRaw(mine) ? mine : {}, isRaw(shared) ? shared : {}]
      for (const name of new Set([...Object.keys(sharedRaw), ...Object.keys(mineRaw)]))
        yield {
          at: [...path, name],
          value: (Object.hasOwn(mineRaw, name) ? mineRaw : sharedRaw)[name],
          from: Object.hasOwn(mineRaw, name) ? 'file' : 'defaults',
        }
    } else if (mine !== undefined) yield { at: path, value: mine, from: 'file' }
    else if (shared !== undefined) yield { at: path, value: shared, from: 'defaults' }
    else {
      const value = (schema._zod.def as { defaultValue?: unknown }).defaultValue
      if (value !== undefined) yield { at: path, value, from: 'default' }
    }
  }
}

async function shown({ at, value, from }: Leaf, loaded: Loaded): Promise<ShownValue> {
  const { trail, secrets } = loaded
  // What came from `defaults` was written, and marked, there.
  const written = from === 'defaults' ? ['defaults', ...at.slice(2)] : at
  const masked = mask(value, written, at, trail.marks)
  const path = pathText(at)
  if (from === 'default') return { path, value: masked, origin: 'default' }
  const variable = trail.variables.get(JSON.stringify(at))
  if (variable !== undefined) return { path, value: masked, origin: `environment ${variable}` }
  const { file, line, column } = await trail.problem(warning('BAD_VALUE', written, ''))
  return { path, value: hide(masked, secrets), origin: `${from === 'defaults' ? 'defaults ' : ''}${file}:${line}:${column}` }
}

function mask(value: unknown, written: Path, at: Path, marks: Trail['marks']): unknown {
  if (Array.isArray(value)) return value.map((item, index) => mask(item, [...written, index], [...at, index], marks))
  if (isRaw(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, mask(item, [...written, key], [...at, key], marks)]),
    )
  const mark = marks.get(JSON.stringify(written))
  if (mark === 'unresolved') return value
  const name = at.at(-1)
  const parent = at.at(-2)
  const secretName = typeof name === 'string' && (parent === 'env' || parent === 'headers') && looksSecret(name)
  return mark === 'secret' || (typeof value === 'string' && (secretName || isTokenShaped(value))) ? secretMark : value
}

/** A known secret may also be part of a text that is none, such as a URL. */
function hide(value: unknown, secrets: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map(item => hide(item, secrets))
  if (isRaw(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hide(item, secrets)]))
  if (typeof value !== 'string') return value
  let text = value
  for (const secret of secrets) if (secret.length >= 4) text = text.replaceAll(secret, secretMark)
  return text
}
