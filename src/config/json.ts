/**
 * JSON with comments. A clean file goes through V8's own parser after one linear look for what that parser would hide
 * (duplicate keys) or choke others on (depth); positions, comments and syntax errors load jsonc-parser.
 */
import type { Node, ParseError } from 'jsonc-parser'
import { fault, pathText, type Finding, type Path } from './problems.ts'

/** Deeper than any config, shallow enough for every recursive walk. */
export const maxDepth = 64

/** More than any config has; what follows may take time for each. */
export const maxValues = 20_000

/** The one key that must never become a property: assigning it changes the object's prototype. */
export const forbiddenKey = '__proto__'

interface Survey {
  /** Nothing but JSON, no key twice in an object: JSON.parse says all there is to say. */
  readonly plain: boolean
  /** Offset of the bracket that goes too deep, or of the value that is one too many. */
  readonly tooDeepAt?: number
  readonly tooManyAt?: number
}

const quote = 34
const backslash = 92

/** Offset after the string that opens at `start`; the end of the text if it never closes. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = text.indexOf('"', at)
    if (at < 0) return text.length
    let escapes = 0
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return at + 1
  }
}

/** Offset after the comment that opens at `start`, or `start` itself where a slash opens none. */
function commentEnd(text: string, start: number): number {
  const second = text[start + 1]
  const [mark, length] = second === '/' ? ['\n', 1] : second === '*' ? ['*/', 2] : ['', 0]
  if (mark === '') return start
  const end = text.indexOf(mark, start + 2)
  return end < 0 ? text.length : end + length
}

export function survey(text: string): Survey {
  const open: Set<string>[] = []
  let plain = true
  let values = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote: {
        const end = stringEnd(text, at)
        let next = end
        while (text.charCodeAt(next) <= 32) next++
        const keys = open.at(-1)
        if (text[next] === ':' && keys) {
          const key = text.slice(at + 1, end - 1)
          if (keys.has(key) || key === forbiddenKey || key.includes('\\')) plain = false
          keys.add(key)
        }
        at = end - 1
        break
      }
      case 123: // {
      case 91: // [
        if (open.push(new Set()) > maxDepth) return { plain: false, tooDeepAt: at }
        if (++values > maxValues) return { plain: false, tooManyAt: at }
        break
      case 44: // ,
        if (++values > maxValues) return { plain: false, tooManyAt: at }
        break
      case 125: // }
      case 93: // ]
        open.pop()
        break
      case 47: {
        // /
        plain = false
        at = Math.max(at, commentEnd(text, at) - 1)
        break
      }
    }
  }
  return { plain }
}

export interface JsonReading {
  readonly value: unknown
  readonly findings: readonly Finding[]
}

/** Parses a text whose `survey` found it within bounds. */
export async function parseJson(text: string, { plain }: Survey): Promise<JsonReading> {
  if (plain)
    try {
      return { value: JSON.parse(text) as unknown, findings: [] }
    } catch {
      // Said again below, with a position.
    }
  const { parseTree, printParseErrorCode } = await import('jsonc-parser')
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: false })
  const findings = firstPerLine(text, errors).map(({ error, offset, length }) => {
    const message = syntaxText(printParseErrorCode(error), text.slice(offset, offset + length))
    return fault('SYNTAX', [], message, { offset })
  })
  if (!tree) return { value: undefined, findings: [emptyFile] }
  if (findings.length > 0) return { value: undefined, findings }
  return valueOf(tree)
}

const emptyFile = fault('SYNTAX', [], 'the file is empty', { hint: 'begin with {"mcpServers": {}}', offset: 0 })

/** After one mistake the rest of a line is mostly echo. */
function firstPerLine(text: string, errors: readonly ParseError[]): ParseError[] {
  const lines = new Set<number>()
  return errors
    .filter(({ offset }) => {
      const line = text.lastIndexOf('\n', offset - 1)
      return !lines.has(line) && lines.add(line)
    })
    .slice(0, 10)
}

const syntaxTexts: Readonly<Record<string, string>> = {
  InvalidSymbol: 'unknown word',
  InvalidNumberFormat: 'malformed number',
  PropertyNameExpected: 'expected a key in double quotes',
  ValueExpected: 'expected a value',
  ColonExpected: 'expected ":" after the key',
  CommaExpected: 'expected "," before this',
  CloseBraceExpected: 'expected "}"',
  CloseBracketExpected: 'expected "]"',
  EndOfFileExpected: 'expected the end of the file',
  InvalidCommentToken: 'malformed comment',
  UnexpectedEndOfComment: 'the comment never ends',
  UnexpectedEndOfString: 'the text never ends: a closing " is missing on this line',
  UnexpectedEndOfNumber: 'the number is cut off',
  InvalidUnicode: 'malformed \\u escape',
  InvalidEscapeCharacter: 'malformed escape: write \\\\ for a backslash',
  InvalidCharacter: 'control character inside a text',
}

function syntaxText(name: string, found: string): string {
  const words = syntaxTexts[name] ?? 'malformed JSON'
  if (found.startsWith("'")) return 'keys and texts stand in double quotes'
  // What stands in quotes may be a secret; a bare word is not.
  return /^[A-Za-z_]{1,20}$/.test(found) ? `${words}, found ${found}` : words
}

function valueOf(tree: Node): JsonReading {
  const findings: Finding[] = []
  const walk = (node: Node, path: Path): unknown => {
    if (node.type === 'array') return (node.children ?? []).map((child, index) => walk(child, [...path, index]))
    if (node.type !== 'object') return node.value as unknown
    const object: Record<string, unknown> = {}
    for (const { children } of node.children ?? []) {
      const [name, value] = children ?? []
      if (!name || !value) continue
      const key = String(name.value)
      const at = [...path, key]
      if (key === forbiddenKey)
        findings.push(fault('FORBIDDEN_KEY', at, `the key ${forbiddenKey} is not allowed`, { offset: name.offset }))
      else if (Object.hasOwn(object, key))
        findings.push(
          fault('DUPLICATE_KEY', at, `${pathText(at)} is there twice`, { hint: 'keep one of them', offset: name.offset }),
        )
      else object[key] = walk(value, at)
    }
    return object
  }
  return { value: walk(tree, []), findings }
}

/** Finds offsets of paths in a text that parses. What is not there is answered by the nearest thing around it. */
export async function jsonLocator(text: string): Promise<(path: Path, on: 'key' | 'value') => number> {
  const { parseTree } = await import('jsonc-parser')
  const tree = parseTree(text, [], { allowTrailingComma: true })
  return (path, on) => {
    let node = tree
    let key: Node | undefined
    for (const step of path) {
      if (node?.type === 'array') {
        const item: Node | undefined = typeof step === 'number' ? node.children?.[step] : undefined
        if (!item) break
        key = undefined
        node = item
        continue
      }
      const property: Node | undefined = node?.children?.find(
        child => child.type === 'property' && child.children?.[0]?.value === step,
      )
      if (!property?.children?.[1]) break
      ;[key, node] = property.children
    }
    return (on === 'key' ? (key ?? node) : node)?.offset ?? 0
  }
}
