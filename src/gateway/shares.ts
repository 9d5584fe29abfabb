/**
 * Who shares a backend with whom: one group of instances for all, for each principal, or for each client. Makes groups as
 * clients come and lets them go when the clients are gone; there are never more than a fixed number.
 */
import type { ClientProfile, Connection } from './contract.ts'
import { Group } from './group.ts'
import type { Instance, Surroundings } from './instance.ts'
import type { InstanceSpec } from './policy.ts'

export interface SharesHost {
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
  private primaryKey: string | undefined
  private closed = false

  constructor(specs: readonly InstanceSpec[], around: Surroundings, host: SharesHost) {
    this.specs = specs
    this.around = around
    this.host = host
    this.primary = this.make(undefined, around.policy.share === 'session' ? lonelyMs : undefined)
  }

  /** The group that serves this client; undefined when there are too many and all are in use. */
  of(client: ClientProfile): Group | undefined {
    if (this.around.policy.share === 'auto') this.primaryKey ??= client.principal
    return this.known(client) ?? this.add(this.keyOf(client), client)
  }

  /** The same, if it is there already. What serves nobody yet is there for whoever comes first. */
  known(client: ClientProfile): Group | undefined {
    const { share } = this.around.policy
    if (share === 'global' || (share === 'auto' && this.primaryKey === undefined)) return this.primary
    const key = this.keyOf(client)
    return key === this.primaryKey ? this.primary : this.groups.get(key)
  }

  /** Whether a client may use what another's state is kept in. */
  allows(group: Group, { principal }: ClientProfile): boolean {
    if (group === this.primary) return this.around.policy.share === 'global' || principal === this.primaryKey
    return group.client ? group.client.principal === principal : this.groups.get(principal) === group
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

  private keyOf({ principal, home, id }: ClientProfile): string {
    // Ids and homes prove nothing: what they name is only ever one principal's.
    return this.around.policy.share === 'auto' ? principal : `${principal}\n${home ?? id}`
  }

  private add(key: string, client: ClientProfile): Group | undefined {
    if (this.closed) return this.primary
    if (this.groups.size >= groupLimit && !this.evict()) return undefined
    const own = this.around.policy.share === 'session'
    const group = this.make(own ? client : undefined, own ? lonelyMs : this.around.policy.idleTimeout)
    this.groups.set(key, group)
    return group
  }

  private make(client: ClientProfile | undefined, lonelyAfter: number | undefined): Group {
    const { host } = this
    return new Group({
      specs: this.specs,
      client,
      lonelyAfter,
      around: this.around,
      host: {
        wanted: host.wanted,
        up: host.up,
        down: (group, instance) => {
          host.down(group, instance)
          this.review(group)
        },
        deserted: group => {
          if (group.client) setTimeout(() => this.leave(group), graceMs).unref()
        },
      },
    })
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
