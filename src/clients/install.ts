/** Our entry in a client's file: putting it there, taking it out, and whether it is still what we would write. */
import { isDeepStrictEqual } from 'node:util'
import { isRaw, type Raw } from '../config/spellings.ts'
import { McpError } from '../gateway/errors.ts'
import type { Client, Place, Scope, Surroundings } from './client.ts'
import { look, type Snapshot } from './disk.ts'
import { changeDocument, readDocument, type Change } from './document.ts'
import type { FileChange } from './journal.ts'
import { isOurs } from './launch.ts'
import { scopesOf, writtenPlace } from './list.ts'
import type { Edit } from './operation.ts'
import { containerOf, rootOf, serversAt } from './survey.ts'

export const defaultName = 'hub'

export interface Target {
  readonly client: Client
  readonly scope: Scope
  readonly on: Surroundings
  /** What we have written into this client's files, from the journal. */
  readonly noted: readonly FileChange[]
}

/** Throws USAGE when the client has no such scope. */
export function placeOf({ client, scope, on }: Pick<Target, 'client' | 'scope' | 'on'>): Place {
  const place = writtenPlace(client, scope, on)
  if (place) return place
  throw new McpError('USAGE', `${client.title} has no ${scope} scope`, { hint: `it has ${scopesOf(client, on).join(', ')}` })
}

interface Opened {
  readonly place: Place
  readonly snapshot: Snapshot
  readonly at: Change['at']
  readonly servers: ReadonlyMap<string, Raw>
}

async function open(target: Target): Promise<Opened> {
  const place = placeOf(target)
  const snapshot = await look(place.file, rootOf(place, target.on))
  const document = await readDocument(snapshot.bytes, place.format, place.file)
  const at = containerOf(place, document)
  return { place, snapshot, at, servers: serversAt(document, at) }
}

/** Ours by its command line, or because the journal says so. */
export const isOursIn = (name: string, entry: Raw, file: string, noted: readonly FileChange[]): boolean =>
  isOurs(entry) ||
  noted.some(
    change =>
      change.file === file && change.name === name && change.url !== undefined && Object.values(entry).includes(change.url),
  )

export interface Installation {
  readonly edit: Edit
  readonly place: Place
  /** An entry of ours stood there already. */
  readonly replaces: boolean
  /** Servers that are taken out because they are reached through us now. */
  readonly removed: readonly string[]
}

/**
 * Plans our entry. Throws USAGE for a name this client cannot have, or that belongs to another server; CLIENT_CONFIG_INVALID
 * for a file that cannot be read. `take` chooses servers to be taken out of the client.
 */
export async function planInstall(
  target: Target,
  { name, entry, url, take }: { name: string; entry: Raw; url?: string | undefined; take: (name: string, entry: Raw) => boolean },
): Promise<Installation> {
  const { client, scope, noted } = target
  const refusal = client.refuseName?.(name)
  if (refusal !== undefined) throw new McpError('USAGE', refusal, { hint: 'choose another with --name' })
  const { place, snapshot, at, servers } = await open(target)
  const old = servers.get(name)
  if (old && !isOursIn(name, old, place.file, noted))
    throw new McpError('USAGE', `${client.title} has another server called ${name} in ${place.file}`, {
      hint: 'choose another name with --name',
    })
  // Under an older name it would be there twice.
  const stale = [...servers]
    .filter(([other, found]) => other !== name && isOursIn(other, found, place.file, noted))
    .map(([other]) => other)
  const removed = [...servers]
    .filter(([other, found]) => other !== name && !stale.includes(other) && take(other, found))
    .map(([other]) => other)
  const gone = [...stale, ...removed].map((other): Change => ({ at: [...at, other] }))
  const changes = isDeepStrictEqual(plain(old), plain(entry)) ? gone : [{ at: [...at, name], value: entry }, ...gone]
  const after =
    changes.length === 0 && snapshot.bytes
      ? snapshot.bytes
      : await changeDocument(snapshot.bytes, place.format, place.file, changes)
  return {
    edit: {
      snapshot,
      after,
      client: client.id,
      scope,
      name,
      url,
      fresh: place.scope === 'user' || place.scope === 'local' ? 0o600 : 0o644,
    },
    place,
    replaces: old !== undefined || stale.length > 0,
    removed,
  }
}

/** Plans its removal; undefined = there is no entry of ours. `name` limits it to one. */
export async function planUninstall(
  target: Target,
  name: string | undefined,
): Promise<{ edit: Edit; place: Place; names: readonly string[] } | undefined> {
  const { client, scope, noted } = target
  const { place, snapshot, at, servers } = await open(target)
  const ours = [...servers].filter(([other, entry]) => isOursIn(other, entry, place.file, noted)).map(([other]) => other)
  if (name !== undefined && servers.has(name) && !ours.includes(name))
    throw new McpError('USAGE', `${name} in ${place.file} is not ours`, { hint: 'remove it in the client itself' })
  const names = ours.filter(other => name === undefined || other === name)
  if (names.length === 0 || snapshot.bytes === undefined) return undefined
  const after = await changeDocument(
    snapshot.bytes,
    place.format,
    place.file,
    names.map(other => ({ at: [...at, other] })),
  )
  return { edit: { snapshot, after, client: client.id, scope }, place, names }
}

/** Parsers give objects of their own kinds, and numbers a type of their own. */
const plain = (value: unknown): unknown =>
  value === undefined
    ? undefined
    : (JSON.parse(JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? Number(item) : item))) as unknown)

/** How an entry of ours differs from the one we would write; empty = not at all. Keys the user added are the user's. */
export function driftOf(found: Raw, wanted: Raw): string[] {
  const [is, should] = [plain(found), plain(wanted)] as [Raw, Raw]
  return Object.entries(should).flatMap(([key, value]) => {
    if (isDeepStrictEqual(is[key], value) || (isRaw(value) && Object.keys(value).length === 0 && is[key] === undefined)) return []
    return [`${key} is ${is[key] === undefined ? 'missing' : JSON.stringify(is[key])}, not ${JSON.stringify(value)}`]
  })
}
