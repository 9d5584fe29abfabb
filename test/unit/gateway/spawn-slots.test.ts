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

it('first attempts of all go before second attempts of any, unless somebody waits for one', async () => {
  const slots = new SpawnSlots(1)
  const inside: string[] = []
  const tickets = [['a', false], ['again', true], ['b', false], ['wanted', true], ['c', false]].map(([name, again]) => {
    const ticket = slots.take(again as boolean)
    void ticket.ready.then(() => inside.push(name as string))
    return ticket
  })
  tickets[3]?.hurry()
  for (const at of [0, 3, 2, 4]) {
    tickets[at]?.release()
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(inside).toEqual(['a', 'wanted', 'b', 'c', 'again'])
})

it('what starts usually take says how long one may keep the others out', async () => {
  const { inside, ticket } = enter(new SpawnSlots(2, 3000), ['quick', 'hangs', 'a', 'b', 'c', 'd', 'e'])
  await vi.advanceTimersByTimeAsync(300)
  ticket('quick').release(true)
  await vi.advanceTimersByTimeAsync(299)
  expect(inside).toEqual(['quick', 'hangs', 'a'])
  await vi.advanceTimersByTimeAsync(1)
  expect(inside).toEqual(['quick', 'hangs', 'a', 'b'])
  // One that took long, though it no longer counted, says that all of them may.
  ticket('a').release(true)
  await vi.advanceTimersByTimeAsync(1400)
  ticket('hangs').release(true)
  await vi.advanceTimersByTimeAsync(0)
  const before = inside.length
  await vi.advanceTimersByTimeAsync(500)
  expect(inside).toHaveLength(before)
})

it('no start that ends well leaves a timer behind', async () => {
  const { ticket } = enter(new SpawnSlots(2), ['a', 'b'])
  await vi.advanceTimersByTimeAsync(10)
  for (const name of ['a', 'b']) ticket(name).release(true)
  expect(vi.getTimerCount()).toBe(0)
})
