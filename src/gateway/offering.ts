/**
 * What a backend offers, kept true: loaded from the store, fetched from each new connection, fetched again when the server
 * says that a list changed, and told only when something really differs. One connection at a time is its source.
 */
import type { ClientProfile, Connection, Description, ListKind, Offer, Watch } from './contract.ts'
import { McpError } from './errors.ts'
import { sameJson } from './json.ts'
import type { Log } from './log.ts'
import { fetchLists, parts, partsOf, strictest, type Fetched, type Part } from './offer.ts'
import type { Stored } from './policy.ts'
import { named } from './refusals.ts'

/** The connection that lists are fetched from. */
interface Source {
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
  /** Something differs, and there is no source to ask. */
  readonly stale: () => void
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
  private source: Source | undefined
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
    this.source = {
      connection, watch: this.hear(connection), due: new Set(), description: undefined, timer: undefined, delayMs: settleMs, fetchedAt: -Infinity,
    }
    this.fetch(parts)
  }

  /**
   * Listens for as long as the connection lasts. Where it is not the source it shows its own clients' lists, so what it says
   * has changed is a reason to ask the source, and where there is none, to have one: it is asked for everything.
   */
  hear(connection: Connection): Watch {
    return connection.watch({
      client: this.options.self,
      interest: { lists: listKinds, resources: [], logLevel: undefined, roots: undefined },
      change: change => {
        if (change.kind !== 'list') return
        if (!this.source) return this.options.stale()
        for (const part of partsOf[change.list]) this.source.due.add(part)
        this.later(this.source)
      },
    })
  }

  /** The source is gone (or is to be left). What is known stays known. */
  detach(): void {
    clearTimeout(this.retryTimer)
    clearTimeout(this.source?.timer)
    this.source?.watch.close()
    this.source = this.loading = undefined
    this.failed.clear()
    this.freshness.clear()
  }

  /** Fetches everything again. */
  refresh(): void {
    this.fetch(parts)
  }

  private later(source: Source): void {
    if (source.timer || this.loading) return
    source.delayMs = performance.now() - source.fetchedAt < quietMs ? Math.min(longestSettleMs, source.delayMs * 2) : settleMs
    source.timer = setTimeout(() => this.load(source), source.delayMs)
    source.timer.unref()
  }

  private fetch(wanted: readonly Part[]): void {
    for (const part of wanted) this.source?.due.add(part)
    if (this.source) this.load(this.source)
  }

  /** One at a time. */
  private load(source: Source): void {
    clearTimeout(source.timer)
    source.timer = undefined
    if (this.loading || source !== this.source) return
    const loading = (this.loading = this.run(source).finally(() => {
      if (this.loading !== loading) return
      this.loading = undefined
      // What changed while we read.
      if (source.due.size > 0) this.later(source)
    }))
  }

  private async run(source: Source): Promise<void> {
    const { alias, self, log, failing } = this.options
    const { connection, due } = source
    const wanted = [...due]
    due.clear()
    try {
      const description = (source.description ??= await connection.describe())
      if (source !== this.source) return
      const { capabilities } = description
      const fetched = await fetchLists(connection, { alias, self, capabilities, wanted, limitMs: listLimitMs, log })
      if (source !== this.source) return
      source.fetchedAt = performance.now()
      this.take(description, fetched)
    } catch (thrown) {
      if (source === this.source) failing(named(alias, thrown))
    }
  }

  private take(description: Description, fetched: Fetched): void {
    const { alias, log, stored, failing } = this.options
    let failure: McpError | undefined
    const lists = { tools: this.offer?.tools, prompts: this.offer?.prompts, resources: this.offer?.resources, templates: this.offer?.templates }
    for (const [part, list] of fetched) {
      if (list instanceof McpError) {
        failure = named(alias, list)
        this.failed.add(part)
        log.warn({ code: list.code }, `${alias}: its ${part} could not be listed: ${list.message}`)
        continue
      }
      this.failed.delete(part)
      this.freshness.set(part, list.freshness)
      lists[part] = list.items
    }
    // Nothing at all is known of it yet: better no offer than an empty one.
    if (failure && !this.offer && this.failed.size === fetched.size) return this.retry(failure)
    const { tools = [], prompts = [], resources = [], templates = [] } = lists
    this.keep({ description, tools, prompts, resources, templates, freshness: strictest(this.freshness.values()) })
    if (this.failed.size === 0) {
      this.confirmedAt = performance.now()
      if (this.offer) stored?.save(this.offer)
      failing(undefined)
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
