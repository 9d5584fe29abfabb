import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareVersions, goodbyeLine, isGoodbye, readGoodbye } from '../../../src/daemon/hello.ts'
import { envelopes } from '../../../src/daemon/observe.ts'
import { lineOf } from '../../../src/daemon/long-line.ts'
import { Splitter } from '../../../src/daemon/splitter.ts'

describe('the splitter', () => {
  it('gives the same lines however the bytes come', () => {
    fc.assert(fc.property(fc.array(fc.string({ maxLength: 12 }).map(text => text.replaceAll('\n', ''))), fc.array(fc.nat(20)), (lines, cuts) => {
      const bytes = Buffer.from(lines.map(line => `${line}\n`).join('') + 'rest')
      const splitter = new Splitter(1000)
      const found: string[] = []
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        for (const { bytes: line, isWhole } of splitter.push(bytes.subarray(at, (at += cut)))) {
          expect(isWhole).toBe(true)
          found.push(line.toString())
        }
      }
      expect(found).toEqual(lines.map(line => `${line}\n`))
      expect(splitter.rest()?.toString()).toBe('rest')
    }))
  })

  it('gives lines that are too long in pieces, and loses no byte', () => {
    fc.assert(fc.property(fc.array(fc.nat(40)), fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1 }), (sizes, cuts) => {
      const bytes = Buffer.from(sizes.map((size, i) => `${'abc'[i % 3]!.repeat(size)}\n`).join(''))
      const splitter = new Splitter(10)
      let all = ''
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const cut = cuts[n % cuts.length] as number
        for (const { bytes: piece, isWhole } of splitter.push(bytes.subarray(at, at + cut))) {
          all += piece.toString()
          if (isWhole) expect(piece.length).toBeLessThanOrEqual(10)
        }
        at += cut
      }
      expect(all).toBe(bytes.toString())
    }))
  })
})

describe('what is seen of a line', () => {
  const see = (value: unknown) => envelopes(Buffer.from(`${JSON.stringify(value)}\n`), 'client').map(({ id, method }) => ({ id, request: method !== undefined }))
  const long = 'x'.repeat(100_000)

  it.each([
    ['a request', { jsonrpc: '2.0', id: 1, method: 'a' }, [{ id: 1, request: true }]],
    ['an answer', { jsonrpc: '2.0', id: 'a', result: {} }, [{ id: 'a', request: false }]],
    ['a notification', { jsonrpc: '2.0', method: 'a' }, [{ request: true }]],
    ['a batch', [{ jsonrpc: '2.0', id: 1, method: 'a' }, { jsonrpc: '2.0', id: 2, result: {} }], [{ id: 1, request: true }, { id: 2, request: false }]],
    ['a long request', { jsonrpc: '2.0', id: 1, method: 'a', params: { long } }, [{ id: 1, request: true }]],
    ['a long request with its id at the end', { method: 'a', params: { long, id: 9 }, jsonrpc: '2.0', id: 1 }, [{ id: 1, request: true }]],
    ['a long answer', { jsonrpc: '2.0', id: 1, result: { id: 2, method: 'x', long } }, [{ id: 1, request: false }]],
    ['a long answer with its id at the end', { result: { long }, jsonrpc: '2.0', id: 'a' }, [{ id: 'a', request: false }]],
    ['a long notification', { jsonrpc: '2.0', method: 'a', params: { long } }, [{ request: true }]],
    ['a long batch', [{ jsonrpc: '2.0', id: 1, method: 'a', params: { long } }], [{ id: 1, request: true }]],
    ['no message', { hello: 1 }, []],
    ['a number', 7, []],
  ])('%s', (_what, value, expected) => expect(see(value)).toEqual(expected))

  const client = (text: string) => envelopes(Buffer.from(text), 'client')

  it('is all of what the next daemon may have to be told, however long, in the client’s own bytes', () => {
    const params = `{ "uri":"a\\"}", "level" : 1,"n":{"a":[1e20,{"]":"\\\\"}],"long":"${long}"}}`
    for (const text of [
      `{"jsonrpc":"2.0","id":1,"method":"told","params":${params}}\n`,
      `{ "params" : ${params} , "method" : "told" ,"other":{"x":[]}, "jsonrpc" : "2.0", "id" : 1 }\r\n`,
    ]) {
      const [message] = client(text)
      expect(message).toEqual({ jsonrpc: '2.0', id: 1, method: 'told', params: { uri: 'a"}', level: 1 } })
      expect(lineOf({ ...message!, id: 'new' }).toString()).toBe(`{"jsonrpc":"2.0","id":"new","method":"told","params":${params}}\n`)
    }
    expect(client(`{"method":"told","params":{"long":"${long}"}}\n`)).toEqual([{ jsonrpc: '2.0', method: 'told', params: { long } }])
  })

  it('is the same of a long line as of a short one', () => {
    const json = fc.jsonValue({ maxDepth: 4 })
    fc.assert(fc.property(fc.dictionary(fc.string(), json), fc.array(json), fc.integer({ min: 0, max: 3 }), (params, more, space) => {
      const message = { jsonrpc: '2.0', method: 'told', params: { ...params, more, long }, id: 1 }
      const [seen] = client(`${JSON.stringify(message, null, ' '.repeat(space)).replaceAll('\n', '\t')}\n`)
      expect(seen).toMatchObject({ id: 1, method: 'told' })
      expect(JSON.parse(lineOf(seen!).toString())).toEqual(JSON.parse(JSON.stringify(message)))
    }))
  })

  it('is nothing of a long line that is no JSON, and a line that cannot be written goes without its parameters', () => {
    for (const end of ['', '}', ']', '"', ':1}', ',}', '\\'])
      expect(client(`{"method":"told","id":1,"params":{"long":"${long}"${end}\n`)).toEqual([])
    const deep = { jsonrpc: '2.0', id: 1, method: 'told', params: JSON.parse(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`) } as const
    expect(lineOf(deep).toString()).toBe('{"jsonrpc":"2.0","id":1,"method":"told"}\n')
  })

  it('does not end at a mark of the byte order', () => expect(client('\ufeff{"id":1,"method":"told"}\n')).toEqual([{ id: 1, method: 'told' }]))

  it('is no name of a long call, nor of what a daemon asks', () => {
    for (const head of ['"method":"tools/call"', '"jsonrpc": "2.0", "id": 1, "method": "tools/call"'])
      expect(client(`{${head},"params":{"long":"${long}"},"id":1}\n`)).toEqual([{ jsonrpc: '2.0', id: 1, method: '' }])
    expect(envelopes(Buffer.from(`{"id":1,"method":"asks","params":{"long":"${long}"}}\n`), 'daemon')).toEqual([{ jsonrpc: '2.0', id: 1, method: '' }])
  })

  it('is nothing of what is no JSON', () => expect(envelopes(Buffer.from('hello {\n'), 'client')).toEqual([]))
})

describe('a goodbye', () => {
  it('is told from every message', () => {
    for (const why of ['stop', 'restart'] as const) {
      const line = Buffer.from(`${JSON.stringify(goodbyeLine(why, Number.MAX_SAFE_INTEGER))}\n`)
      expect(isGoodbye(line)).toBe(true)
      expect(readGoodbye(line)).toEqual({ why, heard: Number.MAX_SAFE_INTEGER })
    }
    // From one that does not count.
    expect(readGoodbye(Buffer.from('{"daemon":"restart"}\n'))).toEqual({ why: 'restart', heard: undefined })
    expect(isGoodbye(Buffer.from('{"jsonrpc":"2.0","method":"daemon","params":{"daemon":"stop"}}\n'))).toBe(false)
  })
})

describe('versions', () => {
  it.each([['1.0.0', '1.0.0', 0], ['1.10.0', '1.9.9', 1], ['2.0.0', '10.0.0', -1], ['1.0.0-rc.1', '1.0.0', -1], ['1.0.0', '1.0.0-rc.1', 1], ['1.0.0+a', '1.0.0+b', 0]])(
    '%s and %s', (one, other, expected) => expect(Math.sign(compareVersions(one, other))).toBe(expected),
  )
})
