/**
 * What all backends offer, under public names: merged lists, and every name and URI both ways. A catalog is a fixed
 * picture of some offers; whoever holds it builds another when an offer changes. Pure: it neither waits nor asks.
 */
import type { Freshness, JsonObject, Offer } from './contract.ts'
import { compileFilter, type Filter, type FilterRules } from './filters.ts'
import { isObject, sameJson } from './json.ts'
import { Links } from './links.ts'
import { assignNames, mayHave, prefixOf, promptName, toolName, type NamesOptions } from './names.ts'
import { Problems, quote, type Problem } from './problems.ts'
import { Resources, type ResourceMember } from './resources.ts'
import { createRewriter, type Rewriter } from './rewrite.ts'
import type { UriRoute } from './uris.ts'

export interface OfferRules extends FilterRules {
  /** Own name to the name that replaces it; the prefix comes before that one. */
  readonly rename?: Readonly<Record<string, string>> | undefined
  /** Own name to the description to show; also the name that replaces it, or the public one. */
  readonly describe?: Readonly<Record<string, string>> | undefined
}

/** Globs stand for own names and own URIs. */
export interface BackendRules {
  readonly tools?: OfferRules | undefined
  readonly resources?: FilterRules | undefined
  readonly prompts?: OfferRules | undefined
}

export interface CatalogMember {
  readonly alias: string
  /** Undefined = not known: it contributes nothing. */
  readonly offer: Offer | undefined
  readonly rules: BackendRules
}

export interface NameRoute {
  readonly alias: string
  /** The backend's own name. */
  readonly own: string
  /** The public name: what policy and logs go by, whatever spelling the caller used. */
  readonly name: string
  /** The item as the backend sent it. */
  readonly item: JsonObject
}

export interface Catalog extends Rewriter {
  /** Public items, in config order and then the backend's; unchanged ones are the backend's very objects. */
  readonly tools: readonly JsonObject[]
  readonly prompts: readonly JsonObject[]
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
  readonly problems: readonly Problem[]
  /** The shortest of the offers', and private if one is; undefined unless all are known and say so. */
  readonly freshness: Freshness | undefined
  /**
   * By public name, else by a backend's own name if exactly one backend has it: Views of Apps call the bare names baked
   * into them. Never a name that another backend may have or have had as its public one: it would change its meaning. It cannot
   * be seen which View calls, so where backends must not reach each other's app-only tools, each needs a gateway of its own.
   */
  tool(name: string): NameRoute | undefined
  /** By public name only. */
  prompt(name: string): NameRoute | undefined
  /** Whose a public URI is; undefined = nobody's so far. */
  resource(uri: string): UriRoute | undefined
  /** Aliases of those who may be asked, in order, for a URI that `resource` knows nothing of; they know it as it is. */
  candidates(uri: string): readonly string[]
  /** Whose prompt or resource a completion's `ref` is, with the ref as that backend knows it. */
  ref(ref: unknown): { readonly alias: string; readonly ref: JsonObject } | undefined
  /** Whether URIs in what this backend sends must pass `publicUri`; if not, they stand as they are. */
  mapsUris(alias: string): boolean
  /** How clients are told of a backend's URI; `resource` leads back. */
  publicUri(alias: string, own: string): string
}

/**
 * Members come in config order. Collisions of names are refused: all who want a name are withheld and the problem names
 * them, so that no backend can take over another's name by being first or by being there. (`onClash` prefixes those
 * instead.) A name twice in one backend's list is that backend's affair: its first counts, as a call reaches the same
 * tool. `links` must be the same object from catalog to catalog for links in clients' hands to keep their meaning.
 */
export function buildCatalog(members: readonly CatalogMember[], names: NamesOptions, links: Links = new Links()): Catalog {
  const problems = new Problems()
  const kept = members.map(({ alias, offer, rules }) => {
    const tools = keep('tool', alias, offer?.tools, compileFilter(rules.tools), problems)
    const prompts = keep('prompt', alias, offer?.prompts, compileFilter(rules.prompts), problems)
    return { alias, offer, rules, tools, prompts }
  })
  const resources = new Resources(
    kept.map(({ alias, offer, rules, tools }): ResourceMember => ({
      alias,
      offer,
      filter: compileFilter(rules.resources),
      linked: tools.flatMap(({ item }) => linkedUris(item)),
    })),
    links,
    problems,
  )
  const rulesOf = new Map(members.map(({ alias, rules }) => [alias, rules]))
  for (const { alias, offer, rules, tools, prompts } of kept) {
    rename('tools', alias, tools, rules.tools?.rename, offer !== undefined, problems)
    rename('prompts', alias, prompts, rules.prompts?.rename, offer !== undefined, problems)
  }

  const toolClaims = kept.flatMap(({ tools }) => tools)
  const tools = publish('tool', toolClaims, names, problems, claim =>
    told(claim, mapUi(claim.item, uri => resources.publicUri(claim.alias, uri)), rulesOf.get(claim.alias)?.tools),
  )
  const promptClaims = kept.flatMap(({ prompts }) => prompts)
  const prompts = publish('prompt', promptClaims, names, problems, claim =>
    told(claim, claim.item, rulesOf.get(claim.alias)?.prompts),
  )
  let byOwn: ReadonlyMap<string, string | undefined> | undefined
  const prefixes = names.prefix === 'never' ? [] : members.map(({ alias }) => [alias, prefixOf(alias, names.separator)] as const)

  const spelling = {
    mapsUris: (alias: string) => resources.maps(alias),
    publicUri: (alias: string, own: string) => resources.publicUri(alias, own),
  }
  return {
    ...spelling,
    ...createRewriter(spelling),
    tools: tools.items,
    prompts: prompts.items,
    resources: resources.resources,
    templates: resources.templates,
    problems: problems.list(),
    freshness: strictest(members),
    tool(name) {
      const route = tools.routes.get(name)
      if (route) return route
      const bare = (byOwn ??= unambiguous(toolClaims, members)).get(name)
      const found = bare === undefined ? undefined : tools.routes.get(bare)
      const mayBeOf = ([alias, prefix]: readonly [string, string]) => alias !== found?.alias && mayHave(prefix, name, names.maxLength)
      return prefixes.some(mayBeOf) ? undefined : found
    },
    prompt: name => prompts.routes.get(name),
    resource: uri => resources.route(uri),
    candidates: uri => resources.candidates(uri),
    ref(ref) {
      if (!isObject(ref)) return undefined
      const { type, name, uri } = ref
      if (type === 'ref/prompt' && typeof name === 'string') {
        const route = prompts.routes.get(name)
        return route && { alias: route.alias, ref: { ...ref, name: route.own } }
      }
      const route = type === 'ref/resource' && typeof uri === 'string' ? resources.reference(uri) : undefined
      return route && { alias: route.alias, ref: { ...ref, uri: route.own } }
    },
  }
}

/** For each list whether a client would see no difference; `resources` covers the templates too. */
export function sameSurface(a: Catalog, b: Catalog): { tools: boolean; prompts: boolean; resources: boolean } {
  return {
    tools: sameJson(a.tools, b.tools),
    prompts: sameJson(a.prompts, b.prompts),
    resources: sameJson(a.resources, b.resources) && sameJson(a.templates, b.templates),
  }
}

function strictest(members: readonly CatalogMember[]): Freshness | undefined {
  let strictest: Freshness | undefined
  for (const { offer } of members) {
    if (!offer?.freshness) return undefined
    const { ttlMs, scope } = offer.freshness
    strictest = {
      ttlMs: Math.min(ttlMs, strictest?.ttlMs ?? ttlMs),
      scope: strictest?.scope === 'private' ? 'private' : scope,
    }
  }
  return strictest
}

interface Claim {
  readonly alias: string
  readonly own: string
  /** What the public name is made of: the own name, or what replaces it. */
  base: string
  name: string
  readonly item: JsonObject
}

function keep(
  kind: string,
  alias: string,
  items: readonly unknown[] = [],
  filter: Filter | undefined,
  problems: Problems,
): Claim[] {
  const claims: Claim[] = []
  const seen = new Set<string>()
  for (const item of items) {
    const own = isObject(item) ? item['name'] : undefined
    if (typeof own !== 'string' || own === '')
      problems.add('ITEM_INVALID', alias, `left out of ${kind}s`, 'an item without a name')
    else if (filter && !filter.passes(own)) continue
    else if (seen.has(own)) problems.add('NAME_DUPLICATE', alias, `lists a ${kind} twice, the first counts`, quote(own))
    else {
      seen.add(own)
      claims.push({ alias, own, base: own, name: own, item: item as JsonObject })
    }
  }
  return claims
}

function rename(
  kind: 'tools' | 'prompts', alias: string, claims: readonly Claim[], rules: OfferRules['rename'], isKnown: boolean, problems: Problems,
): void {
  if (!rules) return
  const unused = new Set(Object.keys(rules))
  for (const claim of claims) if (unused.delete(claim.own)) claim.base = rules[claim.own] as string
  if (!isKnown) return
  for (const own of unused) problems.add('RULE_UNMATCHED', alias, `${kind}.rename names what it does not offer`, quote(own))
}

/** An item under its public name, and with the description that the config gives it. */
function told({ own, base, name }: Claim, item: JsonObject, { describe: rules = {} }: OfferRules = {}): JsonObject {
  // The keys are servers' text: an inherited property such as `constructor` is no rule.
  const key = [own, base, name].find(candidate => Object.hasOwn(rules, candidate))
  if (key !== undefined) return { ...item, name, description: rules[key] }
  return item['name'] === name ? item : { ...item, name }
}

function publish(
  kind: 'tool' | 'prompt',
  claims: readonly Claim[],
  names: NamesOptions,
  problems: Problems,
  show: (claim: Claim) => JsonObject,
): { items: JsonObject[]; routes: Map<string, NameRoute> } {
  const spell = kind === 'tool' ? toolName : promptName
  const prefixes = new Map<string, string>()
  const holders = assignNames(claims, names.prefix, ({ alias, base }, prefixed) => {
    let prefix = prefixed ? prefixes.get(alias) : ''
    if (prefix === undefined) prefixes.set(alias, (prefix = prefixOf(alias, names.separator)))
    return spell(alias, base, prefix, names.maxLength)
  })
  const items: JsonObject[] = []
  const routes = new Map<string, NameRoute>()
  const collided = new Map<string, Claim[]>()
  for (const claim of claims) {
    const { alias, own, base, name, item } = claim
    if ((holders.get(name)?.length ?? 0) > 1) {
      const origins = collided.get(name)
      if (origins) origins.push(claim)
      else collided.set(name, [claim])
      continue
    }
    if (!name.endsWith(base))
      problems.add('NAME_CHANGED', alias, `${kind} names too long or not legal were changed`, `${quote(base)} is ${quote(name)}`)
    routes.set(name, { alias, own, name, item })
    items.push(show(claim))
  }
  for (const [name, origins] of collided) problems.collision(kind, name, origins)
  return { items, routes }
}

/** Public names by own name; undefined where several backends have it, withheld and hidden ones included. */
function unambiguous(claims: readonly Claim[], members: readonly CatalogMember[]): Map<string, string | undefined> {
  const map = new Map<string, string | undefined>(claims.map(({ own, name }) => [own, name]))
  const owners = new Map<unknown, string>()
  for (const { alias, offer } of members)
    for (const item of offer?.tools ?? []) {
      const own = isObject(item) ? item['name'] : undefined
      if ((owners.get(own) ?? alias) !== alias) map.set(own as string, undefined)
      owners.set(own, alias)
    }
  return map
}

/** Where a tool says which `ui://` resource shows it (MCP Apps): the nested key and the older flat one. */
function linkedUris(tool: JsonObject): string[] {
  const meta = tool['_meta']
  if (!isObject(meta)) return []
  const nested = isObject(meta['ui']) ? meta['ui']['resourceUri'] : undefined
  return [nested, meta['ui/resourceUri']].filter(uri => typeof uri === 'string')
}

function mapUi(tool: JsonObject, map: (uri: string) => string): JsonObject {
  if (linkedUris(tool).every(uri => map(uri) === uri)) return tool
  const meta = { ...(tool['_meta'] as JsonObject) }
  const { ui } = meta
  if (isObject(ui) && typeof ui['resourceUri'] === 'string') meta['ui'] = { ...ui, resourceUri: map(ui['resourceUri']) }
  if (typeof meta['ui/resourceUri'] === 'string') meta['ui/resourceUri'] = map(meta['ui/resourceUri'])
  return { ...tool, _meta: meta }
}
