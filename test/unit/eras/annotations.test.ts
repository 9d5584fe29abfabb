import { describe, expect, it } from 'vitest'
import { readAnnotations, withoutFaults } from '../../../src/eras/annotations.ts'

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more })
const region = { type: 'string', 'x-mcp-header': 'Region' }

describe('x-mcp-header annotations', () => {
  it('finds them along properties, at any depth', () => {
    const schema = object({ region, filter: object({ limit: { type: 'integer', 'x-mcp-header': 'Limit' } }), q: { type: 'string' } })
    expect(readAnnotations(schema)).toEqual({
      valid: [
        { path: ['region'], name: 'Region' },
        { path: ['filter', 'limit'], name: 'Limit' },
      ],
      faults: [],
    })
  })

  it('takes every character a field name may have', () => {
    const name = "!#$%&'*+-.^_`|~09azAZ"
    expect(readAnnotations(object({ a: { type: 'boolean', 'x-mcp-header': name } })).valid).toEqual([{ path: ['a'], name }])
  })

  it.each([
    ['an empty name', object({ a: { ...region, 'x-mcp-header': '' } })],
    ['a space', object({ a: { ...region, 'x-mcp-header': 'My Region' } })],
    ['a colon', object({ a: { ...region, 'x-mcp-header': 'A:B' } })],
    ['a line break', object({ a: { ...region, 'x-mcp-header': 'A\r\nB: c' } })],
    ['a name outside ASCII', object({ a: { ...region, 'x-mcp-header': 'Région' } })],
    ['no text', object({ a: { ...region, 'x-mcp-header': true } })],
    ['a number', object({ a: { type: 'number', 'x-mcp-header': 'A' } })],
    ['an object', object({ a: { type: 'object', 'x-mcp-header': 'A' } })],
    ['an array', object({ a: { type: 'array', 'x-mcp-header': 'A' } })],
    ['null', object({ a: { type: 'null', 'x-mcp-header': 'A' } })],
    ['no type', object({ a: { 'x-mcp-header': 'A' } })],
    ['several types', object({ a: { type: ['string', 'null'], 'x-mcp-header': 'A' } })],
    ['the same name twice', object({ a: region, b: region })],
    ['the same name in another case', object({ a: region, b: { ...region, 'x-mcp-header': 'REGION' } })],
    ['the root', { ...object({}), 'x-mcp-header': 'A' }],
    ['items', object({ a: { type: 'array', items: region } })],
    ['properties below items', object({ a: { type: 'array', items: object({ b: region }) } })],
    ['anyOf', object({ a: { anyOf: [{ type: 'null' }, region] } })],
    ['allOf at the root', object({}, { allOf: [object({ b: region })] })],
    ['then', object({}, { if: {}, then: object({ b: region }) })],
    ['$defs', object({ a: { $ref: '#/$defs/r' } }, { $defs: { r: region } })],
    ['patternProperties', object({}, { patternProperties: { '^a': region } })],
    ['additionalProperties', object({}, { additionalProperties: region })],
  ])('refuses %s', (_title, schema) => {
    expect(readAnnotations(schema).faults).toHaveLength(1)
  })

  it('takes no value or property name for an annotation', () => {
    const schema = object({ 'x-mcp-header': { type: 'string' }, a: { type: 'object', default: { 'x-mcp-header': '' }, enum: [{ 'x-mcp-header': '' }] } })
    expect(readAnnotations(schema)).toEqual({ valid: [], faults: [] })
  })

  it.each([[undefined], [null], [true], ['x'], [[]], [{}], [{ properties: [] }], [{ items: true, not: 7 }]])('reads %j as none', schema => {
    expect(readAnnotations(schema)).toEqual({ valid: [], faults: [] })
  })

  it('survives a schema nested without end', () => {
    let schema: object = region
    for (let depth = 0; depth < 5000; depth++) schema = object({ a: schema })
    expect(readAnnotations(schema)).toEqual({ valid: [], faults: [] })
  })
})

describe('a tool without its faulty annotations', () => {
  it('loses those alone, and keeps the rest to the key', () => {
    const tool = {
      name: 't',
      inputSchema: object({ good: region, bad: { type: 'number', 'x-mcp-header': 'N', minimum: 1 }, odd: { anyOf: [region] } }),
      annotations: { x: 1 },
    }
    const before = structuredClone(tool)
    expect(withoutFaults(tool)).toEqual({
      name: 't',
      inputSchema: object({ good: region, bad: { type: 'number', minimum: 1 }, odd: { anyOf: [{ type: 'string' }] } }),
      annotations: { x: 1 },
    })
    expect(tool).toEqual(before)
  })

  it('is the same object when there is nothing to lose', () => {
    const tool = { name: 't', inputSchema: object({ region }) }
    expect(withoutFaults(tool)).toBe(tool)
  })
})
