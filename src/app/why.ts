/**
 * Why a tool is there under this name, or is not: filtered, renamed, shortened, withheld, held back from a client, of a server
 * that does not run, or of none. Reads offers, rules and limits; starts nothing.
 */
import type { BackendConfig, Config } from '../config/config.ts'
import type { BackendStatus } from '../gateway/contract.ts'
import type { Catalog, CatalogMember } from '../gateway/catalog.ts'
import { matchesGlob } from '../gateway/filters.ts'
import type { FitChange } from '../gateway/fit.ts'
import { prefixOf, toolName } from '../gateway/names.ts'
import { catalogOf, viewOf, type ClientView } from './known.ts'

export type Verdict = 'offered' | 'changed' | 'held' | 'filtered' | 'collision' | 'unavailable' | 'unknown'

/** One tool that the question may mean; the names are the outputs' names. */
export interface Answer {
  readonly verdict: Verdict
  readonly backend: string
  /** What its server calls it; undefined where that is not known. */
  readonly originalName?: string | undefined
  /** What clients see; undefined = it is not shown. */
  readonly name?: string | undefined
  /** For people, in the order in which things happened to it. */
  readonly reasons: readonly string[]
}

export interface Question {
  readonly tool: string
  readonly config: Config
  readonly members: readonly CatalogMember[]
  /** Where the servers have been asked; without it what is not known has simply not run yet. */
  readonly statuses?: readonly BackendStatus[] | undefined
  readonly client?: string | undefined
}

export interface Explanation {
  /** Empty: no server is known to have such a tool. */
  readonly answers: readonly Answer[]
  /** Every name that would have been found, for those who mistyped one. */
  readonly names: readonly string[]
  /** Servers whose tools are not known, so that the answer may be among them. */
  readonly unasked: readonly string[]
}

interface Place {
  readonly catalog: Catalog
  readonly view: ClientView | undefined
  readonly question: Question
  /** Public name → those who want it, with their own names. */
  readonly wanted: ReadonlyMap<string, readonly { readonly alias: string; readonly own: string }[]>
}

export function explain(question: Question): Explanation {
  const { tool, config, members, client } = question
  const catalog = catalogOf(members, config)
  const view = client === undefined ? undefined : viewOf(client, catalog, config)
  const place: Place = { catalog, view, question, wanted: claimsOf(members, config) }
  const answers: Answer[] = []
  const seen = new Set<string>()
  const add = (alias: string, own: string): void => {
    const key = JSON.stringify([alias, own])
    if (!seen.has(key)) answers.push(answerFor(alias, own, place))
    seen.add(key)
  }
  const publicName = view?.fitted.names.get(tool) ?? tool
  const route = catalog.tools.some(({ name }) => name === publicName) ? catalog.tool(publicName) : undefined
  if (route) add(route.alias, route.own)
  for (const { alias, own } of route ? [] : (place.wanted.get(tool) ?? [])) add(alias, own)
  for (const { alias, offer } of members) {
    const own = ownNames(offer)
    const rename = ruleOf(config, alias)?.tools.rename ?? {}
    for (const one of own)
      if (!route && (one === tool || prefixOf(alias, config.names.separator) + one === tool || (Object.hasOwn(rename, one) && rename[one] === tool)))
        add(alias, one)
  }
  const known = new Set(members.filter(({ offer }) => offer).map(({ alias }) => alias))
  const missing = config.backends.filter(({ alias }) => !known.has(alias))
  for (const backend of missing) {
    const { alias } = backend
    if (!route && (tool.startsWith(prefixOf(alias, config.names.separator)) || tool === alias)) answers.push(absent(backend, question))
  }
  return {
    answers,
    names: [...catalog.tools.map(({ name }) => String(name)), ...members.flatMap(({ offer }) => ownNames(offer))],
    unasked: question.statuses ? [] : missing.filter(({ enabled, problems }) => enabled && problems.length === 0).map(({ alias }) => alias),
  }
}

const ownNames = (offer: CatalogMember['offer']): string[] => (offer?.tools ?? []).map(({ name }) => String(name))

const ruleOf = (config: Config, alias: string): BackendConfig | undefined => config.backends.find(backend => backend.alias === alias)

const passes = ({ include, exclude }: BackendConfig['tools'], own: string): boolean =>
  (include === undefined || include.some(glob => matchesGlob(glob, own))) && !exclude.some(glob => matchesGlob(glob, own))

/** The name that this tool wants. Where `onClash` decides, the prefixed one: bare names never clash for good. */
function wish(alias: string, own: string, config: Config): string {
  const { prefix, separator, maxLength } = config.names
  const rename = ruleOf(config, alias)?.tools.rename ?? {}
  const base = Object.hasOwn(rename, own) ? (rename[own] as string) : own
  return toolName(alias, base, prefix === 'never' ? '' : prefixOf(alias, separator), maxLength)
}

function claimsOf(members: readonly CatalogMember[], config: Config): Map<string, { alias: string; own: string }[]> {
  const wanted = new Map<string, { alias: string; own: string }[]>()
  for (const { alias, offer } of members) {
    const backend = ruleOf(config, alias)
    for (const own of new Set(ownNames(offer))) {
      if (!backend || !passes(backend.tools, own)) continue
      const name = wish(alias, own, config)
      const others = wanted.get(name)
      if (others) others.push({ alias, own })
      else wanted.set(name, [{ alias, own }])
    }
  }
  return wanted
}

function answerFor(alias: string, own: string, place: Place): Answer {
  const { catalog, view, wanted, question } = place
  const { config } = question
  const { tools } = ruleOf(config, alias) as BackendConfig
  const told = { backend: alias, originalName: own }
  const excluded = tools.exclude.find(glob => matchesGlob(glob, own))
  if (excluded !== undefined) return { ...told, verdict: 'filtered', reasons: [`tools.exclude of ${alias} has "${excluded}"`] }
  if (!passes(tools, own)) {
    const include = (tools.include ?? []).map(glob => `"${glob}"`).join(', ')
    return { ...told, verdict: 'filtered', reasons: [`tools.include of ${alias} has only ${include === '' ? 'nothing' : include}`] }
  }
  const reasons: string[] = []
  const base = Object.hasOwn(tools.rename, own) ? (tools.rename[own] as string) : own
  if (base !== own) reasons.push(`tools.rename of ${alias} calls ${own} ${base}`)
  const item = catalog.tools.find(({ name }) => {
    const route = catalog.tool(String(name))
    return route !== undefined && route.name === name && route.alias === alias && route.own === own
  })
  if (!item) {
    const name = wish(alias, own, config)
    const others = (wanted.get(name) ?? []).filter(other => other.alias !== alias || other.own !== own)
    const whose = others.map(other => `${other.own} of ${other.alias}`).join(' and ')
    return { ...told, verdict: 'collision', reasons: [...reasons, `${whose || 'another tool'} wants the name ${name} too, so neither has it: rename or exclude one`] }
  }
  const name = String(item['name'])
  if (name !== base)
    reasons.push(
      name.endsWith(base)
        ? `names carry the alias of their server (names.prefix: ${config.names.prefix})`
        : `with its prefix it is longer than ${config.names.maxLength} characters (names.maxLength) or has signs that clients refuse: shortened, with a hash that stays the same`,
    )
  const describe = tools.describe
  if ([name, base, own].some(key => Object.hasOwn(describe, key))) reasons.push(`tools.describe of ${alias} gives its description`)
  const state = question.statuses?.find(status => status.alias === alias)
  if (state && state.state !== 'healthy' && state.state !== 'idle') reasons.push(...stateTexts(state))
  return forClient({ ...told, name, verdict: name.endsWith(own) ? 'offered' : 'changed', reasons }, view)
}

function forClient(answer: Answer, view: ClientView | undefined): Answer {
  if (!view) return answer
  const own = view.fitted.changes.filter(({ name }) => name === answer.name)
  const reasons = [...answer.reasons, ...own.map(textOf)]
  if (own.some(({ kind }) => kind === 'held')) return { ...answer, name: undefined, verdict: 'held', reasons }
  const shown = own.find(({ shown }) => shown !== undefined)?.shown ?? answer.name
  return { ...answer, name: shown, verdict: own.length > 0 ? 'changed' : answer.verdict, reasons }
}

const words: Readonly<Record<FitChange['kind'], string>> = {
  held: 'held back',
  renamed: 'renamed',
  shortened: 'description shortened',
  rewritten: 'schema rewritten',
}

const textOf = ({ kind, shown, why }: FitChange): string => `${words[kind]}${shown === undefined ? '' : ` to ${shown}`}: ${why}`

function absent({ alias, enabled, problems }: BackendConfig, { statuses }: Question): Answer {
  const answer = { backend: alias, verdict: 'unavailable' } as const
  if (!enabled) return { ...answer, reasons: [`${alias} is switched off (enabled: false)`] }
  const [problem] = problems
  if (problem) return { ...answer, reasons: [`${alias} is held back: ${problem.message} (${problem.file}:${problem.line}:${problem.column})`, ...hintText(problem.hint)] }
  const state = statuses?.find(status => status.alias === alias)
  return { ...answer, reasons: state ? stateTexts(state) : [`${alias} has never run, so its tools are not known`] }
}

const stateTexts = ({ alias, state, lastFailure }: BackendStatus): string[] =>
  [`${alias} is ${state}${lastFailure ? `: ${lastFailure.message}` : ''}`, ...hintText(lastFailure?.hint)]

const hintText = (hint: string | undefined): string[] => (hint === undefined ? [] : [`hint: ${hint}`])
