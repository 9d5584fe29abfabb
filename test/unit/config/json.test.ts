/** The quick way through a JSON file and the thorough one: the same values, whatever the text. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonLocator, parseJson, survey } from '../../../src/config/json.ts'
import { distance, similar } from '../../../src/config/similar.ts'

const json = fc.jsonValue({ maxDepth: 5 }).filter(value => !JSON.stringify(value).includes('__proto__'))

describe('a JSON text', () => {
  it('means what JSON.parse says, on either way', async () => {
    await fc.assert(
      fc.asyncProperty(json, fc.constantFrom(0, 2), async (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        const [quick, thorough] = await Promise.all([parseJson(text, survey(text)), parseJson(text, { plain: false })])
        expect([quick.findings, thorough.findings]).toEqual([[], []])
        expect(quick.value).toEqual(JSON.parse(text))
        expect(thorough.value).toEqual(quick.value)
      }),
    )
  })

  it('never goes the quick way with a key twice in one object', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (key, other) => {
        const [a, b] = [JSON.stringify(key), JSON.stringify(other)]
        expect(survey(`{"x":{${a}:1,${b}:{${a}:2},${a}:3}}`).plain).toBe(false)
        if (key !== other && !`${a}${b}`.includes('\\') && key !== '__proto__' && other !== '__proto__')
          expect(survey(`{${a}:{${a}:1,${b}:2},${b}:[{${a}:1},{${a}:1}]}`).plain).toBe(true)
      }),
    )
  })

  it.each(['{"a":1,"\\u0061":2}', '{"a":1,/* "b" */"a":2}', '{"a":"{","a":1}', '{"a\\"":1,"a\\"":2}'])(
    'finds the key that %s has twice',
    async text => {
      expect((await parseJson(text, survey(text))).findings).toMatchObject([{ code: 'DUPLICATE_KEY' }])
    },
  )

  it('may have comments and trailing commas', async () => {
    const text = '// a\n{ "a": [1, 2,], /* "a": 3 */ "b": "//", }'
    expect(await parseJson(text, survey(text))).toEqual({ value: { a: [1, 2], b: '//' }, findings: [] })
  })

  it('never makes the survey fail', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', '/', '*', ',', ':', 'a', '\n')),
        parts => void survey(parts.join('')),
      ),
    )
  })
})

it('finds keys and values by path, or the nearest thing around them', async () => {
  const text = '{ "a": { "b": [1, {"c": 2}] } }'
  const locate = await jsonLocator(text)
  expect(text.slice(locate(['a', 'b', 1, 'c'], 'key'))).toMatch(/^"c"/)
  expect(text.slice(locate(['a', 'b', 1, 'c'], 'value'))).toMatch(/^2/)
  expect(text.slice(locate(['a', 'b', 1, 'x', 'y'], 'value'))).toMatch(/^\{"c"/)
  expect(locate(['none'], 'key')).toBe(0)
})

describe('a likely meaning', () => {
  it.each([
    ['comand', 'command'],
    ['evn', 'env'],
    ['URL', 'url'],
    ['idle_timeout', 'idleTimeout'],
    ['timeout', 'timeouts'],
    ['arg', 'args'],
  ])('of %s is %s', (key, meant) =>
    expect(similar(key, ['command', 'env', 'url', 'idleTimeout', 'timeouts', 'args'])).toBe(meant),
  )

  it.each(['theme', 'x', 'uri', 'no'])('of %s is not known', key =>
    expect(similar(key, ['command', 'env', 'args'])).toBeUndefined(),
  )

  it('is as far as the fewest edits', () => {
    expect([
      distance('abc', 'abc', 2),
      distance('abc', 'acb', 2),
      distance('abc', 'ab', 2),
      distance('abc', 'xyz', 2),
      distance('', 'abcd', 2),
    ]).toEqual([0, 1, 1, 3, 3])
    fc.assert(
      fc.property(
        fc.string({ maxLength: 8 }),
        fc.string({ maxLength: 8 }),
        (a, b) => void expect(distance(a, b, 9)).toBe(distance(b, a, 9)),
      ),
    )
  })
})
