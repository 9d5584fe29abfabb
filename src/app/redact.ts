/**
 * The last wall before anything we write for people: known secret values, in every spelling they are likely to take,
 * and things that look like credentials whatever their value. Knows no sink and no config.
 */

import { looksSecret } from '../config/secrets.ts'
import { McpError } from '../gateway/errors.ts'

export const mask = '***'

/** Shorter values are left alone: masking every `a` or `42` would hide the log and not the secret. */
const shortest = 4
/** The same for one line of several. */
const shortestLine = 12

export class Redactor {
  private readonly values = new Set<string>()
  private pattern: RegExp | undefined

  /** Adds values that must never be shown. */
  add(values: Iterable<string>): void {
    for (const value of [...values].flatMap(withLines))
      if (value.length >= shortest && !this.values.has(value)) {
        this.values.add(value)
        this.pattern = undefined
      }
  }

  /** The text without known values and without what looks like a credential. */
  readonly scrub = (text: string): string => {
    let clean = text
    if (this.values.size > 0) {
      this.pattern ??= patternOf(this.values)
      clean = clean.replace(this.pattern, mask)
    }
    // Two cheap looks decide whether the shapes are worth trying at all.
    if (clean.includes('://')) clean = clean.replace(userinfo, `$1${mask}@`).replace(secretQuery, `$1${mask}`)
    if (scheme.test(clean)) clean = clean.replace(authorization, `$1 ${mask}`)
    return clean
  }
}

/** Whoever writes line by line shows a key file line by line. */
const withLines = (value: string): string[] =>
  value.includes('\n') ? [value, ...value.split('\n').map(line => line.trim()).filter(line => line.length >= shortestLine)] : [value]

// A scheme of any length would be looked for from every letter of a long text to its end.
const userinfo = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#"'@]+@/gi
const secretQuery = /([?&](?:[\w-]*(?:token|secret|password|passwd|api[_-]?key|signature)|auth|key|sig|code)=)[^\s&#"'\\]+/gi
const scheme = /\b(?:bearer|basic)\b/i
const authorization = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi

function patternOf(values: ReadonlySet<string>): RegExp {
  const spellings = new Set<string>()
  for (const value of values) for (const spelling of spellingsOf(value)) spellings.add(spelling)
  // Longest first: a secret that contains another must go whole.
  const sorted = [...spellings].sort((a, b) => b.length - a.length)
  return new RegExp(sorted.map(escape).join('|'), 'g')
}

const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

const escapedUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

function* spellingsOf(value: string): Generator<string> {
  yield value
  if (value !== value.trim() && value.trim().length >= shortest) yield value.trim()
  const json = JSON.stringify(value).slice(1, -1)
  yield json
  // A line of our own log is JSON around JSON.
  yield JSON.stringify(json).slice(1, -1)
  // Python keeps to ASCII, PHP escapes slashes, Go what HTML could take for its own.
  yield json.replace(/[^\x20-\x7e]/g, escapedUnit)
  yield json.replaceAll('/', '\\/')
  yield json.replace(/[&<>]/g, escapedUnit)
  // Through bytes and back: a lone surrogate would make the encoders throw.
  const wellFormed = Buffer.from(value).toString()
  const component = encodeURIComponent(wellFormed)
  yield encodeURI(wellFormed)
  yield component
  yield component.replace(/%[0-9A-F]{2}/g, found => found.toLowerCase())
  yield component.replaceAll('%20', '+')
  yield* base64Of(value)
}

/**
 * Base64 of the value standing alone and of the value inside something longer, such as `user:value`: there only the
 * digits that its own bits alone decide are sure, and which those are depends on where it starts.
 */
function* base64Of(value: string): Generator<string> {
  const bytes = Buffer.from(value)
  for (const spelling of ['base64', 'base64url'] as const) {
    yield bytes.toString(spelling)
    for (let offset = 0; offset < 3; offset++) {
      const digits = Buffer.concat([Buffer.alloc(offset), bytes])
        .toString(spelling)
        .replace(/=+$/, '')
      const first = Math.ceil((offset * 8) / 6)
      const last = Math.floor(((offset + bytes.length) * 8) / 6)
      const sure = digits.slice(first, last)
      if (sure.length >= 6) yield sure
    }
  }
}

/** The error without secrets in its texts: what a server says when it will not start is said to clients and in `status`. */
export function hushed(thrown: unknown, redact: (text: string) => string): unknown {
  if (!(thrown instanceof McpError)) return thrown
  const { code, message, details } = thrown
  const { hint, rpc } = details
  return new McpError(code, redact(message), {
    ...details,
    cause: thrown,
    hint: hint === undefined ? undefined : redact(hint),
    rpc: rpc && { ...rpc, message: redact(rpc.message) },
  })
}

/** A copy for logs: secret fields masked by name, errors as name and message, at most `depth` levels. */
export function redactFields(fields: object, depth = 4): Record<string, unknown> {
  const clean: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields))
    clean[key] = hides(value) && looksSecret(key) ? mask : redactValue(value, depth)
  return clean
}

/** Counts and switches named like a secret (`tokens: 3`, `auth: true`) are not one. */
const hides = (value: unknown): boolean => typeof value === 'string' || (typeof value === 'object' && value !== null)

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return redactError(value, depth)
  if (depth <= 0) return '…'
  if (Array.isArray(value)) return value.slice(0, 50).map(item => redactValue(item, depth - 1))
  return redactFields(value, depth - 1)
}

function redactError(error: Error, depth: number): object {
  const { code } = error as { code?: unknown }
  const cause = error.cause instanceof Error && depth > 0 ? { cause: redactError(error.cause, depth - 1) } : {}
  return { name: error.name, ...(code === undefined ? {} : { code }), message: error.message, ...cause }
}
