/** Which protocol an endpoint speaks, remembered beside what it offers. */
import { expect, it } from 'vitest'
import { verdictsOn } from '../../../src/app/verdicts.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'

const verdict = { era: 'modern', revision: '2026-07-28', at: 1 } as const

it('is kept in memory where there is no shelf', () => {
  const verdicts = verdictsOn(undefined)
  expect(verdicts.get('0')).toBeUndefined()
  verdicts.set('0', verdict)
  expect(verdicts.get('0')).toEqual(verdict)
})

it('is kept on the shelf, one for each endpoint, beside what else stands there', () => {
  const shelf: { note: JsonObject | undefined } = { note: { other: 1, verdicts: { 1: { ...verdict, at: 2 } } } }
  const verdicts = verdictsOn(shelf)
  expect(verdicts.get('1')).toEqual({ ...verdict, at: 2 })
  verdicts.set('0', verdict)
  expect(shelf.note).toEqual({ other: 1, verdicts: { 0: verdict, 1: { ...verdict, at: 2 } } })
})

it.each([undefined, { verdicts: 'x' }, { verdicts: { 0: 'x' } }, { verdicts: { 0: null } }])('a note that says nothing of the kind is no verdict: %o', note => {
  expect(verdictsOn({ note: note as JsonObject | undefined }).get('0')).toBeUndefined()
})
