/**
 * Keeps a flood out of the log: so many lines in so long, then only how many were left out. Owns no meaning.
 */

export const sparseDefaults = { lines: 20, perMs: 10_000 } as const

/** Calls `say` for at most `lines` texts in `perMs` milliseconds; `left` counts those left out since the last one said. */
export function sparse(
  say: (text: string, left: number) => void,
  { lines, perMs }: { readonly lines: number; readonly perMs: number } = sparseDefaults,
  now: () => number = () => performance.now(),
): (text: string) => void {
  let since = -Infinity
  let said = 0
  let left = 0
  return text => {
    const at = now()
    if (at - since >= perMs) {
      since = at
      said = 0
    }
    if (said >= lines) return void left++
    said++
    const before = left
    left = 0
    say(text, before)
  }
}
