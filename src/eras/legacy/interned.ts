/**
 * One object for what many clients say alike: a thousand sessions of one program tell its name and its abilities a
 * thousand times. Frozen, since it is everybody's. Knows no session.
 */
import type { JsonObject } from '../../gateway/contract.ts'

/** What is said more rarely than this many other things is kept by each client alone. */
const maxKept = 256
/** Characters; a longer one is hardly said twice. */
const maxLength = 4096

const kept = new Map<string, JsonObject>()

/** An object that is equal to `value`, to the order of its keys; the same one for all as long as it is remembered. */
export function interned(value: JsonObject): JsonObject {
  const text = JSON.stringify(value)
  if (text.length > maxLength) return value
  const known = kept.get(text)
  if (known) {
    kept.delete(text)
    kept.set(text, known)
    return known
  }
  kept.set(text, frozen(value))
  if (kept.size > maxKept) kept.delete(kept.keys().next().value as string)
  return value
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) frozen(part)
  return Object.freeze(value)
}
