/**
 * The building blocks of the schema: what a value may look like, in words for people and in JSON Schema for editors.
 * Scalars take text too (`"3050"`, `"true"`): environment variables and `${…}` have nothing else to offer.
 */
import * as z from 'zod/mini'
import { readDuration, readFlag, readInteger, readSize, readText, type Reading } from './values.ts'

/** What a field says of itself: goes as it stands into the JSON Schema and from there into the reference. */
export type Meta = { readonly [key: string]: unknown }

/** zod's own registry costs ten times as much to fill, on the way to the first byte; see reference.ts for who reads this. */
export const told = new Map<z.ZodMiniType, Meta>()

const tell = <S extends z.ZodMiniType>(schema: S, meta: Meta): S => {
  told.set(schema, meta)
  return schema
}

/** A scalar read by a function. The JSON Schema says what is usual; any text with `${` in it is let through there too. */
function scalar<T>(read: (input: unknown) => Reading<T>, json: Meta) {
  const schema = z.transform<unknown, T>((input, context) => {
    const reading = read(input)
    if ('value' in reading) return reading.value
    context.issues.push({ code: 'custom', message: reading.expected, input })
    return z.NEVER
  })
  return tell(schema, json)
}

const reference = '.*\\$\\{.+\\}.*'

export const duration = (min = 0) =>
  scalar(input => readDuration(input, min), {
    type: ['number', 'string'],
    minimum: min,
    pattern: `^(\\s*[0-9.]+\\s*(ms|s|m|h|d)?\\s*|${reference})$`,
    kind: 'duration',
  })

export const size = (min = 0) =>
  scalar(input => readSize(input, min), {
    type: ['number', 'string'],
    minimum: min,
    pattern: `^(\\s*[0-9.]+\\s*([kKmMgG]?i?[bB])?\\s*|${reference})$`,
    kind: 'size',
  })

export const integer = (min: number, max: number) =>
  scalar(input => readInteger(input, min, max), {
    type: ['integer', 'string'],
    minimum: min,
    maximum: max,
    pattern: `^(-?[0-9]+|${reference})$`,
    kind: 'number',
  })

export const flag = () =>
  scalar(readFlag, { type: ['boolean', 'string'], pattern: `^(true|false|${reference})$`, kind: 'true or false' })

/** Text as processes and headers take it; numbers and switches count as their spelling. */
export const text = () => scalar(readText, { type: ['string', 'number', 'boolean'], kind: 'text' })

/** Text with a rule of its own; `expected` is what the rule wants, in words. */
export const ruled = (rule: (value: string) => boolean, expected: string, json: Meta = {}) =>
  scalar<string>(input => (typeof input === 'string' && rule(input) ? { value: input } : { expected }), {
    type: 'string',
    kind: 'text',
    ...json,
  })

export const choice = <const V extends readonly [string, ...string[]]>(...values: V) => z.enum(values)

export const list = <S extends z.ZodMiniType>(item: S) => z.array(item)
export const map = <S extends z.ZodMiniType>(value: S) => z.record(z.string(), value)

/** A list, where a single item may stand alone. */
export const oneOrMore = () =>
  scalar<string[]>(
    input => {
      const items: unknown[] = Array.isArray(input) ? input : [input]
      return items.every(item => typeof item === 'string' && item !== '' && !item.includes('\0'))
        ? { value: items as string[] }
        : { expected: 'a text or a list of texts' }
    },
    { type: ['string', 'array'], items: { type: 'string' }, kind: 'text, or list of text' },
  )

/** A root: a `file://` URL or a path, alone or as `{uri, name?}`. */
export const root = () =>
  scalar<{ uri: string; name?: string }>(
    input => {
      const { uri, name } =
        typeof input === 'string' ? { uri: input, name: undefined } : (Object(input) as Record<string, unknown>)
      if (typeof uri !== 'string' || uri === '' || uri.includes('\0') || (name !== undefined && typeof name !== 'string'))
        return { expected: 'a file:// URL or a folder, or {uri, name}' }
      return { value: name === undefined ? { uri } : { uri, name } }
    },
    {
      type: ['string', 'object'],
      properties: { uri: { type: 'string' }, name: { type: 'string' } },
      required: ['uri'],
      kind: 'file:// URL or folder',
    },
  )

/** A key that may be left out, described. */
export const optional = <S extends z.ZodMiniType>(schema: S, description: string, more: Meta = {}) =>
  tell(z.optional(schema), { description, ...more })

/** A key that must be there, described. The schema is this key's own. */
export const required = <S extends z.ZodMiniType>(schema: S, description: string) =>
  tell(schema, { ...told.get(schema), description })

/** A key with a default, given as a person would write it. */
export const defaulted = <S extends z.ZodMiniType>(schema: S, value: z.input<S>, description: string, more: Meta = {}) =>
  tell(z.prefault(schema, value as never), { description, ...more })

/** A group of keys that is always there, if only with its defaults. */
export const group = <S extends z.ZodMiniType>(schema: S, description: string) =>
  tell(z.prefault(schema, {} as never), { description })
