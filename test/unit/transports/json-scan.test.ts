import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scanJson } from '../../../src/transports/json-scan.ts'

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

describe('depth', () => {
  it('is that of the value, however it is written', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat(10), fc.constantFrom(undefined, 1, '\t'), (value, limit, space) => {
        expect(scanJson(JSON.stringify(value, null, space), limit) === 'depth').toBe(depthOf(value) > limit)
      }),
    )
  })
  it('is found before anything is parsed, in text of any kind', () => {
    fc.assert(fc.property(fc.string(), text => void scanJson(text, 5)))
    expect(scanJson('['.repeat(1_000_000), 100)).toBe('depth')
    expect(scanJson(`"${'['.repeat(1000)}"`, 1)).toBeUndefined()
  })
})

describe('keys that stand twice', () => {
  const twice = [
    '{"id":1,"id":1}', '{"id":1,"method":"a","id":2}', '{ "a" : 1 , "\\u0061" : 2 }', '{"":1,"":2}',
    '{"params":{"name":1,"name":2}}', '{"params":{"x":[{}],"_meta":{"a":1,"a":2}}}', '[{"id":1},{"id":1,"id":2}]',
    '[7,{"params":{"_meta":{"a":{"b":1},"a":2}}}]', '{"a":"\\"","a":1}', '{"a":"\\\\","a":1}', '{"params":{"_meta":{},"_meta":{}}}',
  ]
  it.each(twice)('%s', text => expect(scanJson(text, 100)).toBe('duplicate'))

  const once = [
    '{"a":{"x":1},"b":{"x":1}}', '{"params":{"arguments":{"x":1,"x":2}}}', '[{"id":1},{"id":1}]', '{"a":"\\"a\\":","b":1}', '{"a":["a","a"]}',
    '{"a":"b","b":"a"}', '{"_meta":{"a":1,"a":2}}', '{"result":{"x":1,"x":2}}', '{"params":[{"name":1},{"name":1}]}', '""', '7', '',
  ]
  it.each(once)('not %s', text => expect(scanJson(text, 100)).toBeUndefined())

  it('are found in whatever surrounds them, and only there', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (params, rest, doubled) => {
        const body = JSON.stringify({ ...rest, params })
        const text = doubled ? `${body.slice(0, -1)},"params":1}` : body
        expect(scanJson(text, 1000)).toBe(doubled ? 'duplicate' : undefined)
      }),
    )
  })
})
