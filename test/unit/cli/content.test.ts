import { describe, expect, it } from 'vitest'
import { blockText, onlyBlob, promptText, readText, toolText } from '../../../src/cli/content.ts'

describe('toolText', () => {
  it.each([
    ['text as it is', { type: 'text', text: 'a\n  b' }, 'a\n  b'],
    ['an image by kind and size', { type: 'image', mimeType: 'image/png', data: Buffer.alloc(12 * 1024).toString('base64') }, '[image/png, 12 KB]'],
    ['a small sound', { type: 'audio', mimeType: 'audio/wav', data: 'AAAA' }, '[audio/wav, 3 B]'],
    ['a link', { type: 'resource_link', uri: 'file:///a', name: 'a', mimeType: 'text/plain' }, '[a, text/plain] file:///a'],
    ['an embedded text', { type: 'resource', resource: { uri: 'x://1', text: 'body' } }, '[x://1]\nbody'],
    ['an embedded blob', { type: 'resource', resource: { uri: 'x://1', blob: 'AAAA', mimeType: 'a/b' } }, '[a/b, 3 B] x://1'],
    ['a type from the future', { type: 'video', uri: 'v' }, '{\n  "type": "video",\n  "uri": "v"\n}'],
    ['text that is none', { type: 'text', text: 5 }, '{\n  "type": "text",\n  "text": 5\n}'],
    ['no block at all', 7, '7'],
  ])('%s', (_name, block, text) => expect(blockText(block)).toBe(text))

  it('shows structured content once', () => {
    const structuredContent = { sum: 3 }
    expect(toolText({ content: [{ type: 'text', text: '{ "sum": 3 }' }], structuredContent })).toBe('{ "sum": 3 }')
    expect(toolText({ content: [{ type: 'text', text: 'body' }], structuredContent: { content: 'body' } })).toBe('body')
    expect(toolText({ content: [{ type: 'text', text: 'three' }], structuredContent })).toBe('three\n{\n  "sum": 3\n}')
    expect(toolText({ content: [], structuredContent: null })).toBe('null')
  })

  it('shows a result of another shape whole', () => {
    expect(toolText({ task: { taskId: 't' } })).toContain('"taskId": "t"')
    expect(toolText({ content: [] })).toBe('')
  })
})

describe('resources and prompts', () => {
  it('a single text stands alone, several under their names', () => {
    expect(readText({ contents: [{ uri: 'a', text: 'x' }] })).toBe('x')
    expect(readText({ contents: [{ uri: 'a', text: 'x' }, { uri: 'b', mimeType: 't/p', text: 'y' }] })).toBe('[a]\nx\n[b, t/p]\ny')
    expect(readText({})).toBe('')
  })

  it('gives the bytes of a single blob only', () => {
    expect(onlyBlob({ contents: [{ uri: 'a', blob: 'aGk=' }] })?.toString()).toBe('hi')
    expect(onlyBlob({ contents: [{ uri: 'a', text: 'x' }] })).toBeUndefined()
    expect(onlyBlob({ contents: [{ blob: '' }, { blob: '' }] })).toBeUndefined()
  })

  it('puts roles before messages', () => {
    const messages = [{ role: 'user', content: { type: 'text', text: 'hi' } }, { role: 'assistant', content: { type: 'text', text: 'ho' } }]
    expect(promptText({ messages })).toBe('user: hi\n\nassistant: ho')
  })
})
