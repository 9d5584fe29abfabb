import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { mergeDescriptions, type Described } from '../../../src/gateway/descriptions.ts'
import { options } from './offers.ts'

const told = (alias: string, capabilities: JsonObject, instructions?: string): Described => ({
  alias,
  description: { info: { name: 'anything' }, capabilities, instructions, era: undefined, revision: undefined },
})
const capabilities = (...list: JsonObject[]) => mergeDescriptions(list.map((one, i) => told(`s${i}`, one))).capabilities

describe('capabilities', () => {
  it('joins what any of them can', () => {
    expect(
      capabilities(
        {
          tools: { vendor: 1 },
          resources: { subscribe: false },
          extensions: { 'a/b': { x: 1, deep: { y: 1 } } },
          experimental: { e: {} },
        },
        {
          resources: { subscribe: true, listChanged: false },
          logging: {},
          completions: {},
          extensions: { 'a/b': { x: 2, z: 3, deep: { w: 2 } }, 'c/d': {} },
        },
        { tasks: { list: {}, requests: { tools: { call: {} } } }, experimental: { f: {} }, future: { g: [1] } },
        { tasks: { cancel: {}, requests: { other: {} } }, future: { g: [2] } },
      ),
    ).toEqual({
      tools: { vendor: 1, listChanged: true },
      resources: { subscribe: true, listChanged: true },
      logging: {},
      completions: {},
      extensions: { 'a/b': { x: 1, z: 3, deep: { y: 1, w: 2 } }, 'c/d': {} },
      experimental: { e: {}, f: {} },
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} }, other: {} } },
      future: { g: [1] },
    })
  })
  it('claims no feature that nobody has, but always that tools may change', () => {
    expect(capabilities({})).toEqual({ tools: { listChanged: true } })
    expect(capabilities()).toEqual({ tools: { listChanged: true } })
    expect(capabilities({ prompts: {} })).toEqual({ tools: { listChanged: true }, prompts: { listChanged: true } })
    expect(capabilities({ resources: {} })).toEqual({ tools: { listChanged: true }, resources: { listChanged: true } })
  })
  it('claims every feature while somebody has yet to tell', () => {
    const merged = mergeDescriptions([told('a', { tools: {} })], [{ alias: 'b', reason: 'starting' }]).capabilities
    expect(merged).toEqual({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      logging: {},
      completions: {},
    })
  })
  it('changes nothing it was given and survives odd shapes', () => {
    const one = Object.freeze({ tools: Object.freeze({}), extensions: Object.freeze({ a: 1 }) })
    expect(capabilities(one, { extensions: { a: 2 }, tools: 'x', resources: null, prompts: [] })['extensions']).toEqual({ a: 1 })
    expect(one).toEqual({ tools: {}, extensions: { a: 1 } })
    const hostile = JSON.parse('{"__proto__":{"polluted":1},"extensions":{"__proto__":{"polluted":1}}}') as JsonObject
    capabilities({ extensions: {} }, hostile)
    expect(({} as JsonObject)['polluted']).toBeUndefined()
    expect(capabilities({ extensions: {} }, hostile)['polluted']).toBeUndefined()
  })
})

describe('instructions', () => {
  const merge = (...args: Parameters<typeof mergeDescriptions>) => mergeDescriptions(...args).instructions

  it("passes a lone server's text as it is, however long", () => {
    for (const text of [undefined, '', '  two\nlines ', 'x'.repeat(100_000)]) expect(merge([told('a', {}, text)])).toBe(text)
  })
  it('labels each of several, and says how their names begin', () => {
    const list = [told('a', {}, 'use x'), told('quiet', {}), told('blank', {}, ' \n'), told('b.c', {}, 'use y\n')]
    expect(merge(list)).toBe('## a\nuse x\n\n## b.c\nuse y')
    expect(merge(list, [], options)).toBe(
      '## a (its names begin with a__ here)\nuse x\n\n## b.c (its names begin with b_c__ here)\nuse y',
    )
    expect(merge(list, [], { ...options, prefix: 'never' })).toBe('## a\nuse x\n\n## b.c\nuse y')
  })
  it('is silent when nobody says anything', () => {
    expect(merge([told('a', {}), told('b', {})])).toBeUndefined()
    expect(merge([])).toBeUndefined()
  })
  it('says who is missing and why, in one bounded line', () => {
    const text = merge(
      [told('a', {}, 'use x')],
      [
        { alias: 'b', reason: 'needs sign-in\n  at secret stack' },
        { alias: 'c', reason: `\u001b[31m${'x'.repeat(1000)}` },
      ],
    )
    expect(text).toMatch(/^## a\nuse x\n\nNot available at the moment: b \(needs sign-in\), c \( \[31mx+ …\)\.$/)
    expect(text?.length).toBeLessThan(300)
    const many = Array.from({ length: 50 }, (_, i) => ({ alias: `m${i}`, reason: 'down' }))
    expect(merge([], many)).toMatch(/m19 \(down\), 30 more\.$/)
  })
  it('bounds each and all, and says where it cut', () => {
    const text = merge([told('a', {}, 'x'.repeat(10_000)), told('b', {}, 'short')]) as string
    expect(text).toMatch(/^## a\nx{4094} …\n\n## b\nshort$/)
    const list = [told('small', {}, 'short'), ...Array.from({ length: 9 }, (_, i) => told(`s${i}`, {}, String(i).repeat(10_000)))]
    const all = merge(list) as string
    expect(all.length).toBeLessThan(16_384 + 200)
    expect(all.length).toBeGreaterThan(16_000)
    expect(all).toContain('## small\nshort\n')
    for (let i = 0; i < 9; i++) expect(all.split(`## s${i}\n`)[1]?.startsWith(String(i).repeat(1000))).toBe(true)
    expect(() => encodeURIComponent(merge([told('a', {}, '🙂'.repeat(5000)), told('b', {}, 'x')]) as string)).not.toThrow()
  })
})
