/**
 * Whose a URI is, and how a backend's URI is spelt for clients: bare where reading it back leads to that backend, else
 * namespaced. So every carrier of a URI agrees, links that nobody lists included. Knows nothing of names.
 */
import type { JsonObject, Offer } from './contract.ts'
import type { Filter } from './filters.ts'
import { isObject } from './json.ts'
import type { Links } from './links.ts'
import { quote, type Problems } from './problems.ts'
import { compileUriTemplate, type UriTemplate } from './uri-template.ts'
import { climbs, isNamespaced, namespacedUri, parseNamespaced, schemeOf, spellingsOf, stemOf, type UriRoute } from './uris.ts'

export interface ResourceMember {
  readonly alias: string
  readonly offer: Offer | undefined
  readonly filter: Filter | undefined
  /** URIs its tools point to (`_meta.ui.resourceUri`), listed or not. */
  readonly linked: readonly string[]
}

interface Pattern {
  readonly alias: string
  readonly template: UriTemplate
}

/** How many of one backend's templates a read is matched against. */
const maxPatterns = 500
/** Where something is hidden, a longer URI that is not listed is not read: looking through all it may mean would keep others waiting. */
const maxRead = 65_536

export class Resources {
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
  private readonly members: ReadonlyMap<string, ResourceMember>
  private readonly links: Links
  /** Who is reached by a bare URI, and by a bare URI template. */
  private readonly owners = new Map<string, string>()
  private readonly templateOwners = new Map<string, string>()
  private readonly ownTemplates = new Map<string, string[]>()
  /** What the filter leaves: URIs that are listed. And what it excludes: templates. */
  private readonly shown = new Map<string, ReadonlySet<string>>()
  private readonly hiddenTemplates = new Map<string, readonly string[]>()
  private readonly schemes = new Map<string, Set<string>>()
  private readonly serving: ReadonlySet<string>
  private patterns: readonly Pattern[] | undefined
  private readonly compiled = new Map<string, UriTemplate | undefined>()

  constructor(members: readonly ResourceMember[], links: Links, problems: Problems) {
    this.members = new Map(members.map(member => [member.alias, member]))
    this.links = links
    this.serving = new Set(members.filter(serves).map(({ alias }) => alias))
    const resources: JsonObject[] = []
    const templates: JsonObject[] = []
    for (const member of members) {
      this.list(member, member.offer?.resources ?? [], 'uri', this.owners, resources, problems)
      for (const uri of member.linked) if (!member.filter?.excludes(uri)) this.claim(this.owners, member.alias, uri)
      this.list(member, member.offer?.templates ?? [], 'uriTemplate', this.templateOwners, templates, problems)
    }
    this.resources = resources
    this.templates = templates
  }

  /** Whether URIs of this backend may need another spelling, or remembering; if not, nothing needs to be looked at. */
  maps(alias: string): boolean {
    return this.serving.size > 1 && this.serving.has(alias)
  }

  /** The public spelling of a backend's URI, remembered if nobody lists it: `route` leads back. */
  publicUri(alias: string, own: string): string {
    if (!this.maps(alias)) return own
    if (isNamespaced(own)) return namespacedUri(alias, own)
    let owner = this.owner(own) ?? this.linkOrigin(own)
    if (owner === undefined) this.links.remember((owner = alias), own)
    return owner === alias ? own : namespacedUri(alias, own)
  }

  /** Whose a public URI is: namespaced, listed, fitting a template, or handed out before; undefined = nobody's so far. */
  route(uri: string): UriRoute | undefined {
    const parsed = this.parse(uri)
    if (parsed) return this.isReadable(parsed.alias, parsed.own) ? parsed : undefined
    const alias = this.owner(uri) ?? this.linkOrigin(uri)
    return alias !== undefined && this.isReadable(alias, uri) ? { alias, own: uri } : undefined
  }

  /**
   * Who may be asked, in this order, for a URI that `route` knows nothing of: those who serve its scheme, else the only
   * one that serves resources at all. Nobody else hears of it.
   */
  candidates(uri: string): readonly string[] {
    if (this.parse(uri)) return []
    const scheme = schemeOf(uri)
    const same = scheme === undefined ? undefined : this.schemes.get(scheme)
    const asked = same ?? (this.serving.size === 1 ? this.serving : [])
    return [...asked].filter(alias => this.isReadable(alias, uri))
  }

  /** Whose a public URI template, or URI, is that a completion refers to. */
  reference(uri: string): UriRoute | undefined {
    const alias = this.templateOwners.get(uri)
    if (alias !== undefined) return { alias, own: uri }
    const parsed = this.parse(uri)
    if (parsed && this.ownTemplates.get(parsed.alias)?.includes(parsed.own)) return parsed
    const route = this.route(uri)
    if (route) return route
    const [only, second] = this.candidates(uri)
    return only !== undefined && second === undefined ? { alias: only, own: uri } : undefined
  }

  private list(
    member: ResourceMember,
    items: readonly unknown[],
    key: 'uri' | 'uriTemplate',
    owners: Map<string, string>,
    into: JsonObject[],
    problems: Problems,
  ): void {
    const { alias, filter } = member
    const own: string[] = []
    const hidden: string[] = []
    for (const item of items) {
      const uri = isObject(item) ? item[key] : undefined
      if (typeof uri !== 'string' || uri === '') {
        problems.add(
          'ITEM_INVALID',
          alias,
          `left out of ${key === 'uri' ? 'resources' : 'resource templates'}`,
          `an item without ${key}`,
        )
        continue
      }
      if (filter?.excludes(uri)) hidden.push(uri)
      if (filter && !filter.passes(uri)) continue
      own.push(uri)
      const isBare = this.claim(owners, alias, uri)
      into.push(isBare ? (item as JsonObject) : { ...(item as JsonObject), [key]: namespacedUri(alias, uri) })
      const owner = owners.get(uri)
      if (isBare || owner === undefined) continue
      const what = key === 'uri' ? 'resources' : 'resource templates'
      problems.add('URI_CLASH', alias, `${what} that ${owner} offers too have a URI of their own here`, quote(uri))
    }
    if (key === 'uri') return void this.shown.set(alias, new Set(own))
    this.ownTemplates.set(alias, own)
    this.hiddenTemplates.set(alias, hidden)
  }

  /** Config order decides: whoever comes first is bare. Says whether this one is. */
  private claim(owners: Map<string, string>, alias: string, uri: string): boolean {
    const scheme = schemeOf(uri)
    if (scheme !== undefined) {
      const same = this.schemes.get(scheme)
      if (same) same.add(alias)
      else this.schemes.set(scheme, new Set([alias]))
    }
    if (isNamespaced(uri) && this.serving.size > 1) return false
    const owner = owners.get(uri)
    if (owner === undefined) owners.set(uri, alias)
    return owner === undefined || owner === alias
  }

  /** A URI in our own spelling. With one server of resources a URI it lists is its own, whatever its shape. */
  private parse(uri: string): UriRoute | undefined {
    if (this.owners.has(uri)) return undefined
    const parsed = parseNamespaced(uri)
    if (!parsed) return undefined
    if (this.members.has(parsed.alias)) return parsed
    // Whoever normalises a URI may have put what looks like its host in lower case (RFC 3986, 6.2.2.1).
    const alike = [...this.members.keys()].filter(alias => alias.toLowerCase() === parsed.alias.toLowerCase())
    return alike.length === 1 ? { alias: alike[0] as string, own: parsed.own } : undefined
  }

  private owner(uri: string): string | undefined {
    const owner = this.owners.get(uri)
    if (owner !== undefined) return owner
    this.patterns ??= this.compile()
    return this.patterns.find(({ alias, template }) => template.matches(uri) && !this.members.get(alias)?.filter?.excludes(uri))
      ?.alias
  }

  private linkOrigin(uri: string): string | undefined {
    const origin = this.links.origin(uri)
    return origin !== undefined && this.serving.has(origin) ? origin : undefined
  }

  /** Bare templates, those that say most first; the sort keeps config order among equals. */
  private compile(): Pattern[] {
    const patterns: Pattern[] = []
    for (const [alias, templates] of this.ownTemplates) {
      for (const text of templates.slice(0, maxPatterns)) {
        const template = this.templateOwners.get(text) === alias ? compileUriTemplate(text) : undefined
        if (template) patterns.push({ alias, template })
      }
    }
    return patterns.sort((a, b) => b.template.literal - a.template.literal)
  }

  /** What is filtered out of the list cannot be read by its URI either, however that is spelt, nor as what a template makes. */
  private isReadable(alias: string, own: string): boolean {
    const member = this.members.get(alias)
    if (!member) return false
    const { filter, linked } = member
    if (!filter || this.shown.get(alias)?.has(own)) return true
    if (own.length > maxRead) return false
    const spellings = spellingsOf(own)
    const stems = new Set([...spellings].map(stemOf))
    for (const each of [...spellings, ...stems]) if (filter.excludes(each)) return false
    if (linked.includes(own)) return true
    const isMade = (uri: string): boolean => this.fitsOne(this.ownTemplates.get(alias), uri)
    const isHidden = (uri: string): boolean => this.fitsOne(this.hiddenTemplates.get(alias), uri)
    const isMeant = (uri: string): boolean => (filter.includes(uri) && !isHidden(uri)) || isMade(uri)
    if (!isMade(own) && (!filter.includes(own) || [...spellings, ...stems].some(isHidden))) return false
    return !climbs(own) || [...spellings].every(each => climbs(each) || isMeant(each))
  }

  private fitsOne(templates: readonly string[] = [], uri: string): boolean {
    return templates.slice(0, maxPatterns).some(text => {
      if (!this.compiled.has(text)) this.compiled.set(text, compileUriTemplate(text))
      return this.compiled.get(text)?.matches(uri)
    })
  }
}

function serves({ offer, linked }: ResourceMember): boolean {
  if (!offer) return false
  if (offer.resources.length > 0 || offer.templates.length > 0 || linked.length > 0) return true
  return isObject(offer.description.capabilities['resources'])
}
