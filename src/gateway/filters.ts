/**
 * Include and exclude globs over names and URIs. `*` stands for any run of characters, `?` for one; nothing else is
 * special. No regular expression is built, so a name a server chose cannot make matching slow.
 */
export interface FilterRules {
  /** Left out: everything is included. An empty list includes nothing. */
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
}

export interface Filter {
  includes(text: string): boolean
  /** Exclusion wins over inclusion. */
  excludes(text: string): boolean
  passes(text: string): boolean
}

/** Takes at most |text| × |longest piece between stars| steps: after a star only the last one is ever tried again. */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    const sign = pattern.charCodeAt(p)
    if (sign === asterisk) {
      star = p++
      resume = t
    } else if (sign === question || sign === text.charCodeAt(t)) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (pattern.charCodeAt(p) === asterisk) p++
  return p === pattern.length
}

const asterisk = 0x2a
const question = 0x3f

/** The filter of one backend's rules; undefined where everything passes. */
export function compileFilter(rules: FilterRules | undefined): Filter | undefined {
  const { include, exclude = [] } = rules ?? {}
  if ((include === undefined || include.includes('*')) && exclude.length === 0) return undefined
  const includes = (text: string) => include === undefined || include.some(pattern => matchesGlob(pattern, text))
  const excludes = (text: string) => exclude.some(pattern => matchesGlob(pattern, text))
  return { includes, excludes, passes: text => includes(text) && !excludes(text) }
}
