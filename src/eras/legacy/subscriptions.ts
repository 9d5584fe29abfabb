/**
 * Resource subscriptions of one legacy server, counted by holder: the first one subscribes, the last one unsubscribes,
 * and what is on the wire per URI never overtakes itself.
 */
import type { Desk } from './open-call.ts'
import { answerWithin } from './within.ts'

interface Entry {
  readonly holders: Set<object>
  /** What the server was last told. */
  on: boolean
  work: Promise<Error | undefined> | undefined
}

export class Subscriptions {
  private readonly desk: Desk
  private readonly entries = new Map<string, Entry>()

  constructor(desk: Desk) {
    this.desk = desk
  }

  /** Resolves with the server's refusal, if it refused or did not answer in time; the holder then holds nothing. Never rejects. */
  hold(uri: string, holder: object): Promise<Error | undefined> {
    let entry = this.entries.get(uri)
    if (!entry) this.entries.set(uri, (entry = { holders: new Set(), on: false, work: undefined }))
    entry.holders.add(holder)
    return this.settle(uri, entry)
  }

  release(uri: string, holder: object): void {
    const entry = this.entries.get(uri)
    if (entry?.holders.delete(holder)) void this.settle(uri, entry)
  }

  /** The server has forgotten all of them: asks for them again. */
  renew(): void {
    for (const [uri, entry] of this.entries) {
      entry.on = false
      void this.settle(uri, entry)
    }
  }

  private settle(uri: string, entry: Entry): Promise<Error | undefined> {
    if (entry.work) return entry.work
    if (this.isSettled(uri, entry)) return Promise.resolve(undefined)
    return (entry.work = this.work(uri, entry))
  }

  private isSettled(uri: string, entry: Entry): boolean {
    const wanted = entry.holders.size > 0
    if (wanted !== entry.on) return false
    entry.work = undefined
    if (!wanted) this.entries.delete(uri)
    return true
  }

  private async work(uri: string, entry: Entry): Promise<Error | undefined> {
    let refusal: Error | undefined
    do {
      const wanted = entry.holders.size > 0
      try {
        // A client's later wishes wait for this answer: without a limit one that never comes would hold them for ever.
        await answerWithin(this.desk.callMs, this.desk, wanted ? 'resources/subscribe' : 'resources/unsubscribe', { uri })
        entry.on = wanted
      } catch (error) {
        // A server that cannot forget a subscription sends updates nobody reads; one that refuses it has none.
        entry.on = false
        if (!wanted) continue
        refusal = error as Error
        entry.holders.clear()
      }
    } while (!this.isSettled(uri, entry))
    return refusal
  }
}
