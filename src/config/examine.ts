/**
 * Holds a raw value against a schema: unknown keys, wrong types, values out of bounds, each said in words. Knows how
 * schemas are made (zod) and nothing of what they are about.
 */
import * as z from 'zod/mini'
import { fault, pathText, warning, type Finding, type Path } from './problems.ts'
import { similar } from './similar.ts'
import { hasReference } from './expand.ts'
import { isRaw } from './spellings.ts'

type Schema = z.core.$ZodType
type Def = { type: string; shape?: Record<string, Schema>; innerType?: Schema; element?: Schema; valueType?: Schema }

const defOf = (schema: Schema): Def => schema._zod.def as unknown as Def

/** The schema under `optional` and default wrappers. */
export const bare = (schema: Schema): Schema => {
  const { innerType } = defOf(schema)
  return innerType ? bare(innerType) : schema
}

/** The keys of an object schema; undefined for every other kind. */
export const shapeOf = (schema: Schema): Record<string, Schema> | undefined => defOf(bare(schema)).shape

/**
 * A copy of `value` without the keys its schema does not know, and a finding for each: an error when it is probably a
 * misspelt one, else a warning. `$schema`, `$comment` and `x-…` are free.
 */
export function checkKeys(schema: Schema, value: unknown, at: Path, findings: Finding[], backend?: string): unknown {
  const { shape, element, valueType } = defOf(bare(schema))
  if (Array.isArray(value))
    return element ? value.map((item, index) => checkKeys(element, item, [...at, index], findings, backend)) : value
  if (!isRaw(value)) return value
  if (valueType)
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, checkKeys(valueType, item, [...at, key], findings, backend)]),
    )
  if (!shape) return value
  const known: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    const inner = Object.hasOwn(shape, key) ? shape[key] : undefined
    if (inner) known[key] = checkKeys(inner, item, [...at, key], findings, backend)
    else if (!key.startsWith('x-') && key !== '$schema' && key !== '$comment')
      findings.push(unknownKey(key, [...at, key], Object.keys(shape), backend))
  }
  return known
}

function unknownKey(key: string, at: Path, keys: readonly string[], backend: string | undefined): Finding {
  const meant = similar(key, keys)
  const message = `unknown key ${pathText(at)}`
  return meant === undefined
    ? warning('UNKNOWN_KEY', at, message, {
        on: 'key',
        hint: 'it has no effect; name it x-… if it is meant for somebody else',
        backend,
      })
    : fault('UNKNOWN_KEY', at, message, { on: 'key', hint: `did you mean "${meant}"?`, backend })
}

/** Issues of a zod parse as findings. `raw` is what the file says, so that no substituted secret is ever quoted. */
export function issueFindings(issues: readonly z.core.$ZodIssue[], raw: unknown, base: Path, backend?: string): Finding[] {
  return issues.map(issue => {
    const path = issue.path as Path
    const at = [...base, ...path]
    const given = valueAt(raw, path)
    const wanted = expected(issue)
    const wrongType = issue.code === 'invalid_type' || (issue.code === 'custom' && typeof given === 'object' && given !== null)
    const key = issue.code === 'invalid_key'
    return fault(
      given === undefined ? 'MISSING_KEY' : wrongType ? 'WRONG_TYPE' : 'BAD_VALUE',
      at,
      `${pathText(at)}: expected ${wanted}, got ${key ? 'this key' : describe(given, path)}`,
      {
        on: key ? 'key' : 'value',
        hint: nearChoice(issue, given),
        backend,
      },
    )
  })
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (node, step) => (typeof node === 'object' && node !== null ? (node as Record<string | number, unknown>)[step] : undefined),
    value,
  )

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeWords[issue.expected] ?? `a ${issue.expected}`
    case 'invalid_value':
      return issue.values.map(value => JSON.stringify(value)).join(' or ')
    case 'too_small':
      return issue.origin === 'array' ? 'at least one entry' : 'a text that is not empty'
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'another key'
    default:
      return issue.message ?? 'something else'
  }
}

const typeWords: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'an object',
  record: 'an object',
  string: 'a text',
  boolean: 'true or false',
  number: 'a number',
}

/** Free text under these is not repeated: it is where secrets are. */
const telling: ReadonlySet<unknown> = new Set(['env', 'headers', 'args', 'url'])

/** What stood there, in words. */
function describe(value: unknown, path: Path): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value !== 'string') return String(value)
  if (path.some(step => telling.has(step)) || value.length > 40) return 'a text'
  return JSON.stringify(value)
}

function nearChoice(issue: z.core.$ZodIssue, given: unknown): string | undefined {
  if (issue.code !== 'invalid_value' || typeof given !== 'string' || hasReference(given)) return undefined
  const meant = similar(given, issue.values.map(String))
  return meant === undefined ? undefined : `did you mean "${meant}"?`
}
