import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../../src/gateway/contract.ts'
import { McpError } from '../../../../src/gateway/errors.ts'
import { checkParamFields, checkStandardFields, decodeHeader } from '../../../../src/eras/modern/header-check.ts'
import { encodeHeader, RequestHeaders } from '../../../../src/eras/modern/headers.ts'
import { silent } from '../../../../src/gateway/log.ts'

const lower = (headers: Record<string, string>) => {
  const fields = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return (name: string) => fields.get(name)
}
const codeOf = (run: () => void): number | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as McpError).toRpc().code
  }
}

describe('the codec of header values', () => {
  it('brings every text back', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), text => {
      const encoded = encodeHeader(text)
      expect(encoded).toMatch(/^[\x20-\x7e]*$/)
      // A lone surrogate has no UTF-8; all else is kept to the letter.
      expect(decodeHeader(encoded)).toBe(Buffer.from(text, 'utf8').toString('utf8'))
    }))
  })
  it.each([
    ['us-west1', 'us-west1'],
    ['=?base64?SGVsbG8sIOS4lueVjA==?=', 'Hello, 世界'],
    ['=?base64?IHBhZGRlZCA=?=', ' padded '],
    ['=?base64?bGluZTEKbGluZTI=?=', 'line1\nline2'],
    ['=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=', '=?base64?literal?='],
    ['=?base64??=', ''],
    ['=?base64?=', '=?base64?='],
    ['=?BASE64?YQ==?=', '=?BASE64?YQ==?='],
    ['SGVsbG8=', 'SGVsbG8='],
    ['=?base64?YQ?=', undefined],
    ['=?base64?YQ=?=', undefined],
    ['=?base64?Y Q==?=', undefined],
    ['=?base64?YQ==YQ==?=', undefined],
    ['=?base64?/w==?=', undefined],
    ['caf\u00e9', undefined],
    ['a\u0001b', undefined],
  ])('%s', (value, text) => expect(decodeHeader(value)).toBe(text))
})

const schema = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    size: { type: 'integer', 'x-mcp-header': 'Size' },
    dry: { type: 'boolean', 'x-mcp-header': 'Dry-Run' },
    deep: { type: 'object', properties: { er: { type: 'string', 'x-mcp-header': 'Deeper' } } },
    free: { type: 'string' },
  },
}
const tool: JsonObject = { name: 't', inputSchema: schema }
const check = (args: unknown, headers: Record<string, string>) => codeOf(() => checkParamFields(tool, args, lower(headers)))

describe('mirrored parameters', () => {
  const good: ReadonlyArray<[JsonObject, Record<string, string>]> = [
    [{}, {}],
    [{ region: null }, {}],
    [{ free: 'x' }, { 'Mcp-Param-Unknown': 'whatever' }],
    [{ region: 'us' }, { 'mcp-param-region': 'us' }],
    [{ region: 'é' }, { 'MCP-PARAM-REGION': encodeHeader('é') }],
    [{ size: 42 }, { 'Mcp-Param-Size': '42.0' }],
    [{ size: 42 }, { 'Mcp-Param-Size': '4.2e1' }],
    [{ dry: false }, { 'Mcp-Param-Dry-Run': 'false' }],
    [{ deep: { er: 'x' } }, { 'Mcp-Param-Deeper': 'x' }],
    [{ size: { not: 'a number' } }, {}],
  ]
  it.each(good)('%j with %j', (args, headers) => expect(check(args, headers)).toBeUndefined())

  const bad: ReadonlyArray<[unknown, Record<string, string>]> = [
    [{ region: 'us' }, {}],
    [{ region: 'us' }, { 'Mcp-Param-Region': 'eu' }],
    [{ region: 'us' }, { 'Mcp-Param-Region': 'US' }],
    [{ region: 'us' }, { 'Mcp-Param-Region': '=?base64?dXM?=' }],
    [{ size: 42 }, { 'Mcp-Param-Size': '43' }],
    [{ size: 42 }, { 'Mcp-Param-Size': '0x2a' }],
    [{ size: 42 }, { 'Mcp-Param-Size': '' }],
    [{ dry: true }, { 'Mcp-Param-Dry-Run': 'True' }],
    [{}, { 'Mcp-Param-Region': 'us' }],
    [{ region: null }, { 'Mcp-Param-Region': 'null' }],
    [undefined, { 'Mcp-Param-Region': 'us' }],
    [{ deep: { er: 'x' } }, { 'Mcp-Param-Deeper': 'y' }],
  ]
  it.each(bad)('not %j with %j', (args, headers) => expect(check(args, headers)).toBe(-32020))

  it('agree with what our own side sends, whatever the arguments', () => {
    const headers = new RequestHeaders('2026-07-28', silent)
    headers.learn([tool])
    const args = fc.record(
      { region: fc.string({ unit: 'grapheme' }), size: fc.maxSafeInteger(), dry: fc.boolean(), deep: fc.record({ er: fc.string() }), free: fc.string() },
      { requiredKeys: [] },
    )
    const meta = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }
    fc.assert(fc.property(args, value => {
      const params = { name: 't', arguments: value, ...meta }
      const sent = lower(headers.of('tools/call', params))
      expect(codeOf(() => checkStandardFields('tools/call', params, sent))).toBeUndefined()
      expect(codeOf(() => checkParamFields(tool, value, sent))).toBeUndefined()
    }))
  })
})
