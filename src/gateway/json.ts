/** Questions about JSON values, for those parts of the middle that look inside them. */
import type { JsonObject } from './contract.ts'
import { McpError } from './errors.ts'

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Same JSON value, whatever the order of keys. Keeps its own stack: a server chooses how deep it nests. */
export function sameJson(left: unknown, right: unknown): boolean {
  const pairs: unknown[] = [left, right]
  while (pairs.length > 0) {
    const b = pairs.pop()
    const a = pairs.pop()
    if (a === b) continue
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
    if (Array.isArray(a) || Array.isArray(b)) {
      if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
      for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) pairs.push(a[i], b[i])
      continue
    }
    const keys = Object.keys(a)
    if (keys.length !== Object.keys(b).length) return false
    for (const key of keys) {
      if (!Object.hasOwn(b, key)) return false
      const [x, y] = [(a as JsonObject)[key], (b as JsonObject)[key]]
      if (x !== y) pairs.push(x, y)
    }
  }
  return true
}

/** A text among a request's params. Throws INVALID_PARAMS where there is none. */
export function textOf(params: JsonObject, key: string): string {
  const value = params[key]
  if (typeof value !== 'string') throw new McpError('INVALID_PARAMS', `params.${key} must be a string`)
  return value
}
