/** Which protocol each endpoint of a backend turned out to speak: for this process and, through the catalogue, the next. */
import type { Verdict } from '../eras/era.ts'
import { isObject } from '../gateway/json.ts'
import type { Shelf } from './catalogue-store.ts'

/** By the number of the endpoint in the config. */
export interface Verdicts {
  get(key: string): Verdict | undefined
  set(key: string, verdict: Verdict): void
}

/** `shelf` must have been loaded before the first question; what is set later goes to disk with the next offer. */
export function verdictsOn(shelf: Pick<Shelf, 'note'> | undefined): Verdicts {
  const known = new Map<string, Verdict>()
  const kept = (): Record<string, unknown> => {
    const found = shelf?.note?.['verdicts']
    return isObject(found) ? found : {}
  }
  return {
    get(key) {
      const verdict = known.get(key) ?? kept()[key]
      // A verdict is a hint: one that says nonsense is found out by the server's answer.
      return isObject(verdict) ? (verdict as unknown as Verdict) : undefined
    },
    set(key, verdict) {
      known.set(key, verdict)
      if (shelf) shelf.note = { ...shelf.note, verdicts: { ...kept(), [key]: verdict } }
    },
  }
}
