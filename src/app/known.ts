/** What is known of the servers without starting any: their offers as the stored catalogue has them, under public names. */
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import type { Places } from '../config/places.ts'
import type { JsonObject } from '../gateway/contract.ts'
import { buildCatalog, type Catalog, type CatalogMember } from '../gateway/catalog.ts'
import { fit, type Fitted } from '../gateway/fit.ts'
import { silent } from '../gateway/log.ts'
import { knownClients } from '../gateway/profiles.ts'
import { createCatalogueStore } from './catalogue-store.ts'
import { limitsFor } from './profiles.ts'
import { version } from './version.ts'

/** Of every server that is switched on and not held back, in the order of the config. */
export function knownMembers(config: Config, places: Places): CatalogMember[] {
  const store = createCatalogueStore({ dir: join(places.cache, 'catalogue'), version, log: silent })
  return config.backends
    .filter(({ enabled, problems }) => enabled && problems.length === 0)
    .map(({ alias, endpoints, tools, prompts, resources }) => {
      const kept = config.catalog.cache ? store.shelf({ endpoints, scope: 'all' }).load() : undefined
      return { alias, offer: kept?.offer, rules: { tools, prompts, resources } }
    })
}

export interface ClientView {
  readonly client: string
  readonly title: string
  readonly fitted: Fitted
  /** Estimated: characters of the list of tools as JSON, divided by four. */
  readonly tokens: number
  /** It finds tools by itself, so it does not read the whole list. */
  readonly searches: boolean
}

/** What a client would see of a catalog; undefined = nobody knows this client. */
export function viewOf(client: string, catalog: Pick<Catalog, 'tools' | 'tool'>, config: Config): ClientView | undefined {
  const limits = limitsFor(client, config.clients)
  if (!limits) return undefined
  const fitted = fit(catalog.tools, limits, name => catalog.tool(name)?.alias)
  return { client: limits.id, title: limits.title, fitted, tokens: tokensOf(fitted.tools), searches: limits.searches === true }
}

/** Of every known client for which something would be changed. */
export const affected = (catalog: Pick<Catalog, 'tools' | 'tool'>, config: Config): ClientView[] =>
  knownClients.flatMap(({ id }) => viewOf(id, catalog, config) ?? []).filter(({ fitted }) => fitted.changes.length > 0)

/** An estimate: models count differently. */
export const tokensOf = (tools: readonly JsonObject[]): number => Math.ceil(JSON.stringify(tools).length / 4)

export const catalogOf = (members: readonly CatalogMember[], { names }: Pick<Config, 'names'>): Catalog => buildCatalog(members, names)
