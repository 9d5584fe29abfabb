/**
 * Finds a tool or prompt by its public name, starting as few servers as it takes, and says what an unknown one may have meant.
 */
import type { House } from '../app/build.ts'
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import type { Catalog } from './house.ts'
import { nearest } from './nearest.ts'

type Kind = 'tool' | 'prompt'

/**
 * The item as its server sent it; undefined when a server that may have it has not told, which the call itself then explains
 * better. Throws UNKNOWN_NAME when everybody has told and nobody has it.
 */
export async function findItem(house: House, kind: Kind, name: string): Promise<JsonObject | undefined> {
  const { gateway } = house
  const look = (catalog: Catalog): JsonObject | undefined => catalog[kind](name)?.item
  const known = look(gateway.known)
  if (known) return known
  // A prefix usually names the server: the others need not start for this call.
  const likely = gateway.members.filter(member => name.toLowerCase().startsWith(member.name.toLowerCase()))
  await Promise.all(likely.map(member => member.offered()))
  const found = look(gateway.known) ?? look(await gateway.catalog())
  if (found || gateway.members.some(member => !member.offer)) return found
  throw unknownName(house, kind, name)
}

export function unknownName({ gateway }: House, kind: Kind, name: string): McpError {
  const close = nearest(
    name,
    gateway.known[`${kind}s`].map(item => String(item['name'])),
  )
  const hint = close.length > 0 ? `did you mean ${close.join(' or ')}?` : `mcp-proxy list ${kind}s shows all names`
  return new McpError('UNKNOWN_NAME', `no ${kind} is called ${name}`, { hint })
}
