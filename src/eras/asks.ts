/**
 * Asks (a server's requests of a client) as both eras see them: whether a client can be asked, and in whose name.
 * Pure; knows nothing of channels, rounds or parked calls.
 */
import type { Ask, JsonObject } from '../gateway/contract.ts'

/** The asks that every revision knows; the newest one carries no others (2026-07-28 basic/patterns/mrtr). */
export const elicitation = 'elicitation/create'
export const sampling = 'sampling/createMessage'
export const roots = 'roots/list'

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether a client that declared `capabilities` may be sent this ask. Methods we do not know may always be tried. */
export function canAsk(capabilities: JsonObject, ask: Ask): boolean {
  return missingFor(capabilities, ask) === undefined
}

/** What a client would have to declare for this ask: `method` when it lacks the feature, `mode` when only a part of it. */
export function missingFor(capabilities: JsonObject, ask: Ask): 'method' | 'mode' | undefined {
  switch (ask.method) {
    case elicitation: {
      const declared = capabilities['elicitation']
      if (!isObject(declared)) return 'method'
      // An empty object means form only; one that names modes means exactly those (2025-11-25 client/elicitation).
      if (ask.params?.['mode'] === 'url') return isObject(declared['url']) ? undefined : 'mode'
      return isObject(declared['url']) && !isObject(declared['form']) ? 'mode' : undefined
    }
    case sampling: {
      const declared = capabilities['sampling']
      if (!isObject(declared)) return 'method'
      const wantsTools = ask.params?.['tools'] !== undefined || ask.params?.['toolChoice'] !== undefined
      return wantsTools && !isObject(declared['tools']) ? 'mode' : undefined
    }
    case roots:
      return isObject(capabilities['roots']) ? undefined : 'method'
    default:
      return undefined
  }
}

/** The least a client must declare to be sent all these asks, as `ClientCapabilities`. */
export function requiredBy(asks: readonly Ask[]): JsonObject {
  const required: { [key: string]: JsonObject } = {}
  for (const { method, params } of asks) {
    if (method === roots) required['roots'] ??= {}
    if (method === sampling) {
      const withTools = params?.['tools'] !== undefined || params?.['toolChoice'] !== undefined
      required['sampling'] = { ...required['sampling'], ...(withTools ? { tools: {} } : {}) }
    }
    if (method === elicitation)
      required['elicitation'] = { ...required['elicitation'], [params?.['mode'] === 'url' ? 'url' : 'form']: {} }
  }
  return required
}

/** The part of `required` that `declared` lacks; undefined when it lacks nothing. */
export function undeclared(required: JsonObject, declared: JsonObject): JsonObject | undefined {
  let lacking: JsonObject | undefined
  for (const key of Object.keys(required)) {
    const wanted = required[key]
    const has = Object.hasOwn(declared, key) ? declared[key] : undefined
    if (has === undefined) (lacking ??= {})[key] = wanted
    else if (isObject(wanted) && isObject(has)) {
      const inner = undeclared(wanted, has)
      if (inner) (lacking ??= {})[key] = inner
    }
  }
  return lacking
}

/** What either of two `ClientCapabilities` names. */
export function joined(a: JsonObject, b: JsonObject): JsonObject {
  const both: JsonObject = { ...a }
  for (const key of Object.keys(b)) {
    const [mine, theirs] = [Object.hasOwn(a, key) ? a[key] : undefined, b[key]]
    both[key] = isObject(mine) && isObject(theirs) ? joined(mine, theirs) : theirs
  }
  return both
}

/** Characters of a server's text that we put into texts of our own. */
const maxQuoted = 500
export const quoted = (text: string): string => (text.length > maxQuoted ? `${text.slice(0, maxQuoted)}…` : text)

/** The ask with `[from] ` in front of what a person is shown; the text itself stays whole. Only elicitations show text. */
export function labelled(ask: Ask, from: string): Ask {
  const message = ask.params?.['message']
  if (ask.method !== elicitation || typeof message !== 'string') return ask
  return { ...ask, params: { ...ask.params, message: `[${from}] ${message}` } }
}

/** What a server wants, for those who answer without knowing an era: a person at a terminal. */
export function askKind({ method, params }: Ask): 'form' | 'url' | 'sampling' | 'roots' | 'other' {
  if (method === elicitation) return params?.['mode'] === 'url' ? 'url' : 'form'
  if (method === sampling) return 'sampling'
  return method === roots ? 'roots' : 'other'
}
