/**
 * A JSON Schema without references, for clients that cannot follow them: each `$ref` into the same schema is replaced by
 * what it points at, and `$schema` goes with them. Nothing is ever fetched. Accepts at least what the original accepts.
 */
import type { JsonObject } from './contract.ts'
import { isObject } from './json.ts'

export interface PlainSchema {
  readonly schema: JsonObject
  /** References that lead back into themselves or elsewhere: any value is accepted in their place. */
  readonly loosened: number
}

/** What a schema may grow to; more would cost the client more than the tool is worth. */
const maxNodes = 20_000
const maxDepth = 64
const containers: ReadonlySet<string> = new Set(['$defs', 'definitions'])
/** Keys under which the names are names and not keywords. */
const named: ReadonlySet<string> = new Set(['properties', 'patternProperties', 'dependentSchemas'])
const asTheyAre: ReadonlySet<string> = new Set(['enum', 'const', 'default', 'examples', 'required'])

/** Whether a schema has no references. Looks no further than is needed. */
export function isPlain(schema: unknown): boolean {
  if (!isObject(schema)) return true
  const queue: { value: unknown; depth: number; names: boolean }[] = [{ value: schema, depth: 0, names: false }]
  for (let next = queue.pop(), seen = 0; next; next = queue.pop()) {
    const { value, depth, names } = next
    if (++seen > maxNodes || depth > maxDepth) return false
    if (Array.isArray(value)) for (const item of value) queue.push({ value: item, depth: depth + 1, names: false })
    if (!isObject(value)) continue
    if (!names && value['$ref'] !== undefined) return false
    for (const [key, item] of Object.entries(value))
      if (names || !asTheyAre.has(key)) queue.push({ value: item, depth: depth + 1, names: !names && (named.has(key) || containers.has(key)) })
  }
  return true
}

/** undefined: it grows beyond what any client should be given. */
export function plainSchema(root: JsonObject): PlainSchema | undefined {
  let nodes = 0
  let loosened = 0
  let tooLarge = false

  function plain(value: unknown, open: readonly string[], depth: number, names: boolean): unknown {
    if (++nodes > maxNodes || depth > maxDepth) tooLarge = true
    if (tooLarge) return {}
    if (Array.isArray(value)) return value.map(item => plain(item, open, depth + 1, false))
    if (!isObject(value)) return value
    if (!names && typeof value['$ref'] === 'string') return inlined(value, value['$ref'], open, depth)
    const out: JsonObject = {}
    for (const [key, item] of Object.entries(value)) {
      if (!names && (key === '$schema' || containers.has(key))) continue
      const kept = !names && asTheyAre.has(key) ? item : plain(item, open, depth + 1, !names && named.has(key))
      // Assigning this key would set the prototype instead.
      if (key !== '__proto__') out[key] = kept
    }
    return out
  }

  function inlined(value: JsonObject, ref: string, open: readonly string[], depth: number): unknown {
    const { $ref: _, ...siblings } = value
    const target = open.includes(ref) ? undefined : pointedAt(root, ref)
    if (target === undefined) loosened++
    const found = target === undefined ? {} : plain(target, [...open, ref], depth + 1, false)
    const rest = plain(siblings, open, depth + 1, false) as JsonObject
    return isObject(found) ? { ...found, ...rest } : found
  }

  const schema = plain(root, [], 0, false) as JsonObject
  return tooLarge ? undefined : { schema, loosened }
}

/** The part a JSON pointer names (RFC 6901); undefined for one that leads nowhere or elsewhere. */
function pointedAt(root: JsonObject, ref: string): unknown {
  if (ref === '#') return root
  if (!ref.startsWith('#/')) return undefined
  let at: unknown = root
  for (const step of ref.slice(2).split('/')) {
    let key: string
    try {
      key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    } catch {
      return undefined
    }
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as JsonObject)[key]
  }
  return at
}
