/**
 * Public names: what a tool or prompt of a backend is called on our surface. A name follows from (alias, own name) and
 * the options alone, so it is the same after a restart and whatever else is configured. Looks nothing up: reading a name
 * back is the catalog's map, never a split.
 */
import { createHash } from 'node:crypto'

export interface NamesOptions {
  readonly separator: string
  readonly prefix: 'always' | 'onClash' | 'never'
  /** Characters a tool name may have, prefix included. */
  readonly maxLength: number
}

const legal = /^[A-Za-z0-9_-]+$/
const hashLength = 6
/** What stays of a backend's own name however long its alias is. */
const leastOwn = 8
/** The spec bounds no prompt name; beyond this no host shows it whole. */
const maxPromptLength = 256

/**
 * What stands before a backend's names: its alias made legal, and the separator. Made such that the end of the alias can
 * be told (else `a_` + `__` + `b` would be `a` + `__` + `_b`, and one backend could take another's name).
 */
export function prefixOf(alias: string, separator: string): string {
  const stem = alias.replace(/[^A-Za-z0-9_-]/g, '_')
  if (separator === '') return stem
  const filler = [...'-_xyzvw01'].find(sign => !separator.includes(sign)) ?? 'x'
  const apart = stem.split(separator).join(filler)
  const isTorn = (apart + separator).indexOf(separator) < apart.length
  return (isTorn ? apart.slice(0, -1) + filler : apart) + separator
}

/**
 * `prefix` + `own` where that is legal for hosts: `[A-Za-z0-9_-]`, at most `maxLength` characters. An own name that is not
 * so is cleaned, loses its middle and ends in a hash of (alias, own); a prefix that leaves it no room is cut too.
 */
export function toolName(alias: string, own: string, prefix: string, maxLength: number): string {
  const plain = prefix + own
  if (plain.length <= maxLength && legal.test(own)) return plain
  const room = maxLength - hashLength - 1
  const words = clean(own, maxLength)
  const headRoom = room - Math.min(leastOwn, words.length)
  const head = prefix.length <= headRoom ? prefix : `${prefix.slice(0, Math.max(0, headRoom - 1))}_`
  const kept = cutMiddle(words, room - head.length)
  return `${head}${kept}${kept === '' ? '' : '_'}${hash(alias, own)}`.slice(-maxLength)
}

/** Whether a name may be that of a tool of whoever has this prefix: it begins so, or as `toolName` cuts it, with a hash at its end. */
export function mayHave(prefix: string, name: string, maxLength: number): boolean {
  if (name.startsWith(prefix)) return true
  const whole = maxLength - hashLength - 1 - leastOwn
  return prefix.length > whole && name.startsWith(prefix.slice(0, Math.max(0, whole - 1))) && /_[0-9a-z]{6}$/.test(name)
}

/** Any characters; shortened with a hash only beyond 256 (spec, server/prompts: names have no charset rule). */
export function promptName(alias: string, own: string, prefix: string): string {
  if (prefix.length + own.length <= maxPromptLength) return prefix + own
  return `${prefix}${cutMiddle(own, maxPromptLength - prefix.length - hashLength - 1)}_${hash(alias, own)}`
}

/** Something that wants a public name; `name` is filled in by `assignNames`. */
export interface Claimant {
  name: string
}

/**
 * Gives every claimant its name and returns who holds each name: more than one holder is a collision, which is for the
 * caller to refuse. With `onClash` a claimant is prefixed if another one wants its bare name, whether bare or prefixed,
 * so the outcome does not depend on order.
 */
export function assignNames<C extends Claimant>(
  claimants: readonly C[],
  prefix: NamesOptions['prefix'],
  nameOf: (claimant: C, prefixed: boolean) => string,
): ReadonlyMap<string, readonly C[]> {
  const holders = new Map<string, C[]>()
  const place = (claimant: C, prefixed: boolean): C[] => {
    claimant.name = nameOf(claimant, prefixed)
    const held = holders.get(claimant.name)
    if (held) held.push(claimant)
    else holders.set(claimant.name, [claimant])
    return held ?? []
  }
  for (const claimant of claimants) place(claimant, prefix === 'always')
  if (prefix !== 'onClash') return holders
  const prefixed = new Set<C>()
  const crowded = [...holders.values()].filter(held => held.length > 1)
  for (let held = crowded.pop(); held; held = crowded.pop()) {
    const bare = held.filter(claimant => !prefixed.has(claimant))
    const stay = held.filter(claimant => prefixed.has(claimant))
    held.splice(0, held.length, ...stay)
    for (const claimant of bare) {
      prefixed.add(claimant)
      const now = place(claimant, true)
      if (now.length > 1) crowded.push(now)
    }
  }
  return holders
}

function clean(own: string, maxLength: number): string {
  // Bounded before any pattern looks at it: only head and tail can survive anyway.
  const bounded = own.length > 4 * maxLength ? `${own.slice(0, 2 * maxLength)}_${own.slice(-2 * maxLength)}` : own
  const ascii = bounded.normalize('NFKD').replace(/[\u0300-\u036f]/g, '')
  return ascii
    .replace(/[^A-Za-z0-9_-]+/g, '_')
    .replace(/^_+/, '')
    .slice(0, 8 * maxLength)
    .replace(/_+$/, '')
}

/** At most `length` characters: whole words from both ends where that costs less than half an end. */
function cutMiddle(text: string, length: number): string {
  if (text.length <= length) return text
  if (length < leastOwn) return text.slice(0, Math.max(0, length))
  const headLength = Math.ceil((length - 1) * 0.6)
  const tailLength = length - 1 - headLength
  let head = text.slice(0, headLength)
  let tail = text.slice(-tailLength)
  if (isInsideWord(text, headLength)) {
    let at = headLength - 1
    while (at > headLength / 2 && isInsideWord(text, at)) at--
    if (at > headLength / 2) head = text.slice(0, at)
  }
  const start = text.length - tailLength
  if (isInsideWord(text, start)) {
    let at = start + 1
    while (at < start + tailLength / 2 && isInsideWord(text, at)) at++
    if (at < start + tailLength / 2) tail = text.slice(at)
  }
  // A pair of surrogates is not cut apart, and a joint is one underscore.
  head = head.replace(/[\ud800-\udbff]$/, '').replace(/[_-]$/, '')
  tail = tail.replace(/^[\udc00-\udfff]/, '').replace(/^[_-]/, '')
  return tail === '' ? head : `${head}_${tail}`
}

/** Whether a cut before `at` would tear a word: `read_|file` and `read|File` do not. */
function isInsideWord(text: string, at: number): boolean {
  const [before, after] = [text.charAt(at - 1), text.charAt(at)]
  if (!/[A-Za-z0-9]/.test(before) || !/[A-Za-z0-9]/.test(after)) return false
  return !(/[a-z0-9]/.test(before) && /[A-Z]/.test(after))
}

function hash(alias: string, own: string): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([alias, own]))
    .digest()
  return (bytes.readUIntBE(0, 6) % 36 ** hashLength).toString(36).padStart(hashLength, '0')
}
