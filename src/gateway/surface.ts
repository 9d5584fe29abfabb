/**
 * What the gateway shows right now: the catalog over its members' offers, rebuilt when one changes, and the news of it.
 * Knows when to wait and when to speak; naming and merging are the catalog's.
 */
import { buildCatalog, sameSurface, type BackendRules, type Catalog } from './catalog.ts'
import type { ListKind, Member } from './contract.ts'
import { Links } from './links.ts'
import type { Log } from './log.ts'
import type { NamesOptions } from './names.ts'

export interface SurfaceMember {
  readonly alias: string
  readonly member: Member
  readonly rules: BackendRules
}

export interface SurfaceOptions {
  /** In config order, which is the order of every list. */
  readonly members: readonly SurfaceMember[]
  readonly names: NamesOptions
  /** Milliseconds a list waits for members that have never told what they offer. */
  readonly startWaitMs: number
  readonly log: Log
}

export interface Replacement extends Omit<SurfaceOptions, 'log'> {
  /** Lists that some client sees otherwise from now on, whether or not they differ here. */
  readonly retold?: readonly ListKind[]
}

/** Changes that come close together are told once. */
const debounceMs = 50

export class Surface {
  private readonly log: Log
  private members: readonly SurfaceMember[] = []
  private names: NamesOptions
  private startWaitMs: number
  private readonly listeners = new Set<(lists: readonly ListKind[]) => void>()
  private unsubscribe: readonly (() => void)[] = []
  private told = new Set<string>()
  private readonly links = new Links()
  private current: Catalog | undefined
  private announced: Catalog | undefined
  private timer: NodeJS.Timeout | undefined
  private owed = new Set<ListKind>()
  /** Members that have told what they offer or failed to, and those that are about to. */
  private readonly arrived = new WeakSet<Member>()
  private readonly arriving = new WeakMap<Member, Promise<void>>()
  private everybody: Promise<unknown> | undefined
  private complete = false

  constructor({ members, names, startWaitMs, log }: SurfaceOptions) {
    this.log = log
    this.names = names
    this.startWaitMs = startWaitMs
    this.take(members)
  }

  /** The catalog of what is known at this moment. */
  get catalog(): Catalog {
    if (this.current) return this.current
    const members = this.members.map(({ alias, member, rules }) => ({ alias, offer: member.offer, rules }))
    this.current = buildCatalog(members, this.names, this.links)
    const told = new Set<string>()
    for (const { code, message, severity } of this.current.problems) {
      told.add(message)
      if (this.told.has(message)) continue
      if (severity === 'notice') this.log.info({ code }, message)
      else this.log.warn({ code }, message)
    }
    this.told = told
    return this.current
  }

  /** Takes these members and settings instead, in one step; what really differs is told as any other change is. */
  replace({ members, names, startWaitMs, retold = [] }: Replacement): void {
    for (const list of retold) this.owed.add(list)
    this.names = names
    this.startWaitMs = startWaitMs
    this.take(members)
    this.changed()
  }

  /** Starts every member whose offer is unknown. */
  warm(): Promise<unknown> {
    if (!this.everybody) {
      const everybody = (this.everybody = Promise.all(this.members.map(each => this.arrival(each))).then(() => {
        if (this.everybody === everybody) this.complete = true
      }))
    }
    return this.everybody
  }

  /** Resolves once every member has told or failed, or `waitMs` have passed. */
  async arrivals(waitMs: number): Promise<void> {
    if (this.complete) return
    const arrived = this.warm()
    let timer: NodeJS.Timeout | undefined
    await Promise.race([arrived, new Promise(resolve => (timer = setTimeout(resolve, waitMs)))])
    clearTimeout(timer)
  }

  /** The catalog after `arrivals`; what is served then is what later changes are told against. */
  async settled(waitMs: number = this.startWaitMs): Promise<Catalog> {
    if (!this.complete) await this.arrivals(waitMs)
    const { catalog } = this
    this.announced ??= catalog
    return catalog
  }

  /** Calls back with the lists that really differ from what was last served or told. */
  onChange(listener: (lists: readonly ListKind[]) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  close(): void {
    for (const stop of this.unsubscribe) stop()
    clearTimeout(this.timer)
    this.listeners.clear()
  }

  private take(members: readonly SurfaceMember[]): void {
    for (const stop of this.unsubscribe) stop()
    this.members = members
    this.unsubscribe = members.map(({ member }) => member.onOffer(() => this.changed()))
    this.everybody = undefined
    this.complete = members.every(({ member }) => this.arrived.has(member))
  }

  private arrival({ alias, member }: SurfaceMember): Promise<void> {
    let arrival = this.arriving.get(member)
    if (!arrival) this.arriving.set(member, (arrival = this.arrive(alias, member)))
    return arrival
  }

  private async arrive(alias: string, member: Member): Promise<void> {
    const offer = member.offer ?? (await member.offered())
    this.arrived.add(member)
    if (offer) return
    const { state, lastFailure } = member.status()
    if (state === 'disabled') return
    this.log.warn({ backend: alias, state, hint: lastFailure?.hint }, `${alias}: not available: ${lastFailure?.message ?? state}`)
  }

  private changed(): void {
    this.current = undefined
    if (this.timer) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.announce()
    }, debounceMs)
    this.timer.unref()
  }

  private announce(): void {
    const { announced, catalog, owed } = this
    this.owed = new Set()
    // Before anybody has read a list there is nothing to correct.
    if (!announced || announced === catalog) return
    this.announced = catalog
    const same = sameSurface(announced, catalog)
    const lists = (['tools', 'prompts', 'resources'] as const).filter(list => !same[list] || owed.has(list))
    if (lists.length > 0) for (const listener of this.listeners) listener(lists)
  }
}
