/**
 * The gateway: a Backend made of Backends. Reads what a call names, finds the owner in the catalog, hands the call over
 * under the owner's own names and brings the answer back under the public ones. Knows no era and no transport.
 */
import type { Catalog } from './catalog.ts'
import { never } from './cancellation.ts'
import type { Backend, BackendStatus, Call, Complete, Description, Handler, InputRequired, JsonObject, Member, Middleware, Outcome } from './contract.ts'
import { Crowds } from './crowd.ts'
import { mergeDescriptions } from './descriptions.ts'
import { McpError } from './errors.ts'
import { textOf as text } from './json.ts'
import { listed } from './listed.ts'
import type { Log } from './log.ts'
import type { NamesOptions } from './names.ts'
import type { RequestedUri } from './rewrite.ts'
import { publicState, readState, Roster, type Seat } from './roster.ts'
import { claims, routeOf } from './route.ts'
import { Surface, type Replacement, type SurfaceMember } from './surface.ts'
import { readdressed } from './readdressed.ts'
import { ownRelation } from './task-ids.ts'
import { leavesAsIs } from './untouched.ts'

export interface GatewayOptions {
  /** Our own `Implementation` object. */
  readonly self: JsonObject
  /** In config order. */
  readonly members: readonly SurfaceMember[]
  readonly names: NamesOptions
  /** Milliseconds a first list waits for slow members; see Surface. */
  readonly startWaitMs: number
  /** Milliseconds the opening answer waits for members that have never told what they are. */
  readonly describeWaitMs: number
  /** The first is the outermost. */
  readonly middleware?: readonly Middleware[]
  readonly log: Log
}

/** What may change while the gateway is in use. */
export type Seating = Pick<GatewayOptions, 'members' | 'names' | 'startWaitMs'> & Pick<Replacement, 'retold'>

export interface Gateway extends Backend {
  /** Those of now: another array after `replace`. */
  readonly members: readonly Member[]
  /**
   * Takes these members instead, in one step: calls from now on go to them. Who is no longer among them finishes what it
   * has begun and must be released and closed by the caller.
   */
  replace(seating: Seating): void
  /** Whether a member that was replaced has a question out that a client may still answer. */
  awaits(member: Member): boolean
  /** Forgets a member that was replaced. */
  release(member: Member): void
  /** The catalog once members have settled, or after `waitMs` (default: startWait). */
  catalog(waitMs?: number): Promise<Catalog>
  /** What is known now, without starting anything. */
  readonly known: Catalog
  /** Starts members whose offer is unknown; resolves when each has told or failed. */
  warm(): Promise<unknown>
  status(): BackendStatus[]
}

/** Candidates tried for a URI nobody lists; beyond that a read would be a scan of all servers. */
const maxCandidates = 8
/** Task owners remembered, oldest forgotten first. */
const maxTaskOwners = 10_000

export function createGateway(options: GatewayOptions): Gateway {
  const { log } = options
  let { names } = options
  const surface = new Surface(options)
  const roster = new Roster(options.members)
  const taskOwners = new Map<string, { readonly principal: string; readonly serial: number }>()
  /** What we have not seen made may be anybody's. */
  const isTaskOf = (id: string, { principal }: Call['client']): boolean => (taskOwners.get(id)?.principal ?? principal) === principal
  const crowds = new Crowds({ roster, surface, isTaskOf })

  /** Looks a public name up; a miss waits for members that have not told yet, then explains itself. */
  async function found<T>(look: (catalog: Catalog) => T | undefined, what: string, name: string): Promise<T> {
    const hit = look(surface.catalog) ?? look(await surface.settled())
    if (hit !== undefined) return hit
    const lower = name.toLowerCase()
    for (const { alias, member } of roster.seats) {
      if (member.offer || !roster.several || !lower.startsWith(alias.toLowerCase())) continue
      const { state, lastFailure } = member.status()
      throw new McpError('BACKEND_UNAVAILABLE', `${what} ${name}: backend ${alias} is ${state}`, {
        backend: alias,
        hint: lastFailure?.message,
      })
    }
    throw new McpError('UNKNOWN_NAME', `unknown ${what}: ${name}`)
  }

  const relay = (alias: string, call: Call, params: JsonObject, requested?: RequestedUri): Promise<Outcome> =>
    hand(roster.at(alias), alias, call, params, requested)

  /** Hands a call to its owner and brings the outcome back under public names. */
  function hand(
    chosen: Seat | undefined, alias: string, call: Call, params: JsonObject, requested?: RequestedUri,
  ): Promise<Outcome> {
    if (call.continues !== undefined && call.continues !== alias)
      throw new McpError('STATE_INVALID', 'this state belongs to another backend')
    let seat = chosen
    let { requestState } = call
    if (requestState !== undefined) {
      const state = readState(requestState)
      seat = roster.keeper(alias, state.serial)
      requestState = state.own
      if (seat?.serial === state.serial && seat.asked > 0) seat.asked--
    }
    if (!seat) throw new McpError('BACKEND_UNAVAILABLE', `${alias} is no longer configured`, { backend: alias })
    const owner = seat
    const own = params['_meta'] === undefined ? params : ownRelation(alias, params)
    const isSame = own === call.params && requestState === call.requestState && !(roster.several && call.log)
    const answer = owner.member.handle(isSame ? call : readdressed(call, own, named(alias, call.log), requestState))
    return answer.then(got => (got.kind === 'complete' ? publicOutcome(owner, call, got, requested) : publicAsks(owner, got)))
  }

  function publicAsks(seat: Seat, outcome: InputRequired): InputRequired {
    const { alias } = seat
    const requests = outcome.requests && surface.catalog.publicAsks(alias, outcome.requests)
    const asked = { ...outcome, ...(requests ? { requests } : {}), from: alias }
    if (outcome.requestState === undefined) return asked
    seat.asked++
    return { ...asked, requestState: publicState(seat, outcome.requestState) }
  }

  function publicOutcome({ alias, serial }: Seat, call: Call, outcome: Complete, requested: RequestedUri | undefined): Complete {
    const { raw } = outcome
    if (raw && outcome.variant === undefined && leavesAsIs(raw, call.method, surface.catalog.mapsUris(alias), requested)) return outcome
    const result = surface.catalog.publicResult(alias, call.method, outcome.result, outcome.variant, requested)
    const task = surface.catalog.taskIdOf(result, outcome.variant)
    if (task !== undefined) {
      taskOwners.set(task, { principal: call.client.principal, serial })
      if (taskOwners.size > maxTaskOwners) taskOwners.delete(taskOwners.keys().next().value as string)
    }
    if (outcome.variant !== undefined) return { ...outcome, result, from: alias }
    return result === outcome.result ? outcome : { ...outcome, result }
  }

  /** Several servers' log lines meet in one client: the logger says whose a line is. */
  function named(alias: string, log: Call['log']): Call['log'] {
    if (!log || !roster.several) return log
    return params => log(surface.catalog.publicLog(alias, params))
  }

  function relayNamed(call: Call, name: string, of: 'tool' | 'prompt'): Promise<Outcome> {
    const look = (catalog: Catalog) => catalog[of](name)
    const to = ({ alias, own }: { alias: string; own: string }) => relay(alias, call, own === name ? call.params : { ...call.params, name: own })
    const known = look(surface.catalog)
    return known ? to(known) : found(look, of, name).then(to)
  }

  async function list(kind: 'tools' | 'prompts' | 'resources' | 'templates', field: string, call: Call): Promise<Outcome> {
    if (call.params['cursor'] !== undefined) throw new McpError('INVALID_PARAMS', 'unknown cursor: this list has one page')
    return listed(await surface.settled(), kind, field)
  }

  async function readUri(call: Call): Promise<Outcome> {
    const uri = text(call.params, 'uri')
    const owner = surface.catalog.resource(uri) ?? (await surface.settled()).resource(uri)
    if (owner) return relay(owner.alias, call, owner.own === uri ? call.params : { ...call.params, uri: owner.own }, { uri, own: owner.own })
    // Not listed anywhere: servers may still serve it. A call that resumes goes where its state came from.
    const candidates = surface.catalog.candidates(uri).filter(alias => call.continues === undefined || call.continues === alias)
    let refusal: unknown
    for (const alias of candidates.slice(0, maxCandidates)) {
      try {
        return await relay(alias, call, call.params)
      } catch (error) {
        if (!(error instanceof McpError && error.code === 'BACKEND_ERROR')) throw error
        refusal ??= error
      }
    }
    throw refusal ?? new McpError('UNKNOWN_NAME', `unknown resource: ${uri}`)
  }

  async function complete(call: Call): Promise<Outcome> {
    const ref = call.params['ref'] as JsonObject | undefined
    if (typeof ref !== 'object' || ref === null) throw new McpError('INVALID_PARAMS', 'params.ref must be an object')
    const name = String(ref['name'] ?? ref['uri'] ?? '')
    const owner = await found(catalog => catalog.ref(ref), 'completion reference', name)
    return relay(owner.alias, call, { ...call.params, ref: owner.ref })
  }

  async function task(call: Call): Promise<Outcome> {
    const id = text(call.params, 'taskId')
    const owner = surface.catalog.task(id)
    const seat = owner && roster.keeper(owner.alias, taskOwners.get(id)?.serial)
    if (!seat || !isTaskOf(id, call.client)) throw new McpError('UNKNOWN_NAME', `unknown task: ${id}`)
    const outcome = await hand(seat, seat.alias, call, { ...call.params, taskId: owner.own })
    return outcome.kind === 'complete' ? { ...outcome, result: outcome.result, from: seat.alias } : outcome
  }

  /** One broken backend shortens the list, it does not fail it. */
  async function everyone(call: Call, capability: string, field: string): Promise<Outcome> {
    const items: unknown[] = []
    for (const { alias, member } of roster.seats) {
      if (!member.offer || !Object.hasOwn(member.offer.description.capabilities, capability)) continue
      try {
        let cursor: unknown
        for (let pages = 0; pages < 64; pages++) {
          const outcome = await relay(alias, call, cursor === undefined ? {} : { cursor })
          if (outcome.kind !== 'complete') break
          const page = outcome.result[field]
          if (Array.isArray(page)) items.push(...page)
          cursor = outcome.result['nextCursor']
          if (typeof cursor !== 'string') break
        }
      } catch (error) {
        log.warn({ backend: alias, method: call.method }, `${alias}: left out of ${call.method}: ${(error as Error).message}`)
      }
    }
    const own = (item: unknown): boolean => isTaskOf(String((item as JsonObject | null)?.['taskId']), call.client)
    return { kind: 'complete', result: { [field]: items.filter(own) } }
  }

  /** A method we do not know goes to the only backend, or to the one that claims it. */
  async function custom(call: Call): Promise<Outcome> {
    if (call.continues !== undefined && roster.at(call.continues)) return relay(call.continues, call, call.params)
    const [only] = roster.seats
    if (only && !roster.several) return relay(only.alias, call, call.params)
    await surface.settled()
    const claiming = roster.seats.filter(({ member }) => member.offer && claims(member.offer.description.capabilities, call.method))
    const [first, second] = claiming
    if (first && !second) return relay(first.alias, call, call.params)
    const reason = second ? `claimed by ${claiming.map(({ alias }) => alias).join(' and ')}` : 'no backend claims it'
    throw new McpError('METHOD_NOT_FOUND', `method not found: ${call.method} (${reason})`)
  }

  /** Not async, nor is `hand`: a promise that becomes another costs as much as a tenth of a call. */
  function dispatch(call: Call): Promise<Outcome> {
    const route = routeOf(call.method)
    if (!route) return custom(call)
    switch (route.by) {
      case 'catalog':
        return list(route.list, route.field, call)
      case 'name':
        try {
          return relayNamed(call, text(call.params, 'name'), route.of)
        } catch (error) {
          return Promise.reject(error)
        }
      case 'uri':
        return readUri(call)
      case 'ref':
        return complete(call)
      case 'task':
        return task(call)
      case 'everyone':
        return everyone(call, route.capability, route.field)
    }
  }

  async function describe(): Promise<Description> {
    await surface.arrivals(options.describeWaitMs)
    const { seats } = roster
    const told = seats.flatMap(({ alias, member }) => (member.offer ? [{ alias, description: member.offer.description }] : []))
    const missing = seats
      .filter(({ member }) => !member.offer && member.status().state !== 'disabled')
      .map(({ alias, member }) => ({ alias, reason: member.status().lastFailure?.message ?? member.status().state }))
    return { info: options.self, ...mergeDescriptions(told, missing, names), era: undefined, revision: undefined }
  }

  return {
    name: 'gateway',
    get members() {
      return roster.seats.map(({ member }) => member)
    },
    handle: (options.middleware ?? []).reduceRight((next, wrap) => wrap(next), dispatch as Handler),
    describe,
    watch: watcher => crowds.watch(watcher),
    notify: (method, params, client) => {
      for (const { member } of roster.seats) member.notify(method, params, client)
    },
    catalog: waitMs => surface.settled(waitMs),
    get known() {
      return surface.catalog
    },
    warm: () => surface.warm(),
    status: () => roster.seats.map(({ member }) => member.status()),
    replace(seating) {
      names = seating.names
      surface.replace(seating)
      roster.replace(seating.members)
    },
    awaits: member => roster.awaits(member),
    release: member => roster.release(member),
    close: async () => {
      surface.close()
      await Promise.all(roster.seats.map(({ member }) => member.close()))
    },
  }
}

/** A call the gateway's own user makes, with nobody to cancel it. */
export const plainCall = (client: Call['client'], method: string, params: JsonObject): Call => ({
  method,
  params,
  client,
  cancellation: never,
})
