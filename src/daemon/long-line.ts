/**
 * A client's long line as a message whose parameters stay the bytes they are: parsed, they may take thirty times the room, for as
 * long as a next daemon may have to be told. Finds where members stand; whether all of it is JSON is for the daemon to say.
 */
import type { Message } from '../transports/channel.ts'

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
const [openBrace, closeBrace] = [0x7b, 0x7d]
const [openBracket, closeBracket] = [0x5b, 0x5d]

/** By the parameters that stand for them. */
const texts = new WeakMap<object, Buffer>()

/** What a line says that begins with a brace; undefined = it is no object. Of its parameters only strings, numbers and the like can be read. */
export function longMessage(line: Buffer): Message | undefined {
  try {
    const { id, method, params } = members(line, true)
    const said = params instanceof Buffer ? standIn(params) : params
    return { jsonrpc: '2.0', ...(id !== undefined && { id }), ...(method !== undefined && { method }), ...(said !== undefined && { params: said }) } as Message
  } catch {
    return undefined
  }
}

/** The line of a message. What nests too deep to be written has been refused for it: without its parameters it is refused again. */
export function lineOf(message: Message): Buffer {
  const { params, ...rest } = message
  const text = params && texts.get(params)
  if (text) return Buffer.concat([Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"params":`), text, Buffer.from('}\n')])
  try {
    return Buffer.from(`${JSON.stringify(message)}\n`)
  } catch {
    return Buffer.from(`${JSON.stringify(rest)}\n`)
  }
}

function standIn(text: Buffer): object {
  const params = members(text, false)
  texts.set(params, text)
  return params
}

/** The members of an object, but for objects and arrays; `all`: those as bytes. Throws where it is no object. */
function members(text: Buffer, all: boolean): { [name: string]: unknown } {
  const found: Array<[string, unknown]> = []
  let at = blanks(text, 1)
  if (text[at] === closeBrace) return {}
  for (;;) {
    if (text[at] !== quote) throw new SyntaxError('no name')
    const nameEnd = endOfString(text, at)
    const separator = blanks(text, nameEnd)
    if (text[separator] !== colon) throw new SyntaxError('no colon')
    const from = blanks(text, separator + 1)
    const isNested = text[from] === openBrace || text[from] === openBracket
    const to = isNested ? endOfNested(text, from) : text[from] === quote ? endOfString(text, from) : endOfWord(text, from)
    if (!isNested || all) {
      const value = text.subarray(from, to)
      found.push([JSON.parse(text.toString('utf8', at, nameEnd)) as string, isNested ? value : JSON.parse(value.toString('utf8'))])
    }
    at = blanks(text, to)
    if (text[at] === closeBrace) return Object.fromEntries(found)
    if (text[at] !== comma) throw new SyntaxError('no end')
    at = blanks(text, at + 1)
  }
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a

function blanks(text: Buffer, at: number): number {
  while (isBlank(text[at])) at++
  return at
}

/** Index after the string at `start`; the length if it does not end. */
function endOfString(text: Buffer, start: number): number {
  for (let end = text.indexOf(quote, start + 1); end >= 0; end = text.indexOf(quote, end + 1)) {
    let slashes = 0
    while (text[end - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return end + 1
  }
  return text.length
}

function endOfWord(text: Buffer, at: number): number {
  while (at < text.length && text[at] !== comma && text[at] !== closeBrace && !isBlank(text[at])) at++
  return at
}

/** Index after the object or array at `at`; the length if it does not end. */
function endOfNested(text: Buffer, at: number): number {
  for (let depth = 0; at < text.length; at++) {
    const byte = text[at]
    if (byte === quote) at = endOfString(text, at) - 1
    else if (byte === openBrace || byte === openBracket) depth++
    else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) return at + 1
  }
  return text.length
}
