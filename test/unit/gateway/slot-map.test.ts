import fc from 'fast-check'
import { expect, it } from 'vitest'
import { SlotMap } from '../../../src/gateway/slot-map.ts'

it('behaves like a Map, whatever comes and goes', () => {
  const key = fc.constantFrom<string | number>(0, 1, '1', '', 'a', 'b')
  const step = fc.oneof(
    fc.tuple(fc.constant('set' as const), key, fc.option(fc.nat(), { nil: undefined })),
    fc.tuple(fc.constant('delete' as const), key, fc.constant(undefined)),
    fc.tuple(fc.constant('clear' as const), key, fc.constant(undefined)),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const slots = new SlotMap<string | number, number | undefined>()
      const map = new Map<string | number, number | undefined>()
      for (const [what, at, value] of steps) {
        if (what === 'set') {
          slots.set(at, value)
          map.set(at, value)
        } else if (what === 'delete') expect(slots.delete(at)).toBe(map.delete(at))
        else {
          slots.clear()
          map.clear()
        }
        expect([...slots]).toEqual([...map])
        expect(slots.values()).toEqual([...map.values()])
        expect(slots.size).toBe(map.size)
        for (const each of [0, 1, '1', '', 'a', 'b']) {
          expect(slots.has(each)).toBe(map.has(each))
          expect(slots.get(each)).toBe(map.get(each))
        }
      }
    }),
  )
})
