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

/** Changes that come close together are told once. */
const debounceMs = 50

export class Surface {
  private readonly options: SurfaceOptions
  private readonly listeners = new Set<(lists: readonly ListKind[]) => void>()
  private readonly unsubscribe: (() => void)[]
  private readonly told = new Set<string>()
  private readonly links = new Links()
  private current: Catalog | undefined
  private announced: Catalog | undefined
  private timer: NodeJS.Timeout | undefined
  private arrivals: Promise<unknown> | undefined
  private complete = false

  constructor(options: SurfaceOptions) {
    this.options = options
    this.unsubscribe = options.members.map(({ member }) => member.onOffer(() => this.changed()))
  }

  /** The catalog of what is known at this moment. */
  get catalog(): Catalog {
    if (this.current) return this.current
    this.current = buildCatalog(
      this.options.members.map(({ alias, member, rules }) => ({ alias, offer: member.offer, rules })),
      this.options.names,
      this.links,
    )
    for (const problem of this.current.problems) {
      if (this.told.has(problem.message)) continue
      this.told.add(problem.message)
      const { code, message, severity } = problem
      if (severity === 'notice') this.options.log.info({ code }, message)
      else this.options.log.warn({ code }, message)
    }
    return this.current
  }

  /** Starts every member whose offer is unknown. */
  warm(): Promise<unknown> {
    this.arrivals ??= Promise.all(
      this.options.members.map(async ({ alias, member }) => {
        if (member.offer || (await member.offered())) return
        const { state, lastFailure } = member.status()
        if (state === 'disabled') return
        this.options.log.warn({ backend: alias, state }, `${alias}: not available: ${lastFailure?.message ?? state}`)
      }),
    ).then(() => {
      this.complete = true
    })
    return this.arrivals
  }

  /** The catalog, once every member has told or failed, or `waitMs` have passed; what is served then is what later changes are told against. */
  async settled(waitMs: number = this.options.startWaitMs): Promise<Catalog> {
    if (!this.complete) {
      const arrived = this.warm()
      let timer: NodeJS.Timeout | undefined
      await Promise.race([arrived, new Promise(resolve => (timer = setTimeout(resolve, waitMs)))])
      clearTimeout(timer)
    }
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
    const { announced, catalog } = this
    // Before anybody has read a list there is nothing to correct.
    if (!announced || announced === catalog) return
    this.announced = catalog
    const same = sameSurface(announced, catalog)
    const lists = (['tools', 'prompts', 'resources'] as const).filter(list => !same[list])
    if (lists.length > 0) for (const listener of this.listeners) listener(lists)
  }
}
