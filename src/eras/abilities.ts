/**
 * What a client can be asked, as a server hears it that is told once: declared for whoever may come, or for clients that are
 * all alike. The shapes are those the middle hands on unread. Pure.
 */
import type { Ask, ClientProfile, JsonObject } from '../gateway/contract.ts'
import { canAsk, elicitation, roots, sampling } from './asks.ts'

export interface ClientAbilities {
  /** Equal keys, equal abilities. */
  readonly key: string
  /** As `ClientCapabilities`: of these features, and no others. */
  readonly declared: JsonObject
}

/** What each ability is asked for by, in the order of the bits that stand for it. */
const samples: readonly Ask[] = [
  { method: elicitation, params: { mode: 'form' } },
  { method: elicitation, params: { mode: 'url' } },
  { method: sampling, params: {} },
  { method: sampling, params: { tools: [] } },
  { method: roots, params: undefined },
]
const rootsBit = 16
const allBits = 31

const known: (ClientAbilities | undefined)[] = []

/** What is declared for whoever may come. */
export const everyAbility: JsonObject = declaredBy(allBits)

/**
 * What a server that serves this client is told of less than `everyAbility`; undefined = it need not be told. `rootsKnown`: we
 * answer for the client's roots.
 */
export function abilitiesOf({ capabilities, revision }: ClientProfile, rootsKnown: boolean): ClientAbilities | undefined {
  const own = bitsOf(capabilities)
  const bits = rootsKnown ? own | rootsBit : own
  if (bits === allBits) return undefined
  // Of one that can be asked nothing every ask is refused, and what its revision wants to be told is made of that refusal.
  if (revision >= '2026' && (rootsKnown ? own & ~rootsBit : own) === 0) return undefined
  return (known[bits] ??= { key: `can ${bits}`, declared: declaredBy(bits) })
}

/** What a client can be asked, as `ClientCapabilities` with every part named. */
export const askableOf = ({ capabilities }: ClientProfile): JsonObject => declaredBy(bitsOf(capabilities))

function bitsOf(capabilities: JsonObject): number {
  let bits = 0
  for (const [index, ask] of samples.entries()) if (canAsk(capabilities, ask)) bits |= 1 << index
  return bits
}

function declaredBy(bits: number): JsonObject {
  const has = (index: number): boolean => (bits & (1 << index)) !== 0
  return {
    ...(has(4) ? { roots: { listChanged: true } } : {}),
    ...(has(2) ? { sampling: { context: {}, ...(has(3) ? { tools: {} } : {}) } } : {}),
    ...(has(0) || has(1) ? { elicitation: { ...(has(0) ? { form: {} } : {}), ...(has(1) ? { url: {} } : {}) } } : {}),
  }
}
