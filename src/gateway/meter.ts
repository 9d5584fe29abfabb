/**
 * How long calls take and how many there are, in bounded memory: durations in buckets a quarter of an octave wide, of the last
 * minute or two, and a count for each of the last seconds. To record one is a few additions.
 */

/** Sixteenths of a millisecond, so that a call within the machine is told from none. */
const perMs = 16
const perOctave = 4
const buckets = 32 * perOctave
const generationMs = 60_000
/** Seconds kept; the one that runs is not counted. */
const seconds = 16
const rateOver = 10

export interface Pace {
  /** Calls that ended since the start. */
  readonly total: number
  /** Of the last ten seconds. */
  readonly perSecond: number
  /** Milliseconds, within some ten percent, of the last minute or two; null = there were no calls. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
}

export class Meter {
  private total = 0
  private current: Uint32Array | undefined
  private before: Uint32Array | undefined
  private turnedAt = 0
  private readonly counts = new Uint32Array(seconds)
  private second = 0

  /** `now`: monotonic milliseconds, as is the difference that `ms` is. */
  record(ms: number, now: number): void {
    this.total++
    this.turn(now)
    const second = Math.floor(now / 1000)
    if (second !== this.second) this.move(second)
    const at = second % seconds
    this.counts[at] = (this.counts[at] as number) + 1
    const current = (this.current ??= new Uint32Array(buckets))
    const bucket = bucketOf(ms)
    current[bucket] = (current[bucket] as number) + 1
  }

  /** Of several meters together. */
  static pace(meters: readonly Meter[], now: number): Pace {
    const sum = new Uint32Array(buckets)
    let total = 0
    let recent = 0
    for (const meter of meters) {
      meter.turn(now)
      meter.move(Math.floor(now / 1000))
      total += meter.total
      for (let back = 1; back <= rateOver; back++) recent += meter.counts[(meter.second + seconds - back) % seconds] as number
      for (const generation of [meter.current, meter.before])
        if (generation) for (let bucket = 0; bucket < buckets; bucket++) sum[bucket] = (sum[bucket] as number) + (generation[bucket] as number)
    }
    return { total, perSecond: recent / rateOver, p50Ms: quantile(sum, 0.5), p95Ms: quantile(sum, 0.95) }
  }

  private turn(now: number): void {
    if (now - this.turnedAt < generationMs) return
    this.before = now - this.turnedAt < 2 * generationMs ? this.current : undefined
    this.current = undefined
    this.turnedAt = now
  }

  private move(second: number): void {
    const passed = Math.min(seconds, second - this.second)
    for (let back = 0; back < passed; back++) this.counts[(second - back) % seconds] = 0
    this.second = second
  }
}

function bucketOf(ms: number): number {
  const units = Math.max(1, Math.min(2 ** 31 - 1, Math.round(ms * perMs)))
  const octave = 31 - Math.clz32(units)
  const quarter = octave >= 2 ? (units >>> (octave - 2)) & 3 : (units << (2 - octave)) & 3
  return octave * perOctave + quarter
}

/** The middle of a bucket, milliseconds. */
const middleOf = (bucket: number): number => {
  const width = 2 ** Math.floor(bucket / perOctave) / perOctave
  const value = (width * (perOctave + (bucket % perOctave) + 0.5)) / perMs
  return value >= 10 ? Math.round(value) : Math.round(value * 100) / 100
}

function quantile(sum: Uint32Array, part: number): number | null {
  const all = sum.reduce((left, right) => left + right, 0)
  if (all === 0) return null
  let left = Math.ceil(all * part)
  for (let bucket = 0; bucket < buckets; bucket++) {
    left -= sum[bucket] as number
    if (left <= 0) return middleOf(bucket)
  }
  return null
}
