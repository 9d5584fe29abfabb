/**
 * One ear on many backends, of one client or of many alike: splits its interest by owner, joins what they tell, under public names, and moves
 * along when backends are replaced. List changes come from the surface, which knows whether anything really differs.
 */
import type { Catalog } from './catalog.ts'
import type { Change, ClientProfile, Granted, Interest, Watch, Watcher } from './contract.ts'
import { McpError } from './errors.ts'
import type { Roster, Seat } from './roster.ts'
import type { Surface } from './surface.ts'
import { joinedFollowed, ownFollowed } from './task-ids.ts'

export interface Watched {
  readonly roster: Roster
  readonly surface: Surface
  /** Whether a client may hear of the task with this public id. */
  isTaskOf(id: string, client: ClientProfile): boolean
}

/** The watch on one member, and what it was last told of our interest. */
interface Ear {
  readonly watch: Watch
  interest: Interest
  own: readonly string[]
  granted: Promise<Granted>
}

export interface MembersWatch extends Watch {
  /** Whom it hears, those included that were replaced and are not gone yet. */
  readonly seats: Iterable<Seat>
  /** Listens to these as well, as long as they are there. */
  hear(seats: Iterable<Seat>): void
}

export interface Scope {
  /** Only those are listened to that have what is subscribed to. */
  readonly owners?: boolean
}

export function watchMembers(watcher: Watcher, { roster, surface, isTaskOf }: Watched, { owners: narrow = false }: Scope = {}): MembersWatch {
  let { interest } = watcher
  let closed = false
  const ears = new Map<Seat, Ear>()

  function listen({ alias, member }: Seat): Ear {
    const watch = member.watch(earAt(alias, watcher, inWordsOf(alias, interest, [])))
    return { watch, interest, own: [], granted: watch.granted }
  }

  /** An interest as the member of that name is told it; `own`: the URIs in it that are its own. */
  function inWordsOf(alias: string, wanted: Interest, own: readonly string[]): Interest {
    const extra = ownFollowed(alias, wanted.extra, id => isTaskOf(id, watcher.client))
    return extra === wanted.extra ? { ...wanted, resources: own } : { ...wanted, resources: own, extra }
  }

  /** The same ear as the member of that name knows it. */
  function earAt(alias: string, of: Watcher, interest: Interest): Watcher {
    const { client, ask, each } = of
    return {
      client,
      interest,
      change: (change, may) => told(alias, change, of, may),
      ...(ask ? { ask: (question, cancellation) => of.ask!({ ...surface.catalog.publicAsk(alias, question), from: alias }, cancellation) } : {}),
      ...(each ? { each: { *[Symbol.iterator]() { for (const one of each) yield earAt(alias, one, one.interest) } } } : {}),
    }
  }

  function hear(seats: Iterable<Seat>): void {
    for (const seat of seats) if (roster.isHere(seat) && !ears.has(seat)) ears.set(seat, listen(seat))
  }

  /** Listens to who came; who was replaced is heard until it is gone, since calls it has begun may have more to say. */
  function follow(): void {
    if (!narrow) hear(roster.seats)
    for (const [seat, { watch }] of ears) {
      if (roster.isHere(seat)) continue
      watch.close()
      ears.delete(seat)
    }
  }

  function told(alias: string, change: Change, to: Watcher, may?: (client: ClientProfile) => boolean): void {
    const { catalog } = surface
    switch (change.kind) {
      case 'list':
        return
      case 'resource':
        return to.change({ kind: 'resource', params: catalog.publicUpdate(alias, change.params) }, may)
      case 'log':
        return to.change(roster.several ? { kind: 'log', params: catalog.publicLog(alias, change.params) } : change, may)
      case 'other':
        return to.change({ ...change, params: catalog.publicNotification(alias, change.method, change.params), from: alias }, may)
    }
  }

  /** A backend whose part has not changed is not told again: to some that means a new stream. */
  function tell({ alias }: Seat, ear: Ear, next: Interest, own: readonly string[]): Promise<Granted> {
    const isSame = next === ear.interest && own.length === ear.own.length && own.every((uri, index) => uri === ear.own[index])
    if (isSame) return ear.granted
    ear.interest = next
    ear.own = own
    return (ear.granted = ear.watch.update(inWordsOf(alias, next, own)))
  }

  /** The ear on one that is listened to as long as something of it is wanted. */
  function needed(seat: Seat, wanted: boolean): Ear | undefined {
    const ear = ears.get(seat)
    if (wanted && !ear && !closed) ears.set(seat, listen(seat))
    if (wanted || !ear) return ears.get(seat)
    ear.watch.close()
    ears.delete(seat)
    return undefined
  }

  async function apply(next: Interest): Promise<Granted> {
    interest = next
    const wanted = await owners(next.resources)
    const grants = await Promise.all(
      roster.seats.map(async seat => {
        const mine = wanted.filter(({ owner }) => owner === seat.alias)
        const ear = narrow ? needed(seat, mine.length > 0) : ears.get(seat)
        return { seat, mine, granted: ear && (await tell(seat, ear, next, mine.map(({ own }) => own))) }
      }),
    )
    // Who is gone by now has granted nothing: whoever sits there instead is asked.
    if (!closed && grants.some(({ seat }) => !roster.isHere(seat))) return apply(next)
    // Only now, so that no update falls between the two.
    for (const [seat, ear] of ears) if (roster.at(seat.alias) !== seat) void tell(seat, ear, next, [])
    const refused = new Map<string, Error>()
    const resources: string[] = []
    for (const { uri, owner } of wanted)
      if (owner === undefined) refused.set(uri, new McpError('UNKNOWN_NAME', `unknown resource: ${uri}`))
    for (const { mine, granted } of grants)
      for (const { uri, own } of mine) {
        const refusal = granted?.refused.get(own)
        if (refusal) refused.set(uri, refusal)
        else if (granted?.resources.includes(own)) resources.push(uri)
      }
    const extra = joinedFollowed(grants.map(({ seat, granted }) => [seat.alias, granted?.extra] as const))
    return { lists: next.lists, resources, refused, ...(extra ? { extra } : {}) }
  }

  /** Whose each URI is; a URI nobody lists goes to the only backend that could serve it. */
  async function owners(uris: readonly string[]): Promise<{ uri: string; own: string; owner: string | undefined }[]> {
    if (uris.length === 0) return []
    const look = (catalog: Catalog, uri: string) => {
      const hit = catalog.resource(uri)
      if (hit) return { uri, own: hit.own, owner: hit.alias }
      return undefined
    }
    const missing = uris.some(uri => !look(surface.catalog, uri))
    const catalog = missing ? await surface.settled() : surface.catalog
    return uris.map(uri => {
      const hit = look(catalog, uri)
      if (hit) return hit
      const [only, second] = catalog.candidates(uri)
      return { uri, own: uri, owner: second === undefined ? only : undefined }
    })
  }

  let order: Promise<unknown> = Promise.resolve()
  /** The update that came last, while it waits. */
  let last: { interest: Interest; granted?: Promise<Granted> } | undefined
  /**
   * Updates apply one after the other: a later interest must not be overtaken by an earlier one. One that still waits is
   * replaced by one that wants all that it wants: whoever is slow to answer costs many that time once.
   */
  const update = (next: Interest): Promise<Granted> => {
    if (last?.granted && includesAll(next.resources, last.interest.resources)) {
      last.interest = next
      return last.granted
    }
    const mine: NonNullable<typeof last> = (last = { interest: next })
    mine.granted = order.then(() => {
      if (last === mine) last = undefined
      return apply(mine.interest)
    })
    order = mine.granted
    return mine.granted
  }

  follow()
  const stopLists = surface.onChange(lists => {
    for (const list of lists) if (interest.lists.includes(list)) watcher.change({ kind: 'list', list })
  })
  const stopMoves = roster.onMove(() => {
    follow()
    order = order.then(() => apply(interest))
  })

  return {
    granted: update(interest),
    get seats() {
      return ears.keys()
    },
    hear,
    update,
    close() {
      closed = true
      stopLists()
      stopMoves()
      for (const { watch } of ears.values()) watch.close()
      ears.clear()
    },
  }
}

function includesAll(all: readonly string[], some: readonly string[]): boolean {
  const there = new Set(all)
  return some.every(each => there.has(each))
}
