import { describe, expect, it } from 'vitest'
import { abilitiesOf, askableOf, everyAbility } from '../../../src/eras/abilities.ts'
import { joined, undeclared } from '../../../src/eras/asks.ts'
import type { ClientProfile, JsonObject } from '../../../src/gateway/contract.ts'

const able = (capabilities: JsonObject, revision = '2026-07-28'): ClientProfile => ({
  id: 'a', principal: 'local', info: undefined, capabilities, revision, logLevel: undefined,
})
const all = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} }

describe('what a client can be asked', () => {
  it.each([
    ['a form', { elicitation: {} }, { elicitation: { form: {} } }],
    ['a form, said twice', { elicitation: { form: {}, vendor: 1 } }, { elicitation: { form: {} } }],
    ['a page only', { elicitation: { url: {} } }, { elicitation: { url: {} } }],
    ['sampling', { sampling: {} }, { sampling: { context: {} } }],
    ['sampling with tools', { sampling: { tools: {} }, experimental: {} }, { sampling: { context: {}, tools: {} } }],
    ['roots', { roots: { listChanged: false } }, { roots: { listChanged: true } }],
    ['all but pages', { ...all, elicitation: {} }, { ...everyAbility, elicitation: { form: {} } }],
  ])('%s', (_what, capabilities, declared) => {
    expect(abilitiesOf(able(capabilities), false)?.declared).toEqual(declared)
    expect(askableOf(able(capabilities))).toEqual(declared)
  })

  it('is equal where the same asks can be sent, whatever else is declared and in whatever order', () => {
    const [a, b] = [{ roots: {}, sampling: {} }, { tasks: {}, sampling: { context: {} }, roots: { listChanged: true } }]
    expect(abilitiesOf(able(a), false)).toBe(abilitiesOf(able(b, '2025-06-18'), false))
    expect(abilitiesOf(able({ roots: {} }), false)?.key).not.toBe(abilitiesOf(able({ sampling: {} }), false)?.key)
    expect(abilitiesOf(able({ sampling: {} }), false)?.key).toMatch(/^[^\n]+$/)
  })

  it('need not be told where that is everything', () => {
    expect(abilitiesOf(able(all), false)).toBeUndefined()
    expect(abilitiesOf(able({ ...all, roots: undefined }), true)).toBeUndefined()
    expect(askableOf(able(all))).toEqual(everyAbility)
  })

  it('is roots wherever we know them', () => {
    expect(abilitiesOf(able({ sampling: {} }), true)?.declared).toMatchObject({ roots: {} })
  })

  it('is nothing: of the newest revision that is found out by refusing, of older ones it is told', () => {
    for (const known of [true, false]) {
      expect(abilitiesOf(able({}), known)).toBeUndefined()
      expect(abilitiesOf(able({}, '2025-11-25'), known)?.declared).toEqual(known ? { roots: { listChanged: true } } : {})
    }
  })
})

describe('capabilities compared', () => {
  it('what one lacks of the other', () => {
    expect(undeclared({ sampling: { tools: {} }, roots: {} }, { sampling: {} })).toEqual({ sampling: { tools: {} }, roots: {} })
    expect(undeclared({ sampling: {} }, { sampling: { tools: {} } })).toBeUndefined()
  })

  it('what either names', () => {
    expect(joined({ elicitation: { form: {} } }, { elicitation: { url: {} }, roots: {} })).toEqual({ elicitation: { form: {}, url: {} }, roots: {} })
  })
})
