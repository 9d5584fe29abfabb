/**
 * Clients that can do the same and want the same share one watch on the backends: ten thousand idle ones then cost a place
 * each, however many backends there are. What a client subscribes to is its own: a watch on those that have it, besides.
 */
import type { Change, ClientProfile, Granted, Interest, JsonObject, Watch, Watcher } from './contract.ts'
import type { Seat } from './roster.ts'
import { watchMembers, type MembersWatch, type Watched } from './watching.ts'

export class Crowds {
  readonly watched: Watched
  /** By what the clients can do (one object for all who say the same), then by what else they have in common. */
  private readonly crowds = new Map<JsonObject, Map<string, Crowd>>()

  constructor(watched: Watched) {
    this.watched = watched
    // Before any watch of a crowd hears of it: a crowd must not meet a member that has a server for each client.
    watched.roster.onMove(() => {
      if (this.apart) this.dissolve()
    })
  }

  watch(watcher: Watcher): Watch {
    return new Place(this, watcher)
  }

  /** The crowd for this client; undefined = it must be alone. `heard`: whom it hears besides those of now. */
  of({ client, ask }: Watcher, { extra, lists, logLevel }: Interest, heard: Iterable<Seat>): Crowd | undefined {
    if (this.apart || !ask || client.home !== undefined || extra) return undefined
    let alike = this.crowds.get(client.capabilities)
    if (!alike) this.crowds.set(client.capabilities, (alike = new Map()))
    const key = [client.revision, logLevel, lists, client.principal].join(' ')
    let crowd = alike.get(key)
    if (!crowd) {
      const gone = (): void => {
        alike.delete(key)
        if (alike.size === 0) this.crowds.delete(client.capabilities)
      }
      alike.set(key, (crowd = new Crowd(client, { lists, logLevel, resources: [], roots: undefined }, this.watched, gone)))
    }
    crowd.hear(heard)
    return crowd
  }

  /** Some member, if only one that was replaced and is not gone yet, has a server for each client: all watch by themselves. */
  private get apart(): boolean {
    for (const { member } of this.watched.roster.all()) if (member.apart) return true
    return false
  }

  private dissolve(): void {
    for (const alike of [...this.crowds.values()]) for (const crowd of [...alike.values()]) crowd.dissolve()
  }
}

class Crowd implements Watcher {
  readonly client: ClientProfile
  readonly interest: Interest
  private readonly places = new Set<Place>()
  private readonly watch: MembersWatch
  private readonly gone: () => void
  private refreshing: Promise<Granted> | undefined

  constructor(client: ClientProfile, interest: Interest, watched: Watched, gone: () => void) {
    this.client = client
    this.interest = interest
    this.gone = gone
    this.watch = watchMembers(this, watched)
  }

  get seats(): Iterable<Seat> {
    return this.watch.seats
  }

  get granted(): Promise<Granted> {
    return this.refreshing ?? this.watch.granted
  }

  get each(): Iterable<Watcher> {
    return this.places
  }

  hear(seats: Iterable<Seat>): void {
    this.watch.hear(seats)
  }

  change(change: Change, may?: (client: ClientProfile) => boolean): void {
    for (const { watcher } of this.places) if (!may || may(watcher.client)) watcher.change(change)
  }

  join(place: Place): void {
    this.places.add(place)
  }

  leave(place: Place): void {
    if (!this.places.delete(place)) return
    if (this.places.size > 0) return void (place.hasRoots && this.refresh())
    this.gone()
    this.watch.close()
  }

  /** Somebody's roots are others: servers look at everybody's then. */
  refresh(): Promise<Granted> {
    // Many may come in one moment.
    return (this.refreshing ??= Promise.resolve().then(() => {
      this.refreshing = undefined
      return this.watch.update({ ...this.interest })
    }))
  }

  dissolve(): void {
    for (const place of [...this.places]) place.settle()
  }
}

/** One client: in a crowd, or with a watch of its own; with neither once it is closed. */
class Place implements Watch, Watcher {
  readonly watcher: Watcher
  interest: Interest
  private readonly crowds: Crowds
  private crowd: Crowd | undefined
  /** In a crowd: on what it subscribes to. */
  private own: MembersWatch | undefined

  constructor(crowds: Crowds, watcher: Watcher) {
    this.crowds = crowds
    this.watcher = watcher
    this.interest = watcher.interest
    this.settle()
    if (this.hasRoots) void this.crowd?.refresh()
  }

  get client(): ClientProfile {
    return this.watcher.client
  }

  get hasRoots(): boolean {
    return this.interest.roots !== undefined && this.interest.roots.length > 0
  }

  get granted(): Promise<Granted> {
    return this.joined(this.crowd?.granted, this.own?.granted)
  }

  get ask(): Watcher['ask'] {
    const { watcher } = this
    return watcher.ask && ((ask, cancellation) => watcher.ask!(ask, cancellation))
  }

  change(change: Change): void {
    this.watcher.change(change)
  }

  update(interest: Interest): Promise<Granted> {
    const { own, crowd, hasRoots } = this
    this.interest = interest
    if (!own && !crowd) return this.granted
    this.settle()
    const told = own && own === this.own ? own.update(this.crowd ? subscriptions(interest) : interest) : this.own?.granted
    return this.joined(this.crowd && (hasRoots || this.hasRoots) ? this.crowd.refresh() : this.crowd?.granted, told)
  }

  /** Goes where it belongs by what it wants: there first and only then away, so that it misses nothing. */
  settle(): void {
    const { crowd, own, watcher, interest } = this
    const heard = (crowd ?? own)?.seats ?? []
    this.crowd = this.crowds.of(watcher, interest, heard)
    this.crowd?.join(this)
    const isOther = (crowd === undefined) !== (this.crowd === undefined)
    if (this.crowd && interest.resources.length === 0) this.own = undefined
    else if (isOther || !own) this.own = this.listen(heard)
    if (crowd !== this.crowd) crowd?.leave(this)
    if (!own || own === this.own) return
    if (this.own) void this.own.granted.then(() => own.close())
    else own.close()
  }

  close(): void {
    const { own, crowd } = this
    this.own = this.crowd = undefined
    own?.close()
    crowd?.leave(this)
  }

  private listen(heard: Iterable<Seat>): MembersWatch {
    const { watcher, interest, crowd } = this
    const { watched } = this.crowds
    if (!crowd) {
      const all = watchMembers(this, watched)
      all.hear(heard)
      return all
    }
    // All else it hears with the others.
    const change = (change: Change): void => {
      if (change.kind === 'resource') watcher.change(change)
    }
    return watchMembers({ client: watcher.client, interest: subscriptions(interest), change }, watched, { owners: true })
  }

  private async joined(common: Promise<Granted> | undefined, own: Promise<Granted> | undefined): Promise<Granted> {
    const { lists } = this.interest
    await common
    return { resources: [], refused: new Map(), ...(await own), lists }
  }
}

const subscriptions = ({ resources }: Interest): Interest => ({ lists: [], resources, logLevel: undefined, roots: undefined })
