/**
 * Whose interests go into the one stream that all watchers of a server share. A server may refuse the whole stream for what
 * one of them wants, such as a resource it does not know: it is then asked for half of what was new, and so on, until it is
 * known whose wish that was, and the others have theirs. Knows no stream.
 */
import type { Granted, Interest, JsonObject, Watcher } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import { covers, grantedOf, isEmpty, joined, supported, type Filter } from './filters.ts'

export interface Ear {
  readonly watcher: Watcher
  interest: Interest
  readonly waiting: ((granted: Granted) => void)[]
  /** What the stream of now was opened for, or found to carry. */
  taken?: Interest | undefined
  /** Why the server does not take the interest. */
  refusal?: Error | undefined
  /** Its turn comes when it is known whether the server takes others'. */
  held?: boolean | undefined
  /** How often it was refused, or lost its stream, since it last heard anything. */
  missed: number
}

/** Refusals of one round after which whoever is still suspected counts as refused: a server that is unwell gets no more. */
const maxRefusals = 64

export class Wishes {
  readonly ears = new Set<Ear>()
  private readonly capabilities: JsonObject
  private refusals = 0

  constructor(capabilities: JsonObject) {
    this.capabilities = capabilities
  }

  get refusing(): boolean {
    for (const { refusal } of this.ears) if (refusal) return true
    return false
  }

  /** What the clients behind it declare of extensions: filters of those may need it. */
  get extensions(): JsonObject {
    const all = [...this.ears].map(ear => ear.watcher.client.capabilities['extensions'])
    return Object.assign({}, ...all.filter(isObject)) as JsonObject
  }

  /** All that can be asked of a server for these. */
  filterOf(interests: Iterable<Interest>): Filter {
    return supported(joined(interests), this.capabilities)
  }

  /** What to ask for, and for whom. Who was refused, or waits for its turn, keeps what it has. */
  asked(): Map<Ear, Interest> {
    const asked = new Map<Ear, Interest>()
    for (const ear of this.ears) {
      const interest = ear.refusal || ear.held ? ear.taken : ear.interest
      if (interest) asked.set(ear, interest)
    }
    return asked
  }

  change(ear: Ear, interest: Interest): void {
    ear.interest = interest
    ear.refusal = ear.held = undefined
    if (ear.taken) ear.missed = 0
  }

  begin(): void {
    this.refusals = 0
  }

  /** A stream carries this. Returns whether others' turn has come. */
  took(asked: ReadonlyMap<Ear, Interest>): boolean {
    for (const [ear, interest] of asked) ear.taken = interest
    return this.release()
  }

  /** There is no stream; `isKept`: none but the one there was. */
  lost(isKept = false): void {
    for (const ear of this.ears) {
      if (!isKept) ear.taken = undefined
      if (ear.taken !== ear.interest) ear.missed++
    }
  }

  /**
   * The server has refused a stream for these; `kept` is what the one before it carries. Returns whether there is something
   * else to ask for now; if not, nobody's wish is to blame.
   */
  refused(asked: ReadonlyMap<Ear, Interest>, error: Error, kept: Filter | undefined): boolean {
    const suspects = [...asked.keys()].filter(ear => this.ears.has(ear) && ear.interest === asked.get(ear) && this.isNew(ear, kept))
    const [first] = suspects
    if (!first) return false
    const isEnough = ++this.refusals > maxRefusals
    if (suspects.length > 1 && !isEnough) {
      // Those who have been refused before come last.
      suspects.sort((a, b) => a.missed - b.missed)
      for (const ear of suspects.slice(Math.ceil(suspects.length / 2))) ear.held = true
      return true
    }
    // Who wants as much would be refused as well.
    const culprit = this.filterOf([first.interest])
    const alike = [...this.ears].filter(ear => ear.held && (isEnough || covers(this.filterOf([ear.interest]), culprit)))
    for (const ear of [...suspects, ...alike]) {
      ear.refusal = error
      ear.missed++
    }
    this.release()
    return true
  }

  /** Those who were refused may be asked for again. */
  again(): void {
    for (const ear of this.ears) ear.refusal = undefined
  }

  /** Nobody knows what changed while they had no stream: everything may have. */
  announce(honoured: Filter | undefined): void {
    if (!honoured) return
    for (const ear of [...this.ears]) {
      const { watcher, interest } = ear
      if (ear.missed === 0 || ear.taken !== interest) continue
      ear.missed = 0
      for (const list of interest.lists) if (honoured.lists.has(list)) watcher.change({ kind: 'list', list })
      for (const uri of interest.resources) if (honoured.resources.has(uri)) watcher.change({ kind: 'resource', params: { uri } })
    }
  }

  /** Tells those who wait what they have. `unsaid`: why they have no more, where the server gave no reason. */
  grant(honoured: Filter | undefined, unsaid: Error): void {
    for (const ear of this.ears) {
      const waiting = ear.waiting.splice(0)
      if (waiting.length === 0) continue
      const granted = grantedOf(ear.interest, honoured, ear.refusal ?? unsaid)
      for (const resolve of waiting) resolve(granted)
    }
  }

  private isNew(ear: Ear, kept: Filter | undefined): boolean {
    if (ear.taken === ear.interest) return false
    const filter = this.filterOf([ear.interest])
    return !isEmpty(filter) && !(kept && covers(kept, filter))
  }

  private release(): boolean {
    let any = false
    for (const ear of this.ears) {
      any ||= ear.held === true
      ear.held = undefined
    }
    return any
  }
}
