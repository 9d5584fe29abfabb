import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SpawnSlots, type SpawnTicket } from '../../../src/gateway/spawn-slots.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function enter(slots: SpawnSlots, names: string[]) {
  const inside: string[] = []
  const tickets = new Map<string, SpawnTicket>()
  for (const name of names) {
    const ticket = slots.take()
    tickets.set(name, ticket)
    void ticket.ready.then(() => inside.push(name))
  }
  return { inside, ticket: (name: string) => tickets.get(name) as SpawnTicket }
}

it('lets so many in, the next when one is done', async () => {
  const { inside, ticket } = enter(new SpawnSlots(2), ['a', 'b', 'c', 'd'])
  await vi.advanceTimersByTimeAsync(0)
  expect(inside).toEqual(['a', 'b'])
  ticket('a').release()
  ticket('a').release()
  await vi.advanceTimersByTimeAsync(0)
  expect(inside).toEqual(['a', 'b', 'c'])
})

it('whoever somebody waits for goes first', async () => {
  const { inside, ticket } = enter(new SpawnSlots(1), ['a', 'b', 'c'])
  ticket('c').hurry()
  ticket('a').release()
  await vi.advanceTimersByTimeAsync(0)
  expect(inside).toEqual(['a', 'c'])
})

it('one that hangs does not keep the others out', async () => {
  const { inside, ticket } = enter(new SpawnSlots(1, 3000), ['a', 'b'])
  await vi.advanceTimersByTimeAsync(2999)
  expect(inside).toEqual(['a'])
  await vi.advanceTimersByTimeAsync(1)
  expect(inside).toEqual(['a', 'b'])
  // Its late release must not free a second place.
  ticket('a').release()
  ticket('b').release()
})

it('one that no longer wants to start leaves the line', async () => {
  const { inside, ticket } = enter(new SpawnSlots(1), ['a', 'b', 'c'])
  ticket('b').release()
  ticket('a').release()
  await vi.advanceTimersByTimeAsync(0)
  expect(inside).toContain('c')
})
