/**
 * The `x-mcp-header` annotations of a tool's input schema: which parameters are mirrored into header fields, and which
 * annotations break the rules (2026-07-28 basic/transports/streamable-http, "Schema Extension"). Pure; sends nothing.
 */
import type { JsonObject } from '../gateway/contract.ts'
import { isObject } from './asks.ts'

const annotationKey = 'x-mcp-header'

export interface Annotation {
  /** Keys from the arguments object down to the value. */
  readonly path: readonly string[]
  /** The field is named `Mcp-Param-` plus this. */
  readonly name: string
}

export interface Fault {
  /** Keys from the input schema down to the schema that carries the annotation. */
  readonly at: readonly (string | number)[]
  readonly reason: string
}

export interface Annotations {
  readonly valid: readonly Annotation[]
  readonly faults: readonly Fault[]
}

/** RFC 9110 section 5.1: 1*tchar. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const primitives: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean'])
const maxDepth = 64

/** Keywords whose subschemas a chain of `properties` cannot reach: one schema, a list of them, or a map of them. */
const otherSubschemas: readonly string[] = [
  'items', 'prefixItems', 'additionalItems', 'contains', 'additionalProperties', 'unevaluatedProperties',
  'unevaluatedItems', 'propertyNames', 'oneOf', 'anyOf', 'allOf', 'not', 'if', 'then', 'else',
]
const otherSubschemaMaps: readonly string[] = ['patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions']

/** All annotations of one input schema. A value that is no schema has none. */
export function readAnnotations(inputSchema: unknown): Annotations {
  const valid: Annotation[] = []
  const faults: Fault[] = []
  const names = new Set<string>()

  function visit(schema: unknown, at: readonly (string | number)[], path: readonly string[] | undefined): void {
    if (!isObject(schema) || at.length > maxDepth) return
    if (Object.hasOwn(schema, annotationKey)) {
      const name = schema[annotationKey]
      const reason = faultOf(schema, name, path)
      if (reason === undefined) {
        names.add((name as string).toLowerCase())
        valid.push({ path: path as string[], name: name as string })
      } else faults.push({ at, reason })
    }
    const { properties } = schema
    if (isObject(properties))
      for (const key of Object.keys(properties)) visit(properties[key], [...at, 'properties', key], path && [...path, key])
    for (const keyword of otherSubschemas) {
      const inner = schema[keyword]
      if (Array.isArray(inner)) inner.forEach((each, index) => visit(each, [...at, keyword, index], undefined))
      else visit(inner, [...at, keyword], undefined)
    }
    for (const keyword of otherSubschemaMaps) {
      const inner = schema[keyword]
      if (isObject(inner)) for (const key of Object.keys(inner)) visit(inner[key], [...at, keyword, key], undefined)
    }
  }

  function faultOf(schema: JsonObject, name: unknown, path: readonly string[] | undefined): string | undefined {
    if (!path || path.length === 0) return 'only parameters reached through properties alone may be mirrored'
    if (typeof name !== 'string' || !token.test(name)) return 'the value is no header field name'
    if (!primitives.has(schema['type'])) return 'only string, integer and boolean parameters may be mirrored'
    return names.has(name.toLowerCase()) ? 'the same field name is used twice' : undefined
  }

  visit(inputSchema, [], [])
  return { valid, faults }
}

/** The tool without its faulty annotations, the very same object when it has none. */
export function withoutFaults(tool: JsonObject): JsonObject {
  const { faults } = readAnnotations(tool['inputSchema'])
  if (faults.length === 0) return tool
  const inputSchema = faults.reduce((schema, { at }) => pruned(schema, at), tool['inputSchema'])
  return { ...tool, inputSchema }
}

/** A copy without the annotation at that place. */
function pruned(schema: unknown, [key, ...rest]: readonly (string | number)[]): unknown {
  if (key === undefined) {
    const { [annotationKey]: _fault, ...kept } = schema as JsonObject
    return kept
  }
  if (Array.isArray(schema)) return schema.with(key as number, pruned(schema[key as number], rest))
  return { ...(schema as JsonObject), [key]: pruned((schema as JsonObject)[key], rest) }
}
