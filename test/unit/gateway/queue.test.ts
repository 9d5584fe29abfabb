import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FairQueue } from '../../../src/gateway/queue.ts'

it('owners take turns, each in its own order', () => {
  const queue = new FairQueue<string>()
  for (const item of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2']) queue.push(item[0] as string, item)
  expect(queue.drain()).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4'])
  expect(queue.size).toBe(0)
  expect(queue.shift()).toBeUndefined()
})

it('an owner that comes late does not wait for all of another', () => {
  const queue = new FairQueue<string>()
  for (let n = 0; n < 100; n++) queue.push('greedy', `g${n}`)
  queue.shift()
  queue.push('modest', 'm')
  expect([queue.shift(), queue.shift()]).toContain('m')
})

it('keeps count and loses nothing, whatever is pushed, taken and removed', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), owner: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ do: fc.constant('shift' as const), owner: fc.constant('') }),
    fc.record({ do: fc.constant('remove' as const), owner: fc.constantFrom('a', 'b', 'c') }),
  )
  fc.assert(
    fc.property(fc.array(step), steps => {
      const queue = new FairQueue<number>()
      const inside: { owner: string; item: number }[] = []
      let next = 0
      for (const { do: what, owner } of steps) {
        if (what === 'push') {
          inside.push({ owner, item: next })
          queue.push(owner, next++)
        } else if (what === 'shift') {
          const item = queue.shift()
          const index = inside.findIndex(each => each.item === item)
          expect(index >= 0).toBe(item !== undefined)
          if (index >= 0) {
            const mine = inside[index]?.owner
            expect(inside.findIndex(each => each.owner === mine)).toBe(index)
            inside.splice(index, 1)
          } else expect(inside).toEqual([])
        } else {
          const index = inside.findIndex(each => each.owner === owner)
          expect(queue.remove(owner, inside[index]?.item ?? -1)).toBe(index >= 0)
          if (index >= 0) inside.splice(index, 1)
        }
        expect(queue.size).toBe(inside.length)
      }
    }),
  )
})

it('serves everybody within one round, whoever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd', '-'), { maxLength: 200 }), steps => {
      const queue = new FairQueue<string>()
      const passed = new Map<string, number>()
      for (const step of steps) {
        if (step !== '-') {
          if (!passed.has(step)) passed.set(step, 0)
          queue.push(step, step)
          continue
        }
        const owner = queue.shift()
        if (owner === undefined) continue
        passed.delete(owner)
        for (const [other, turns] of passed) passed.set(other, turns + 1)
        for (const turns of passed.values()) expect(turns).toBeLessThanOrEqual(4)
        // Still waiting with more: its wait begins anew.
        if (queue.remove(owner, owner)) {
          queue.push(owner, owner)
          passed.set(owner, 0)
        }
      }
    }),
  )
})
