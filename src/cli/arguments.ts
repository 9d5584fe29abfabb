/** Arguments of a tool or prompt as people type them, and as schemas want them. Pure but for reading stdin. */
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { readAll, type Input } from './io.ts'

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** JSON text, `-` for stdin, or nothing. Anything but an object is a usage error. */
export async function readArguments(input: string | undefined, stdin: Input): Promise<JsonObject> {
  if (input === undefined) return {}
  const text = input === '-' ? await readAll(stdin) : input
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new McpError('USAGE', `the arguments are not JSON: ${(error as Error).message}`, {
      hint: `for example '{"key":"value"}', or --arg key=value`,
    })
  }
  if (!isObject(value))
    throw new McpError('USAGE', 'the arguments must be a JSON object', { hint: `for example '{"key":"value"}'` })
  return value
}

/** Adds `key=value` (or `key:value`) pairs, each read by what the schema says of its key. */
export function withPairs(given: JsonObject, pairs: readonly string[], schema: unknown): JsonObject {
  if (pairs.length === 0) return given
  const properties = isObject(schema) && isObject(schema['properties']) ? schema['properties'] : {}
  const all = { ...given }
  for (const pair of pairs) {
    const [, key, value] = /^([^=:]+)[=:](.*)$/s.exec(pair) ?? []
    if (key === undefined || value === undefined) throw new McpError('USAGE', `--arg ${pair} is not key=value`)
    const read = coerce(key, value, properties[key])
    // The same key again makes a list where the schema wants one.
    const before = all[key]
    all[key] = Array.isArray(before) && Array.isArray(read) ? [...before, ...read] : read
  }
  return all
}

function coerce(key: string, text: string, schema: unknown): unknown {
  const types = typesOf(schema)
  if (types.includes('string') || types.length === 0) {
    if (types.includes('null') && text === 'null') return null
    return text
  }
  if (types.includes('null') && text === 'null') return null
  if (types.includes('boolean') && /^(true|false)$/.test(text)) return text === 'true'
  if ((types.includes('number') || types.includes('integer')) && text.trim() !== '' && Number.isFinite(Number(text)))
    return Number(text)
  if (types.includes('array') || types.includes('object')) {
    const value = parsed(text)
    if (Array.isArray(value) ? types.includes('array') : isObject(value) && types.includes('object')) return value
    if (types.includes('array')) return [coerce(key, text, isObject(schema) ? schema['items'] : undefined)]
  }
  throw new McpError(
    'USAGE',
    `${key} must be ${types.map(type => (/^[aio]/.test(type) ? `an ${type}` : `a ${type}`)).join(' or ')}: ${text}`,
  )
}

/** The types a schema names, through unions; none = anything goes. */
function typesOf(schema: unknown): string[] {
  if (!isObject(schema)) return []
  const { type, anyOf, oneOf } = schema
  if (typeof type === 'string') return [type]
  if (Array.isArray(type)) return type.filter(one => typeof one === 'string')
  const variants = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : []
  return [...new Set(variants.flatMap(typesOf))]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
