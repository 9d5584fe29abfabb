/**
 * Whose interests go into the one stream that all watchers of a server share. A server may refuse the whole stream for what
 * one of them wants, such as a resource it does not know: it is then asked for half of what was new, and so on, until it is
 * known whose wish that was, and the others have theirs. Knows no stream.
 */
import type { Granted, Interest, JsonObject, Watcher } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
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
  /** How often it was found to be what the server refused, since it was last taken. */
  blamed: number
}

/** Refusals of one round after which whoever is still suspected counts as refused: a server that is unwell gets no more. */
const maxRefusals = 64

export class Wishes {
  readonly ears = new Set<Ear>()
  private readonly capabilities: JsonObject
  private refusals = 0
  /** Who is to blame, unless the server refuses by now what it took before from others. */
  private doubted: { readonly ear: Ear; readonly error: Error } | undefined

  constructor(capabilities: JsonObject) {
    this.capabilities = capabilities
  }

  get refusing(): boolean {
    for (const { refusal } of this.ears) if (refusal) return true
    return false
  }

  /** What to ask for is what there is already: to see whether the server still takes that. */
  get doubting(): boolean {
    return this.doubted !== undefined
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
      const interest = ear.refusal || ear.held || this.doubted ? ear.taken : ear.interest
      if (interest) asked.set(ear, interest)
    }
    return asked
  }

  change(ear: Ear, interest: Interest): void {
    ear.interest = interest
    ear.refusal = ear.held = undefined
    ear.blamed = 0
    if (this.doubted?.ear === ear) this.doubted = undefined
    if (ear.taken) ear.missed = 0
  }

  begin(): void {
    this.refusals = 0
    this.doubted = undefined
  }

  /** A stream carries this. Returns whether others' turn has come. */
  took(asked: ReadonlyMap<Ear, Interest>): boolean {
    for (const [ear, interest] of asked) {
      ear.taken = interest
      if (interest === ear.interest) ear.blamed = 0
    }
    if (this.doubted) this.blame(this.doubted.ear, this.doubted.error)
    return this.release()
  }

  /** There is no stream; `isKept`: none but the one there was. */
  lost(isKept = false): void {
    this.doubted = undefined
    for (const ear of this.ears) {
      if (!isKept) ear.taken = undefined
      if (ear.taken !== ear.interest) ear.missed++
    }
  }

  /**
   * The server has refused a stream for these; `isKept`: the one before it carries what was taken. Returns whether there is
   * something else to ask for now; if not, nobody's wish is to blame.
   */
  refused(asked: ReadonlyMap<Ear, Interest>, error: Error, isKept: boolean): boolean {
    const isEnough = ++this.refusals > maxRefusals
    if (this.doubted) {
      // What is no longer taken is a suspect like all else.
      this.lost()
      return true
    }
    // It may have been about somebody who has left or wants something else by now.
    if (!isEnough && [...asked].some(([ear, interest]) => this.isOver(ear, interest))) return true
    const suspects = [...asked.keys()].filter(ear => this.ears.has(ear) && ear.interest === asked.get(ear) && this.isNew(ear))
    const [first, second] = suspects
    if (!first) return false
    if (isEnough) this.giveUp(suspects)
    else if (second) {
      // Those who have been blamed before come last.
      suspects.sort((a, b) => a.blamed - b.blamed)
      for (const ear of suspects.slice(Math.ceil(suspects.length / 2))) ear.held = true
    } else if (!isKept) this.blame(first, error)
    else {
      this.doubted = { ear: first, error }
      if (isEmpty(this.filterOf(this.asked().values()))) this.blame(first, error)
    }
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

  private isOver(ear: Ear, interest: Interest | undefined): boolean {
    return !this.ears.has(ear) || (interest !== ear.interest && interest !== ear.taken)
  }

  private isNew(ear: Ear): boolean {
    return ear.taken !== ear.interest && !isEmpty(this.filterOf([ear.interest]))
  }

  private blame(first: Ear, error: Error): void {
    this.doubted = undefined
    // Who wants as much would be refused as well.
    const culprit = this.filterOf([first.interest])
    const alike = [...this.ears].filter(ear => ear.held && covers(this.filterOf([ear.interest]), culprit))
    for (const ear of [first, ...alike]) {
      ear.refusal = error
      ear.missed++
      ear.blamed++
    }
    this.release()
  }

  /** What the server has said is about somebody's wish, and nobody else's business. */
  private giveUp(suspects: readonly Ear[]): void {
    const error = new McpError('BACKEND_ERROR', 'the server refuses too much of what clients want to hear of')
    for (const ear of new Set([...suspects, ...[...this.ears].filter(({ held }) => held)])) {
      ear.refusal = error
      ear.missed++
    }
    this.release()
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
