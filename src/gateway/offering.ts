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
  private source: Connection | undefined
  private watch: Watch | undefined
  private description: Description | undefined
  private readonly due = new Set<Part>()
  private readonly failed = new Set<Part>()
  private readonly freshness = new Map<Part, Offer['freshness']>()
  private timer: NodeJS.Timeout | undefined
  private retryTimer: NodeJS.Timeout | undefined
  private delayMs = settleMs
  private fetchedAt = -Infinity

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
    this.source = connection
    const { self } = this.options
    this.watch = connection.watch({
      client: self,
      interest: { lists: listKinds, resources: [], logLevel: undefined, roots: undefined },
      change: change => {
        if (change.kind === 'list' && this.source === connection) this.later(partsOf[change.list])
      },
    })
    this.fetch(parts)
  }

  /** The source is gone (or is to be left). What is known stays known. */
  detach(): void {
    clearTimeout(this.timer)
    clearTimeout(this.retryTimer)
    this.timer = undefined
    this.watch?.close()
    this.watch = this.source = this.description = this.loading = undefined
    this.due.clear()
    this.failed.clear()
    this.freshness.clear()
  }

  /** Fetches everything again. */
  refresh(): void {
    this.fetch(parts)
  }

  private later(wanted: readonly Part[]): void {
    for (const part of wanted) this.due.add(part)
    if (this.timer || this.loading) return
    this.delayMs = performance.now() - this.fetchedAt < quietMs ? Math.min(longestSettleMs, this.delayMs * 2) : settleMs
    this.timer = setTimeout(() => this.fetch([]), this.delayMs)
    this.timer.unref()
  }

  private fetch(wanted: readonly Part[]): void {
    clearTimeout(this.timer)
    this.timer = undefined
    for (const part of wanted) this.due.add(part)
    const { source } = this
    if (this.loading || !source) return
    this.loading = this.run(source).finally(() => {
      if (this.source !== source) return
      this.loading = undefined
      // What changed while we read.
      if (this.due.size > 0) this.later([])
    })
  }

  private async run(source: Connection): Promise<void> {
    const { alias, self, log, failing } = this.options
    const wanted = [...this.due]
    this.due.clear()
    try {
      const description = this.description ?? (await source.describe())
      if (this.source !== source) return
      this.description = description
      const { capabilities } = description
      const fetched = await fetchLists(source, { alias, self, capabilities, wanted, limitMs: listLimitMs, log })
      if (this.source !== source) return
      this.fetchedAt = performance.now()
      this.take(description, fetched)
    } catch (thrown) {
      if (this.source === source) failing(named(alias, thrown))
    }
  }

  private take(description: Description, fetched: Fetched): void {
    const { alias, log, stored } = this.options
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
      this.options.failing(undefined)
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
