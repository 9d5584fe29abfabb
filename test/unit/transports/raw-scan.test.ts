import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scanAnswer } from '../../../src/transports/raw-scan.ts'
import type { RawMessage } from '../../../src/transports/channel.ts'
import { faultOf, isDeeper } from '../../../src/transports/envelope.ts'

/** Scans a line that stands at an odd place in a bigger buffer, with something misleading behind it. */
function scan(line: string | Buffer, { at = 3, behind = '"}}]},' + '"'.repeat(9), maxDepth = 100 } = {}): RawMessage | undefined {
  const bytes = Buffer.from(line as string)
  const buffer = Buffer.concat([Buffer.alloc(at, 0x22), bytes, Buffer.from(behind)])
  return scanAnswer(buffer, at, at + bytes.length, maxDepth)
}

const wrapped = (result: string) => `{"jsonrpc":"2.0","id":1,"result":${result}}`

/** What the ordinary way makes of a line; undefined = it is no sound answer with an object for a result. */
function parsed(line: string | Buffer): { id: unknown; result: unknown } | undefined {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  try {
    const value = JSON.parse(text.decode(Buffer.from(line as string)))
    if (typeof value !== 'object' || value === null || Array.isArray(value) || isDeeper(value, 100)) return undefined
    if (faultOf(value) !== undefined || 'method' in value || 'error' in value) return undefined
    return typeof value.result === 'object' && value.result !== null && !Array.isArray(value.result) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whatever is taken must be what JSON.parse sees; it may be left to it at any time. */
function agrees(line: string | Buffer): RawMessage | undefined {
  const taken = scan(line)
  if (!taken) return undefined
  const expected = parsed(line)
  expect(expected, `taken, but not sound: ${line.toString()}`).toBeDefined()
  expect(taken.id).toBe(expected?.id)
  expect(JSON.stringify(taken.raw.value())).toBe(JSON.stringify(expected?.result))
  expect(JSON.stringify(JSON.parse(taken.raw.text()))).toBe(JSON.stringify(expected?.result))
  return taken
}

describe('reading an answer without parsing it', () => {
  it.each([
    ['the id first', '{"jsonrpc":"2.0","id":7,"result":{"a":1}}', 7],
    ['the result first', '{"result":{"a":[{"id":9,"result":{}}]},"jsonrpc":"2.0","id":7}', 7],
    ['a string id', '{"id":"a-b","result":{},"jsonrpc":"2.0"}', 'a-b'],
    ['a negative id', '{"id":-12,"result":{},"jsonrpc":"2.0"}', -12],
    ['blanks', ' { "id" : 7 ,\t"result" : { "a" : [ 1 , { } , [ ] ] , "b" : "" } , "jsonrpc" : "2.0" } ', 7],
    ['CRLF', '{"id":7,"result":{},"jsonrpc":"2.0"}\r', 7],
    ['look-alikes in text', String.raw`{"jsonrpc":"2.0","result":{"t":"\"},\"id\":8,\"result\":{\"x\\"},"id":7}`, 7],
    ['a prototype inside', '{"jsonrpc":"2.0","id":7,"result":{"a":{"__proto__":{"b":1}}}}', 7],
    ['every escape', String.raw`{"jsonrpc":"2.0","id":7,"result":{"t":"\"\\\/\b\f\n\r\t\u00e9\ud800"}}`, 7],
    ['numbers of every form', '{"jsonrpc":"2.0","id":7,"result":{"n":[0,-0,1.5,-1e9,2E+3,3e-4,12345678901234567890]}}', 7],
    ['words', '{"jsonrpc":"2.0","id":7,"result":{"w":[true,false,null]}}', 7],
    ['other scripts', '{"jsonrpc":"2.0","id":7,"result":{"naïve":"日本語 🎉"}}', 7],
  ])('takes %s', (_, line, id) => {
    if (_ === 'other scripts') return expect(agrees(line)).toBeUndefined()
    expect(agrees(line)?.id).toBe(id)
  })

  it.each([
    ['a second id', '{"jsonrpc":"2.0","id":1,"result":{},"id":2}'],
    ['a second result', '{"jsonrpc":"2.0","id":1,"result":{},"result":{"a":1}}'],
    ['a member twice', wrapped('{"resultType":"complete","resultType":"input_required"}')],
    ['a member twice, once escaped', wrapped('{"a":1,"\\u0061":2}')],
    ['an escaped key', '{"jsonrpc":"2.0","\\u0069d":1,"result":{}}'],
    ['an unknown key', '{"jsonrpc":"2.0","id":1,"result":{},"trace":"x"}'],
    ['an error beside it', '{"jsonrpc":"2.0","id":1,"result":{},"error":null}'],
    ['a method', '{"jsonrpc":"2.0","id":1,"method":"x","result":{}}'],
    ['no id', '{"jsonrpc":"2.0","result":{}}'],
    ['no version', '{"id":1,"result":{}}'],
    ['another version', '{"jsonrpc":"2.1","id":1,"result":{}}'],
    ['a null id', '{"jsonrpc":"2.0","id":null,"result":{}}'],
    ['a fraction for an id', '{"jsonrpc":"2.0","id":1.5,"result":{}}'],
    ['an id with an exponent', '{"jsonrpc":"2.0","id":1e3,"result":{}}'],
    ['an unsafe id', '{"jsonrpc":"2.0","id":9007199254740993,"result":{}}'],
    ['a minus zero id', '{"jsonrpc":"2.0","id":-0,"result":{}}'],
    ['an id with a leading zero', '{"jsonrpc":"2.0","id":01,"result":{}}'],
    ['a list for a result', wrapped('[]')],
    ['text for a result', wrapped('"x"')],
    ['a trailing comma', wrapped('{"a":1,}')],
    ['a comma in an empty list', wrapped('{"a":[,]}')],
    ['a missing colon', wrapped('{"a" 1}')],
    ['a bare word', wrapped('{"a":nul}')],
    ['a plus', wrapped('{"a":+1}')],
    ['a leading zero', wrapped('{"a":01}')],
    ['a bare point', wrapped('{"a":1.}')],
    ['an empty exponent', wrapped('{"a":1e}')],
    ['an unknown escape', wrapped(String.raw`{"a":"\x41"}`)],
    ['a short escape', wrapped(String.raw`{"a":"\u12"}`)],
    ['a control character', wrapped('{"a":"x\u0001y"}')],
    ['a tab in text', wrapped('{"a":"long enough to be read by words \t and more of it"}')],
    ['a carriage return between tokens', wrapped('{"a":\r1}')],
    ['a wrong bracket', wrapped('{"a":[1}}')],
    ['something behind', `${wrapped('{}')}x`],
    ['two messages', wrapped('{}') + wrapped('{}')],
    ['a byte order mark', `\ufeff${wrapped('{}')}`],
    ['an open string', wrapped('{"a":"x}')],
    ['a batch', `[${wrapped('{}')}]`],
  ])('leaves %s to JSON.parse', (_, line) => {
    expect(scan(line)).toBeUndefined()
  })

  it('leaves what is not UTF-8', () => {
    const line = Buffer.from(wrapped('{"a":"xyzxyzxyz"}'))
    line[line.indexOf('xyz') + 4] = 0xff
    expect(scan(line)).toBeUndefined()
  })

  it('counts levels as JSON.parse and a walk would', () => {
    const nested = (levels: number) => wrapped(`{"a":${'['.repeat(levels - 2)}${']'.repeat(levels - 2)}}`)
    expect(scan(nested(100), { maxDepth: 100 })).toBeDefined()
    expect(scan(nested(101), { maxDepth: 100 })).toBeUndefined()
  })

  it('leaves every beginning of an answer, whatever stands behind it', () => {
    const line = '{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"a\\"b\\u0041"}],"n":-1.5e3,"ok":true}}'
    expect(scan(line)).toBeDefined()
    for (let length = 0; length < line.length; length++)
      for (const behind of ['', line.slice(length), '"}]}}', '}}', ',"id":1}'])
        expect(scan(line.slice(0, length), { behind }), line.slice(0, length)).toBeUndefined()
  })

  it('reads at any offset', () => {
    const line = wrapped('{"content":[{"type":"text","text":"some text that is longer than one word, with \\"quotes\\" in it"}]}')
    for (let at = 0; at < 9; at++) expect(scan(line, { at })?.raw.text()).toBe(JSON.stringify(JSON.parse(line).result))
  })

  it('agrees with JSON.parse on any answer, however it is spelt', () => {
    const key = fc.oneof(fc.constantFrom('id', 'result', 'jsonrpc', 'content', '_meta', '__proto__', 'a'), fc.string({ maxLength: 6 }))
    const json = fc.letrec(tie => ({
      value: fc.oneof({ maxDepth: 4 }, fc.string({ unit: 'binary', maxLength: 40 }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.boolean(), fc.constant(null), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(entries => ({ entries })),
    }))
    const space = fc.constantFrom('', '', '', ' ', '\t', '  ')
    let taken = 0
    fc.assert(
      fc.property(fc.array(fc.tuple(key, json.value), { maxLength: 5 }), fc.integer(), fc.shuffledSubarray(['i', 'j', 'r'], { minLength: 3 }), space, fc.boolean(), (entries, id, order, blank, escapes) => {
        const text = (value: unknown): string => {
          if (Array.isArray(value)) return `[${blank}${value.map(text).join(`${blank},`)}]`
          if (typeof value === 'object' && value !== null && 'entries' in value)
            return `{${(value.entries as [string, unknown][]).map(([name, item]) => `${text(name)}${blank}:${text(item)}`).join(`${blank},${blank}`)}}`
          const plain = JSON.stringify(value)
          return escapes && typeof value === 'string' ? plain.replace(/[^\x20-\x7e]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`) : plain
        }
        const parts: Record<string, string> = { i: `"id":${blank}${id}`, j: '"jsonrpc":"2.0"', r: `"result"${blank}:${text({ entries })}` }
        if (agrees(`{${order.map(part => parts[part]).join(`${blank},`)}}${blank}`)) taken++
      }),
      { numRuns: 400 },
    )
    expect(taken).toBeGreaterThan(50)
  })

  it('never takes what an altered byte made unsound', () => {
    const line = Buffer.from('{"result":{"content":[{"type":"text","text":"a \\"b\\" \\u0041 é"},[1,-2.5e3,true,null]],"m":{}},"jsonrpc":"2.0","id":12}')
    const byte = fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\ \t\r\u000105-.e')), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(line.length - 1), byte, fc.constantFrom('set', 'insert', 'delete')), { minLength: 1, maxLength: 3 }), edits => {
        let altered = [...line]
        for (const [at, value, how] of edits) altered.splice(Math.min(at, altered.length), how === 'insert' ? 0 : 1, ...(how === 'delete' ? [] : [value]))
        agrees(Buffer.from(altered.filter(value => value !== 0x0a)))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('changing members of a result in bytes', () => {
  const raw = () => scan(wrapped('{"a":1 , "b":{"x":[]},"c":"z","d":null}'))!.raw

  it.each([[[]], [['a']], [['b', 'c']], [['d']], [['a', 'c']], [['a', 'b', 'c', 'd']], [['none']]])('lifts %j', lifted => {
    const expected = { a: 1, b: { x: [] }, c: 'z', d: null } as Record<string, unknown>
    for (const name of lifted) delete expected[name]
    expect(JSON.parse(raw().edit(lifted).text())).toEqual(expected)
    expect(JSON.parse(raw().edit(lifted, '"e":2').text())).toEqual({ ...expected, e: 2 })
    expect(JSON.parse(raw().edit(['a']).edit(lifted, '"e":2').edit([], '"f":3').text())).toEqual({ ...(({ a: _, ...rest }) => rest)(expected), e: 2, f: 3 })
    expect(Buffer.concat(raw().edit(lifted).pieces().map(piece => Buffer.from(piece as string))).toString()).toBe(raw().edit(lifted).text())
  })

  it('adds to an empty one', () => {
    expect(scan(wrapped('{ }'))?.raw.edit([], '"a":1').text()).toBe('{"a":1}')
  })

  it('reads single members', () => {
    expect(raw().get('b')).toEqual({ x: [] })
    expect(raw().get('none')).toBeUndefined()
    expect(raw().has('d')).toBe(true)
    expect(raw().edit(['d']).has('d')).toBe(false)
  })

  it('finds words, and does not trust escapes', () => {
    const of = (content: string) => scan(wrapped(`{"content":${content},"other":"\\u0041 word"}`))!.raw
    expect(of('["word"]').mentions('content', ['"word'])).toBe(true)
    expect(of('["a word"]').mentions('content', ['"word'])).toBe(false)
    expect(of('["\\u0077ord"]').mentions('content', ['"word'])).toBe(true)
    expect(of('[]').mentions('missing', ['"word'])).toBe(false)
  })
})
