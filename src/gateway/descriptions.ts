/**
 * What the gateway says of itself, made of what its backends say: their features joined, their instructions labelled.
 * Truthful about who is missing; knows no era's wording.
 */
import type { Description, JsonObject } from './contract.ts'
import { isObject } from './json.ts'
import { prefixOf, type NamesOptions } from './names.ts'

export interface Described {
  readonly alias: string
  readonly description: Description
}

export interface Missing {
  readonly alias: string
  /** For people; only its first line, and not much of it, is shown. */
  readonly reason: string
}

const maxPerBackend = 4096
const maxInstructions = 16_384
const maxReason = 160
const maxMissing = 20
const maxDepth = 8

/**
 * Capabilities: the union; where two settle the same key differently the first in config order counts. Lists always
 * tell of changes, since backends come and go. While somebody is missing every server feature is claimed, because a
 * client that asks only once must not lose what the missing one may bring.
 * Instructions: of a lone backend verbatim; else one section each, at most 4,096 characters of each and 16,384 of all.
 * Undefined when nobody says anything.
 */
export function mergeDescriptions(
  told: readonly Described[],
  missing: readonly Missing[] = [],
  names?: NamesOptions,
): { capabilities: JsonObject; instructions: string | undefined } {
  return { capabilities: mergeCapabilities(told, missing.length > 0), instructions: mergeInstructions(told, missing, names) }
}

function mergeCapabilities(told: readonly Described[], isIncomplete: boolean): JsonObject {
  const each = told.map(({ description }) => description.capabilities).filter(isObject)
  const merged: JsonObject = { ...each.reduce((all, one) => join(all, one), {}) }
  const feature = (key: string): JsonObject => (isObject(merged[key]) ? merged[key] : {})
  const subscribes = isIncomplete || each.some(({ resources }) => isObject(resources) && resources['subscribe'] === true)
  if (isIncomplete) for (const key of ['logging', 'completions', 'prompts', 'resources']) merged[key] ??= {}
  merged['tools'] = { ...feature('tools'), listChanged: true }
  if (merged['prompts'] !== undefined) merged['prompts'] = { ...feature('prompts'), listChanged: true }
  if (merged['resources'] !== undefined)
    merged['resources'] = { ...feature('resources'), ...(subscribes ? { subscribe: true } : {}), listChanged: true }
  return merged
}

function join(first: JsonObject, second: JsonObject, depth = 0): JsonObject {
  const out = { ...first }
  for (const key of Object.keys(second)) {
    // Assigning this key would set the prototype instead.
    if (key === '__proto__') continue
    const [mine, other] = [out[key], second[key]]
    if (!Object.hasOwn(out, key)) out[key] = other
    else if (isObject(mine) && isObject(other) && depth < maxDepth) out[key] = join(mine, other, depth + 1)
  }
  return out
}

function mergeInstructions(
  told: readonly Described[],
  missing: readonly Missing[],
  names: NamesOptions | undefined,
): string | undefined {
  const [only] = told
  if (told.length === 1 && only && missing.length === 0) return only.description.instructions
  const speaking = told.flatMap(({ alias, description: { instructions } }) =>
    typeof instructions === 'string' && instructions.trim() !== '' ? [{ alias, text: instructions.trim() }] : [],
  )
  const limit = fairLimit(speaking.map(({ text }) => text.length))
  const sections = speaking.map(({ alias, text }) => `## ${heading(alias, names)}\n${shorten(text, limit)}`)
  if (missing.length > 0) {
    const listed = missing.slice(0, maxMissing).map(({ alias, reason }) => `${alias} (${shorten(firstLine(reason), maxReason)})`)
    if (missing.length > maxMissing) listed.push(`${missing.length - maxMissing} more`)
    sections.push(`Not available at the moment: ${listed.join(', ')}.`)
  }
  return sections.length > 0 ? sections.join('\n\n') : undefined
}

/** A server's own text uses its own names; only we know what they are called here. */
const heading = (alias: string, names: NamesOptions | undefined): string =>
  names?.prefix === 'always' ? `${alias} (its names begin with ${prefixOf(alias, names.separator)} here)` : alias

const firstLine = (text: string): string => (text.trim().split('\n', 1)[0] as string).replace(/\p{C}/gu, ' ')

/** The largest length that all can have without exceeding the total: short texts leave their share to long ones. */
function fairLimit(lengths: readonly number[]): number {
  let left = maxInstructions
  let share = maxPerBackend
  const ascending = lengths.map(length => Math.min(length, maxPerBackend)).sort((a, b) => a - b)
  ascending.forEach((length, i) => {
    share = Math.floor(left / (ascending.length - i))
    left -= Math.min(length, share)
  })
  return Math.min(maxPerBackend, share)
}

function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text
  return `${text.slice(0, Math.max(0, limit - 2)).replace(/[\ud800-\udbff]$/, '')} …`
}
