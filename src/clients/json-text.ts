/**
 * JSON with comments, changed in place. jsonc-parser reads it; the edits are our own, because its own move the comment behind
 * a neighbour to the new entry and drop comments when an entry goes.
 */
import { createScanner, parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser'
import type { Path } from '../config/problems.ts'
import { isRaw } from '../config/spellings.ts'
import { eolOf, TextFault, type Notated } from './document.ts'

/** jsonc-parser's token kinds, which it declares as a const enum. */
const kinds = { comma: 5, lineBreak: 14, lineComment: 12, blockComment: 13, trivia: 15, end: 17 } as const

export const jsonText: Notated = {
  nullIsEmpty: false,
  read: text => (text.trim() === '' ? undefined : valueOf(treeOf(text))),
  change(text, { at, value }) {
    if (text.trim() === '')
      return value === undefined ? text : text + printed(nested(at, value), '', { eol: eolOf(text), unit: '  ' }) + eolOf(text)
    let node = treeOf(text)
    for (const [index, key] of at.entries()) {
      const property = propertyOf(node, key)
      if (!property) return value === undefined ? text : insert(text, node, String(key), nested(at.slice(index + 1), value))
      if (index === at.length - 1) return value === undefined ? remove(text, node, property) : replace(text, property, value)
      node = property.children![1] as Node
    }
    return text
  },
}

function treeOf(text: string): Node {
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: false })
  const [error] = errors
  if (error || !tree) {
    const words = error
      ? printParseErrorCode(error.error)
          .replace(/([a-z])([A-Z])/g, '$1 $2')
          .toLowerCase()
      : 'nothing to read'
    throw new TextFault('SYNTAX', `no valid JSON: ${words}`, error?.offset ?? 0)
  }
  return tree
}

/** Like JSON.parse, but a key twice is a fault: which of the two counts is the client's secret. */
function valueOf(node: Node): unknown {
  if (node.type === 'array') return (node.children ?? []).map(valueOf)
  if (node.type !== 'object') return node.value as unknown
  const value: Record<string, unknown> = {}
  for (const property of node.children ?? []) {
    const [key, item] = property.children as [Node, Node?]
    const name = String(key.value)
    if (Object.hasOwn(value, name))
      throw new TextFault('DUPLICATE_KEY', `the key ${JSON.stringify(name)} stands there twice`, key.offset)
    if (name === '__proto__') throw new TextFault('FORBIDDEN_KEY', 'the key "__proto__" is not allowed', key.offset)
    if (!item) throw new TextFault('SYNTAX', 'no valid JSON: value expected', key.offset)
    value[name] = valueOf(item)
  }
  return value
}

const propertyOf = (node: Node, key: string | number): Node | undefined =>
  node.children?.find(property => property.type === 'property' && property.children?.[0]?.value === key)

const nested = (keys: Path, value: unknown): unknown => keys.reduceRight((inner, key) => ({ [key]: inner }), value)

interface Style {
  readonly eol: string
  readonly unit: string
}

/** JSON whose later lines begin with `indent`. */
const printed = (value: unknown, indent: string, { eol, unit }: Style): string =>
  JSON.stringify(value, null, unit).replaceAll('\n', eol + indent)

/** The step of indentation of this file. */
function unitOf(text: string): string {
  const [, unit] = /^\{(?:[^\n]*\n)+?([ \t]+)"/.exec(text.trimStart()) ?? []
  return unit === undefined ? '  ' : unit.startsWith('\t') ? '\t' : unit.slice(0, 8)
}

const lineStart = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1

const indentAt = (text: string, offset: number): string => /^[ \t]*/.exec(text.slice(lineStart(text, offset), offset))![0]

const endOf = ({ offset, length }: Node): number => offset + length

/** Offset of the comma after a value, if one follows before the next value. */
function commaAfter(text: string, from: number): number | undefined {
  const scanner = createScanner(text, false)
  scanner.setPosition(from)
  for (let kind: number = scanner.scan(); kind !== kinds.end; kind = scanner.scan()) {
    if (kind === kinds.comma) return scanner.getTokenOffset()
    if (kind !== kinds.lineBreak && kind !== kinds.trivia && kind !== kinds.lineComment && kind !== kinds.blockComment)
      return undefined
  }
  return undefined
}

/** Where the line ends when only blanks and comments follow; undefined when something else does. */
function restOfLine(text: string, from: number): number | undefined {
  const [rest] = /^[ \t]*(?:\/\*(?:(?!\*\/)[^\n])*\*\/[ \t]*)*(?:\/\/[^\r\n]*)?/.exec(text.slice(from))!
  const end = from + rest.length
  return end === text.length || text[end] === '\n' || text.startsWith('\r\n', end) ? end : undefined
}

function insert(text: string, object: Node, key: string, value: unknown): string {
  if (object.type !== 'object') throw new TextFault('WRONG_TYPE', 'expected an object', object.offset)
  const style = { eol: eolOf(text), unit: unitOf(text) }
  const base = indentAt(text, object.offset)
  const last = object.children?.at(-1)
  const close = endOf(object) - 1
  if (!last) {
    const indent = base + style.unit
    const inside = text.slice(object.offset + 1, close)
    const blank = inside.trim() === ''
    const tail = blank || !/\n[ \t]*$/.test(inside) ? style.eol + base : ''
    const added = `${style.eol}${indent}${entry(key, value, indent, style)}`
    return `${text.slice(0, object.offset + 1)}${added}${blank ? '' : inside}${tail}${text.slice(close)}`
  }
  const comma = commaAfter(text, endOf(last))
  const after = comma === undefined ? endOf(last) : comma + 1
  const line = restOfLine(text, after)
  const before = `${text.slice(0, endOf(last))}${comma === undefined ? ',' : ''}`
  // Everything on one line: so is what we add.
  if (line === undefined || !text.slice(object.offset, last.offset).includes('\n')) {
    const compact = `${JSON.stringify(key)}: ${JSON.stringify(value)}`
    return `${before}${text.slice(endOf(last), after)} ${compact}${comma === undefined ? '' : ','}${text.slice(after)}`
  }
  const indent = indentAt(text, last.offset)
  const added = `${style.eol}${indent}${entry(key, value, indent, style)}${comma === undefined ? '' : ','}`
  return `${before}${text.slice(endOf(last), line)}${added}${text.slice(line)}`
}

const entry = (key: string, value: unknown, indent: string, style: Style): string =>
  `${JSON.stringify(key)}: ${printed(value, indent, style)}`

function replace(text: string, property: Node, value: unknown): string {
  const old = property.children![1] as Node
  const oneLine = !text.slice(old.offset, endOf(old)).includes('\n') && isRaw(old.value ?? {}) && (old.children?.length ?? 0) > 0
  const style = { eol: eolOf(text), unit: unitOf(text) }
  const put = oneLine ? JSON.stringify(value) : printed(value, indentAt(text, property.offset), style)
  return text.slice(0, old.offset) + put + text.slice(endOf(old))
}

function remove(text: string, object: Node, property: Node): string {
  const comma = commaAfter(text, endOf(property))
  let [from, to] = [property.offset, comma === undefined ? endOf(property) : comma + 1]
  const start = lineStart(text, from)
  const line = restOfLine(text, to)
  if (text.slice(start, from).trim() === '' && line !== undefined) {
    // Whole lines: what stands behind it on its line was about it.
    from = start
    to = text.startsWith('\r\n', line) ? line + 2 : Math.min(line + 1, text.length)
  } else if (comma !== undefined) to += /^[ \t]*/.exec(text.slice(to))![0].length
  const siblings = object.children ?? []
  const before = siblings[siblings.indexOf(property) - 1]
  // Without a successor the comma before it would be one too many for many readers.
  if (comma === undefined && before) {
    const extra = commaAfter(text, endOf(before))
    if (extra !== undefined) {
      const kept = text.slice(extra + 1, from)
      return text.slice(0, extra) + (kept.trim() === '' && !kept.includes('\n') ? '' : kept) + text.slice(to)
    }
  }
  return text.slice(0, from) + text.slice(to)
}
