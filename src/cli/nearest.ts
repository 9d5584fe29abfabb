/** Which known names a mistyped one may have meant. Pure. */
import { distance } from '../config/similar.ts'

/** At most three, the likeliest first: the same name without its prefix or in other letters, else a few letters off. */
export function nearest(name: string, known: readonly string[]): string[] {
  const plain = name.toLowerCase()
  const inside = known.filter(one => one.toLowerCase() === plain || one.toLowerCase().endsWith(`_${plain}`))
  if (inside.length > 0) return inside.slice(0, 3)
  const limit = Math.max(2, Math.floor(plain.length / 4))
  return known
    .map(one => ({
      one,
      edits: Math.min(...[one, afterPrefix(one)].map(spelling => distance(plain, spelling.toLowerCase(), limit))),
    }))
    .filter(({ edits }) => edits <= limit)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, 3)
    .map(({ one }) => one)
}

const afterPrefix = (name: string): string => name.slice(name.indexOf('__') < 0 ? 0 : name.indexOf('__') + 2)
