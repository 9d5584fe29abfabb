import { describe, expect, it } from 'vitest'
import { Backoff, holdMs } from '../../../src/gateway/backoff.ts'

const policy = { backoff: 1000, maxBackoff: 60_000, resetAfter: 60_000, holdAfter: 5 }

describe('backoff', () => {
  it('doubles up to its longest, and is jittered over the whole span', () => {
    const delays = (random: number) => {
      const backoff = new Backoff({ ...policy, holdAfter: 0 }, () => random)
      return Array.from({ length: 9 }, (_, n) => {
        backoff.fell(n, true)
        return backoff.dueAt - n
      })
    }
    expect(delays(1)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
    expect(delays(0.5).slice(0, 3)).toEqual([500, 1000, 2000])
    expect(delays(0).slice(0, 3)).toEqual([0, 0, 0])
  })

  it('starts anew after it was healthy long enough', () => {
    const backoff = new Backoff(policy, () => 1)
    for (const now of [0, 1]) backoff.fell(now, false)
    backoff.started(10)
    backoff.fell(60_009, false)
    expect(backoff.dueAt - 60_009).toBe(4000)
    backoff.started(70_000)
    backoff.fell(130_000, false)
    expect(backoff.dueAt - 130_000).toBe(1000)
  })

  it('holds after so many crashes in a minute, then gives one chance', () => {
    const backoff = new Backoff(policy, () => 0)
    for (let n = 0; n < 4; n++) backoff.fell(n * 1000, true)
    expect(backoff.held).toBe(false)
    backoff.fell(5000, true)
    expect(backoff.held).toBe(true)
    expect(backoff.dueAt).toBe(5000 + holdMs)
    backoff.started(400_000)
    expect(backoff.held).toBe(false)
    backoff.fell(401_000, true)
    expect(backoff.held).toBe(true)
    backoff.started(800_000)
    backoff.fell(900_000, true)
    expect(backoff.held).toBe(false)
  })

  it('does not hold for crashes spread out, for what is no crash, or when told never to', () => {
    const spread = new Backoff(policy, () => 0)
    for (let n = 0; n < 20; n++) spread.fell(n * 20_000, true)
    const remote = new Backoff(policy, () => 0)
    for (let n = 0; n < 20; n++) remote.fell(n, false)
    const never = new Backoff({ ...policy, holdAfter: 0 }, () => 0)
    for (let n = 0; n < 20; n++) never.fell(n, true)
    expect([spread.held, remote.held, never.held]).toEqual([false, false, false])
  })

  it('a backoff of 0 is at once, for ever', () => {
    const backoff = new Backoff({ ...policy, backoff: 0, holdAfter: 0 }, () => 1)
    for (let n = 0; n < 2000; n++) backoff.fell(n, true)
    expect(backoff.dueAt).toBe(1999)
  })
})
