import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, grantedOf, isEmpty, joined, readFilter, supported, touches, writeFilter } from '../../../../src/eras/modern/filters.ts'
import type { Interest, ListKind } from '../../../../src/gateway/contract.ts'

const interest = (more: Partial<Interest>): Interest => ({ lists: [], resources: [], logLevel: undefined, roots: undefined, ...more })
const interests = fc.record({
  lists: fc.uniqueArray(fc.constantFrom<ListKind>('tools', 'prompts', 'resources')),
  resources: fc.uniqueArray(fc.constantFrom('a:1', 'a:2', 'a:3', 'a:4')),
  extra: fc.option(fc.record({ taskIds: fc.uniqueArray(fc.constantFrom('t1', 't2')) }), { nil: undefined }),
}).map(interest)

describe('listen filters', () => {
  it('joined cover each interest, and read back as they were written', () => {
    fc.assert(
      fc.property(fc.array(interests), all => {
        const union = joined(all)
        for (const each of all) expect(covers(union, joined([each]))).toBe(true)
        expect(readFilter(writeFilter(union.lists, union.resources, union.extra))).toEqual(union)
      }),
    )
  })

  it('in the words of the wire', () => {
    expect(writeFilter(['tools', 'prompts', 'resources'], ['a:1'], { taskIds: ['t'] })).toEqual({
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      resourceSubscriptions: ['a:1'],
      taskIds: ['t'],
    })
    expect(writeFilter([], [], undefined)).toEqual({})
  })

  it('ask a server for nothing it does not offer', () => {
    const all = joined([interest({ lists: ['tools', 'prompts', 'resources'], resources: ['a:1'], extra: { taskIds: ['t'] } })])
    const some = supported(all, { tools: { listChanged: true }, prompts: {}, resources: { listChanged: true } })
    expect(some).toEqual({ lists: new Set(['tools', 'resources']), resources: new Set(), extra: {} })
    expect(isEmpty(supported(all, {}))).toBe(true)
    expect(supported(all, { extensions: {}, resources: { subscribe: true } })).toEqual({
      lists: new Set(),
      resources: new Set(['a:1']),
      extra: { taskIds: ['t'] },
    })
  })

  it('grant what the server honours and say why not the rest', () => {
    const reason = new Error('no')
    const wants = interest({ lists: ['tools', 'prompts'], resources: ['a:1', 'a:2'], extra: { taskIds: ['t'], other: 1 } })
    const honoured = readFilter({ toolsListChanged: true, resourceSubscriptions: ['a:2', 'a:3'], taskIds: ['t', 'u'] })
    expect(grantedOf(wants, honoured, reason)).toEqual({
      lists: ['tools'],
      resources: ['a:2'],
      refused: new Map([['a:1', reason]]),
      extra: { taskIds: ['t'] },
    })
    expect(grantedOf(wants, undefined, reason)).toEqual({ lists: [], resources: [], refused: new Map([['a:1', reason], ['a:2', reason]]) })
  })

  it.each([[undefined], [null], ['x'], [{ resourceSubscriptions: 'a:1', toolsListChanged: 'yes' }]])('read %j as nothing', value => {
    expect(isEmpty(readFilter(value))).toBe(true)
  })

  it.each([
    ['file:///a', 'file:///a', true],
    ['file:///a', 'file:///a/b', true],
    ['file:///a/', 'file:///a/b', true],
    ['file:///a', 'file:///a?x=1', true],
    ['file:///a', 'file:///ab', false],
    ['file:///a/b', 'file:///a', false],
  ])('a subscription to %s hears of %s: %s', (subscribed, uri, heard) => {
    expect(touches(subscribed, uri)).toBe(heard)
  })
})
