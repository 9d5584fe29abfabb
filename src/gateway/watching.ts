/**
 * One client's ear on many backends: splits its interest by owner, joins what they tell, under public names. List
 * changes come from the surface, which knows whether anything really differs.
 */
import type { Catalog } from './catalog.ts'
import type { Change, Granted, Interest, Member, Watch, Watcher } from './contract.ts'
import { McpError } from './errors.ts'
import type { Surface, SurfaceMember } from './surface.ts'

export interface Watched {
  readonly members: readonly SurfaceMember[]
  readonly surface: Surface
  /** More than one backend: log lines then say whose they are. */
  readonly several: boolean
}

export function watchMembers(watcher: Watcher, { members, surface, several }: Watched): Watch {
  let interest = watcher.interest
  const { ask } = watcher
  const watches: { alias: string; member: Member; watch: Watch }[] = members.map(({ alias, member }) => {
    const watch = member.watch({
      client: watcher.client,
      interest: { ...interest, resources: [] },
      change: change => told(alias, change),
      ...(ask ? { ask: (question, cancellation) => ask({ ...surface.catalog.publicAsk(alias, question), from: alias }, cancellation) } : {}),
    })
    return { alias, member, watch }
  })
  const stopLists = surface.onChange(lists => {
    for (const list of lists) if (interest.lists.includes(list)) watcher.change({ kind: 'list', list })
  })

  function told(alias: string, change: Change): void {
    const { catalog } = surface
    switch (change.kind) {
      case 'list':
        return
      case 'resource':
        return watcher.change({ kind: 'resource', params: catalog.publicUpdate(alias, change.params) })
      case 'log':
        return watcher.change(several ? { kind: 'log', params: catalog.publicLog(alias, change.params) } : change)
      case 'other':
        return watcher.change({ ...change, params: catalog.publicNotification(alias, change.method, change.params) })
    }
  }

  async function apply(next: Interest): Promise<Granted> {
    interest = next
    const wanted = await owners(next.resources)
    const grants = await Promise.all(
      watches.map(async ({ alias, watch }) => {
        const mine = wanted.filter(({ owner }) => owner === alias)
        const granted = await watch.update({ ...next, resources: mine.map(({ own }) => own) })
        return { mine, granted }
      }),
    )
    const refused = new Map<string, Error>()
    const resources: string[] = []
    for (const { uri, owner } of wanted)
      if (owner === undefined) refused.set(uri, new McpError('UNKNOWN_NAME', `unknown resource: ${uri}`))
    for (const { mine, granted } of grants)
      for (const { uri, own } of mine) {
        const refusal = granted.refused.get(own)
        if (refusal) refused.set(uri, refusal)
        else if (granted.resources.includes(own)) resources.push(uri)
      }
    const extra = Object.assign({}, ...grants.map(({ granted }) => granted.extra ?? {})) as Record<string, unknown>
    return { lists: next.lists, resources, refused, ...(Object.keys(extra).length > 0 ? { extra } : {}) }
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
  /** Updates apply one after the other: a later interest must not be overtaken by an earlier one. */
  const update = (next: Interest): Promise<Granted> => {
    const turn = order.then(() => apply(next))
    order = turn
    return turn
  }

  return {
    granted: update(interest),
    update,
    close() {
      stopLists()
      for (const { watch } of watches) watch.close()
    },
  }
}
