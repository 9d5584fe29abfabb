import { afterEach, describe, expect, it, vi } from 'vitest'
import { readinessOf } from '../../../src/app/readiness.ts'
import type { BackendState, Member } from '../../../src/gateway/contract.ts'

afterEach(() => void vi.useRealTimers())

const member = (alias: string, state: BackendState, known = true, probe?: () => Promise<void>) =>
  ({ offer: known ? {} : undefined, status: () => ({ alias, state }), probe }) as unknown as Member

describe('readiness', () => {
  it('is that of the servers that should be up', async () => {
    const fine = [member('a', 'healthy'), member('b', 'disabled'), member('c', 'idle'), member('d', 'starting')]
    const bad = [member('e', 'idle', false), member('f', 'starting', false), member('g', 'held'), member('h', 'degraded'), member('i', 'needs-auth')]
    expect(await readinessOf({ members: fine })()).toEqual({ ready: true, backends: {} })
    expect(await readinessOf({ members: [...fine, ...bad] })()).toEqual({
      ready: false, backends: { e: 'idle', f: 'starting', g: 'held', h: 'degraded', i: 'needs-auth' },
    })
  })

  it('needs an answer from those that seem alive', async () => {
    const silent = member('a', 'healthy', true, () => Promise.reject(new Error('no answer')))
    expect(await readinessOf({ members: [silent, member('b', 'healthy', true, () => Promise.resolve())] })()).toEqual({ ready: false, backends: { a: 'silent' } })
  })

  it('asks once for all who ask at the same moment, and looks again later, at whoever is there then', async () => {
    vi.useFakeTimers()
    const probe = vi.fn(() => Promise.resolve())
    const house = { members: [member('a', 'healthy', true, probe)] }
    const isReady = readinessOf(house)
    await Promise.all([isReady(), isReady(), isReady()])
    await isReady()
    expect(probe).toHaveBeenCalledTimes(1)
    house.members = [member('b', 'held')]
    await vi.advanceTimersByTimeAsync(1001)
    expect(await isReady()).toEqual({ ready: false, backends: { b: 'held' } })
  })
})
