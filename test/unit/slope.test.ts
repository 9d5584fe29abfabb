/** The judgement of the soak: what it must see, and what it must not take for something. */
import { describe, expect, it } from 'vitest'
import { slopeOf } from '../faults/lib/slope.ts'

/** Two readings a minute for an hour: a level, a rise per hour, and noise that resembles the reading before by `alike`. */
function hour({ rise, noise, alike = 0, seed = 1 }: { rise: number; noise: number; alike?: number; seed?: number }): [number, number][] {
  let state = seed
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  }
  let rest = 0
  return Array.from({ length: 120 }, (_, i) => {
    rest = alike * rest + (random() + random() + random()) * 2 * noise
    return [i * 30_000, 70 + (rise * i) / 120 + rest]
  })
}

const seeds = Array.from({ length: 200 }, (_, n) => n * 7919 + 1)
const passing = (given: { rise: number; noise: number; alike?: number }): number => seeds.filter(seed => {
  const { perHour, error } = slopeOf(hour({ ...given, seed }))
  return perHour + error < 1
}).length / seeds.length

describe('the slope of the soak', () => {
  it('is the rise, and has no error without noise', () => {
    const { perHour, error } = slopeOf(hour({ rise: 3, noise: 0 }))
    expect(perHour).toBeCloseTo(3, 6)
    expect(error).toBeLessThan(1e-6)
  })

  it('says nothing of two readings', () => {
    expect(slopeOf([[0, 1], [1000, 1]]).error).toBe(Infinity)
  })

  it('has an error as wide as what the slopes of many hours spread, whether readings depend on each other or not', () => {
    for (const alike of [0, 0.5, 0.8]) {
      const slopes = seeds.map(seed => slopeOf(hour({ rise: 0, noise: 0.5, alike, seed })))
      const spread = Math.sqrt(slopes.reduce((sum, { perHour }) => sum + perHour ** 2, 0) / slopes.length)
      const told = slopes.reduce((sum, { error }) => sum + error, 0) / slopes.length
      expect(told / spread, `alike ${alike}`).toBeGreaterThan(0.75)
      expect(told / spread, `alike ${alike}`).toBeLessThan(1.25)
    }
  })

  it('passes what is level and quiet, and neither what rises nor what is too restless to tell', () => {
    expect(passing({ rise: 0, noise: 0.5 })).toBeGreaterThan(0.95)
    expect(passing({ rise: 2, noise: 0.5 })).toBeLessThan(0.02)
    expect(passing({ rise: 2, noise: 0.5, alike: 0.8 })).toBeLessThan(0.15)
    expect(passing({ rise: 0, noise: 10 })).toBeLessThan(0.5)
  })
})
