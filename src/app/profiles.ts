/**
 * Client profiles in use: whose call it is, which limits that client has, and the list of tools as it can take it. Each
 * list is fitted once per catalog and client; a call costs a look at its method. Unknown clients get everything as it is.
 */
import type { Config } from '../config/config.ts'
import type { Call, Complete, Handler, JsonObject, Outcome } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { fit, type FitChange, type Fitted } from '../gateway/fit.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { sameJson } from '../gateway/json.ts'
import { clientCalled, fittingOf, type ClientLimits, type Fitting, type KnownClient } from '../gateway/profiles.ts'
import { RawComplete, RawJson } from '../gateway/raw.ts'
import { readdressed } from '../gateway/readdressed.ts'

/** What `install` calls us in a client. */
const usualServer = 'hub'
/** Clients remembered by what they call themselves: it is their text. */
const maxNames = 1000
const maxListed = 100

/** What became of the tools for one client that has asked for them; names are the outputs' names. */
export interface ClientFit {
  readonly client: string
  /** Tools it is shown. */
  readonly tools: number
  readonly held: number
  readonly changed: number
  readonly changes: readonly FitChange[]
}

export interface Profiles {
  /** The same gateway as this client can take it. `name`: what `--client` says it is; else what it calls itself counts. */
  fitted(gateway: Gateway, name?: string): Gateway
  /** Of every client for which something had to change. */
  status(): readonly ClientFit[]
  /** Takes the overrides as they are now. Whether a client that has been here would be shown something else of these tools. */
  reread(tools: readonly JsonObject[]): boolean
}

export type Overrides = Config['clients']

/** The limits for a client of this id or name, with the config's own over them; undefined = it has none. */
export function limitsFor(name: string, overrides: Overrides): Fitting | undefined {
  const known = clientCalled(name)
  const key = keyFor(name, known, overrides)
  if (!known && key === undefined) return undefined
  const { server = usualServer, ...limits } = (key === undefined ? undefined : overrides[key]) ?? {}
  // By the config's word and not by the client's: there are as many as it likes to think of.
  const nobody = { id: key ?? name, title: key ?? name, names: [], prefix: () => '', desktop: false }
  return fittingOf(known ?? nobody, server, stated(limits))
}

/** The client's id, this very name, or one that means the same client; keys are compared as names are: case aside. */
function keyFor(name: string, known: KnownClient | undefined, overrides: Overrides): string | undefined {
  for (const key of [known?.id ?? name, name]) if (Object.hasOwn(overrides, key)) return key
  const meant = [name.trim().toLowerCase(), ...(known ? [known.id, ...known.names] : [])]
  return Object.keys(overrides).find(key => meant.includes(key.toLowerCase()))
}

/** Zero means no limit. */
const stated = (limits: object): ClientLimits =>
  Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined).map(([key, value]) => [key, value === 0 ? undefined : value]))

/** `overrides` is asked again at `reread`. */
export function createProfiles(overrides: () => Overrides): Profiles {
  let settled = overrides()
  let byName = new Map<string, Fitting | undefined>()
  /** One object for the same limits, by what they are: lists are kept by it, and a client may spell its name in any number of ways. */
  const kinds = new Map<string, Fitting>()
  const seen = new Map<string, ClientFit>()
  const lists = new WeakMap<readonly JsonObject[], Map<Fitting, Fitted>>()
  const written = new WeakMap<Fitted, RawJson>()
  const gateways = new WeakMap<Gateway, Map<string, Gateway>>()

  function kindOf(name: string): Fitting | undefined {
    const limits = limitsFor(name, settled)
    const key = JSON.stringify(limits)
    if (limits && !kinds.has(key)) kinds.set(key, limits)
    return kinds.get(key)
  }

  function limitsOf(name: unknown): Fitting | undefined {
    if (typeof name !== 'string') return undefined
    if (byName.has(name)) return byName.get(name)
    const limits = kindOf(name)
    if (byName.size >= maxNames) byName = new Map()
    byName.set(name, limits)
    return limits
  }

  function fittedList(tools: readonly JsonObject[], limits: Fitting): Fitted {
    let ofList = lists.get(tools)
    if (!ofList) lists.set(tools, (ofList = new Map()))
    let fitted = ofList.get(limits)
    if (!fitted) ofList.set(limits, (fitted = fit(tools, limits)))
    return fitted
  }

  function note({ id }: Fitting, { tools, changes }: Fitted): void {
    if (changes.length === 0) return void seen.delete(id)
    const held = changes.filter(({ kind }) => kind === 'held').length
    const changed = new Set(changes.filter(({ kind }) => kind !== 'held').map(({ name }) => name)).size
    seen.set(id, { client: id, tools: tools.length, held, changed, changes: changes.slice(0, maxListed) })
  }

  function fittedOutcome(outcome: Outcome, limits: Fitting): Outcome {
    const tools = outcome.kind === 'complete' ? outcome.result['tools'] : undefined
    if (outcome.kind !== 'complete' || !Array.isArray(tools)) return outcome
    const fitted = fittedList(tools as JsonObject[], limits)
    note(limits, fitted)
    if (fitted.tools === tools) return outcome
    let raw = written.get(fitted)
    if (!raw) written.set(fitted, (raw = RawJson.of({ ...outcome.result, tools: fitted.tools })))
    return new RawComplete(raw, outcome.freshness)
  }

  /** A name that only this client sees, back to the one the gateway knows; it goes before a bare name, which may be anybody's. */
  async function ownCall(gateway: Gateway, call: Call, name: string, limits: Fitting): Promise<Call> {
    const { known } = gateway
    let publicName = fittedList(known.tools, limits).names.get(name)
    if (publicName === undefined && !known.tool(name)) publicName = fittedList((await gateway.catalog()).tools, limits).names.get(name)
    if (publicName === undefined) return call
    return readdressed(call, { ...call.params, name: publicName }, call.log, call.requestState)
  }

  function handlerOf(gateway: Gateway, hint: string | undefined): Handler {
    const next = gateway.handle
    return call => {
      const limits = limitsOf(hint ?? call.client.info?.['name'])
      if (!limits) return next(call)
      switch (call.method) {
        case 'tools/list':
          return next(call).then(outcome => fittedOutcome(outcome, limits))
        case 'tools/call': {
          const { name } = call.params
          const strange = limits.nameLength !== undefined && typeof name === 'string' && gateway.known.tool(name)?.name !== name
          const answer = strange ? ownCall(gateway, call, name, limits).then(next) : next(call)
          return limits.messageBytes === undefined ? answer : answer.then(outcome => checked(outcome, limits))
        }
        case 'resources/read':
        case 'prompts/get':
          return limits.messageBytes === undefined ? next(call) : next(call).then(outcome => checked(outcome, limits))
        default:
          return next(call)
      }
    }
  }

  return {
    fitted(gateway, name = '') {
      let ofGateway = gateways.get(gateway)
      if (!ofGateway) gateways.set(gateway, (ofGateway = new Map()))
      let found = ofGateway.get(name)
      if (!found) {
        // A prototype and not a copy: what the gateway says of itself changes.
        found = Object.create(gateway, { handle: { value: handlerOf(gateway, name === '' ? undefined : name), enumerable: true } }) as Gateway
        if (ofGateway.size < maxNames) ofGateway.set(name, found)
      }
      return found
    },
    status: () => [...seen.values()],
    reread(tools) {
      if (settled === overrides()) return false
      settled = overrides()
      const before = byName
      byName = new Map()
      const kept = new Set(before.values())
      for (const [key, limits] of kinds) if (!kept.has(limits)) kinds.delete(key)
      let differs = false
      for (const [name, was] of before) {
        const now = kindOf(name)
        const same = was === now
        byName.set(name, now)
        if (was && !same) seen.delete(was.id)
        differs ||= !same && !sameJson(was ? fittedList(tools, was).tools : tools, now ? fittedList(tools, now).tools : tools)
      }
      return differs
    },
  }
}

/** What the envelope around a result may need, bytes. */
const envelopeBytes = 1024

function checked(outcome: Outcome, { title, messageBytes = Infinity }: Fitting): Outcome {
  if (outcome.kind !== 'complete' || !isLarger(outcome, messageBytes - envelopeBytes)) return outcome
  throw new McpError('MESSAGE_TOO_LARGE', `the result is larger than the ${messageBytes / 1024 / 1024} MiB that ${title} can take`, {
    hint: 'ask for less: a page, a range, a filter',
  })
}

const isLarger = (outcome: Complete, limit: number): boolean =>
  outcome.raw ? outcome.raw.size > limit : weight(outcome.result, limit) > limit

/** Characters of the texts in a value; stops counting past `limit`. */
function weight(value: unknown, limit: number): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let sum = 0
  for (const key in value) {
    sum += key.length + weight((value as JsonObject)[key], limit - sum)
    if (sum > limit) break
  }
  return sum
}
