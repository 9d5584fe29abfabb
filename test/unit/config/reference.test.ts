/** Holds the published schema and the reference page to the schema. `npm run docs` runs this with `--update`. */
import { expect, it } from 'vitest'
import { configurationPage } from '../../../scripts/configuration-page.ts'
import { configJsonSchema, publishedSchema, type JsonSchema } from '../../../src/config/json-schema.ts'

const outdated = 'run "npm run docs"'

it('publishes the JSON Schema of the config', async () => {
  await expect(`${JSON.stringify(publishedSchema(), null, 2)}\n`, outdated).toMatchFileSnapshot(
    '../../../schema/config.schema.json',
  )
})

it('publishes the configuration reference', async () => {
  await expect(configurationPage(configJsonSchema()), outdated).toMatchFileSnapshot('../../../docs/configuration.md')
})

it('describes every key', () => {
  const missing: string[] = []
  const walk = (schema: JsonSchema, path: string): void => {
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      const at = path === '' ? key : `${path}.${key}`
      if (!inner.description && schema.kind === undefined) missing.push(at)
      walk(inner, at)
    }
    if (typeof schema.additionalProperties === 'object') walk(schema.additionalProperties, `${path}.*`)
    if (schema.items) walk(schema.items, `${path}[]`)
  }
  walk(configJsonSchema(), '')
  expect(missing).toEqual([])
})
