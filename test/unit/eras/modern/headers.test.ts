import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeHeader, RequestHeaders } from '../../../../src/eras/modern/headers.ts'
import { silent } from '../../../../src/gateway/log.ts'

/** As a server reads it: RFC 9110 strips blanks at the ends, then the sentinels decide. */
const decode = (field: string): string => {
  const value = field.replace(/^[ \t]+|[ \t]+$/g, '')
  const inner = /^=\?base64\?(.*)\?=$/.exec(value)?.[1]
  return inner === undefined ? value : Buffer.from(inner, 'base64').toString('utf8')
}

describe('header values', () => {
  it('read back as they were, in visible ASCII and blanks', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.string().map(text => `=?base64?${text}?=`)), text => {
        const field = encodeHeader(text)
        expect(field).toMatch(/^[\x20-\x7e]+$/)
        expect(decode(field)).toBe(text)
      }),
      { numRuns: 1000 },
    )
  })

  // The specification's own examples (basic/transports/streamable-http, "Value Encoding").
  it.each([
    ['us-west1', 'us-west1'],
    ['us west 1', 'us west 1'],
    ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
    ['a\tb', '=?base64?YQli?='],
    ['', '=?base64??='],
  ])('%j becomes %s', (text, field) => {
    expect(encodeHeader(text)).toBe(field)
  })
})

describe('the header fields of a request', () => {
  const headers = () => new RequestHeaders('2026-07-28', silent)
  const always = (method: string) => ({ 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method })

  it.each([
    ['tools/list', {}, {}],
    ['tools/call', { name: 'weather' }, { 'Mcp-Name': 'weather' }],
    ['prompts/get', { name: 'prøve' }, { 'Mcp-Name': '=?base64?cHLDuHZl?=' }],
    ['resources/read', { uri: 'file:///a b', name: 'x' }, { 'Mcp-Name': 'file:///a b' }],
    ['tasks/get', { taskId: 't-1' }, { 'Mcp-Name': 't-1' }],
    ['tools/call', { name: 7 }, {}],
    ['constructor', { name: 'x' }, {}],
  ])('%s %j', (method, params, more) => {
    expect(headers().of(method, params)).toEqual({ ...always(method), ...more })
  })

  const tool = (name: string, properties: object) => ({ name, inputSchema: { type: 'object', properties } })
  const param = (type: string, name: string) => ({ type, 'x-mcp-header': name })

  it('mirrors annotated arguments and nothing else', () => {
    const known = headers()
    const properties = {
      region: param('string', 'Region'),
      priority: param('integer', 'Priority'),
      verbose: param('boolean', 'Verbose'),
      method: param('string', 'Method'),
      none: param('string', 'None'),
      nothing: param('string', 'Nothing'),
      huge: param('integer', 'Huge'),
      odd: param('string', 'Odd'),
      deep: { type: 'object', properties: { er: param('string', 'Deeper') } },
      query: { type: 'string' },
    }
    known.learn([tool('sql', properties), tool('other', { region: param('string', 'Other') })])
    const args = {
      region: 'us-west1', priority: 42, verbose: false, method: 'm', nothing: null, huge: 2 ** 53, odd: ['x'],
      deep: { er: ' in ' }, query: 'SELECT 1',
    }
    expect(known.of('tools/call', { name: 'sql', arguments: args })).toEqual({
      ...always('tools/call'),
      'Mcp-Name': 'sql',
      'Mcp-Param-Region': 'us-west1',
      'Mcp-Param-Priority': '42',
      'Mcp-Param-Verbose': 'false',
      'Mcp-Param-Method': 'm',
      'Mcp-Param-Deeper': '=?base64?IGluIA==?=',
    })
    expect(known.of('tools/call', { name: 'sql' })).toEqual({ ...always('tools/call'), 'Mcp-Name': 'sql' })
    expect(known.of('prompts/get', { name: 'sql', arguments: args })).not.toHaveProperty('Mcp-Param-Region')
  })

  it('takes no inherited property for an argument', () => {
    const known = headers()
    known.learn([tool('t', { constructor: param('string', 'C'), toString: param('string', 'T') })])
    expect(known.of('tools/call', { name: 't', arguments: {} })).toEqual({ ...always('tools/call'), 'Mcp-Name': 't' })
  })

  it('leaves out tools that break the rules, and only those', () => {
    const known = headers()
    const good = tool('good', { a: param('string', 'A') })
    const bad = tool('bad', { a: param('number', 'A') })
    const strange = [null, 7, { noName: true }]
    expect(known.learn([bad, good, ...strange])).toEqual([good, ...strange])
  })

  it('forgets what a tool no longer says', () => {
    const known = headers()
    known.learn([tool('t', { a: param('string', 'A') })])
    known.learn([tool('t', { a: { type: 'string' } })])
    expect(known.of('tools/call', { name: 't', arguments: { a: 'x' } })).not.toHaveProperty('Mcp-Param-A')
  })
})
