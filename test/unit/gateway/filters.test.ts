import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileFilter, matchesGlob } from '../../../src/gateway/filters.ts'
import { processorMs } from '../timing.ts'

describe('globs', () => {
  it.each([
    ['read_*', 'read_file', true],
    ['read_*', 'read_', true],
    ['read_*', 'unread_file', false],
    ['*file', 'read_file', true],
    ['*file', 'read_files', false],
    ['r?ad', 'read', true],
    ['r?ad', 'rad', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'a__b_b__c', true],
    ['a*b*c', 'a__c__b', false],
    ['file:///docs/*', 'file:///docs/a/b.txt', true],
    ['[a-z]+', 'b', false],
    ['[a-z]+', '[a-z]+', true],
    ['READ', 'read', false],
  ])('%s on %s: %s', (pattern, text, expected) => expect(matchesGlob(pattern, text)).toBe(expected))

  it('agrees with a plain recursive reading', () => {
    const slow = (p: string, t: string): boolean =>
      p === ''
        ? t === ''
        : p[0] === '*'
          ? slow(p.slice(1), t) || (t !== '' && slow(p, t.slice(1)))
          : t !== '' && (p[0] === '?' || p[0] === t[0]) && slow(p.slice(1), t.slice(1))
    const word = (signs: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...signs), maxLength })
    fc.assert(
      fc.property(word('ab*?', 7), word('ab', 8), (p, t) => {
        expect(matchesGlob(p, t)).toBe(slow(p, t))
      }),
    )
  })

  it('takes a hostile 50 KB text in no time', () => {
    const text = 'a'.repeat(50_000)
    const before = processorMs()
    for (const pattern of ['*a*a*a*a*a*b', '*aaaaaaaaaaaaaaaab', 'a*a*a*a*?b', '?*?*?*?*b'])
      expect(matchesGlob(pattern, text)).toBe(false)
    expect(processorMs() - before).toBeLessThan(400)
  })
})

describe('filters', () => {
  it('lets everything pass without rules', () => {
    expect(compileFilter(undefined)).toBeUndefined()
    expect(compileFilter({})).toBeUndefined()
    expect(compileFilter({ include: ['*'], exclude: [] })).toBeUndefined()
  })
  it('includes what a glob names and excludes after that', () => {
    const filter = compileFilter({ include: ['read_*', 'list'], exclude: ['*_secret'] })
    expect(['read_a', 'list', 'read_secret', 'write_a'].map(name => filter?.passes(name))).toEqual([true, true, false, false])
    expect(filter?.excludes('read_secret')).toBe(true)
    expect(filter?.includes('read_secret')).toBe(true)
  })
  it('includes nothing when the list is empty', () => expect(compileFilter({ include: [] })?.passes('a')).toBe(false))
})
