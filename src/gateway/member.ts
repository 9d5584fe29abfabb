/**
 * A configured backend, alive or not. Puts together who shares it (shares), what it offers (offering) and what continues
 * where (continuity); starting, restarting, queueing and deadlines are each instance's own.
 */
import type {
  BackendStatus, Call, ClientProfile, Connection, Description, JsonObject, ListKind, Member, Offer, Outcome, Watch, Watcher,
} from './contract.ts'
import { Continuity } from './continuity.ts'
import { McpError } from './errors.ts'
import { Flight } from './flight.ts'
import type { Group } from './group.ts'
import type { Instance } from './instance.ts'
import { Offering } from './offering.ts'
import type { MemberOptions } from './policy.ts'
import { busy, named } from './refusals.ts'
import { Shares } from './shares.ts'
import { deafWatch } from './stand-in.ts'
import { joinedStatus } from './status.ts'

/** Asking twice changes nothing at the server (spec, server/tools: only calls of tools may have effects). */
const reads: ReadonlySet<string> = new Set([
  'tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read', 'prompts/get', 'completion/complete',
])

/** In whose name lists are fetched when nobody says. */
const nobody: ClientProfile = {
  id: 'gateway', principal: 'gateway', info: undefined, capabilities: {}, revision: '2026-07-28', logLevel: undefined,
}

/** An old catalogue is not confirmed in the very moment of the start, when everything else begins as well. */
const confirmAfterMs = 3000
const confirmAgainMs = 600_000
const longestTimerMs = 2 ** 31 - 1

/** Starts the server at once where the policy says `eager`; else nothing happens until somebody needs it. */
export const createMember = (options: MemberOptions): Member => new ConfiguredMember(options)

class ConfiguredMember implements Member {
  readonly name: string
  private readonly options: MemberOptions
  private readonly shares: Shares
  private readonly offering: Offering
  private readonly continuity: Continuity | undefined
  private readonly listeners = new Set<() => void>()
  /** The instance the offer comes from. */
  private source: Instance | undefined
  /** Somebody asked for an offer and there is none. */
  private offerWanted = false
  /** Since when only what it offers is wanted of the server; monotonic milliseconds. */
  private confirmingSince: number | undefined
  private confirmTimer: NodeJS.Timeout | undefined
  private closed = false

  constructor(options: MemberOptions) {
    const { alias, policy, specs, slots, random = Math.random, idempotent, log } = options
    this.name = alias
    this.options = options
    this.continuity = specs.length > 1 || policy.share === 'session' ? new Continuity(alias) : undefined
    const repeatable = ({ call }: Flight): boolean => {
      const { name } = call.params
      return reads.has(call.method) || (idempotent?.(call.method, typeof name === 'string' ? name : undefined) ?? false)
    }
    this.offering = new Offering({
      alias,
      self: options.self ?? nobody,
      stored: options.stored,
      log,
      changed: lists => this.offerChanged(lists),
      stale: () => this.lookAgain(),
      failing: error => (error ? this.source?.life.ail('lists', error, 'list') : this.source?.life.well('lists')),
    })
    this.shares = new Shares(specs, { alias, policy, slots, random, repeatable, log }, options.stored?.apart, {
      abilities: client => options.abilities?.(client),
      parted: apart => this.parted(apart),
      wanted: group => group === this.shares.primary && this.offerWanted,
      up: (group, instance, connection) => this.up(group, instance, connection),
      down: instance => this.down(instance),
    })
    if (policy.start === 'eager' && policy.share !== 'session') this.shares.primary.begin()
    this.confirmLater(confirmAfterMs)
  }

  get offer(): Offer | undefined {
    return this.offering.offer
  }

  get apart(): boolean {
    return this.options.policy.share === 'session'
  }

  readonly handle = (call: Call): Promise<Outcome> => {
    if (this.continuity) return this.handleMarked(call, this.continuity)
    const group = this.shares.for(call)
    if (!group) return Promise.reject(busy(this.name, 0))
    return new Promise((resolve, reject) => group.place(new Flight(call, performance.now(), resolve, reject)))
  }

  async offered(fresh = false): Promise<Offer | undefined> {
    if ((this.offering.offer && !fresh) || this.closed) return this.offering.offer
    this.offerWanted = true
    try {
      if (!this.offering.attached) await this.shares.primary.bringUp()
      await this.offering.loading
    } catch {
      // The life of the instance has it in its status.
    }
    return this.offering.offer
  }

  onOffer(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  async describe(): Promise<Description> {
    if (this.offering.offer) return this.offering.offer.description
    try {
      return await (await this.shares.primary.bringUp()).describe()
    } catch (thrown) {
      throw named(this.name, thrown)
    }
  }

  watch(watcher: Watcher): Watch {
    const group = this.shares.of(watcher.client)
    return group ? group.watch(watcher) : deafWatch(watcher, busy(this.name, 0))
  }

  notify(method: string, params: JsonObject | undefined, client: ClientProfile): void {
    this.shares.known(client)?.notify(method, params, client)
  }

  status(): BackendStatus {
    return joinedStatus(this.name, [...this.shares.all()].flatMap(({ instances }) => instances), this.offering.offer)
  }

  async probe(timeoutMs: number): Promise<void> {
    const idle = [...this.shares.all()].flatMap(({ instances }) => instances).filter(({ lane }) => lane.load === 0)
    await Promise.all(idle.map(({ life }) => life.connection?.ping(timeoutMs)))
  }

  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.confirmTimer)
    this.offering.detach()
    await this.shares.close()
  }

  /** Where there are several instances: what one of them began goes back to that one. */
  private async handleMarked(call: Call, continuity: Continuity): Promise<Outcome> {
    const found = continuity.find(call)
    let group: Group | undefined
    let pinned: Instance | undefined
    if (found.serial !== undefined) {
      const owner = this.locate(({ serial }) => serial === found.serial)
      if (owner && this.shares.allows(owner.group, call.client)) ({ group, instance: pinned } = owner)
      else if (call.requestState !== undefined)
        throw new McpError('STATE_INVALID', `${this.name}: what this call continues is gone`, { backend: this.name })
    }
    group ??= this.shares.of(call.client)
    if (!group) throw busy(this.name, 0)
    const target = group
    let flight!: Flight
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      flight = new Flight(found.call, performance.now(), resolve, reject)
      flight.pinned = pinned !== undefined
      if (pinned) pinned.lane.admit(flight)
      else target.place(flight)
    })
    const owner = this.locate(({ life }) => life.connection === flight.carrier)
    return owner ? continuity.mark(outcome, owner.instance.serial) : outcome
  }

  private locate(is: (instance: Instance) => boolean): { group: Group; instance: Instance } | undefined {
    for (const group of this.shares.all()) for (const instance of group.instances) if (is(instance)) return { group, instance }
    return undefined
  }

  private parted(apart: boolean | undefined): void {
    const { stored } = this.options
    if (!stored) return
    // That there can be one only may have been a mistake: the next start finds out anew.
    stored.apart = apart || undefined
    if (this.offering.offer) stored.save(this.offering.offer)
  }

  private up(group: Group, instance: Instance, connection: Connection): void {
    if (this.closed) return
    if (this.shares.isBeside(group)) this.offering.hear(connection)
    else this.supply(group, instance, connection)
  }

  private supply(group: Group, instance: Instance, connection: Connection): void {
    // Another principal's server may show other things; what we show everybody must not come from it.
    const telling = group === this.shares.primary || group.client !== undefined
    if (this.closed || this.offering.attached || !telling) return
    this.source = instance
    this.offering.attach(connection)
    void this.offering.loading?.then(() => this.confirmed(group))
  }

  private down(instance: Instance): void {
    if (this.source !== instance) return
    this.source = undefined
    this.offering.detach()
    for (const group of this.shares.all())
      for (const [other, connection] of group.live()) if (!this.source) this.supply(group, other, connection)
  }

  /** A fetch is over: a server that was started for it alone has done its part. */
  private confirmed(group: Group): void {
    if (this.closed) return
    this.confirmLater(confirmAgainMs)
    const { share, start } = this.options.policy
    const unused = share === 'session' || (this.confirmingSince !== undefined && group.usedAt <= this.confirmingSince)
    this.confirmingSince = undefined
    if (unused && group === this.shares.primary && start === 'lazy') group.rest()
  }

  /** Sets the time at which the offer is too old to be believed without asking, `soonest` milliseconds from now. */
  private confirmLater(soonest: number): void {
    clearTimeout(this.confirmTimer)
    const { maxAge } = this.options
    if (maxAge <= 0 || !this.offering.offer) return
    const wait = this.offering.confirmedAt + maxAge - performance.now()
    this.confirmTimer = setTimeout(() => this.confirm(), Math.min(longestTimerMs, Math.max(soonest, wait)))
    this.confirmTimer.unref()
  }

  private confirm(): void {
    this.confirmLater(confirmAgainMs)
    if (performance.now() < this.offering.confirmedAt + this.options.maxAge) return
    if (this.offering.attached) return this.offering.refresh()
    this.lookAgain()
  }

  /** Starts the server that tells what there is, for as long as it takes to ask it. */
  private lookAgain(): void {
    if (this.closed || this.confirmingSince !== undefined) return
    this.confirmingSince = performance.now()
    void this.shares.primary.bringUp().catch(() => (this.confirmingSince = undefined))
  }

  private offerChanged(lists: readonly ListKind[]): void {
    this.offerWanted = false
    for (const listener of this.listeners) listener()
    if (lists.length === 0) return
    for (const group of this.shares.all()) for (const ear of group.ears) ear.listsChanged(lists)
  }
}
