/**
 * What was odd in the offers, in words for people: gathered per kind and backend, so that a server with thousands of odd
 * items costs one line. The texts quote servers and stand in logs and terminals, hence bounded and printable.
 */
export const problemCodes = [
  /** Two items want one public name; neither is offered. */
  'NAME_COLLISION',
  /** An own name was illegal or too long and stands shortened, with a hash. */
  'NAME_CHANGED',
  /** A backend lists one name twice; the first counts. */
  'NAME_DUPLICATE',
  /** An item that is not an object with a name or URI; left out. */
  'ITEM_INVALID',
  /** A URI that a backend earlier in the config offers too; namespaced. */
  'URI_CLASH',
  /** A rule of the config names something the backend does not offer. */
  'RULE_UNMATCHED',
] as const

export type ProblemCode = (typeof problemCodes)[number]

export interface Problem {
  readonly code: ProblemCode
  /** `notice`: everything is reachable, though perhaps under another name. */
  readonly severity: 'warning' | 'notice'
  readonly message: string
  /** Aliases concerned, in config order. */
  readonly aliases: readonly string[]
}

const shown = 3
const maxCollisions = 100

/** A text of a server in quotes: printable, at most 80 characters. */
export function quote(text: string): string {
  const printable = text.slice(0, 81).replace(/\p{C}/gu, '?')
  return `"${printable.length > 80 ? `${printable.slice(0, 79)}…` : printable}"`
}

interface Tally {
  readonly code: ProblemCode
  readonly alias: string
  readonly text: string
  readonly details: string[]
  count: number
}

export class Problems {
  private readonly tallies = new Map<string, Tally>()
  private readonly collisions: Problem[] = []
  private uncounted = 0

  /** `text` says what is wrong with all of them, `detail` which one it is. */
  add(code: ProblemCode, alias: string, text: string, detail: string): void {
    const key = `${code} ${alias} ${text}`
    let tally = this.tallies.get(key)
    if (!tally) this.tallies.set(key, (tally = { code, alias, text, details: [], count: 0 }))
    tally.count++
    if (tally.details.length < shown) tally.details.push(detail)
  }

  collision(what: string, name: string, origins: readonly { readonly alias: string; readonly own: string }[]): void {
    if (this.collisions.length >= maxCollisions) return void this.uncounted++
    const named = origins.slice(0, 10).map(({ alias, own }) => `${alias} (${quote(own)})`)
    if (origins.length > 10) named.push(`${origins.length - 10} more`)
    const remedy = 'none of them is offered under it; rename or exclude one'
    this.collisions.push({
      code: 'NAME_COLLISION',
      severity: 'warning',
      message: `${what} ${quote(name)} is wanted by ${named.join(' and ')}: ${remedy}`,
      aliases: [...new Set(origins.map(({ alias }) => alias))],
    })
  }

  list(): Problem[] {
    const list = [...this.collisions]
    if (this.uncounted > 0)
      list.push({ code: 'NAME_COLLISION', severity: 'warning', message: `${this.uncounted} more names collide`, aliases: [] })
    for (const { code, alias, text, details, count } of this.tallies.values()) {
      const more = count > details.length ? ` and ${count - details.length} more` : ''
      const severity = code === 'NAME_CHANGED' || code === 'URI_CLASH' ? 'notice' : 'warning'
      list.push({ code, severity, message: `${alias}: ${text}: ${details.join(', ')}${more}`, aliases: [alias] })
    }
    return list
  }
}
