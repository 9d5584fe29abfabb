/** How fast a figure rises, and how sure that is. */

export interface Slope {
  /** Least squares. */
  readonly perHour: number
  /** Standard error of it: what chance makes of a level line, wider the more neighbouring readings resemble each other. */
  readonly error: number
}

/** Evenly spaced readings in any unit. Fewer than three say nothing: an error without end. */
export function slopeOf(readings: readonly (readonly [ms: number, value: number])[]): Slope {
  const n = readings.length
  if (n < 3) return { perHour: 0, error: Infinity }
  const hours = readings.map(([ms]) => ms / 3_600_000)
  const mx = mean(hours)
  const my = mean(readings.map(([, value]) => value))
  const spread = hours.reduce((sum, x) => sum + (x - mx) ** 2, 0)
  const perHour = readings.reduce((sum, [, y], i) => sum + ((hours[i] as number) - mx) * (y - my), 0) / spread
  const rests = readings.map(([, y], i) => y - my - perHour * ((hours[i] as number) - mx))
  const squares = rests.reduce((sum, rest) => sum + rest ** 2, 0)
  if (squares === 0) return { perHour, error: 0 }
  // Readings that depend on the one before are worth fewer: as for a first-order autoregressive series.
  const alike = Math.min(0.98, Math.max(0, rests.slice(1).reduce((sum, rest, i) => sum + rest * (rests[i] as number), 0) / squares))
  return { perHour, error: Math.sqrt((squares / (n - 2) / spread) * ((1 + alike) / (1 - alike))) }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
