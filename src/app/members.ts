/** From a configured backend to a member of the gateway: its stored catalogue, its verdicts, its ways to be reached. */
import type { BackendConfig } from '../config/config.ts'
import type { Member } from '../gateway/contract.ts'
import { matchesGlob } from '../gateway/filters.ts'
import { createMember } from '../gateway/member.ts'
import type { SpawnSlots } from '../gateway/spawn-slots.ts'
import { disabledMember, heldMember } from '../gateway/stand-in.ts'
import type { SurfaceMember } from '../gateway/surface.ts'
import { abilitiesOf } from '../eras/era.ts'
import type { CatalogueStore } from './catalogue-store.ts'
import { instanceSpecs, type DialContext } from './dial.ts'
import { verdictsOn } from './verdicts.ts'

export interface MemberContext {
  readonly dialing: Omit<DialContext, 'verdicts' | 'wasUp'>
  readonly slots: SpawnSlots
  /** undefined = nothing is kept. */
  readonly store: CatalogueStore | undefined
  /** A stored offer older than this is confirmed in the background, milliseconds. */
  readonly maxAge: number
}

export function memberOf(backend: BackendConfig, { dialing, slots, store, maxAge }: MemberContext): Member {
  const { alias, transport, problems, endpoints } = backend
  if (!backend.enabled) return disabledMember(alias, transport)
  const [problem] = problems
  if (problem)
    return heldMember(alias, transport, {
      stage: 'resolve',
      message: dialing.redact(`${problem.message} (${problem.file}:${problem.line}:${problem.column})`),
      hint: problem.hint && dialing.redact(problem.hint),
      at: new Date().toISOString(),
    })
  // Credentials come from the config alone, so every principal is offered the same.
  const shelf = store?.shelf({ endpoints, scope: 'all' })
  let wasUp = false
  const member = createMember({
    alias,
    policy: backend,
    specs: instanceSpecs(backend, { ...dialing, verdicts: verdictsOn(shelf), wasUp: () => wasUp }),
    slots,
    stored: shelf,
    maxAge,
    abilities: client => abilitiesOf(client, backend.roots !== undefined),
    idempotent: (method, name) =>
      method === 'tools/call' && name !== undefined && backend.idempotent.some(glob => matchesGlob(glob, name)),
    log: dialing.log.child({ backend: alias }),
  })
  wasUp = member.offer !== undefined
  member.onOffer(() => (wasUp = true))
  return member
}

/** The member's place in the gateway, with the rules for what of it is shown. */
export const seatFor = ({ alias, tools, prompts, resources }: BackendConfig, member: Member): SurfaceMember => ({
  alias, member, rules: { tools, prompts, resources },
})
