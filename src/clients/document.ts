/**
 * A client's config file as text that we change in one spot. Every change is checked by reading the new text back: what it
 * says must be what it said before, plus the change, or nothing is written. Knows no client and no disk.
 */
import { isDeepStrictEqual } from 'node:util'
import { pathText, type Path, type ProblemCode } from '../config/problems.ts'
import { isRaw, type Raw } from '../config/spellings.ts'
import { McpError } from '../gateway/errors.ts'
import type { Format } from './client.ts'

/** `value: undefined` removes. All steps of a path are keys of objects. */
export interface Change {
  readonly at: Path
  readonly value?: unknown
}

/** One notation of config files, over text without a byte order mark. */
export interface Notated {
  /** Whether null stands for a map with nothing in it. */
  readonly nullIsEmpty: boolean
  /** What the text says; an empty text says nothing. Throws a TextFault. */
  read(text: string): unknown
  /** The text with one change, as little of it touched as can be. */
  change(text: string, change: Change): string
}

/** What is wrong with a text, and where: an offset in UTF-16 units. */
export class TextFault extends Error {
  readonly code: ProblemCode
  readonly offset: number
  constructor(code: ProblemCode, message: string, offset: number) {
    super(message)
    this.code = code
    this.offset = offset
  }
}

const mark = '\ufeff'

async function notated(format: Format): Promise<Notated> {
  if (format === 'toml') return (await import('./toml-text.ts')).tomlText
  if (format === 'yaml') return (await import('./yaml-text.ts')).yamlText
  return (await import('./json-text.ts')).jsonText
}

/** What the bytes say; undefined bytes are a file that is not there. Throws CLIENT_CONFIG_INVALID with the position. */
export async function readDocument(bytes: Buffer | undefined, format: Format, file: string): Promise<Raw> {
  const { value } = await read(await notated(format), bytes, file)
  return value
}

/** The bytes with the changes. Throws CLIENT_CONFIG_INVALID when they cannot be made safely. */
export async function changeDocument(
  bytes: Buffer | undefined,
  format: Format,
  file: string,
  changes: readonly Change[],
): Promise<Buffer> {
  const how = await notated(format)
  const { text, value, marked } = await read(how, bytes, file)
  let changed = text
  for (const change of changes) {
    checkWay(text, value, change.at, file, how)
    changed = how.change(changed, change)
  }
  const expected = changes.reduce<unknown>(applied, value)
  let said: unknown
  try {
    said = how.read(changed)
  } catch {
    said = undefined
  }
  if (!isDeepStrictEqual(canonical(said), canonical(expected)))
    throw new McpError('CLIENT_CONFIG_INVALID', `${file} is written in a way that cannot be changed safely`, {
      hint: 'nothing was changed; make this change by hand',
    })
  return Buffer.from((marked ? mark : '') + changed)
}

async function read(
  how: Notated,
  bytes: Buffer | undefined,
  file: string,
): Promise<{ text: string; value: Raw; marked: boolean }> {
  let text = ''
  try {
    text = decoded(bytes ?? Buffer.alloc(0))
    const marked = text.startsWith(mark)
    if (marked) text = text.slice(1)
    const value = how.read(text)
    if (value === undefined || value === null) return { text, value: {}, marked }
    if (!isRaw(value)) throw new TextFault('WRONG_TYPE', 'expected an object at the top', 0)
    return { text, value, marked }
  } catch (error) {
    if (error instanceof TextFault) throw invalid(file, text, error)
    throw error
  }
}

function decoded(bytes: Buffer): string {
  const [first, second] = bytes
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new TextFault('ENCODING', 'the file is UTF-16', 0)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new TextFault('ENCODING', 'the file is not UTF-8', 0)
  }
}

/** Every step on the way is an object, or not there yet. */
function checkWay(text: string, value: Raw, at: Path, file: string, how: Notated): void {
  let node: unknown = value
  for (const [index, step] of at.slice(0, -1).entries()) {
    if (!isRaw(node) || !Object.hasOwn(node, step)) return
    node = node[step]
    if (isRaw(node) || (node === null && how.nullIsEmpty)) continue
    throw invalid(file, text, new TextFault('WRONG_TYPE', `${pathText(at.slice(0, index + 1))}: expected an object`, 0))
  }
}

function invalid(file: string, text: string, { code, message, offset }: TextFault): McpError {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  const column = offset - (before.lastIndexOf('\n') + 1) + 1
  return new McpError('CLIENT_CONFIG_INVALID', `${file}: ${message}`, {
    hint: 'nothing was changed; mend the file first',
    problems: [{ severity: 'error', code, message, file, line, column, path: '' }],
  })
}

/** A copy with the change; everything beside its path is shared. */
function applied(value: unknown, { at, value: put }: Change): unknown {
  const [step, ...rest] = at
  if (step === undefined) return put
  const { [step]: inner, ...others } = isRaw(value) ? value : {}
  if (put === undefined && inner === undefined) return value
  const changed = applied(inner, { at: rest, value: put })
  return changed === undefined ? others : { ...others, [step]: changed }
}

/** Comparable: without empty maps, which not every notation can say, and with dates and large numbers as text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value === 'bigint' || value instanceof Date) return `${typeof value} ${String(value)}`
  if (!isRaw(value)) return value
  const kept = Object.entries(value).map(([key, item]) => [key, canonical(item)] as const)
  return Object.fromEntries(kept.filter(([, item]) => item !== undefined && !(isRaw(item) && Object.keys(item).length === 0)))
}

/** The line ending most lines of the text have. */
export const eolOf = (text: string): string =>
  (text.match(/\r\n/g)?.length ?? 0) * 2 > (text.match(/\n/g)?.length ?? 0) ? '\r\n' : '\n'
