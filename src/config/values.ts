/** The notations of the config: durations, sizes, numbers, switches. Pure; a wrong value comes back as what was expected. */

/** Longer timers overflow in Node and fire at once. */
export const maxDuration = 2_147_483_647

/** Strings longer than this cannot exist in V8, so a larger message could never be handled. */
export const maxSize = 512 * 1024 * 1024 - 24

/** A value, or in `expected` the words for what should have stood there. */
export type Reading<T> = { readonly value: T } | { readonly expected: string }

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const sizeUnits = { b: 1, kb: 1000, mb: 1e6, gb: 1e9, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 } as const

const measure = (input: unknown, units: Readonly<Record<string, number>>): number | undefined => {
  if (typeof input === 'number') return Number.isFinite(input) && input >= 0 ? input : undefined
  if (typeof input !== 'string') return undefined
  const [, digits, unit] = /^\s*(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)\s*$/i.exec(input) ?? []
  if (digits === undefined || unit === undefined) return undefined
  const name = unit.toLowerCase()
  const factor = name === '' ? 1 : Object.hasOwn(units, name) ? units[name] : undefined
  return factor === undefined ? undefined : Number(digits) * factor
}

/** Milliseconds, or a number with ms, s, m, h or d: `500ms`, `30s`, `1.5h`. */
export const readDuration = (input: unknown, min = 0): Reading<number> => {
  const ms = measure(input, durationUnits)
  if (ms === undefined) return { expected: 'a duration: milliseconds, or a text such as 500ms, 30s, 5m, 1h' }
  const value = Math.round(ms)
  if (value < min) return { expected: `a duration of at least ${formatDuration(min)}` }
  if (value > maxDuration) return { expected: 'a duration of at most 24d' }
  return { value }
}

/** Bytes, or a number with KiB, MiB, GiB (1024) or kB, MB, GB (1000). */
export const readSize = (input: unknown, min = 0): Reading<number> => {
  const bytes = measure(input, sizeUnits)
  if (bytes === undefined) return { expected: 'a size: bytes, or a text such as 512KiB, 16MiB' }
  const value = Math.round(bytes)
  if (value < min) return { expected: `a size of at least ${formatSize(min)}` }
  if (value > maxSize) return { expected: 'a size below 512MiB' }
  return { value }
}

export const readInteger = (input: unknown, min: number, max: number): Reading<number> => {
  const value = typeof input === 'string' && /^\s*-?\d{1,15}\s*$/.test(input) ? Number(input) : input
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    return { expected: `a whole number from ${min} to ${max}` }
  return { value }
}

export const readFlag = (input: unknown): Reading<boolean> => {
  if (typeof input === 'boolean') return { value: input }
  if (input === 'true' || input === '1') return { value: true }
  if (input === 'false' || input === '0') return { value: false }
  return { expected: 'true or false' }
}

/** Text for a process or a header: numbers and switches are taken as they are written, NUL is refused. */
export const readText = (input: unknown): Reading<string> => {
  if (typeof input === 'number' || typeof input === 'boolean') return { value: String(input) }
  if (typeof input !== 'string') return { expected: 'a text' }
  return input.includes('\0') ? { expected: 'a text without NUL characters' } : { value: input }
}

/** The largest unit that says it without a fraction. */
export const formatDuration = (ms: number): string => format(ms, durationUnits, ['d', 'h', 'm', 's'], 'ms')
export const formatSize = (bytes: number): string =>
  format(bytes, { GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024 }, ['GiB', 'MiB', 'KiB'], 'B')

function format(amount: number, units: Readonly<Record<string, number>>, order: readonly string[], smallest: string): string {
  for (const unit of order) {
    const factor = units[unit] as number
    if (amount >= factor && amount % factor === 0) return `${amount / factor}${unit}`
  }
  return `${amount}${smallest}`
}
