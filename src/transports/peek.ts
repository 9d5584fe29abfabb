/**
 * Reads the id of a JSON-RPC message that is too long to be parsed, from its first and last bytes, so that whoever
 * waits for it gets an answer. Sees top-level keys only; believes nothing it cannot place.
 */
import type { Broken } from './envelope.ts'
import { isRequestId } from './envelope.ts'

/** How much of either end is worth keeping, in bytes. */
export const headBytes = 4096
export const tailBytes = 512

const key = /\s*"((?:[^"\\]|\\.)*)"\s*:\s*/y
const scalar = /(?:"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null)\s*(?=[,}])/y
const separator = /\s*,/y
// In JSON whose outermost object ends the line, an id right before that end belongs to the outermost object: a nested
// one would be followed by a second brace, and inside a string its quotes would be escaped.
const lastKey = /,\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/

/** `head` and `tail` are the ends of one line; where the line is shorter than both together they may overlap. */
export function peek(head: Buffer, tail: Buffer): Pick<Broken, 'id' | 'part'> {
  const text = head.toString('utf8')
  let id: Broken['id']
  let part: Broken['part']
  let at = text.indexOf('{') + 1
  while (at > 0) {
    const name = match(key, text, at)
    if (!name) break
    at += name[0].length
    if (name[1] === 'method' || name[1] === 'params') part = 'request'
    if (name[1] === 'result' || name[1] === 'error') part = 'answer'
    const plain = match(scalar, text, at)
    if (name[1] === 'id' && plain) id = readId(plain[0])
    at = plain ? at + plain[0].length : endOfNested(text, at)
    const comma = match(separator, text, at)
    if (!comma) break
    at += comma[0].length
  }
  if (id === undefined) {
    const last = lastKey.exec(tail.toString('utf8'))
    if (last) id = readId(last[1] as string)
  }
  return { id, part }
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

function readId(json: string): Broken['id'] {
  try {
    const value: unknown = JSON.parse(json)
    return isRequestId(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Where the object or array that starts at `at` ends; the end of the text when it goes on beyond it. */
function endOfNested(text: string, at: number): number {
  let depth = 0
  let quoted = false
  for (let index = at; index < text.length; index++) {
    const char = text[index]
    if (quoted) {
      if (char === '\\') index++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth <= 0) return index + 1
  }
  return text.length
}
