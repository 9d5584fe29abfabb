import { describe, expect, it } from 'vitest'
import { Breaker } from '../../../src/gateway/breaker.ts'

const opened = (random = 0) => {
  const breaker = new Breaker({ failures: 5, openFor: 30_000 }, () => random)
  for (let n = 0; n < 5; n++) breaker.failed(0, false)
  return breaker
}

describe('breaker', () => {
  it('opens at the fifth failure in a row, not at five with an answer between', () => {
    const breaker = new Breaker({ failures: 5, openFor: 30_000 }, () => 0)
    for (let n = 0; n < 4; n++) expect(breaker.failed(0, false)).toBe(false)
    breaker.succeeded(0, false)
    for (let n = 0; n < 4; n++) expect(breaker.failed(0, false)).toBe(false)
    expect(breaker.closed).toBe(true)
    expect(breaker.failed(0, false)).toBe(true)
    expect(breaker.blockedFor(0)).toBe(30_000)
  })

  it('lets one probe pass and refuses the others meanwhile', () => {
    const breaker = opened()
    expect(breaker.blockedFor(29_999)).toBe(1)
    expect(breaker.blockedFor(30_000)).toBe(0)
    expect(breaker.admit()).toBe(true)
    expect(breaker.blockedFor(30_001)).toBeGreaterThan(0)
    expect(breaker.succeeded(30_002, true)).toBe(true)
    expect(breaker.blockedFor(30_003)).toBe(0)
    expect(breaker.admit()).toBe(false)
  })

  it('opens longer each time, up to 300 s; jitter only shortens', () => {
    const breaker = opened()
    let now = 0
    const spans = [breaker.blockedFor(now)]
    for (let n = 0; n < 11; n++) {
      now += breaker.blockedFor(now)
      breaker.admit()
      breaker.failed(now, true)
      spans.push(breaker.blockedFor(now))
    }
    expect(spans.slice(0, 3)).toEqual([30_000, 60_000, 90_000])
    expect(spans.at(-1)).toBe(300_000)
    expect(opened(1).blockedFor(0)).toBe(24_000)
  })

  it('forgets earlier openings after a long time in order', () => {
    const breaker = opened()
    breaker.admit()
    breaker.succeeded(30_000, true)
    for (let n = 0; n < 5; n++) breaker.failed(330_000, false)
    expect(breaker.blockedFor(330_000)).toBe(30_000)
  })

  it('late answers and failures of older calls prove nothing while it is open', () => {
    const breaker = opened()
    expect(breaker.succeeded(1, false)).toBe(false)
    expect(breaker.failed(1, false)).toBe(false)
    expect(breaker.blockedFor(0)).toBe(30_000)
  })

  it('a probe that was cancelled leaves its place to the next', () => {
    const breaker = opened()
    breaker.admit()
    breaker.released()
    expect(breaker.blockedFor(30_000)).toBe(0)
  })

  it('can be off', () => {
    const breaker = new Breaker({ failures: 0, openFor: 30_000 }, () => 0)
    for (let n = 0; n < 100; n++) breaker.failed(0, false)
    expect(breaker.closed).toBe(true)
  })
})
