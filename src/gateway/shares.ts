/**
 * Who shares a backend with whom: one group of instances for all, for each principal, or for each client; and clients that can
 * be asked less, apart from the others once that matters to the server. Makes groups as clients come and lets them go when the
 * clients are gone; there are never more than a fixed number.
 */
import type { Call, ClientProfile, Connection } from './contract.ts'
import { Group } from './group.ts'
import type { Instance, Surroundings } from './instance.ts'
import type { Abilities, Audience, InstanceSpec } from './policy.ts'
import { isFinal } from './starting.ts'

export interface SharesHost {
  /** What a client can be asked, where that is less than a server for everybody is told. */
  readonly abilities: (client: ClientProfile) => Abilities | undefined
  /** Whether clients are told apart by it has changed; `false`: for good. */
  readonly parted: (apart: boolean | undefined) => void
  readonly wanted: (group: Group) => boolean
  readonly up: (group: Group, instance: Instance, connection: Connection) => void
  readonly down: (instance: Instance) => void
}

const groupLimit = 256
/** A server of one client's own goes this long after its last call, if that client does not listen. */
const lonelyMs = 60_000
/** A client may stop listening only to listen anew; so long its server stays. */
const graceMs = 1000
/** How long a server must have answered after another could not be had. */
const proofMs = 2000
/** A server that has to go waits for its calls, looked at this often, and so long for what persons have still to answer, and for tasks. */
const lookMs = 50
const answersMs = 60_000
const tasksMs = 300_000

export class Shares {
  /**
   * The group that is there from the start. With `global` it serves all, with `auto` the first principal that comes, with
   * `session` nobody: it only tells what the server offers.
   */
  readonly primary: Group
  private readonly specs: readonly InstanceSpec[]
  private readonly around: Surroundings
  private readonly host: SharesHost
  private readonly groups = new Map<string, Group>()
  private primaryPrincipal: string | undefined
  /** Clients that can be asked less than a server for everybody is told have servers that know it; `false`: never will. */
  private apart: boolean | undefined
  /** Groups that have to go, since clients are told apart no longer: when each is gone. */
  private readonly leaving = new Map<Group, Promise<void>>()
  private closed = false

  /** `apart`: so it was when it last ran. */
  constructor(specs: readonly InstanceSpec[], around: Surroundings, apart: boolean | undefined, host: SharesHost) {
    this.specs = specs
    this.apart = around.policy.share === 'auto' ? apart : undefined
    this.around = around
    this.host = host
    this.primary = this.make({}, undefined, around.policy.share === 'session' ? lonelyMs : undefined)
  }

  /** The group that serves this client; undefined when there are too many and all are in use. */
  of(client: ClientProfile): Group | undefined {
    if (this.around.policy.share === 'auto') this.primaryPrincipal ??= client.principal
    const abilities = this.abilitiesOf(client)
    // Where there is no place for one more kind of client, the server for everybody serves it as before.
    return this.found(client, abilities) ?? this.add(client, abilities) ?? (abilities && this.first(client))
  }

  /** The group of a call: where what it continues is kept, else that of its client. */
  for(call: Call): Group | undefined {
    if (this.groups.size > 0 && (call.requestState !== undefined || call.params['taskId'] !== undefined))
      for (const group of this.all())
        if (this.allows(group, call.client)) for (const [, connection] of group.live()) if (connection.holds?.(call)) return group
    return this.of(call.client)
  }

  /** The same, if it is there already. What serves nobody yet is there for whoever comes first. */
  known(client: ClientProfile): Group | undefined {
    if (this.around.policy.share === 'auto' && this.primaryPrincipal === undefined) return this.primary
    return this.found(client, this.abilitiesOf(client))
  }

  /** Whether a client may use what another's state is kept in. */
  allows(group: Group, { principal }: ClientProfile): boolean {
    return this.around.policy.share === 'global' || principal === this.ownerOf(group)
  }

  /** Whether it serves those for whom the primary group is there as well: then what it says of its lists concerns them. */
  isBeside(group: Group): boolean {
    return group.abilities !== undefined && this.ownerOf(group) === this.primaryPrincipal
  }

  *all(): Iterable<Group> {
    yield this.primary
    yield* this.groups.values()
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all([...this.all()].map(group => group.close()))
    this.groups.clear()
  }

  private ownerOf(group: Group): string | undefined {
    return group === this.primary ? this.primaryPrincipal : group.principal
  }

  private abilitiesOf(client: ClientProfile): Abilities | undefined {
    return this.apart ? this.host.abilities(client) : undefined
  }

  private found(client: ClientProfile, abilities: Abilities | undefined): Group | undefined {
    const { share } = this.around.policy
    if (share === 'global' || (share === 'auto' && !abilities && client.principal === this.primaryPrincipal)) return this.primary
    return this.groups.get(this.keyOf(client, abilities))
  }

  /** The group for those of this principal who are not told apart. */
  private first(client: ClientProfile): Group | undefined {
    return this.found(client, undefined) ?? this.add(client, undefined)
  }

  private keyOf({ principal, home, id }: ClientProfile, abilities: Abilities | undefined): string {
    // Ids and homes prove nothing: what they name is only ever one principal's.
    return this.around.policy.share === 'auto' ? `${abilities?.key ?? ''}\n${principal}` : `${principal}\n${home ?? id}`
  }

  private add(client: ClientProfile, abilities: Abilities | undefined): Group | undefined {
    if (this.closed) return this.primary
    if (this.groups.size >= groupLimit && !this.evict()) return undefined
    const own = this.around.policy.share === 'session'
    const group = this.make(own ? { client } : { abilities }, client.principal, own ? lonelyMs : this.around.policy.idleTimeout)
    this.groups.set(this.keyOf(client, abilities), group)
    return group
  }

  private make({ client, abilities }: Audience, principal: string | undefined, lonelyAfter: number | undefined): Group {
    const { host } = this
    /** Whether its last start failed because there can be one server only. */
    let only: Promise<boolean> | undefined
    const forMany = this.around.policy.share === 'auto' && !abilities
    const group: Group = new Group({
      specs: this.specs,
      audience: { client, abilities, askedBeyond: forMany ? () => this.tellApart(true) : undefined },
      principal,
      lonelyAfter,
      around: this.around,
      host: {
        wanted: host.wanted,
        up: (group, instance, connection) => {
          // What is told with each call needs no connection of its own; the server is another one now.
          if (!connection.toldOnce && this.specs.length === 1) this.tellApart(undefined)
          host.up(group, instance, connection)
        },
        down: (group, instance, failed) => {
          host.down(instance)
          only = failed && this.apart && !isFinal(failed) ? this.giveIn(group, instance) : undefined
          this.review(group)
        },
        // Those that have to go may be needed once more for the calls that are waited for.
        room: () => (abilities ? undefined : this.roomFor(group)),
        instead: client =>
          (abilities || only) && Promise.resolve(only).then(isOnly => (isOnly || abilities ? this.first(client) : undefined)),
        deserted: group => {
          if (group.client) setTimeout(() => this.leave(group), graceMs).unref()
        },
      },
    })
    return group
  }

  /** Some servers take one connection and no more: then all share it, as before. Resolves with whether this is one. */
  private async giveIn(group: Group, { spec }: Instance): Promise<boolean> {
    const owner = this.ownerOf(group)
    const connections = (): Connection[] =>
      [...this.all()].filter(other => this.ownerOf(other) === owner)
        .flatMap(other => [...other.live()]).filter(([instance]) => instance.spec === spec).map(([, connection]) => connection)
    const [only, second] = connections()
    // Where there are two, there can be three: it failed for another reason.
    if (!only || second) return false
    // So it did where the one is away as well, or where a next attempt has succeeded meanwhile.
    const there = await only.ping(proofMs).then(() => true, () => false)
    if (!there || connections().length > 1) return false
    this.tellApart(false)
    return true
  }

  /** Settles when the servers of those of the same principal who were told apart are gone. */
  private roomFor(group: Group): Promise<unknown> | undefined {
    if (this.leaving.size === 0) return undefined
    return Promise.all([...this.leaving].filter(([other]) => this.ownerOf(other) === this.ownerOf(group)).map(([, gone]) => gone))
  }

  /** Ends a server of those who were told apart, once its calls have ended. */
  private async dissolve(group: Group): Promise<void> {
    const began = performance.now()
    const isWaiting = (ms: number): boolean => performance.now() - began < ms
    const keepsTasks = (): boolean => [...group.live()].some(([, connection]) => connection.holds?.())
    while (!this.closed && (group.load > 0 || (group.busy && isWaiting(answersMs)) || (isWaiting(tasksMs) && keepsTasks())))
      await new Promise(resolve => setTimeout(resolve, lookMs).unref())
    await this.remove(group)
    this.leaving.delete(group)
  }

  /** From now on clients are told apart by what they can be asked, or no longer; those who listen go where their calls will. */
  private tellApart(apart: boolean | undefined): void {
    if (this.apart === apart || this.apart === false || this.closed) return
    this.apart = apart
    this.host.parted(apart)
    for (const group of [...this.all()])
      for (const ear of [...group.ears]) {
        const target = this.of(ear.client)
        if (target && target !== group) target.adopt(ear, group)
      }
    if (apart === false) for (const group of this.groups.values()) if (group.abilities) this.leaving.set(group, this.dissolve(group))
  }

  /** A group of somebody who is not there, and with nothing running, is not kept. */
  private review(group: Group): void {
    if (group === this.primary || this.closed) return
    const quiet = () => group.ears.size === 0 && group.load === 0 && group.instances.every(({ life }) => life.resting)
    const check = () => void (quiet() && this.remove(group))
    // One that fell is kept a while: a server that crashes at every call must not be new each time.
    if (group.instances.every(({ life }) => life.state === 'idle')) setImmediate(check)
    else setTimeout(check, lonelyMs).unref()
  }

  private leave(group: Group): void {
    if (group.ears.size > 0 || this.closed) return
    if (group.load > 0) setTimeout(() => this.leave(group), graceMs).unref()
    else void this.remove(group)
  }

  private evict(): boolean {
    let oldest: Group | undefined
    for (const group of this.groups.values())
      if (group.ears.size === 0 && group.load === 0 && (!oldest || group.usedAt < oldest.usedAt)) oldest = group
    if (oldest) void this.remove(oldest)
    return oldest !== undefined
  }

  private remove(group: Group): Promise<void> {
    for (const [key, other] of this.groups) if (other === group) this.groups.delete(key)
    return group.close()
  }
}
