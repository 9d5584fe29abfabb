/**
 * A result that is still in the bytes it came in, or already in those it will leave in: well-formed JSON of an object,
 * whose members can be looked at, lifted off and added without parsing the rest. Knows no result of any method.
 */
import type { Complete, Freshness, JsonObject } from './contract.ts'

/** One top-level member: `from` is its key's opening quote, `at` its value's first byte, `to` the byte after its value. */
export interface RawMember {
  readonly name: string
  readonly from: number
  readonly at: number
  readonly to: number
}

export class RawJson {
  /** Bytes of the object from brace to brace, as it came. Never changed. */
  private readonly bytes: Buffer
  private readonly members: readonly RawMember[]
  /** JSON text of members that come after the others, without braces; empty = none. */
  private readonly added: string
  /** Nothing was lifted off. */
  private readonly whole: boolean
  private parsed: JsonObject | undefined

  /**
   * Whoever makes one has seen that `bytes` are well-formed and that no name stands in `members` twice. `parsed`: the value,
   * where it is known already; it must not be changed from then on.
   */
  constructor(bytes: Buffer, members: readonly RawMember[], parsed?: JsonObject, added = '', whole = true) {
    this.bytes = bytes
    this.members = members
    this.parsed = parsed
    this.added = added
    this.whole = whole
  }

  /** The bytes of an object of our own, to be sent more than once. */
  static of(value: JsonObject): RawJson {
    const pieces: string[] = []
    const members: RawMember[] = []
    let length = 1
    for (const name in value) {
      const text = JSON.stringify(value[name]) as string | undefined
      if (text === undefined) continue
      const key = `${JSON.stringify(name)}:`
      const at = length + Buffer.byteLength(key)
      const to = at + Buffer.byteLength(text)
      members.push({ name, from: length, at, to })
      pieces.push(key + text)
      length = to + 1
    }
    return new RawJson(Buffer.from(`{${pieces.join(',')}}`), members, value)
  }

  /** Bytes it takes, give or take what was lifted off. */
  get size(): number {
    return this.bytes.length + this.added.length
  }

  /** Whether it came with this member. Added ones do not count. */
  has(name: string): boolean {
    for (const member of this.members) if (member.name === name) return true
    return false
  }

  /** Parsed value of a member it came with; undefined = there is none. */
  get(name: string): unknown {
    for (const { name: own, at, to } of this.members)
      if (own === name) return JSON.parse(this.bytes.toString('utf8', at, to)) as unknown
    return undefined
  }

  /** Whether one of these texts stands in a member it came with, or an escape that could hide one. */
  mentions(name: string, texts: readonly string[]): boolean {
    for (const { name: own, at, to } of this.members)
      if (own === name) {
        const bytes = this.bytes.subarray(at, to)
        return bytes.includes('\\u') || texts.some(text => bytes.includes(text))
      }
    return false
  }

  /** Without the named members, and with `added`: JSON text of members without braces, whose names must not be left in it. */
  edit(lifted: readonly string[], added = ''): RawJson {
    const kept = this.members.some(({ name }) => lifted.includes(name))
      ? this.members.filter(({ name }) => !lifted.includes(name))
      : this.members
    if (kept === this.members && added === '') return this
    const all = this.added === '' || added === '' ? this.added + added : `${this.added},${added}`
    return new RawJson(this.bytes, kept, undefined, all, this.whole && kept === this.members)
  }

  /** The value, parsed once. */
  value(): JsonObject {
    return (this.parsed ??= JSON.parse(this.text()) as JsonObject)
  }

  text(): string {
    let text = ''
    for (const piece of this.pieces()) text += typeof piece === 'string' ? piece : piece.toString('utf8')
    return text
  }

  /** What its JSON text consists of, in order. */
  pieces(): (string | Buffer)[] {
    const { bytes, members, added } = this
    if (this.whole && added === '') return [bytes]
    const last = members.at(-1)
    if (last === undefined) return [`{${added}}`]
    const pieces: (string | Buffer)[] = ['{']
    let first = 0
    for (let i = 0; i < members.length; i++) {
      const { to } = members[i] as RawMember
      const next = members[i + 1]
      // A run ends where something was lifted out: only blanks and one comma stand between neighbours.
      if (next && bytes.indexOf(0x22, to) === next.from) continue
      if (first > 0) pieces.push(',')
      pieces.push(bytes.subarray((members[first] as RawMember).from, to))
      first = i + 1
    }
    pieces.push(added === '' ? '}' : `,${added}}`)
    return pieces
  }
}

/**
 * An outcome whose result is in bytes. `result` parses it, for those who must look inside; a copy made with a changed result
 * leaves `raw` behind, because that is no property of the object's own.
 */
export class RawComplete implements Complete {
  readonly kind = 'complete'
  readonly freshness: Freshness | undefined
  readonly #raw: RawJson

  constructor(raw: RawJson, freshness?: Freshness) {
    this.#raw = raw
    this.freshness = freshness
  }

  get raw(): RawJson {
    return this.#raw
  }
  get result(): JsonObject {
    return this.#raw.value()
  }
}
