/**
 * Whose a message of a legacy server is. Pure: looks at open calls and watchers, and never guesses between two clients.
 */
import type { ClientProfile, Watcher } from '../../gateway/contract.ts'
import type { SlotMap } from '../../gateway/slot-map.ts'
import type { RequestId } from '../../transports/channel.ts'
import type { OpenCall } from './open-call.ts'
import type { TaskOwner } from './ownership.ts'
import { isInteractive } from './wire.ts'

export interface Room {
  readonly calls: SlotMap<RequestId, OpenCall>
  readonly watchers: Iterable<Watcher>
}

export type Owner =
  /**
   * `exact`: the message itself named the call; else it is one of the only client that has any open. `sure`: no other call
   * can be meant.
   */
  | { readonly kind: 'call'; readonly open: OpenCall; readonly exact: boolean; readonly sure: boolean }
  | { readonly kind: 'watcher'; readonly watcher: Watcher }
  | { readonly kind: 'nobody'; readonly reason: string }

/** @param relatedTo our request on whose stream the message came. @param task the owner of the task it names. */
export function ownerOf(room: Room, relatedTo: RequestId | undefined, task: TaskOwner | undefined): Owner {
  if (task?.open) {
    const { id } = task.open
    const isOpen = id !== undefined && room.calls.get(id) === task.open
    return isOpen ? { kind: 'call', open: task.open, exact: true, sure: true } : { kind: 'nobody', reason: 'the call it belongs to is over' }
  }
  const named = relatedTo === undefined ? undefined : room.calls.get(relatedTo)
  if (named && isInteractive(named.first.method)) return { kind: 'call', open: named, exact: true, sure: true }
  if (named) return earOf(room, named.call.client.id)
  if (task) return earOf(room, task.clientId)
  const clients = new Set<string>()
  let best: OpenCall | undefined
  const asking = askingOf(room)
  for (const open of asking) {
    clients.add(open.call.client.id)
    // The newest that somebody waits for: there an ask can be shown at once.
    if (!best || best.parking?.parked || !open.parking?.parked) best = open
  }
  if (clients.size > 1) return { kind: 'nobody', reason: 'calls of several clients are open on this shared connection' }
  return best ? { kind: 'call', open: best, exact: false, sure: asking.length === 1 } : onlyEar(room)
}

/**
 * The calls in whose name the server may ask now. Where each request is a client of its own, all of one home, a call that
 * waits for answers asks nothing more meanwhile, and may never be taken up again: it does not stand in the way of others.
 */
function askingOf({ calls }: Room): OpenCall[] {
  const asking: OpenCall[] = []
  let resting = 0
  for (const open of calls.values()) {
    if (!isInteractive(open.first.method)) continue
    asking.push(open)
    if (open.parking?.parked) resting++
  }
  const home = asking[0]?.call.client.home
  if (home === undefined || resting === 0 || resting === asking.length) return asking
  return asking.every(({ call }) => call.client.home === home) ? asking.filter(({ parking }) => !parking?.parked) : asking
}

/** The ear of one client. */
export function earOf(room: Room, clientId: string): Owner {
  for (const watcher of room.watchers) if (watcher.ask && watcher.client.id === clientId) return { kind: 'watcher', watcher }
  return { kind: 'nobody', reason: 'its client cannot be asked outside a call that may ask' }
}

function onlyEar(room: Room): Owner {
  let only: Watcher | undefined
  for (const watcher of room.watchers) {
    if (!watcher.ask) continue
    only ??= watcher
    if (only.client.id !== watcher.client.id) return { kind: 'nobody', reason: 'no call is open and several clients listen' }
  }
  return only ? { kind: 'watcher', watcher: only } : { kind: 'nobody', reason: 'no call is open and no client listens' }
}

/**
 * Who may read a log message: the one call it belongs to, or every listener that `may` allows. While calls of one
 * client or principal are open, what the server logs may be theirs and goes to nobody else.
 */
export function readersOf(
  room: Room,
  relatedTo: RequestId | undefined,
  task: TaskOwner | undefined,
): { readonly open: OpenCall } | { readonly may: (client: ClientProfile) => boolean } {
  const named = relatedTo === undefined ? undefined : room.calls.get(relatedTo)
  if (named) return { open: named }
  if (task) return task.open ? { open: task.open } : { may: client => client.id === task.clientId }
  const [only] = room.calls.size === 1 ? room.calls.values() : []
  if (only) return { open: only }
  const clients = new Set<string>()
  const principals = new Set<string>()
  for (const open of room.calls.values()) {
    if (open.first.method.endsWith('/list')) continue
    clients.add(open.call.client.id)
    principals.add(open.call.client.principal)
  }
  if (clients.size === 0) return { may: () => true }
  if (clients.size === 1) return { may: client => clients.has(client.id) }
  return { may: client => principals.size === 1 && principals.has(client.principal) }
}
