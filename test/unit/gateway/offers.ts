import { buildCatalog, type BackendRules, type Catalog, type CatalogMember } from '../../../src/gateway/catalog.ts'
import type { Freshness, JsonObject, Offer } from '../../../src/gateway/contract.ts'
import type { Links } from '../../../src/gateway/links.ts'
import type { NamesOptions } from '../../../src/gateway/names.ts'

/** What a made-up server offers: names and URIs, or whole items where more matters. */
export interface Wares {
  tools?: readonly unknown[]
  prompts?: readonly unknown[]
  resources?: readonly unknown[]
  templates?: readonly unknown[]
  capabilities?: JsonObject
  freshness?: Freshness
}

const items = (key: string, list: readonly unknown[] = []): JsonObject[] =>
  list.map(item => (typeof item === 'string' ? { [key]: item } : item)) as JsonObject[]

export const offer = ({ tools, prompts, resources, templates, capabilities, freshness }: Wares): Offer => ({
  description: {
    info: undefined,
    capabilities: capabilities ?? {},
    instructions: undefined,
    era: undefined,
    revision: undefined,
  },
  tools: items('name', tools),
  prompts: items('name', prompts),
  resources: items('uri', resources),
  templates: items('uriTemplate', templates),
  freshness,
})

export const member = (alias: string, wares: Wares | undefined, rules: BackendRules = {}): CatalogMember => ({
  alias,
  offer: wares && offer(wares),
  rules,
})

export const options: NamesOptions = { separator: '__', prefix: 'always', maxLength: 64 }

export const catalog = (members: readonly CatalogMember[], prefix: NamesOptions['prefix'] = 'always', links?: Links): Catalog =>
  buildCatalog(members, { ...options, prefix }, links)

export const names = (list: readonly JsonObject[]): unknown[] =>
  list.map(item => item['name'] ?? item['uri'] ?? item['uriTemplate'])
