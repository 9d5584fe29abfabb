/** The config's JSON Schema, for editors and for the reference page. Loaded only by those who print it. */
import * as z from 'zod/mini'
import { told } from './fields.ts'
import { configSchema } from './schema.ts'

export interface JsonSchema {
  $schema?: string
  title?: string
  type?: string | string[]
  description?: string
  default?: unknown
  enum?: unknown[]
  pattern?: string
  minimum?: number
  maximum?: number
  properties?: Record<string, JsonSchema>
  additionalProperties?: JsonSchema | boolean
  patternProperties?: Record<string, JsonSchema>
  propertyNames?: JsonSchema
  items?: JsonSchema
  /** Our own word for what is expected, for people; not part of the published schema. */
  kind?: string
}

/** With our own words in it; what is published goes through `publishedSchema`. Draft 7 is what editors know best. */
export function configJsonSchema(): JsonSchema {
  const metadata = z.registry<Record<string, unknown>>()
  for (const [schema, meta] of told) metadata.add(schema, meta as never)
  return z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
    metadata: metadata as never,
  }) as JsonSchema
}

/** The schema as it is published, one JSON document. */
export function publishedSchema(): JsonSchema {
  const { $schema, ...rest } = bareSchema(configJsonSchema())
  return { ...($schema === undefined ? {} : { $schema }), title: 'mcp-proxy configuration', ...rest }
}

function bareSchema({ kind: _, propertyNames, ...schema }: JsonSchema): JsonSchema {
  const each = (schemas: Record<string, JsonSchema>) =>
    Object.fromEntries(Object.entries(schemas).map(([key, inner]) => [key, bareSchema(inner)]))
  // Every key is a text anyway.
  if (propertyNames?.pattern !== undefined) schema = { ...schema, propertyNames: bareSchema(propertyNames) } as JsonSchema
  if (isEmptyObject(schema.default)) delete schema.default
  return {
    ...schema,
    ...(schema.properties && { properties: each(schema.properties) }),
    ...(schema.items && { items: bareSchema(schema.items) }),
    ...(typeof schema.additionalProperties === 'object' && { additionalProperties: bareSchema(schema.additionalProperties) }),
  }
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
