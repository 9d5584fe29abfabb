/** What the clients of this machine are configured with. Reads their files; a file that cannot be read is told, never touched. */
import type { Path } from '../config/problems.ts'
import { isRaw, type Raw } from '../config/spellings.ts'
import { McpError, toMcpError } from '../gateway/errors.ts'
import type { Client, Place, Surroundings } from './client.ts'
import { look, type Snapshot } from './disk.ts'
import { readDocument } from './document.ts'
import { isInstalled } from './list.ts'

export interface PlaceState {
  readonly place: Place
  /** Keys that lead to the servers in this very file. */
  readonly at: Path
  readonly exists: boolean
  /** Why it could not be read. */
  readonly problem: McpError | undefined
  /** By name; entries that are no objects are left out. */
  readonly servers: ReadonlyMap<string, Raw>
}

export interface ClientState {
  readonly client: Client
  readonly isInstalled: boolean
  readonly places: readonly PlaceState[]
}

/** The folder a place's file belongs to, and may be linked within. */
export const rootOf = ({ scope }: Place, on: Surroundings): string =>
  scope === 'project' || scope === 'workspace' ? on.cwd : on.home

export async function survey(client: Client, on: Surroundings): Promise<ClientState> {
  const places: PlaceState[] = []
  const seen = new Set<string>()
  for (const place of client.places(on)) {
    // In the home folder, a project's file is the user's.
    const key = JSON.stringify([place.file, place.at])
    if (seen.has(key)) continue
    seen.add(key)
    places.push(...(await surveyPlace(place, on)))
  }
  return { client, isInstalled: isInstalled(client, on), places }
}

async function surveyPlace(place: Place, on: Surroundings): Promise<PlaceState[]> {
  let snapshot: Snapshot | undefined
  try {
    snapshot = await look(place.file, rootOf(place, on))
    const document = await readDocument(snapshot.bytes, place.format, place.file)
    const exists = snapshot.bytes !== undefined
    return [place, ...(place.others?.(document) ?? [])].map(one => {
      const at = containerOf(one, document)
      return { place: one, at, exists, problem: undefined, servers: serversAt(document, at) }
    })
  } catch (error) {
    return [{ place, at: place.at, exists: true, problem: toMcpError(error), servers: new Map() }]
  }
}

const valueAt = (document: unknown, at: Path): unknown =>
  at.reduce<unknown>((node, step) => (isRaw(node) ? node[step] : undefined), document)

/** Keys that lead to the servers of a document. */
export const containerOf = ({ at, instead }: Place, document: unknown): Path =>
  instead && isRaw(valueAt(document, instead)) ? instead : at

export function serversAt(document: unknown, at: Path): Map<string, Raw> {
  const container = valueAt(document, at)
  const entries = isRaw(container) ? Object.entries(container) : []
  return new Map(entries.filter((entry): entry is [string, Raw] => isRaw(entry[1])))
}
