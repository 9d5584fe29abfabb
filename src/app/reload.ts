/**
 * The members of a running house and how others take their place: who is new starts first, then all change seats in one
 * step, then those who left finish what they have begun. A member that need not change is never touched.
 */
import type { BackendConfig, Config } from '../config/config.ts'
import type { Member } from '../gateway/contract.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Log } from '../gateway/log.ts'
import type { SurfaceMember } from '../gateway/surface.ts'
import { difference, summaryOf } from './difference.ts'
import { seatFor } from './members.ts'

export interface CrewOptions {
  readonly config: Config
  readonly make: (backend: BackendConfig) => Member
  /** Every gateway that members sit in. */
  readonly gateways: () => readonly Gateway[]
  /** Gives all of them these members, before it returns. */
  readonly seat: (members: readonly SurfaceMember[], config: Config) => void
  readonly log: Log
  /** How long one that left may take to finish, milliseconds. */
  readonly drainMs?: number
}

const longestDrainMs = 25_000
const lookEveryMs = 50

export class Crew {
  /** In config order. */
  members: readonly SurfaceMember[]
  private config: Config
  private readonly options: CrewOptions
  private readonly leaving = new Set<Member>()
  private told = ''
  private closed = false

  constructor(options: CrewOptions) {
    this.options = options
    this.config = options.config
    this.members = options.config.backends.map(backend => seatFor(backend, options.make(backend)))
  }

  /** Makes the house like this config; resolves with what changed, once it has. Not to be called again before that. */
  async apply(next: Config): Promise<string> {
    const { options } = this
    const found = difference(this.config, next, options.config)
    const current = new Map(this.members.map(({ alias, member }) => [alias, member]))
    for (const alias of found.changed) current.delete(alias)
    const fresh: Member[] = []
    const members = next.backends.map(backend => {
      const stays = current.get(backend.alias)
      if (stays) return seatFor(backend, stays)
      const made = options.make(backend)
      fresh.push(made)
      return seatFor(backend, made)
    })
    // Clients whose lists would shrink now and grow again in a second would be told twice of nothing.
    await within(Promise.all(fresh.map(member => member.offered())), next.startWait)
    if (this.closed) {
      await Promise.all(fresh.map(member => member.close()))
      return 'too late: the house is closing'
    }
    const staying = new Set(members.map(({ member }) => member))
    const left = this.members.filter(({ member }) => !staying.has(member))
    this.config = next
    this.members = members
    options.seat(members, next)
    for (const { alias, member } of left) void this.retire(alias, member)
    this.tellRestart(found.needRestart)
    return summaryOf(found)
  }

  /** Ends those who are still on their way out; the others are their gateways'. */
  async close(): Promise<void> {
    this.closed = true
    await Promise.all([...this.leaving].map(member => member.close()))
  }

  private async retire(alias: string, member: Member): Promise<void> {
    const { log, drainMs = longestDrainMs, gateways } = this.options
    this.leaving.add(member)
    const until = performance.now() + drainMs
    const owes = (): boolean => member.status().inFlight > 0 || gateways().some(gateway => gateway.awaits(member))
    while (owes() && performance.now() < until && !this.closed)
      await new Promise(resolve => setTimeout(resolve, lookEveryMs).unref())
    const { inFlight } = member.status()
    if (inFlight > 0)
      log.warn({ backend: alias, inFlight }, `${alias}: its old server is ended although calls of it are not finished`)
    for (const gateway of gateways()) gateway.release(member)
    await member.close()
    this.leaving.delete(member)
    log.debug({ backend: alias }, `${alias}: its old server is gone`)
  }

  private tellRestart(settings: readonly string[]): void {
    const list = settings.join(', ')
    if (list !== '' && list !== this.told) this.options.log.warn({ settings }, `needs a restart to take effect: ${list}`)
    this.told = list
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise(resolve => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
