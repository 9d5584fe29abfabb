/**
 * YAML, changed in place: entries of block maps are cut out and put in as lines, so that nothing else is laid out anew. Where
 * that is not possible (flow maps, anchors in the way) the library prints the whole document, comments kept.
 */
import { isMap, isScalar, parseDocument, stringify, type Document, type Pair, type YAMLMap } from 'yaml'
import type { Path } from '../config/problems.ts'
import { unquoted } from '../config/yaml.ts'
import { eolOf, TextFault, type Change, type Notated } from './document.ts'

export const yamlText: Notated = {
  nullIsEmpty: true,
  read: valueOf,
  change(text, change) {
    const document = documentOf(text)
    const spliced = change.value === undefined ? cut(text, document, change.at) : put(text, document, change)
    if (spliced !== undefined && reads(spliced)) return spliced
    if (change.value === undefined) document.deleteIn(change.at)
    else document.setIn(change.at, change.value)
    return document.toString({ lineWidth: 0 }).replaceAll('\n', eolOf(text))
  },
}

function valueOf(text: string): unknown {
  const document = documentOf(text)
  try {
    return (document.toJS({ maxAliasCount: 100 }) as unknown) ?? undefined
  } catch {
    // The library says it with the name, and what begins with a star may be a secret.
    throw new TextFault('SYNTAX', 'no valid YAML: an alias has no anchor before it, or there are too many of them', 0)
  }
}

function documentOf(text: string): Document {
  const document = parseDocument(text, { strict: true, uniqueKeys: true, merge: true })
  const [error] = document.errors
  if (error)
    throw new TextFault(
      'SYNTAX',
      `no valid YAML: ${unquoted(error.message).replace(/ at line .*$/, '')}`,
      error.pos[0],
    )
  return document
}

function reads(text: string): boolean {
  try {
    documentOf(text)
    return true
  } catch {
    return false
  }
}

const pairOf = (map: YAMLMap, key: unknown): Pair | undefined =>
  map.items.find(({ key: node }) => (isScalar(node) ? node.value : node) === key)

/** The block map at a path and the pairs on the way; undefined when one of them is written in another way. */
function blockAt(document: Document, at: Path): YAMLMap | undefined {
  let node: unknown = document.contents
  for (const step of at) {
    if (!isMap(node) || node.flow) return undefined
    node = pairOf(node, step)?.value
  }
  return isMap(node) && !node.flow && !node.anchor && node.items.length > 0 ? node : undefined
}

const lineStart = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1

function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset)
  return end < 0 ? text.length : end + 1
}

const startOf = ({ key }: Pair): number | undefined => (isScalar(key) ? key.range?.[0] : undefined)

/** Offset after the last line of a pair's value, comments on that line included. */
function endOf(text: string, pair: Pair): number | undefined {
  const node = pair.value ?? pair.key
  const range = (node as { range?: readonly [number, number, number] | null } | null)?.range
  if (!range) return undefined
  // A block ends at the start of a line, a scalar within one.
  const end = range[1]
  return end > 0 && text[end - 1] === '\n' ? end : lineEnd(text, end)
}

function put(text: string, document: Document, { at, value }: Change): string | undefined {
  const eol = eolOf(text)
  const lines = (key: unknown, inner: unknown, indent: string): string =>
    stringify({ [String(key)]: inner }, { lineWidth: 0 })
      .trimEnd()
      .split('\n')
      .map(line => (line === '' ? line : indent + line))
      .join(eol) + eol
  // The deepest map on the way that is there takes the rest.
  for (let depth = at.length - 1; depth >= 0; depth--) {
    const map = blockAt(document, at.slice(0, depth))
    if (!map) continue
    const old = pairOf(map, at[depth])
    const first = startOf(map.items[0] as Pair)
    if (first === undefined) return undefined
    const indent = text.slice(lineStart(text, first), first)
    if (indent.trim() !== '') return undefined
    const rest = at.slice(depth + 1).reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
    const added = lines(at[depth], rest, indent)
    // A map on the way that is written in another way is the library's business.
    if (old && depth < at.length - 1 && !(old.value === null || (isScalar(old.value) && old.value.value === null)))
      return undefined
    if (old) {
      const [start, end] = [startOf(old), endOf(text, old)]
      return start === undefined || end === undefined ? undefined : text.slice(0, start - indent.length) + added + text.slice(end)
    }
    const end = endOf(text, map.items.at(-1) as Pair)
    if (end === undefined) return undefined
    const gap = end > 0 && text[end - 1] !== '\n' ? eol : ''
    return text.slice(0, end) + gap + added + text.slice(end)
  }
  if (document.contents !== null) return undefined
  // Nothing but comments, if anything.
  const rest = at.slice(1).reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
  return text + (text === '' || text.endsWith('\n') ? '' : eol) + lines(at[0], rest, '')
}

function cut(text: string, document: Document, at: Path): string | undefined {
  const map = blockAt(document, at.slice(0, -1))
  const pair = map && pairOf(map, at.at(-1))
  if (!map || !pair) return document.hasIn(at) ? undefined : text
  // The last entry leaves an empty map, which only flow notation can say.
  if (map.items.length === 1) return undefined
  const [start, end] = [startOf(pair), endOf(text, pair)]
  if (start === undefined || end === undefined) return undefined
  const from = lineStart(text, start)
  return text.slice(from, start).trim() === '' ? text.slice(0, from) + text.slice(end) : undefined
}
