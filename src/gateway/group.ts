/**
 * The instances of a backend that serve one share of its clients (all, a principal's, those of equal abilities, one), and the
 * ears of those clients. Chooses who takes a call, and who takes it instead.
 */
import type { ClientProfile, Connection, JsonObject } from './contract.ts'
import { Ear, type EarHost } from './ear.ts'
import { McpError } from './errors.ts'
import type { Flight } from './flight.ts'
import { Instance, type Surroundings } from './instance.ts'
import type { Abilities, Audience, InstanceSpec } from './policy.ts'
import type { Watch, Watcher } from './contract.ts'

export interface GroupHost {
  /** The member has reasons of its own to want this group running. */
  readonly wanted: (group: Group) => boolean
  readonly up: (group: Group, instance: Instance, connection: Connection) => void
  /** `failed`: why it did not come; undefined = it was there, or we stopped it. */
  readonly down: (group: Group, instance: Instance, failed: McpError | undefined) => void
  /** Settles when nothing is left that must not run beside a server of this group. */
  readonly room: () => Promise<unknown> | undefined
  /** Who takes a call of this client when no server can be had here: the same group, if one can be had after all. */
  readonly instead: (client: ClientProfile) => Promise<Group | undefined> | undefined
  /** The last ear is gone. */
  readonly deserted: (group: Group) => void
}

export interface GroupOptions {
  readonly specs: readonly InstanceSpec[]
  readonly audience: Audience
  /** Whose it is; undefined = nobody's alone. */
  readonly principal: string | undefined
  /** Milliseconds without a call after which an instance goes although the policy would keep it, if nobody listens. */
  readonly lonelyAfter: number | undefined
  readonly around: Surroundings
  readonly host: GroupHost
}

export class Group {
  /** The one client it is for; undefined = shared. */
  readonly client: ClientProfile | undefined
  /** What all its clients can be asked; undefined = that differs. */
  readonly abilities: Abilities | undefined
  readonly principal: string | undefined
  readonly instances: readonly Instance[]
  readonly ears = new Set<Ear>()
  private readonly options: GroupOptions
  private turn = 0
  /** The instance of a client that has one of its own: its state is there. */
  private home: Instance | undefined

  constructor(options: GroupOptions) {
    this.options = options
    this.client = options.audience.client
    this.abilities = options.audience.abilities
    this.principal = options.principal
    const { host, around } = options
    this.instances = options.specs.map(
      spec =>
        new Instance(spec, options.audience, around, {
          idleAfter: instance => this.idleAfter(instance),
          needed: () => this.needed(),
          wanted: instance => this.missed(instance) || host.wanted(this),
          room: host.room,
          up: (instance, connection) => {
            // First, for it may send ears elsewhere.
            host.up(this, instance, connection)
            for (const ear of this.ears) ear.attach(instance, connection)
          },
          down: (instance, failed) => {
            for (const ear of this.ears) ear.detach(instance)
            host.down(this, instance, failed)
          },
          listeners: () => [...this.ears].map(({ client }) => client.principal),
          turnedAway: (instance, flight, error) => this.turnedAway(instance, flight, error),
        }),
    )
  }

  get load(): number {
    return this.instances.reduce((sum, { lane }) => sum + lane.load, 0)
  }

  /** When it was last used; monotonic milliseconds. */
  get usedAt(): number {
    return Math.max(...this.instances.map(({ lane }) => lane.usedAt))
  }

  *live(): Iterable<readonly [Instance, Connection]> {
    for (const instance of this.instances) if (instance.life.connection) yield [instance, instance.life.connection]
  }

  place(flight: Flight): void {
    const [only, second] = this.instances
    if (only && !second) only.lane.admit(flight)
    else (this.choose(flight) ?? (only as Instance)).lane.admit(flight)
  }

  /** Brings any instance up, in order. Rejects with what prevented the first. */
  async bringUp(): Promise<Connection> {
    for (const [, connection] of this.live()) return connection
    let first: unknown
    for (const instance of this.inOrder()) {
      try {
        return await instance.bringUp()
      } catch (error) {
        first ??= error
      }
    }
    throw first
  }

  /** Starts all that are not there only as backup. */
  begin(): void {
    for (const instance of this.instances) if (!instance.spec.backup) void instance.bringUp().catch(() => {})
  }

  /** Stops what nobody needs. */
  rest(): void {
    for (const { life, lane } of this.instances) if (lane.load === 0 && !this.needed()) life.rest()
  }

  watch(watcher: Watcher): Watch {
    const ear = new Ear(watcher, this.earHost(), this.live())
    this.ears.add(ear)
    return ear
  }

  /** Takes an ear over from another group: its client's calls go here from now on. */
  adopt(ear: Ear, from: Group): void {
    from.ears.delete(ear)
    this.ears.add(ear)
    ear.move(this.earHost(), this.live(), from.busy)
    from.review()
  }

  notify(method: string, params: JsonObject | undefined, client: ClientProfile): void {
    for (const [, connection] of this.live()) connection.notify(method, params, client)
  }

  async close(): Promise<void> {
    await Promise.all(this.instances.map(instance => instance.close()))
  }

  private inOrder(): Instance[] {
    return [...this.instances].sort((a, b) => Number(a.spec.backup) - Number(b.spec.backup))
  }

  /** A call is here, or one of its questions is out with a person. */
  get busy(): boolean {
    return this.instances.some(({ busy }) => busy)
  }

  private earHost(): EarHost {
    return {
      alias: this.options.around.alias,
      bringUp: ear => this.bringUp().catch(async error => {
        const instead = await this.options.host.instead(ear.client)
        if (!instead || (instead !== this && this.ears.has(ear))) throw error
        return instead.bringUp()
      }),
      moved: () => this.review(),
      left: gone => {
        this.ears.delete(gone)
        // One client's own server goes with the client; until that is certain, it stays.
        if (!this.client) this.review()
        if (this.ears.size === 0) this.options.host.deserted(this)
      },
    }
  }

  private needed(): boolean {
    for (const ear of this.ears) if (ear.needsServer) return true
    return false
  }

  /** Somebody is there who would miss a server that was in use. */
  private missed({ spec }: Instance): boolean {
    return !spec.backup && (this.ears.size > 0 || this.options.around.policy.start === 'eager')
  }

  private idleAfter({ spec }: Instance): number {
    const { lonelyAfter, around } = this.options
    const { idleTimeout, start } = around.policy
    if (lonelyAfter !== undefined && this.ears.size === 0) return Math.min(lonelyAfter, idleTimeout || Infinity)
    return start === 'eager' && !spec.backup ? 0 : idleTimeout
  }

  private review(): void {
    for (const { life } of this.instances) life.review()
  }

  private choose(flight: Flight): Instance | undefined {
    const now = performance.now()
    const { home } = this
    const fit = (instance: Instance) => !flight.tried?.includes(instance) && instance.fit(now)
    if (home && fit(home)) return home
    let candidates = this.instances.filter(instance => !instance.spec.backup && fit(instance))
    if (candidates.length === 0) candidates = this.instances.filter(instance => instance.spec.backup && fit(instance))
    const { balance } = this.options.around.policy
    const chosen = balance === 'round-robin' ? candidates[this.turn++ % candidates.length] : leastLoaded(candidates)
    if (this.client) this.home = chosen
    return chosen
  }

  /** It was not handed over yet, so another instance may have it. */
  private turnedAway(from: Instance, flight: Flight, error: McpError): void {
    if (flight.pinned || flight.tried?.includes(from)) return flight.fail(error)
    flight.tried = [...(flight.tried ?? []), from]
    const other = this.instances.length > 1 ? this.choose(flight) : undefined
    if (other) return other.lane.admit(flight)
    const isThere = this.instances.some(({ life }) => life.connection)
    const instead = isThere ? undefined : this.options.host.instead(flight.call.client)
    if (!instead) return flight.fail(error)
    void instead.then(group => {
      if (flight.cancelled) flight.fail(new McpError('CANCELLED', flight.reason ?? 'cancelled'))
      else if (group) group.place(flight)
      else flight.fail(error)
    })
  }
}

/** Of equals the one that runs already, then the first. */
function leastLoaded(instances: readonly Instance[]): Instance | undefined {
  let best: Instance | undefined
  for (const instance of instances) {
    const lighter = !best || instance.lane.load < best.lane.load
    const running = best && instance.lane.load === best.lane.load && instance.life.connection && !best.life.connection
    if (lighter || running) best = instance
  }
  return best
}
