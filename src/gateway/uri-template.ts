/**
 * Says whether a URI can be an expansion of an RFC 6570 template, levels 1 to 4. Tolerant, since the backend is the
 * judge and this only finds it. Templates are text from servers: no regular expression is built of them, and the time
 * is at most |uri| × expressions.
 */
export interface UriTemplate {
  /** Characters that stand for themselves: of two templates that match, the one with more says more. */
  readonly literal: number
  matches(uri: string): boolean
}

interface Expression {
  /** What a non-empty expansion begins with; -1 = nothing in particular. */
  readonly first: number
  /** Characters that end an expansion. */
  readonly stops: string
}

interface Literal {
  readonly text: string
  /** Knuth-Morris-Pratt: how much of `text` still matches after a mismatch at each place. */
  readonly borders: Uint16Array
}

const maxTemplate = 2048
const maxUri = 4096
const maxExpressions = 10

const operators: Readonly<Record<string, { first: string; stops: string }>> = {
  '': { first: '', stops: '/?#' },
  '+': { first: '', stops: '' },
  '#': { first: '#', stops: '' },
  '.': { first: '.', stops: '/?#' },
  '/': { first: '/', stops: '?#' },
  ';': { first: ';', stops: '/?#' },
  '?': { first: '?', stops: '#' },
  '&': { first: '&', stops: '#' },
}

/** Undefined when it is not a template we can read, or larger than 2,048 characters or 10 expressions. */
export function compileUriTemplate(template: string): UriTemplate | undefined {
  if (template.length > maxTemplate) return undefined
  const texts: string[] = []
  const expressions: Expression[] = []
  let at = 0
  for (;;) {
    const open = template.indexOf('{', at)
    texts.push(open < 0 ? template.slice(at) : template.slice(at, open))
    if (open < 0) break
    const close = template.indexOf('}', open)
    const expression = close < 0 ? undefined : parseExpression(template.slice(open + 1, close))
    if (!expression || expressions.length === maxExpressions) return undefined
    expressions.push(expression)
    at = close + 1
  }
  if (texts.some(text => text.includes('}'))) return undefined
  const prefix = texts[0] ?? ''
  const suffix = texts.at(-1) ?? ''
  const literals = texts.slice(1).map(compileLiteral)
  return {
    literal: texts.reduce((sum, text) => sum + text.length, 0),
    matches(uri) {
      if (!uri.startsWith(prefix) || !uri.endsWith(suffix)) return false
      if (expressions.length === 0) return uri.length === prefix.length
      if (uri.length > maxUri || uri.length < prefix.length + suffix.length) return false
      // ends[i] = 1: what has been looked at of the template can end before the character i.
      let ends = new Uint8Array(uri.length + 1)
      ends[prefix.length] = 1
      expressions.forEach((expression, i) => {
        ends = afterLiteral(literals[i] as Literal, uri, afterExpression(expression, uri, ends))
      })
      return ends[uri.length] === 1
    },
  }
}

function parseExpression(text: string): Expression | undefined {
  const sign = text.charAt(0)
  const operator = /[A-Za-z0-9_%]/.test(sign) ? '' : sign
  const names = text.slice(operator.length)
  if (!Object.hasOwn(operators, operator) || names === '' || names.includes('{')) return undefined
  const { first, stops } = operators[operator] as { first: string; stops: string }
  // Several server frameworks read `{path*}` as "and what follows, slashes included".
  const wide = operator === '' && names.includes('*')
  return { first: first === '' ? -1 : first.charCodeAt(0), stops: wide ? '' : stops }
}

function afterExpression({ first, stops }: Expression, uri: string, starts: Uint8Array): Uint8Array<ArrayBuffer> {
  const ends = new Uint8Array(uri.length + 1)
  let within = false
  for (let i = 0; i <= uri.length; i++) {
    // An undefined variable expands to nothing.
    const begins = starts[i] === 1
    if (within || begins) ends[i] = 1
    if (i === uri.length) break
    const goesOn = !stops.includes(uri.charAt(i))
    within = (within && goesOn) || (begins && (first < 0 ? goesOn : uri.charCodeAt(i) === first))
  }
  return ends
}

function afterLiteral({ text, borders }: Literal, uri: string, starts: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (text === '') return starts
  const ends = new Uint8Array(uri.length + 1)
  let matched = 0
  for (let i = 0; i < uri.length; i++) {
    const code = uri.charCodeAt(i)
    while (matched > 0 && text.charCodeAt(matched) !== code) matched = borders[matched - 1] as number
    if (text.charCodeAt(matched) === code) matched++
    if (matched < text.length) continue
    if (starts[i + 1 - text.length] === 1) ends[i + 1] = 1
    matched = borders[matched - 1] as number
  }
  return ends
}

function compileLiteral(text: string): Literal {
  const borders = new Uint16Array(text.length)
  for (let i = 1, matched = 0; i < text.length; i++) {
    while (matched > 0 && text.charCodeAt(matched) !== text.charCodeAt(i)) matched = borders[matched - 1] as number
    if (text.charCodeAt(matched) === text.charCodeAt(i)) matched++
    borders[i] = matched
  }
  return { text, borders }
}
