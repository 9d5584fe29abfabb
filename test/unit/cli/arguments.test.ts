import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { readArguments, withPairs } from '../../../src/cli/arguments.ts'
import { nearest } from '../../../src/cli/nearest.ts'

const stdin = (text: string) => Readable.from([Buffer.from(text)])

describe('readArguments', () => {
  it.each([
    [undefined, '', {}],
    ['{"a":1}', '', { a: 1 }],
    ['-', '{"b":[2]}', { b: [2] }],
    ['-', ' \n', {}],
  ])('%s from stdin %o', async (input, piped, value) => expect(await readArguments(input, stdin(piped))).toEqual(value))

  it.each(['{', '[1]', '"x"', 'null', 'a=b'])('refuses %s', async input => {
    await expect(readArguments(input, stdin(''))).rejects.toMatchObject({ code: 'USAGE', details: { hint: expect.stringContaining('{"key"') } })
  })
})

describe('withPairs', () => {
  const schema = {
    type: 'object',
    properties: {
      text: { type: 'string' },
      count: { type: 'integer' },
      on: { type: 'boolean' },
      tags: { type: 'array', items: { type: 'string' } },
      sizes: { type: 'array', items: { type: 'number' } },
      deep: { type: 'object' },
      either: { anyOf: [{ type: 'number' }, { type: 'null' }] },
      both: { type: ['string', 'null'] },
      any: {},
    },
  }
  it.each<[string[], object]>([
    [['text=5'], { text: '5' }],
    [['text=a=b:c'], { text: 'a=b:c' }],
    [['text:x=y'], { text: 'x=y' }],
    [['text='], { text: '' }],
    [['count=5'], { count: 5 }],
    [['on=false'], { on: false }],
    [['tags=a', 'tags=b'], { tags: ['a', 'b'] }],
    [['tags=["a,b"]'], { tags: ['a,b'] }],
    [['sizes=1', 'sizes=2'], { sizes: [1, 2] }],
    [['deep={"x":1}'], { deep: { x: 1 } }],
    [['either=null'], { either: null }],
    [['either=3'], { either: 3 }],
    [['both=null'], { both: null }],
    [['any=5', 'unknown=6'], { any: '5', unknown: '6' }],
  ])('%o', (pairs, value) => expect(withPairs({}, pairs, schema)).toEqual(value))

  it('adds to the JSON given, and wins over it', () => {
    expect(withPairs({ text: 'a', count: 1 }, ['text=b'], schema)).toEqual({ text: 'b', count: 1 })
  })

  it.each(['count=many', 'count=', 'on=yes', 'deep=[1]', 'nothing'])('refuses %s', pair =>
    expect(() => withPairs({}, [pair], schema)).toThrow(expect.objectContaining({ code: 'USAGE' })),
  )
})

describe('nearest', () => {
  const known = ['everything__echo', 'everything__get-sum', 'files__read_text_file', 'files__write_file', 'a__list', 'b__list']
  it.each([
    ['echo', ['everything__echo']],
    ['Everything__Echo', ['everything__echo']],
    ['everything__ecoh', ['everything__echo']],
    ['list', ['a__list', 'b__list']],
    ['read_text_fil', ['files__read_text_file']],
    ['nothing-like-it', []],
  ])('%s', (name, expected) => expect(nearest(name, known)).toEqual(expected))
})
