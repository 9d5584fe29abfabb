import { describe, expect, it } from 'vitest'
import { backendError, McpError } from '../../../../src/gateway/errors.ts'
import { fitError, fitResult } from '../../../../src/eras/legacy/fit.ts'
import { capabilitiesFor, holdsOpen, passes, revisions } from '../../../../src/eras/legacy/wire.ts'
import { legacyClient, modernClient } from './kit.ts'

describe('capabilities', () => {
  it('always promise list changes, and only what the revision has', () => {
    const capabilities = { completions: {}, tasks: {}, extensions: { 'x/y': {} }, resources: { subscribe: true, vendor: 1 } }
    const resources = { subscribe: true, vendor: 1, listChanged: true }
    const lists = { tools: { listChanged: true }, prompts: { listChanged: true }, resources }
    const { extensions } = capabilities
    expect(revisions.map(revision => capabilitiesFor(revision, capabilities))).toEqual([
      { extensions, ...lists },
      { extensions, completions: {}, ...lists },
      { extensions, completions: {}, ...lists },
      { extensions, completions: {}, tasks: {}, ...lists },
    ])
  })
})

it('tells the eras of clients apart', () => {
  expect([legacyClient(), modernClient()].map(holdsOpen)).toEqual([true, false])
})

it.each([
  [undefined, 'debug', true],
  ['warning', 'info', false],
  ['warning', 'warning', true],
  ['warning', 'emergency', true],
  ['warning', 'strange', true],
  ['warning', undefined, true],
] as const)('a listener as of %s hears %s: %s', (threshold, level, heard) => {
  expect(passes(threshold, { level })).toBe(heard)
})

describe('results', () => {
  const text = { type: 'text', text: 'a' }
  const link = { type: 'resource_link', uri: 'file:///a', name: 'a', title: 'A', annotations: { priority: 1 }, _meta: { v: 1 } }
  const audio = { type: 'audio', data: 'AA==', mimeType: 'audio/wav' }
  const linkText = { type: 'text', text: 'A: file:///a', annotations: { priority: 1 }, _meta: { v: 1 } }
  const audioText = { type: 'text', text: '[audio: audio/wav]' }

  it.each([
    ['2025-11-25', [text, link, audio, { type: 'future' }]],
    ['2025-06-18', [text, link, audio, { type: 'future' }]],
    ['2025-03-26', [text, linkText, audio, { type: 'future' }]],
    ['2024-11-05', [text, linkText, audioText, { type: 'future' }]],
  ])('for %s keep every block it can carry', (revision, content) => {
    const result = { content: [text, link, audio, { type: 'future' }], vendor: 1 }
    expect(fitResult('tools/call', result, revision)).toEqual({ content, vendor: 1 })
    const prompt = { messages: result.content.map(block => ({ role: 'user', content: block })), description: 'd' }
    expect(fitResult('prompts/get', prompt, revision)).toEqual({
      messages: content.map(block => ({ role: 'user', content: block })),
      description: 'd',
    })
  })

  it.each(revisions)('that fit %s are not copied', revision => {
    const results: [string, object][] = [
      ['tools/call', { content: [text], structuredContent: { a: 1 }, _meta: {}, isError: true }],
      ['tools/call', { odd: true }],
      ['prompts/get', { messages: [{ role: 'user', content: text }, 'odd'] }],
      ['prompts/get', { messages: 'odd' }],
      ['tools/list', { tools: [{ name: 'a', outputSchema: { type: 'object' }, inputSchema: {} }, 'odd'] }],
      ['tools/list', {}],
      ['resources/read', { contents: [] }],
    ]
    for (const [method, result] of results) expect(fitResult(method, result as never, revision)).toBe(result)
  })

  it.each([[[1, 2]], ['text'], [7], [null], [false]])('tell the structured value %j as text where the revision knows objects only', structuredContent => {
    expect(fitResult('tools/call', { structuredContent, content: [audio] }, '2025-06-18')).toEqual({
      content: [audio, { type: 'text', text: JSON.stringify(structuredContent) }],
    })
    expect(fitResult('tools/call', { structuredContent, content: [text] }, '2025-06-18')).toEqual({ content: [text] })
    expect(fitResult('tools/call', { structuredContent }, '2025-06-18')).toEqual({
      content: [{ type: 'text', text: JSON.stringify(structuredContent) }],
    })
  })

  it.each([[[1, 2]], ['text'], [7], [null], [false]])('keep the structured value %j for the newest revision', structuredContent => {
    const result = { structuredContent, content: [] }
    expect(fitResult('tools/call', result, '2025-11-25')).toBe(result)
  })

  it('with nothing but structured content get a text where the revision has none', () => {
    const result = { structuredContent: { a: 1 }, content: [] }
    expect(fitResult('tools/call', result, '2025-06-18')).toBe(result)
    expect(fitResult('tools/call', result, '2025-03-26')).toEqual({ ...result, content: [{ type: 'text', text: '{"a":1}' }] })
  })

  it('one tool with an odd output schema does not sink the list of an older client', () => {
    const odd = { name: 'a', outputSchema: { type: 'array' }, vendor: 1 }
    const plain = { name: 'b', outputSchema: { type: 'object', properties: {} } }
    const list = { tools: [odd, plain], nextCursor: 'x' }
    expect(fitResult('tools/list', list, '2025-06-18')).toEqual({ tools: [{ name: 'a', vendor: 1 }, plain], nextCursor: 'x' })
    expect(fitResult('tools/list', list, '2025-11-25')).toBe(list)
  })
})

describe('errors', () => {
  it('of a missing resource have the number of their own', () => {
    const newer = backendError({ code: -32602, message: 'not found', data: { uri: 'file:///a' }, vendor: 1 })
    const data = { uri: 'file:///a' }
    expect(fitError('resources/read', {}, newer).toRpc()).toEqual({ code: -32002, message: 'not found', data, vendor: 1 })
    expect(fitError('resources/read', { uri: 'x:y' }, new McpError('UNKNOWN_NAME', 'unknown resource')).toRpc()).toEqual({
      code: -32002,
      message: 'unknown resource',
      data: { code: 'UNKNOWN_NAME', uri: 'x:y' },
    })
    expect(fitError('tools/call', {}, newer).toRpc().code).toBe(-32602)
    expect(fitError('resources/read', {}, backendError({ code: -32602, message: 'bad params' })).toRpc().code).toBe(-32602)
  })

  it.each([-32020, -32021, -32022])('%i of the hop behind us are not passed on', code => {
    const rpc = fitError('tools/call', {}, backendError({ code, message: 'hop', data: { x: 1 } }, 'files')).toRpc()
    expect(rpc).toEqual({ code: -32603, message: 'hop', data: { code: 'BACKEND_PROTOCOL', backend: 'files' } })
  })

  it('of any other kind stay', () => {
    const error = new McpError('BACKEND_DIED', 'x')
    expect(fitError('tools/call', {}, error)).toBe(error)
    expect(fitError('tools/call', {}, 'thrown').code).toBe('INTERNAL')
  })
})
