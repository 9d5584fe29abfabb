/**
 * What a backend offers, kept true: loaded from the store, fetched from each new connection, fetched again when the server
 * says that a list changed, and told only when something really differs. One connection at a time is its source; others may
 * be heard that have something to tell only when they say so.
 */
import type { ClientProfile, Connection, Description, ListKind, Offer, Watch } from './contract.ts'
import { McpError } from './errors.ts'
import { sameJson } from './json.ts'
import type { Log } from './log.ts'
import { fetchLists, parts, partsOf, strictest, type Fetched, type Part } from './offer.ts'
import type { Stored } from './policy.ts'
import { named } from './refusals.ts'

/** A connection that lists are fetched from. */
interface Teller {
  readonly connection: Connection
  readonly watch: Watch
  /** What is to be fetched from it. */
  readonly due: Set<Part>
  description: Description | undefined
  timer: NodeJS.Timeout | undefined
  /** What the next change waits for, so that several become one; milliseconds. */
  delayMs: number
  /** Monotonic milliseconds. */
  fetchedAt: number
}

export interface OfferingOptions {
  readonly alias: string
  readonly self: ClientProfile
  readonly stored: Stored | undefined
  readonly log: Log
  /** It differs from before: in these lists, or (none) in the description only. */
  readonly changed: (lists: readonly ListKind[]) => void
  /** Lists could not be fetched, or (undefined) all could. */
  readonly failing: (error: McpError | undefined) => void
}

const listLimitMs = 30_000
/** List changes that come close together are one; a server that never stops is listened to ever less often. */
const settleMs = 50
const longestSettleMs = 2000
const quietMs = 1000
const retryMs = 30_000
const listKinds: readonly ListKind[] = ['tools', 'prompts', 'resources']

export class Offering {
  offer: Offer | undefined
  /** When the stored or fetched offer was last confirmed by the server; monotonic milliseconds. */
  confirmedAt = -Infinity
  /** The fetch under way. Never rejects. */
  loading: Promise<void> | undefined
  private readonly options: OfferingOptions
  private source: Teller | undefined
  private readonly others = new Map<object, Teller>()
  private readonly failed = new Set<Part>()
  private readonly freshness = new Map<Part, Offer['freshness']>()
  private retryTimer: NodeJS.Timeout | undefined

  constructor(options: OfferingOptions) {
    this.options = options
    const kept = options.stored?.load()
    if (!kept) return
    this.offer = kept.offer
    this.confirmedAt = performance.now() - kept.ageMs
  }

  get attached(): boolean {
    return this.source !== undefined
  }

  /** Takes a connection as the source and fetches everything from it. */
  attach(connection: Connection): void {
    this.detach()
    this.source = this.teller(connection)
    this.fetch(parts)
  }

  /** Takes a connection as one to be heard: what it says has changed is fetched from it. */
  listen(key: object, connection: Connection): void {
    this.others.set(key, this.teller(connection))
  }

  forget(key: object): void {
    const other = this.others.get(key)
    if (other) leave(other)
    this.others.delete(key)
  }

  /** The source is gone (or is to be left). What is known stays known. */
  detach(): void {
    clearTimeout(this.retryTimer)
    if (this.source) leave(this.source)
    this.source = this.loading = undefined
    this.failed.clear()
    this.freshness.clear()
  }

  /** Fetches everything again. */
  refresh(): void {
    this.fetch(parts)
  }

  private teller(connection: Connection): Teller {
    const due = new Set<Part>()
    const watch = connection.watch({
      client: this.options.self,
      interest: { lists: listKinds, resources: [], logLevel: undefined, roots: undefined },
      change: change => {
        if (change.kind !== 'list' || !this.isHere(teller)) return
        for (const part of partsOf[change.list]) due.add(part)
        this.later(teller)
      },
    })
    const teller: Teller = {
      connection, watch, due, description: undefined, timer: undefined, delayMs: settleMs, fetchedAt: -Infinity,
    }
    return teller
  }

  private isHere(teller: Teller): boolean {
    for (const each of this.tellers()) if (each === teller) return true
    return false
  }

  private *tellers(): Iterable<Teller> {
    if (this.source) yield this.source
    yield* this.others.values()
  }

  private later(teller: Teller): void {
    if (teller.timer || this.loading) return
    teller.delayMs = performance.now() - teller.fetchedAt < quietMs ? Math.min(longestSettleMs, teller.delayMs * 2) : settleMs
    teller.timer = setTimeout(() => this.load(teller), teller.delayMs)
    teller.timer.unref()
  }

  private fetch(wanted: readonly Part[]): void {
    for (const part of wanted) this.source?.due.add(part)
    if (this.source) this.load(this.source)
  }

  /** One at a time. */
  private load(teller: Teller): void {
    clearTimeout(teller.timer)
    teller.timer = undefined
    if (this.loading || !this.isHere(teller)) return
    const loading = (this.loading = this.run(teller).finally(() => {
      if (this.loading !== loading) return
      this.loading = undefined
      // What changed while we read.
      for (const each of this.tellers()) if (each.due.size > 0) this.later(each)
    }))
  }

  private async run(teller: Teller): Promise<void> {
    const { alias, self, log, failing } = this.options
    const { connection, due } = teller
    const wanted = [...due]
    due.clear()
    try {
      const description = (teller.description ??= await connection.describe())
      if (!this.isHere(teller)) return
      const { capabilities } = description
      const fetched = await fetchLists(connection, { alias, self, capabilities, wanted, limitMs: listLimitMs, log })
      if (!this.isHere(teller)) return
      teller.fetchedAt = performance.now()
      this.take(teller, description, fetched)
    } catch (thrown) {
      if (this.source === teller) failing(named(alias, thrown))
    }
  }

  private take(teller: Teller, described: Description, fetched: Fetched): void {
    const isSource = teller === this.source
    const description = isSource ? described : (this.offer?.description ?? described)
    const { alias, log, stored } = this.options
    let failure: McpError | undefined
    const lists = { tools: this.offer?.tools, prompts: this.offer?.prompts, resources: this.offer?.resources, templates: this.offer?.templates }
    for (const [part, list] of fetched) {
      if (list instanceof McpError) {
        failure = named(alias, list)
        if (isSource) this.failed.add(part)
        log.warn({ code: list.code }, `${alias}: its ${part} could not be listed: ${list.message}`)
        continue
      }
      this.failed.delete(part)
      this.freshness.set(part, list.freshness)
      lists[part] = list.items
    }
    // Nothing at all is known of it yet: better no offer than an empty one.
    if (failure && !isSource) return
    if (failure && !this.offer && this.failed.size === fetched.size) return this.retry(failure)
    const { tools = [], prompts = [], resources = [], templates = [] } = lists
    this.keep({ description, tools, prompts, resources, templates, freshness: strictest(this.freshness.values()) })
    if (this.failed.size === 0) {
      if (isSource) this.confirmedAt = performance.now()
      if (this.offer) stored?.save(this.offer)
      if (isSource) this.options.failing(undefined)
    } else if (failure) this.retry(failure)
  }

  private retry(failure: McpError): void {
    this.options.failing(failure)
    const again = [...this.failed]
    clearTimeout(this.retryTimer)
    this.retryTimer = setTimeout(() => this.fetch(again), retryMs)
    this.retryTimer.unref()
  }

  private keep(next: Offer): void {
    const before = this.offer
    this.offer = next
    const lists = listKinds.filter(list => partsOf[list].some(part => !sameJson(before?.[part] ?? [], next[part])))
    if (!before || lists.length > 0 || !sameJson(before.description, next.description)) this.options.changed(lists)
  }
}

function leave({ watch, timer }: Teller): void {
  clearTimeout(timer)
  watch.close()
}
