/** When lists are waited for, and when clients are told that they differ. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Offer } from '../../../src/gateway/contract.ts'
import { silent } from '../../../src/gateway/log.ts'
import { Surface } from '../../../src/gateway/surface.ts'
import { FakeMember, seated } from './fake-member.ts'
import { offer, options } from './offers.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function surfaceOf(members: readonly FakeMember[], startWaitMs = 1000) {
  const warned: string[] = []
  const surface = new Surface({ members: seated(members), names: options, startWaitMs, log: { ...silent, warn: (_, text) => void warned.push(text) } })
  const told: string[] = []
  surface.onChange(lists => void told.push(lists.join('+')))
  return { surface, told, warned }
}
const after = (ms: number, brought: Offer | undefined) => () => new Promise<Offer | undefined>(resolve => setTimeout(resolve, ms, brought))
const names = ({ tools }: { tools: readonly object[] }): unknown[] => tools.map(tool => (tool as { name: string }).name)

describe('waiting', () => {
  it('nobody is started before somebody asks, and nobody whose offer is known', async () => {
    const [known, unknown] = [new FakeMember('known', { tools: ['t'] }), new FakeMember('unknown')]
    const { surface } = surfaceOf([known, unknown])
    expect(names(surface.catalog)).toEqual(['known__t'])
    expect([known.starts, unknown.starts]).toEqual([0, 0])
    await surface.settled()
    await surface.settled()
    expect([known.starts, unknown.starts]).toEqual([0, 1])
  })

  it('a list waits for stragglers, but not longer than it is told', async () => {
    const [soon, late] = [new FakeMember('soon'), new FakeMember('late')]
    soon.brings = after(100, offer({ tools: ['t'] }))
    late.brings = after(5000, offer({ tools: ['t'] }))
    const { surface, told } = surfaceOf([soon, late])
    const listed = surface.settled()
    await vi.advanceTimersByTimeAsync(999)
    expect(await Promise.race([listed, 'waiting'])).toBe('waiting')
    await vi.advanceTimersByTimeAsync(1)
    expect(names(await listed)).toEqual(['soon__t'])
    await vi.advanceTimersByTimeAsync(4100)
    expect(told).toEqual(['tools'])
    expect(names(surface.catalog)).toEqual(['soon__t', 'late__t'])
  })

  it('does not wait again for one that failed, and says once why it is missing', async () => {
    const broken = new FakeMember('broken')
    broken.brings = after(10, undefined)
    Object.assign(broken, { state: 'held', lastFailure: { stage: 'start', message: 'no licence', at: '' } })
    const off = new FakeMember('off')
    off.state = 'disabled'
    const { surface, warned } = surfaceOf([broken, off])
    const first = surface.settled()
    await vi.advanceTimersByTimeAsync(10)
    await first
    await surface.settled()
    expect(broken.starts).toBe(1)
    expect(warned).toEqual(['broken: not available: no licence'])
  })

  it('the opening does not count as a list: nothing is told before somebody has read one', async () => {
    const late = new FakeMember('late')
    late.brings = after(300, offer({ tools: ['t'] }))
    const { surface, told } = surfaceOf([late])
    const opened = surface.arrivals(100)
    await vi.advanceTimersByTimeAsync(1000)
    await opened
    expect(told).toEqual([])
    expect(names(await surface.settled())).toEqual(['late__t'])
  })
})

describe('telling', () => {
  it('changes close together are told once, and only of lists that differ', async () => {
    const a = new FakeMember('a', { tools: ['t'], prompts: ['p'], resources: ['x://1'] })
    const { surface, told } = surfaceOf([a])
    await surface.settled()
    a.offers({ tools: ['t', 'u'], prompts: ['p'], resources: ['x://1'] })
    await vi.advanceTimersByTimeAsync(20)
    a.offers({ tools: ['t', 'u'], prompts: ['p'], resources: ['x://1', 'x://2'] })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual(['tools+resources'])
  })

  it('nothing is told of what comes to the same in the end', async () => {
    const a = new FakeMember('a', { tools: ['t'] })
    const { surface, told } = surfaceOf([a])
    await surface.settled()
    a.offers({ tools: [] })
    a.offers({ tools: ['t'], capabilities: { logging: {} } })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual([])
  })

  it('differences add up against what was last told, templates among the resources', async () => {
    const a = new FakeMember('a', { templates: ['x://{a}'] })
    const { surface, told } = surfaceOf([a])
    await surface.settled()
    a.offers({ templates: ['x://{b}'] })
    await vi.advanceTimersByTimeAsync(100)
    a.offers({ templates: ['x://{b}'], prompts: ['p'] })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual(['resources', 'prompts'])
  })

  it('a listener that left hears nothing, and nobody does after the end', async () => {
    const a = new FakeMember('a', { tools: ['t'] })
    const { surface, told } = surfaceOf([a])
    const heard = vi.fn()
    surface.onChange(heard)()
    await surface.settled()
    a.offers({ tools: [] })
    surface.close()
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual([])
    expect(heard).not.toHaveBeenCalled()
    expect(a.listened).toBe(0)
  })
})

describe('other members', () => {
  it('who comes with the same offer is no news; who comes with another one is', async () => {
    const a = new FakeMember('a', { tools: ['t'] })
    const { surface, told } = surfaceOf([a])
    await surface.settled()
    const same = new FakeMember('a', { tools: ['t'] })
    surface.replace({ members: seated([same]), names: options, startWaitMs: 10 })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual([])
    surface.replace({ members: seated([same, new FakeMember('b', { tools: ['t'] })]), names: options, startWaitMs: 10 })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual(['tools'])
    expect([a.listened, same.listened]).toEqual([0, 1])
  })

  it('who was replaced is not heard any more, who stays is not started again', async () => {
    const [a, down, fresh] = [new FakeMember('a', { tools: ['t'] }), new FakeMember('down'), new FakeMember('fresh')]
    fresh.brings = after(5, offer({ tools: ['t'] }))
    const { surface, told } = surfaceOf([a, down])
    await surface.settled()
    surface.replace({ members: seated([down, fresh]), names: options, startWaitMs: 50 })
    const listed = surface.settled()
    await vi.advanceTimersByTimeAsync(5)
    expect(names(await listed)).toEqual(['fresh__t'])
    expect([down.starts, fresh.starts]).toEqual([1, 1])
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual(['tools'])
    a.offers({ tools: ['t', 'u'] })
    await vi.advanceTimersByTimeAsync(100)
    expect(told).toEqual(['tools'])
  })
})
