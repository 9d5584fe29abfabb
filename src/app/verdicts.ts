/** Which protocol each configured endpoint turned out to speak, while this process lives and, through the catalogue, after it. */
import type { Verdict } from '../eras/era.ts'

export interface Verdicts {
  get(key: string): Verdict | undefined
  set(key: string, verdict: Verdict): void
}

export function memoryVerdicts(): Verdicts {
  const known = new Map<string, Verdict>()
  return { get: key => known.get(key), set: (key, verdict) => void known.set(key, verdict) }
}
