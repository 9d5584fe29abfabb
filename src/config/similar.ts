/** The key somebody probably meant. */

/** Edit distance with swapped neighbours as one edit (optimal string alignment), or `limit + 1` when it is larger. */
export function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const line = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let best = Math.min(
        (above[column] as number) + 1,
        (line[column - 1] as number) + 1,
        (above[column - 1] as number) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        best = Math.min(best, (before[column - 2] as number) + 1)
      line.push(best)
    }
    ;[before, above] = [above, line]
  }
  return Math.min(above[b.length] as number, limit + 1)
}

const fold = (key: string): string => key.toLowerCase().replace(/[-_]/g, '')

/** The nearest of `known` within two edits (one for words so short that two would be another word), case aside. */
export function similar(key: string, known: Iterable<string>): string | undefined {
  const limit = key.length <= 3 ? 1 : 2
  let best: string | undefined
  let least = limit + 1
  for (const candidate of known) {
    const edits = fold(key) === fold(candidate) ? 0 : distance(key, candidate, limit)
    if (edits < least) [best, least] = [candidate, edits]
  }
  return best
}
