import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assignNames, prefixOf, promptName, toolName } from '../../../src/gateway/names.ts'
import { costMs, processorMs } from '../timing.ts'

const tool = (alias: string, own: string, maxLength = 64) => toolName(alias, own, prefixOf(alias, '__'), maxLength)
const alias = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/).filter(text => !text.includes('__'))
const own = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.string({ minLength: 1, unit: 'binary', maxLength: 200 }),
  fc.stringMatching(/^[A-Za-z0-9_-]{1,90}$/),
)

describe('tool names', () => {
  it.each([
    ['files', 'read_file', 'files__read_file'],
    ['my-server', 'get-x', 'my-server__get-x'],
    ['awslabs.core', 'prompt', 'awslabs_core__prompt'],
    ['a', 'b__c', 'a__b__c'],
  ])('%s and %s: %s', (a, o, name) => expect(tool(a, o)).toBe(name))

  it('keeps a name of exactly the length', () => {
    const name = 'x'.repeat(64 - 'files__'.length)
    expect(tool('files', name)).toBe(`files__${name}`)
    expect(tool('files', `${name}x`)).not.toContain(name)
  })
  it('shortens in the middle, at words, with a hash', () => {
    const long = 'list_repository_pull_request_review_comments_for_authenticated_user'
    expect(tool('github', long)).toMatch(/^github__list_repository_pull_request_[a-z_]*user_[0-9a-z]{6}$/)
    expect(tool('github', long).length).toBeLessThanOrEqual(64)
  })
  it('cleans what hosts refuse, with a hash', () => {
    expect(tool('db', 'db.query')).toMatch(/^db__db_query_[0-9a-z]{6}$/)
    expect(tool('db', 'café au lait')).toMatch(/^db__cafe_au_lait_[0-9a-z]{6}$/)
    expect(tool('db', '検索')).toMatch(/^db__[0-9a-z]{6}$/)
    expect(tool('db', 'db query')).not.toBe(tool('db', 'db.query'))
  })
  it('does the same in every process', () => expect(tool('db', 'db.query')).toBe('db__db_query_x65vfb'))
  it('leaves room for the own name beside a long alias', () => {
    expect(tool('a-very-long-alias-of-32-characters'.slice(0, 32), 'delete_everything', 32)).toMatch(
      /^a-very-long-alia_delet_ng_[0-9a-z]{6}$/,
    )
  })
  it('takes a hostile 50 KB name in no time', () => {
    const before = processorMs()
    for (const text of [
      '_'.repeat(50_000) + 'é',
      'aB'.repeat(25_000),
      '.'.repeat(50_000),
      '\u0300'.repeat(50_000),
      '\ufdfa'.repeat(50_000),
    ])
      expect(tool('db', text).length).toBeLessThanOrEqual(64)
    expect(processorMs() - before).toBeLessThan(300)
  })

  it('is always legal, of bounded length and a function of its own pair', () => {
    fc.assert(
      fc.property(alias, own, fc.integer({ min: 16, max: 256 }), (a, o, maxLength) => {
        const name = tool(a, o, maxLength)
        expect(name).toMatch(/^[A-Za-z0-9_-]+$/)
        expect(name.length).toBeLessThanOrEqual(maxLength)
        expect(tool(a, o, maxLength)).toBe(name)
        expect(toolName(a, o, '', maxLength)).toMatch(/^[A-Za-z0-9_-]+$/)
      }),
    )
  })
  it('differs for different pairs', () => {
    const pairs = fc.uniqueArray(fc.tuple(alias, own), {
      maxLength: 40,
      selector: ([a, o]) => JSON.stringify([a.replaceAll('.', '_'), o]),
    })
    fc.assert(
      fc.property(pairs, list => {
        expect(new Set(list.map(([a, o]) => tool(a, o))).size).toBe(list.length)
      }),
    )
  })
})

describe('prefixes', () => {
  it.each([
    ['a', 'b', 'a_', '_b'],
    ['a', '_b', 'a_', 'b'],
    ['a', 'b__c', 'a._b', 'c'],
    ['a', '___b', 'a_', '_b'],
  ])('%s + %s never meets %s + %s', (a, b, c, d) => expect(tool(a, b)).not.toBe(tool(c, d)))

  it('is the bare alias without a separator', () => expect(prefixOf('a.b', '')).toBe('a_b'))

  it('can be told from what follows, whatever the separator', () => {
    fc.assert(
      fc.property(alias, fc.stringMatching(/^[A-Za-z0-9_.-]{1,8}$/), (a, separator) => {
        const prefix = prefixOf(a, separator)
        expect(prefix.indexOf(separator)).toBe(prefix.length - separator.length)
      }),
    )
  })
})

describe('prompt names', () => {
  it('keeps every character', () => expect(promptName('docs', 'Überblick (kurz)', 'docs__')).toBe('docs__Überblick (kurz)'))
  it('shortens only beyond 256 characters, whole characters only', () => {
    const name = promptName('docs', '🙂'.repeat(300), 'docs__')
    expect(name.length).toBeLessThanOrEqual(256)
    expect(name).toMatch(/^docs__(🙂)+_(🙂)+_[0-9a-z]{6}$/u)
  })
})

describe('assigning', () => {
  interface Item {
    alias: string
    own: string
    name: string
  }
  const items = (...pairs: [string, string][]): Item[] => pairs.map(([a, o]) => ({ alias: a, own: o, name: '' }))
  const nameOf = (item: Item, prefixed: boolean) => toolName(item.alias, item.own, prefixed ? prefixOf(item.alias, '__') : '', 64)
  const named = (list: Item[]) => list.map(({ name }) => name)

  it('always prefixes with `always`, never with `never`', () => {
    const list = items(['a', 'x'], ['b', 'y'])
    assignNames(list, 'always', nameOf)
    expect(named(list)).toEqual(['a__x', 'b__y'])
    assignNames(list, 'never', nameOf)
    expect(named(list)).toEqual(['x', 'y'])
  })
  it('prefixes all who clash with `onClash`, and only those', () => {
    const list = items(['a', 'x'], ['b', 'x'], ['b', 'y'], ['c', 'x'])
    const holders = assignNames(list, 'onClash', nameOf)
    expect(named(list)).toEqual(['a__x', 'b__x', 'y', 'c__x'])
    expect([...holders.values()].every(held => held.length < 2)).toBe(true)
  })
  it('also prefixes whoever bears by itself the prefixed name of another', () => {
    const list = items(['a', 'x'], ['b', 'x'], ['c', 'a__x'], ['d', 'c__a__x'])
    assignNames(list, 'onClash', nameOf)
    expect(named(list)).toEqual(['a__x', 'b__x', 'c__a__x', 'd__c__a__x'])
  })
  it('says who holds a name that several want', () => {
    const list = items(['a', 'x'], ['b', 'x'])
    expect(assignNames(list, 'never', nameOf).get('x')).toEqual(list)
  })
  it('does not depend on order', () => {
    const pair = fc.tuple(fc.constantFrom('a', 'b', 'c', 'a_'), fc.constantFrom('x', 'y', 'a__x', 'b__x', 'c__a__x', '_x'))
    const pairs = fc.uniqueArray(pair, { selector: ([a, o]) => `${a} ${o}`, maxLength: 20 })
    const shuffled = pairs.chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })))
    fc.assert(
      fc.property(shuffled, fc.constantFrom('always', 'onClash', 'never'), ([left, right], prefix) => {
        const [a, b] = [items(...left), items(...right)]
        assignNames(a, prefix, nameOf)
        assignNames(b, prefix, nameOf)
        const table = (list: Item[]) => list.map(item => `${item.alias} ${item.own} ${item.name}`).sort()
        expect(table(b)).toEqual(table(a))
      }),
    )
  })
  it('settles a long chain of prefixes in no time', () => {
    const list: Item[] = items(['a', 'x'], ['b', 'x'])
    for (let i = 0, own = 'a__x'; i < 3000; i++) {
      list.push({ alias: 'a', own, name: '' })
      own = toolName('a', own, 'a__', 64)
    }
    expect(costMs(() => assignNames(list, 'onClash', nameOf))).toBeLessThan(500)
  })
})
