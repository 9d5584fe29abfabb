/**
 * Reads a backend's answer without parsing its result: finds the id and where the result's members stand, and makes sure
 * that all of it is well-formed. Whatever is unusual in any way is left to `JSON.parse`, whose judgement this must share.
 */
import { isUtf8 } from 'node:buffer'
import { RawJson, type RawMember } from '../gateway/raw.ts'
import { RawMessage, type RequestId } from './channel.ts'

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const comma = 0x2c
const colon = 0x3a
const minus = 0x2d
const zero = 0x30
const nine = 0x39

/** Members of a result that are told apart; whoever sends more is parsed. */
const maxMembers = 16
/** Bytes of a member's name or a string id; longer ones are parsed. */
const maxName = 128
/** Digits that are certainly a safe integer. */
const maxDigits = 15

const noBytes = Buffer.alloc(0)
const noWords = new Int32Array(0)

/** Whether the byte that comes first in memory is the lowest of its word. */
const lowFirst = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

// One line is read at a time, and by plain functions: this is the cost of a large answer.
let bytes: Buffer = noBytes
let words: Int32Array = noWords
/** What to add to an index of `bytes` for one that counts from the first byte of `words`. */
let shift = 0
let end = 0

/**
 * The answer that `buffer` holds from `start` to `stop`; undefined = read it the ordinary way. The result refers to the
 * buffer: it must not change as long as the answer lives. `maxDepth`: levels of nesting, the message being level one.
 */
export function scanAnswer(buffer: Buffer, start: number, stop: number, maxDepth: number): RawMessage | undefined {
  bytes = buffer
  shift = buffer.byteOffset & 3
  words = new Int32Array(buffer.buffer, buffer.byteOffset - shift, (buffer.length + shift) >> 2)
  end = stop
  // Lines may end in CRLF; further in a carriage return would break an event stream, however legal in JSON.
  if (bytes[end - 1] === 0x0d) end--
  const answer = message(start, maxDepth)
  const sound = answer && isUtf8(buffer.subarray(start, end)) ? answer : undefined
  bytes = noBytes
  words = noWords
  return sound
}

function message(start: number, maxDepth: number): RawMessage | undefined {
  let id: RequestId | undefined
  let result: RawJson | undefined
  let isJsonRpc = false
  let at = blanks(start)
  if (bytes[at] !== openBrace) return undefined
  do {
    const key = blanks(at + 1)
    const keyEnd = plainString(key)
    if (keyEnd < 0) return undefined
    at = blanks(keyEnd)
    if (bytes[at] !== colon) return undefined
    at = blanks(at + 1)
    switch (text(key + 1, keyEnd - 1)) {
      case 'jsonrpc':
        if (isJsonRpc || text(at, at + 5) !== '"2.0"') return undefined
        isJsonRpc = true
        at += 5
        break
      case 'id': {
        const idEnd = bytes[at] === quote ? plainString(at) : wholeNumber(at)
        if (id !== undefined || idEnd < 0) return undefined
        id = JSON.parse(text(at, idEnd)) as RequestId
        at = idEnd
        break
      }
      case 'result': {
        if (result) return undefined
        const members: RawMember[] = []
        const to = resultObject(at, members, maxDepth)
        if (to < 0) return undefined
        result = new RawJson(bytes.subarray(at, to), members)
        at = to
        break
      }
      default:
        return undefined
    }
    at = blanks(at)
  } while (bytes[at] === comma)
  if (bytes[at] !== closeBrace || blanks(at + 1) !== end) return undefined
  return isJsonRpc && id !== undefined && result !== undefined ? new RawMessage(id, result) : undefined
}

const text = (from: number, to: number): string => bytes.toString('latin1', from, to)

/** Skips blanks; stops at the end at the latest, where no token begins: reads beyond it are refused by those who make them. */
function blanks(at: number): number {
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++
  return at
}

/** A short ASCII string without escapes; returns the index after it. */
function plainString(at: number): number {
  if (bytes[at] !== quote) return -1
  const limit = Math.min(end, at + maxName)
  for (let i = at + 1; i < limit; i++) {
    const byte = bytes[i] as number
    if (byte === quote) return i + 1
    if (byte < 0x20 || byte > 0x7e || byte === backslash) return -1
  }
  return -1
}

function wholeNumber(at: number): number {
  const first = bytes[at] === minus ? at + 1 : at
  const to = digits(first)
  if (to === first || to - first > maxDigits || (bytes[first] === zero && to - at > 1)) return -1
  const next = bytes[to]
  return next === comma || next === closeBrace || next === 0x20 || next === 0x09 ? to : -1
}

function digits(at: number): number {
  while (at < end && (bytes[at] as number) >= zero && (bytes[at] as number) <= nine) at++
  return at
}

/** The object at `at`, which is the second level; its members are told, counted from its brace. */
function resultObject(at: number, members: RawMember[], maxDepth: number): number {
  if (maxDepth < 2 || bytes[at] !== openBrace) return -1
  let next = blanks(at + 1)
  if (bytes[next] === closeBrace && next < end) return next + 1
  for (;;) {
    const keyEnd = plainString(next)
    if (keyEnd < 0 || members.length === maxMembers) return -1
    const name = text(next + 1, keyEnd - 1)
    // Two readers may see two values under one name.
    for (const member of members) if (member.name === name) return -1
    const separator = blanks(keyEnd)
    if (bytes[separator] !== colon) return -1
    const from = blanks(separator + 1)
    const to = value(from, maxDepth - 2)
    if (to < 0) return -1
    members.push({ name, from: next - at, at: from - at, to: to - at })
    next = blanks(to)
    if (next >= end) return -1
    if (bytes[next] === closeBrace) return next + 1
    if (bytes[next] !== comma) return -1
    next = blanks(next + 1)
  }
}

/** Index after the value at `at`, -1 if there is none. `levels`: how many it may have of its own. */
function value(at: number, levels: number): number {
  if (at >= end) return -1
  const first = bytes[at] as number
  switch (first) {
    case quote:
      return string(at)
    case openBrace:
      return levels > 0 ? object(at, levels - 1) : -1
    case openBracket:
      return levels > 0 ? array(at, levels - 1) : -1
    case 0x74:
      return literal(at, 'true')
    case 0x66:
      return literal(at, 'false')
    case 0x6e:
      return literal(at, 'null')
    default:
      return first === minus || (first >= zero && first <= nine) ? number(at) : -1
  }
}

function object(at: number, levels: number): number {
  let next = blanks(at + 1)
  if (next < end && bytes[next] === closeBrace) return next + 1
  for (;;) {
    if (next >= end || bytes[next] !== quote) return -1
    const keyEnd = string(next)
    if (keyEnd < 0) return -1
    const separator = blanks(keyEnd)
    if (bytes[separator] !== colon) return -1
    const to = value(blanks(separator + 1), levels)
    if (to < 0) return -1
    next = blanks(to)
    if (next >= end) return -1
    if (bytes[next] === closeBrace) return next + 1
    if (bytes[next] !== comma) return -1
    next = blanks(next + 1)
  }
}

function array(at: number, levels: number): number {
  let next = blanks(at + 1)
  if (next < end && bytes[next] === closeBracket) return next + 1
  for (;;) {
    const to = value(next, levels)
    if (to < 0) return -1
    next = blanks(to)
    if (next >= end) return -1
    if (bytes[next] === closeBracket) return next + 1
    if (bytes[next] !== comma) return -1
    next = blanks(next + 1)
  }
}

function literal(at: number, word: string): number {
  const to = at + word.length
  return to <= end && text(at, to) === word ? to : -1
}

function number(at: number): number {
  const first = bytes[at] === minus ? at + 1 : at
  let to = digits(first)
  if (to === first || (bytes[first] === zero && to - first > 1)) return -1
  if (to < end && bytes[to] === 0x2e) {
    const fraction = to + 1
    to = digits(fraction)
    if (to === fraction) return -1
  }
  if (to < end && ((bytes[to] as number) | 0x20) === 0x65) {
    const sign = bytes[to + 1]
    const exponent = sign === minus || sign === 0x2b ? to + 2 : to + 1
    to = digits(exponent)
    if (to === exponent) return -1
  }
  return to
}

/** The string at `at`: escapes are checked, control characters refused; its UTF-8 is checked with the whole. */
function string(start: number): number {
  // What the loop reads again and again, where V8 sees that it stays the same.
  const all = bytes
  const view = words
  const stop = end
  const last = (stop + shift) >> 2
  let at = start + 1
  for (;;) {
    // Byte by byte to the next whole word.
    for (let edge = ((at + shift + 3) & ~3) - shift; at < edge; ) {
      if (at >= stop) return -1
      const byte = all[at] as number
      if (byte === quote) return at + 1
      if (byte < 0x20) return -1
      if (byte !== backslash) at++
      else if ((at = escape(all, at)) < 0) return -1
    }
    if (((at + shift) & 3) !== 0) continue
    let index = (at + shift) >> 2
    let found = 0
    while (index < last) {
      const word = view[index] as number
      const quotes = word ^ 0x22222222
      const slashes = word ^ 0x5c5c5c5c
      // A byte below 0x20, or one that the XOR made zero, borrows from its own top bit.
      found = (((word - 0x20202020) & ~word) | ((quotes - 0x01010101) & ~quotes) | ((slashes - 0x01010101) & ~slashes)) & 0x80808080
      if (found !== 0) break
      index++
    }
    at = (index << 2) - shift
    // The lowest mark is true; those above it may come of its borrowing.
    if (lowFirst && found !== 0) at += (31 - Math.clz32(found & -found)) >> 3
    if (at >= stop) return -1
    const byte = all[at] as number
    if (byte === quote) return at + 1
    if (byte < 0x20) return -1
    if (byte !== backslash) at++
    else if ((at = escape(all, at)) < 0) return -1
  }
}

/** 1 = a backslash and this byte are an escape. */
const short = new Uint8Array(256)
for (const letter of '"\\/bfnrt') short[letter.charCodeAt(0)] = 1

/** Index after the escape at `at`, -1 if it is none. */
function escape(all: Buffer, at: number): number {
  if (at + 1 < end && short[all[at + 1] as number] === 1) return at + 2
  if (at + 6 > end || all[at + 1] !== 0x75) return -1
  for (let i = at + 2; i < at + 6; i++) if (!isHex(all[i] as number)) return -1
  return at + 6
}

const isHex = (byte: number): boolean =>
  (byte >= zero && byte <= nine) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
