/** Who sits where, and who has left but is still owed an answer. */
import { expect, it, vi } from 'vitest'
import { readState, publicState, Roster, type Seat } from '../../../src/gateway/roster.ts'
import { FakeMember } from './fake-member.ts'

const seats = (...members: FakeMember[]) => members.map(member => ({ alias: member.name, member }))

it('a member that stays keeps its seat; who comes gets a serial never used before', () => {
  const [a, b, again] = [new FakeMember('a'), new FakeMember('b'), new FakeMember('a')]
  const roster = new Roster(seats(a, b))
  const before = roster.at('b')
  expect(roster.several).toBe(true)
  roster.replace(seats(b))
  expect(roster.at('b')).toBe(before)
  expect(roster.several).toBe(false)
  roster.replace(seats(again, b))
  expect(new Set([before, roster.at('a')].map(seat => seat?.serial)).size).toBe(2)
  expect(roster.seats.map(({ alias }) => alias)).toEqual(['a', 'b'])
})

it('finds who handed something out as long as it is here, else whoever sits there now', () => {
  const [old, fresh, other] = [new FakeMember('a'), new FakeMember('a'), new FakeMember('b')]
  const roster = new Roster(seats(old, other))
  const seat = roster.at('a') as Seat
  const another = roster.at('b') as Seat
  roster.replace(seats(fresh, other))
  expect(roster.keeper('a', seat.serial)?.member).toBe(old)
  expect(roster.keeper('a', undefined)?.member).toBe(fresh)
  expect(roster.keeper('a', another.serial)?.member).toBe(fresh)
  expect([...roster.all()].map(({ member }) => member)).toEqual([fresh, other, old])
  expect(roster.isHere(seat)).toBe(true)
  roster.release(old)
  expect(roster.keeper('a', seat.serial)?.member).toBe(fresh)
  expect(roster.isHere(seat)).toBe(false)
  expect(roster.keeper('gone', 1)).toBeUndefined()
})

it('awaits only what those who left have asked', () => {
  const [old, fresh] = [new FakeMember('a'), new FakeMember('a')]
  const roster = new Roster(seats(old))
  const seat = roster.at('a') as Seat
  seat.asked = 1
  expect(roster.awaits(old)).toBe(false)
  roster.replace(seats(fresh))
  expect(roster.awaits(old)).toBe(true)
  seat.asked = 0
  expect(roster.awaits(old)).toBe(false)
})

it('tells of every move, until nobody listens', () => {
  const [a, b] = [new FakeMember('a'), new FakeMember('b')]
  const roster = new Roster(seats(a))
  const moved = vi.fn()
  const stop = roster.onMove(moved)
  roster.replace(seats(b))
  roster.release(a)
  roster.release(a)
  stop()
  roster.replace(seats(a))
  expect(moved).toHaveBeenCalledTimes(2)
})

it('a state leads back to who handed it out, whatever it is', () => {
  const seat = new Roster(seats(new FakeMember('a'))).at('a') as Seat
  for (const own of ['', '.', 's.1', '12.', '\u0000é']) expect(readState(publicState(seat, own))).toEqual({ serial: seat.serial, own })
})
