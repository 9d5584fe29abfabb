/** Starts or contacts every server of a house, a few at a time, and says how each went. On a terminal it shows how far it is. */
import { tokensOf } from '../app/known.ts'
import type { BackendStatus, Member } from '../gateway/contract.ts'
import type { Context } from './command.ts'
import { withHouse } from './house.ts'
import { fit } from './table.ts'

export interface Contacted extends BackendStatus {
  /** Milliseconds until it had told what it offers, or had failed. */
  readonly ms: number
  /** Estimated: characters of its list of tools as JSON, divided by four. */
  readonly tokens: number
}

/** More at once would slow each other down until they seem broken. */
const atOnce = 8

export const contact = async (context: Context): Promise<readonly Contacted[]> => {
  let contacted: readonly Contacted[] = []
  await withHouse(context, async ({ house }) => {
    contacted = await contactAll(house.gateway.members, context)
    return 0
  })
  return contacted
}

export async function contactAll(members: readonly Member[], context: Context): Promise<readonly Contacted[]> {
  const found = new Map<Member, Contacted>()
  const queue = [...members]
  const busy = new Set<string>()
  const show = progressOn(context)
  const work = async (): Promise<void> => {
    for (let member = queue.shift(); member; member = queue.shift()) {
      busy.add(member.name)
      show?.(found.size, members.length, busy)
      const started = performance.now()
      const offer = await member.offered(true)
      const ms = Math.round(performance.now() - started)
      found.set(member, { ...member.status(), ms, tokens: offer ? tokensOf(offer.tools) : 0 })
      busy.delete(member.name)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, members.length) }, work))
  } finally {
    show?.(members.length, members.length, busy)
  }
  return members.flatMap(member => found.get(member) ?? [])
}

type Show = (done: number, of: number, busy: ReadonlySet<string>) => void

/** One line that is written over and gone at the end; undefined where nobody watches. */
function progressOn({ io: { stderr }, globals }: Context): Show | undefined {
  if (stderr.isTTY !== true || globals.quiet || globals.json) return undefined
  return (done, of, busy) => {
    const line = done === of ? '' : fit(`contacting ${done}/${of}: ${[...busy].join(', ')}`, (stderr.columns ?? 80) - 1)
    stderr.write(`\r\x1b[2K${line}`)
  }
}
