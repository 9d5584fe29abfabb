/**
 * A watch on a backend, of one client or of many alike, that outlives the backend's connections: its interest is put to
 * every connection that comes. List changes are not heard here; the offering knows whether anything really differs.
 */
import type { Change, ClientProfile, Connection, Granted, Interest, ListKind, Watch, Watcher } from './contract.ts'
import { died, named } from './refusals.ts'

export interface EarHost {
  readonly alias: string
  /** Makes a connection; the ear is attached to it before this resolves, wherever it is then. */
  bringUp(ear: Ear): Promise<unknown>
  /** The interest changed: the server may be needed now, or no longer. */
  moved(): void
  left(ear: Ear): void
}

interface Attached {
  readonly connection: Connection
  readonly watch: Watch
  /** Of what it was told last. */
  granted: Promise<Granted>
}

export class Ear implements Watch {
  readonly granted: Promise<Granted>
  private readonly watcher: Watcher
  private host: EarHost
  private readonly watches = new Map<object, Attached>()
  /** On connections that its calls were made on before it moved. */
  private readonly left: Watch[] = []
  private interest: Interest
  private closed = false

  constructor(watcher: Watcher, host: EarHost, live: Iterable<readonly [object, Connection]>) {
    this.watcher = watcher
    this.host = host
    this.interest = watcher.interest
    for (const [instance, connection] of live) this.attach(instance, connection)
    this.granted = this.settle()
  }

  /** Only a subscription needs a running server: what else there is to hear does not happen while it is down. */
  get needsServer(): boolean {
    return this.interest.resources.length > 0
  }

  get client(): ClientProfile {
    return this.watcher.client
  }

  /** Does nothing where it listens already. */
  attach(instance: object, connection: Connection): void {
    if (this.watches.get(instance)?.connection === connection) return
    const { watcher } = this
    const watch = connection.watch({
      client: watcher.client,
      interest: this.narrowed(),
      change: (change, may) => this.hear(change, may),
      ...(watcher.each ? { each: watcher.each } : {}),
      ...(watcher.ask ? { ask: (question, cancellation) => watcher.ask!(question, cancellation) } : {}),
    })
    this.watches.set(instance, { connection, watch, granted: watch.granted })
  }

  detach(instance: object): void {
    this.watches.delete(instance)
  }

  /**
   * Listens where its calls go from now on. `trailing`: some are still under way where it was, and what the server there has
   * to say of them (a task, a page that a person was sent to) is heard for as long as that connection lasts.
   */
  move(host: EarHost, live: Iterable<readonly [object, Connection]>, trailing: boolean): void {
    const before = [...this.watches.values()]
    this.watches.clear()
    this.host = host
    for (const [instance, connection] of live) this.attach(instance, connection)
    for (const { connection, watch } of before) {
      if (trailing) this.left.push(this.trail(connection))
      watch.close()
    }
    if (this.needsServer) void this.resume()
  }

  update(interest: Interest): Promise<Granted> {
    this.interest = interest
    if (this.closed) return Promise.resolve(this.nothing())
    const narrowed = this.narrowed()
    for (const attached of this.watches.values()) attached.granted = attached.watch.update(narrowed)
    this.host.moved()
    return this.settle()
  }

  /** Tells of lists that really changed. */
  listsChanged(lists: readonly ListKind[]): void {
    for (const list of lists) if (!this.closed && this.interest.lists.includes(list)) this.watcher.change({ kind: 'list', list })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    for (const { watch } of this.watches.values()) watch.close()
    for (const watch of this.left.splice(0)) watch.close()
    this.watches.clear()
    this.host.left(this)
  }

  private trail(connection: Connection): Watch {
    return connection.watch({
      client: this.client,
      interest: { lists: [], resources: [], logLevel: undefined, roots: undefined },
      change: (change, may) => {
        if (change.kind === 'other') this.hear(change, may)
      },
      // Of many, none is to be asked there any more.
      ...(this.watcher.each ? { each: [] } : {}),
    })
  }

  /** Another server may have other content, and nobody says what has changed. */
  private async resume(): Promise<void> {
    try {
      await this.host.bringUp(this)
    } catch {
      // The life of the instance has it in its status; whatever brings it up attaches this ear.
      return
    }
    for (const uri of this.interest.resources) this.hear({ kind: 'resource', params: { uri } }, undefined)
  }

  private hear(change: Change, may: ((client: ClientProfile) => boolean) | undefined): void {
    if (!this.closed && change.kind !== 'list') this.watcher.change(change, may)
  }

  private narrowed(): Interest {
    return { ...this.interest, lists: [] }
  }

  private nothing(): Granted {
    return { lists: this.interest.lists, resources: [], refused: new Map() }
  }

  /** Where it was moved meanwhile, what counts is what they say there: those it has left may only say that they are left. */
  private async settle(): Promise<Granted> {
    for (;;) {
      const { host } = this
      const granted = await this.grantedAt(host)
      if (host === this.host || this.closed) return granted
    }
  }

  private async grantedAt(host: EarHost): Promise<Granted> {
    if (this.watches.size === 0 && this.needsServer) {
      try {
        await host.bringUp(this)
      } catch (thrown) {
        return this.refused(thrown)
      }
    }
    if (this.watches.size > 0) return this.joined([...this.watches.values()].map(({ granted }) => granted))
    // It may be gone again already, or nobody listens any more.
    return this.needsServer && !this.closed ? this.refused(died(host.alias)) : this.nothing()
  }

  private refused(thrown: unknown): Granted {
    const error = named(this.host.alias, thrown)
    return { ...this.nothing(), refused: new Map(this.interest.resources.map(uri => [uri, error])) }
  }

  /** Granted by one instance is granted. */
  private async joined(grants: readonly Promise<Granted>[]): Promise<Granted> {
    const { lists } = this.interest
    const all = await Promise.all(grants)
    const resources = new Set(all.flatMap(granted => granted.resources))
    const refused = new Map<string, Error>()
    for (const granted of all) for (const [uri, error] of granted.refused) if (!resources.has(uri)) refused.set(uri, error)
    const extra = all.find(granted => granted.extra)?.extra
    return { lists, resources: [...resources], refused, ...(extra ? { extra } : {}) }
  }
}
