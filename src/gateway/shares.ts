/**
 * Who shares a backend with whom: one group of instances for all, for each principal, or for each client; and clients that can
 * be asked less, apart from the others once that matters to the server. Makes groups as clients come and lets them go when the
 * clients are gone; there are never more than a fixed number.
 */
import type { Call, ClientProfile, Connection } from './contract.ts'
import { Group } from './group.ts'
import type { Instance, Surroundings } from './instance.ts'
import type { Abilities, Audience, InstanceSpec } from './policy.ts'

export interface SharesHost {
  /** What a client can be asked, where that is less than a server for everybody is told. */
  readonly abilities: (client: ClientProfile) => Abilities | undefined
  /** Whether clients are told apart by it has changed. */
  readonly parted: (apart: boolean) => void
  readonly wanted: (group: Group) => boolean
  readonly up: (group: Group, instance: Instance, connection: Connection) => void
  readonly down: (group: Group, instance: Instance) => void
}

const groupLimit = 256
/** A server of one client's own goes this long after its last call, if that client does not listen. */
const lonelyMs = 60_000
/** A client may stop listening only to listen anew; so long its server stays. */
const graceMs = 1000

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
  /** Clients that can be asked less than a server for everybody is told have servers that know it. */
  private apart: boolean
  private closed = false

  /** `apart`: so it was when it last ran. */
  constructor(specs: readonly InstanceSpec[], around: Surroundings, apart: boolean, host: SharesHost) {
    this.specs = specs
    this.apart = apart && around.policy.share === 'auto'
    this.around = around
    this.host = host
    this.primary = this.make({}, undefined, around.policy.share === 'session' ? lonelyMs : undefined)
  }

  /** The group that serves this client; undefined when there are too many and all are in use. */
  of(client: ClientProfile): Group | undefined {
    if (this.around.policy.share === 'auto') this.primaryPrincipal ??= client.principal
    const abilities = this.abilitiesOf(client)
    // Where there is no place for one more kind of client, the server for everybody serves it as before.
    return this.found(client, abilities) ?? this.add(client, abilities) ?? (abilities && (this.found(client, undefined) ?? this.add(client, undefined)))
  }

  /** The group of a call: where what it continues is kept, else that of its client. */
  for(call: Call): Group | undefined {
    if (this.apart && (call.requestState !== undefined || call.params['taskId'] !== undefined))
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
    const forMany = this.around.policy.share === 'auto' && !abilities
    return new Group({
      specs: this.specs,
      audience: { client, abilities, askedBeyond: forMany ? () => this.tellApart(true) : undefined },
      principal,
      lonelyAfter,
      around: this.around,
      host: {
        wanted: host.wanted,
        up: (group, instance, connection) => {
          // What is told with each call needs no connection of its own; the server is another one now.
          if (!connection.toldOnce && this.specs.length === 1) this.tellApart(false)
          host.up(group, instance, connection)
        },
        down: (group, instance) => {
          host.down(group, instance)
          this.review(group)
        },
        // Some servers take one connection and no more: then all share it, as before.
        instead: client => abilities && (this.found(client, undefined) ?? this.add(client, undefined)),
        deserted: group => {
          if (group.client) setTimeout(() => this.leave(group), graceMs).unref()
        },
      },
    })
  }

  /** From now on clients are told apart by what they can be asked, or no longer; those who listen go where their calls will. */
  private tellApart(apart: boolean): void {
    if (this.apart === apart || this.closed) return
    this.apart = apart
    this.host.parted(apart)
    for (const group of [...this.all()])
      for (const ear of [...group.ears]) {
        const target = this.of(ear.client)
        if (target && target !== group) target.adopt(ear, group)
      }
  }

  /** A group of somebody who is not there, and with nothing running, is not kept. */
  private review(group: Group): void {
    if (group === this.primary || this.closed) return
    const quiet = () => group.ears.size === 0 && group.load === 0 && group.instances.every(({ life }) => life.resting)
    const check = () => quiet() && this.remove(group)
    // One that fell is kept a while: a server that crashes at every call must not be new each time.
    if (group.instances.every(({ life }) => life.state === 'idle')) setImmediate(check)
    else setTimeout(check, lonelyMs).unref()
  }

  private leave(group: Group): void {
    if (group.ears.size > 0 || this.closed) return
    if (group.load > 0) setTimeout(() => this.leave(group), graceMs).unref()
    else this.remove(group)
  }

  private evict(): boolean {
    let oldest: Group | undefined
    for (const group of this.groups.values())
      if (group.ears.size === 0 && group.load === 0 && (!oldest || group.usedAt < oldest.usedAt)) oldest = group
    if (oldest) this.remove(oldest)
    return oldest !== undefined
  }

  private remove(group: Group): void {
    for (const [key, other] of this.groups) if (other === group) this.groups.delete(key)
    void group.close()
  }
}
