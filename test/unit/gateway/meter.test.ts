/** Durations and rates in bounded memory. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Meter } from '../../../src/gateway/meter.ts'

const meterOf = (...calls: [ms: number, at: number][]): Meter => {
  const meter = new Meter()
  for (const [ms, at] of calls) meter.record(ms, at)
  return meter
}

describe('Meter', () => {
  it('has nothing to say before the first call', () => {
    expect(Meter.pace([new Meter()], 5000)).toEqual({ total: 0, perSecond: 0, p50Ms: null, p95Ms: null })
  })

  it('finds any duration again within an eighth, and a sixteenth of a millisecond', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 3_600_000, noNaN: true }), ms => {
        const { p50Ms, p95Ms } = Meter.pace([meterOf([ms, 1])], 1)
        expect(p50Ms).toBe(p95Ms)
        expect(Math.abs((p50Ms as number) - ms)).toBeLessThan(0.14 * ms + 1 / 16)
      }),
    )
  })

  it('tells the usual from the slow, over several meters', () => {
    const usual = meterOf(...Array.from({ length: 90 }, (): [number, number] => [1, 10]))
    const slow = meterOf(...Array.from({ length: 10 }, (): [number, number] => [1000, 10]))
    const { total, p50Ms, p95Ms } = Meter.pace([usual, slow], 20)
    expect(total).toBe(100)
    expect(p50Ms).toBeCloseTo(1, 0)
    expect(p95Ms).toBeGreaterThan(850)
  })

  it('counts calls of the last ten whole seconds', () => {
    const meter = meterOf(...Array.from({ length: 100 }, (_, n): [number, number] => [1, 1000 + n * 100]))
    expect(Meter.pace([meter], 11_500).perSecond).toBe(10)
    expect(Meter.pace([meter], 16_500).perSecond).toBe(5)
    expect(Meter.pace([meter], 100_000).perSecond).toBe(0)
  })

  it('forgets durations after two minutes, not the total', () => {
    const meter = meterOf([5, 60_001])
    expect(Meter.pace([meter], 120_500).p50Ms).not.toBeNull()
    expect(Meter.pace([meter], 300_000)).toMatchObject({ total: 1, p50Ms: null })
  })
})
