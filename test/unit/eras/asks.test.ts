import { describe, expect, it } from 'vitest'
import { askKind, canAsk, labelled, missingFor } from '../../../src/eras/asks.ts'

const form = { method: 'elicitation/create', params: { message: 'name?', requestedSchema: { type: 'object' } } }
const url = { method: 'elicitation/create', params: { mode: 'url', message: 'open', url: 'https://x.test/' } }
const sample = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } }
const sampleWithTools = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1, tools: [] } }
const listRoots = { method: 'roots/list', params: undefined }

describe('what a client can be asked', () => {
  it.each([
    ['nothing declared', {}, form, false],
    ['an empty elicitation object means form', { elicitation: {} }, form, true],
    ['an empty elicitation object does not mean url', { elicitation: {} }, url, false],
    ['form and url', { elicitation: { form: {}, url: {} } }, url, true],
    ['url alone excludes form', { elicitation: { url: {} } }, form, false],
    ['url alone carries url', { elicitation: { url: {} } }, url, true],
    ['vendor keys beside do not exclude form', { elicitation: { applyDefaults: true } }, form, true],
    ['form mode spelled out', { elicitation: { form: {} } }, { ...form, params: { ...form.params, mode: 'form' } }, true],
    ['sampling undeclared', { elicitation: {} }, sample, false],
    ['sampling', { sampling: {} }, sample, true],
    ['sampling with tools needs sampling.tools', { sampling: {} }, sampleWithTools, false],
    ['sampling with tools', { sampling: { tools: {} } }, sampleWithTools, true],
    ['roots undeclared', {}, listRoots, false],
    ['roots', { roots: { listChanged: true } }, listRoots, true],
    ['a custom method', {}, { method: 'acme/ask', params: {} }, true],
  ])('%s', (_title, capabilities, ask, possible) => {
    expect(canAsk(capabilities, ask)).toBe(possible)
  })

  it('tells a missing feature from a missing part of it', () => {
    expect(missingFor({}, url)).toBe('method')
    expect(missingFor({ elicitation: {} }, url)).toBe('mode')
    expect(missingFor({ sampling: {} }, sampleWithTools)).toBe('mode')
  })
})

describe('naming who asks', () => {
  it('puts the name in front and keeps everything else', () => {
    expect(labelled(form, 'files')).toEqual({ ...form, params: { ...form.params, message: '[files] name?' } })
    expect(form.params.message).toBe('name?')
  })

  it('leaves what shows no text alone', () => {
    expect(labelled(sample, 'files')).toBe(sample)
    const odd = { method: 'elicitation/create', params: { message: 7 } }
    expect(labelled(odd, 'files')).toBe(odd)
  })
})

it('tells the kinds of asks apart for those who know no era', () => {
  expect([form, url, sample, listRoots, { method: 'acme/ask', params: {} }].map(askKind)).toEqual([
    'form',
    'url',
    'sampling',
    'roots',
    'other',
  ])
})
