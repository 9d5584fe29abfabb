import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { McpError } from '../../../src/gateway/errors.ts'
import type { Message, MessagePart, RequestId } from '../../../src/transports/channel.ts'
import type { Author } from '../../../src/transports/envelope.ts'
import { LineReader, type LineLimits, type LineSink } from '../../../src/transports/lines.ts'
import { processorMs } from '../timing.ts'

interface Heard {
  messages: Message[]
  raw: string[]
  malformed: { error: McpError; id: RequestId | undefined; part: MessagePart | undefined }[]
  noise: string[]
  garbled: string[]
  reader: LineReader
}

function listen(limits: LineLimits = {}, author: Author = 'backend', more: Partial<LineSink> = {}): Heard {
  const heard: Omit<Heard, 'reader'> = { messages: [], raw: [], malformed: [], noise: [], garbled: [] }
  const reader = new LineReader(
    author,
    {
      message: (message, line) => {
        heard.messages.push(message)
        heard.raw.push(line.bytes().toString())
      },
      malformed: (error, id, part) => heard.malformed.push({ error, id, part }),
      noise: (text, garbled) => {
        heard.noise.push(text)
        if (garbled) heard.garbled.push(text)
      },
      ...more,
    },
    limits,
  )
  return Object.assign(heard, { reader })
}

function read(text: string | Buffer, limits?: LineLimits, author?: Author, more?: Partial<LineSink>): Heard {
  const heard = listen(limits, author, more)
  heard.reader.push(Buffer.from(text as string))
  heard.reader.end()
  return heard
}

const answer = (id: unknown, result: object = {}): string => JSON.stringify({ jsonrpc: '2.0', id, result }) + '\n'

/** Cuts a buffer at the given places. */
function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  let from = 0
  for (const to of [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b)) {
    yield bytes.subarray(from, to)
    from = to
  }
  yield bytes.subarray(from)
}

const jsonText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\n', '\r\n', '\ufffd', '\u2028', '', '"}\\'),
)
const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    jsonrpc: fc.constant('2.0' as const),
    id: fc.oneof(fc.maxSafeInteger(), jsonText),
    method: jsonText,
    params: fc.dictionary(jsonText, jsonText),
  }),
  fc.record({
    jsonrpc: fc.constant('2.0' as const),
    id: fc.oneof(fc.nat(), jsonText),
    result: fc.dictionary(jsonText, fc.array(jsonText)),
  }),
)

describe('any cutting of any messages', () => {
  it('gives the same messages, with their own bytes', () => {
    const between = fc.constantFrom('', '\n', '\r\n', 'a banner\n', '{"level":"info"}\n')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyMessage, between)),
        fc.array(fc.nat()),
        fc.constantFrom('\n', '\r\n'),
        (list, cuts, end) => {
          const bytes = Buffer.from(list.map(([message, noise]) => JSON.stringify(message) + end + noise).join(''))
          const heard = listen()
          for (const piece of pieces(bytes, cuts)) heard.reader.push(piece)
          const expected = list.map(([message]) => JSON.parse(JSON.stringify(message)) as Message)
          expect(heard.messages).toEqual(expected)
          expect(heard.raw.map(raw => JSON.parse(raw) as Message)).toEqual(expected)
          expect(heard.malformed).toEqual([])
        },
      ),
    )
  })

  it('gives the same of any bytes at all, and never throws', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array(),
            fc.constant(Buffer.from('\n')),
            fc.string().map(s => Buffer.from(s)),
          ),
        ),
        fc.array(fc.nat()),
        (parts, cuts) => {
          const bytes = Buffer.concat(parts)
          const whole = listen({ maxLineBytes: 40 })
          whole.reader.push(bytes)
          whole.reader.end()
          const cut = listen({ maxLineBytes: 40 })
          for (const piece of pieces(bytes, cuts)) cut.reader.push(piece)
          cut.reader.end()
          const outcome = ({ messages, noise, malformed }: Heard): unknown => ({
            messages,
            noise,
            malformed: malformed.map(({ error, id, part }) => [error.code, id, part]),
          })
          expect(outcome(cut)).toEqual(outcome(whole))
        },
      ),
    )
  })

  it('survives a cut at every offset of a character of several bytes', () => {
    const bytes = Buffer.from(answer(1, { text: 'ü€😀' }))
    for (let at = 0; at <= bytes.length; at++) {
      const heard = listen()
      for (const piece of pieces(bytes, [at])) heard.reader.push(piece)
      expect(heard.messages, `cut at ${at}`).toEqual([{ jsonrpc: '2.0', id: 1, result: { text: 'ü€😀' } }])
    }
  })
})

describe('lines that are no messages', () => {
  it('reports banners and log lines, even those that are JSON, and goes on', () => {
    const heard = read(`Server ready\n\x1b[32mok\x1b[0m\n{"level":"info"}\n{broken\n[1,2]\n42\n"text"\n${answer(1)}`)
    expect(heard.noise).toEqual(['Server ready', '\x1b[32mok\x1b[0m', '{"level":"info"}', '{broken', '[1,2]', '42', '"text"'])
    expect(heard.garbled).toEqual(['Server ready', '\x1b[32mok\x1b[0m', '{broken'])
    expect(heard.messages).toHaveLength(1)
    expect(heard.malformed).toEqual([])
  })

  it('ignores empty lines, and bounds what it passes on', () => {
    const heard = read(`\n\r\n   \n\t\n${'x'.repeat(10_000)}\n`)
    expect(heard.noise).toEqual(['x'.repeat(8692)])
  })

  it('tolerates a byte order mark', () => {
    expect(read('\ufeff' + answer(1)).messages).toHaveLength(1)
  })

  it('counts a last line without its newline if it is whole', () => {
    expect(read(answer(1).trimEnd()).messages).toHaveLength(1)
    const half = read('{"jsonrpc":"2.0","id":1,"resu')
    expect(half.messages).toEqual([])
    expect(half.noise).toHaveLength(1)
  })

  it('stops at once when told to, in the middle of a chunk', () => {
    const heard = listen({}, 'backend', { message: () => heard.reader.stop() })
    heard.reader.push(Buffer.from(answer(1) + 'banner\n' + answer(2)))
    heard.reader.push(Buffer.from('banner\n'))
    expect(heard.noise).toEqual([])
  })
})

describe('messages that are broken', () => {
  const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
  const cases: [string, string | Buffer, Author, object][] = [
    [
      'invalid UTF-8 in an answer',
      Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":7,"result":{"t":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}}\n')]),
      'backend',
      { code: 'BACKEND_PROTOCOL', id: 7, part: 'answer' },
    ],
    [
      'half a surrogate in UTF-8',
      Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":"a","result":{"t":"'),
        Buffer.from([0xed, 0xa0, 0x80]),
        Buffer.from('"}}\n'),
      ]),
      'backend',
      { code: 'BACKEND_PROTOCOL', id: 'a', part: 'answer' },
    ],
    ['nesting of 101 levels', answer(8, { a: deep(99) }), 'backend', { code: 'BACKEND_PROTOCOL', id: 8, part: 'answer' }],
    [
      'nesting of 100,000 levels',
      answer(8).replace('{}', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
      'backend',
      { code: 'BACKEND_PROTOCOL', id: 8, part: 'answer' },
    ],
    ['a fractional id', answer(1.5), 'backend', { code: 'BACKEND_PROTOCOL', id: undefined, part: 'answer' }],
    [
      'an id beyond 2^53',
      '{"jsonrpc":"2.0","id":9007199254740993,"result":{}}\n',
      'backend',
      { code: 'BACKEND_PROTOCOL', id: undefined, part: 'answer' },
    ],
    ['an object as id', answer({}), 'backend', { code: 'BACKEND_PROTOCOL', id: undefined, part: 'answer' }],
    [
      'a request with the id null',
      '{"jsonrpc":"2.0","id":null,"method":"m"}\n',
      'client',
      { code: 'INVALID_REQUEST', id: undefined, part: 'request' },
    ],
    [
      'another JSON-RPC',
      '{"jsonrpc":"1.0","id":3,"method":"m"}\n',
      'client',
      { code: 'INVALID_REQUEST', id: 3, part: 'request' },
    ],
    ['no JSON-RPC', '{"id":3,"result":{}}\n', 'backend', { code: 'BACKEND_PROTOCOL', id: 3, part: 'answer' }],
    [
      'a method that is a number',
      '{"jsonrpc":"2.0","id":3,"method":4}\n',
      'client',
      { code: 'INVALID_REQUEST', id: 3, part: 'request' },
    ],
    [
      'params that are a list',
      '{"jsonrpc":"2.0","id":3,"method":"m","params":[1]}\n',
      'backend',
      { code: 'INVALID_REQUEST', id: 3, part: 'request' },
    ],
    [
      'an error that is a text',
      '{"jsonrpc":"2.0","id":3,"error":"no"}\n',
      'backend',
      { code: 'BACKEND_PROTOCOL', id: 3, part: 'answer' },
    ],
    [
      'neither method, result nor error',
      '{"jsonrpc":"2.0","id":3}\n',
      'backend',
      { code: 'BACKEND_PROTOCOL', id: 3, part: undefined },
    ],
    ['an empty batch', '[]\n', 'client', { code: 'INVALID_REQUEST', id: undefined, part: undefined }],
    [
      'a huge batch',
      `[${Array(101).fill('{"jsonrpc":"2.0","method":"m"}').join(',')}]\n`,
      'client',
      { code: 'INVALID_REQUEST', id: undefined, part: undefined },
    ],
  ]
  it.each(cases)('%s: a typed error with its id, and the next message is read', (_what, line, author, expected) => {
    const heard = read(Buffer.concat([Buffer.from(line as string), Buffer.from(answer(99))]), {}, author)
    expect(heard.malformed.map(({ error, id, part }) => ({ code: error.code, id, part }))).toEqual([expected])
    expect(heard.messages).toEqual([{ jsonrpc: '2.0', id: 99, result: {} }])
  })

  it('takes what is odd but harmless', () => {
    const lines = [
      '{"jsonrpc":"2.0","id":1,"method":"m","params":null}',
      '{"jsonrpc":"2.0","id":1.0,"result":{},"error":null}',
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}',
      '{"jsonrpc":"2.0","id":"","method":"m","vendor":true}',
      answer(8, { a: deep(98) }).trim(),
      '{"jsonrpc":"2.0","id":2,"result":{"text":"a real \ufffd"}}',
    ]
    const heard = read(lines.join('\n') + '\n')
    expect(heard.malformed).toEqual([])
    expect(heard.messages).toHaveLength(lines.length)
    expect(heard.messages[0]).toEqual({ jsonrpc: '2.0', id: 1, method: 'm' })
  })

  it('does not let a key named __proto__ set a prototype', () => {
    const [message] = read('{"jsonrpc":"2.0","id":1,"method":"m","__proto__":{"polluted":true}}\n').messages
    expect(Object.keys(message as Message)).toEqual(['jsonrpc', 'id', 'method'])
    expect(Object.assign({}, message)).not.toHaveProperty('polluted')
  })
})

describe('batches', () => {
  const batch =
    '[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"},' +
    '{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":1.5,"method":"c"}]\n'

  it('are refused message by message where nobody wants them', () => {
    const heard = read(batch)
    expect(heard.messages).toEqual([])
    expect(heard.malformed.map(({ error, id, part }) => [error.code, id, part])).toEqual([
      ['INVALID_REQUEST', 1, 'request'],
      ['INVALID_REQUEST', undefined, 'request'],
      ['INVALID_REQUEST', 2, 'answer'],
      ['INVALID_REQUEST', undefined, 'request'],
    ])
  })

  it('are handed over whole to a receiver that takes them, without what is no message', () => {
    const taken: unknown[] = []
    const heard = read(batch, {}, 'client', { batch: messages => taken.push(...messages) > 0 })
    expect(taken).toEqual([
      { jsonrpc: '2.0', id: 1, method: 'a' },
      { jsonrpc: '2.0', method: 'b' },
      { jsonrpc: '2.0', id: 2, result: {} },
    ])
    expect(heard.malformed.map(({ id, part }) => [id, part])).toEqual([[undefined, 'request']])
  })
})

describe('a line over the cap', () => {
  const maxLineBytes = 10_000
  const long = 'x'.repeat(20_000)
  it.each([
    ['id first', `{"jsonrpc":"2.0","id":5,"result":{"t":"${long}"}}`, 5, 'answer'],
    ['id last', `{"jsonrpc":"2.0","result":{"t":"${long}","id":6},"id":"s\\"5"}`, 's"5', 'answer'],
    ['id last but for the version', `{ "result" : {"t":"${long}"} , "id" : 5 , "jsonrpc" : "2.0" }`, 5, 'answer'],
    ['a request', `{"jsonrpc":"2.0","method":"m","id":5,"params":{"t":"${long}"}}`, 5, 'request'],
    ['params first', `{"params":{"t":"${long}"},"id":5,"jsonrpc":"2.0"}`, 5, 'request'],
    ['an id within only', `{"jsonrpc":"2.0","result":{"t":"${long}","id":6}}`, undefined, 'answer'],
    ['an id in a text only', `{"jsonrpc":"2.0","result":{"t":"${long},\\"id\\":6}"}}`, undefined, 'answer'],
    ['an id that is cut off', `{"jsonrpc":"2.0","result":{},"id":${'1'.repeat(20_000)}}`, undefined, 'answer'],
    ['no JSON at all', long, undefined, undefined],
  ])('%s: is reported with the id that can be read', (_what, line, id, part) => {
    const bytes = Buffer.from(`${line}\n${answer(99)}`)
    for (const step of [bytes.length, 4096, 1000, 7]) {
      const heard = listen({ maxLineBytes })
      for (let at = 0; at < bytes.length; at += step) heard.reader.push(bytes.subarray(at, at + step))
      expect(
        heard.malformed.map(({ error, ...rest }) => ({ code: error.code, ...rest })),
        `in steps of ${step}`,
      ).toEqual([{ code: 'MESSAGE_TOO_LARGE', id, part }])
      expect(heard.messages).toEqual([{ jsonrpc: '2.0', id: 99, result: {} }])
    }
  })

  it('is a line longer than the cap, not one of its length', () => {
    const line = answer(1, { t: 'x'.repeat(1000) })
    expect(read(line, { maxLineBytes: line.length - 1 }).messages).toHaveLength(1)
    expect(read(line, { maxLineBytes: line.length - 2 }).malformed).toHaveLength(1)
  })
})

describe('cost', () => {
  it('grows with the bytes and not with their square, however small the pieces', () => {
    const time = (bytes: number, step: number): number => {
      const line = Buffer.from(answer(1, { t: 'x'.repeat(bytes) }))
      const heard = listen()
      const before = processorMs()
      for (let at = 0; at < line.length; at += step) heard.reader.push(line.subarray(at, at + step))
      expect(heard.messages).toHaveLength(1)
      return processorMs() - before
    }
    time(1_000_000, 1024)
    // Sixteen times the bytes; 256 times the cost if it were quadratic.
    const small = Math.max(time(1_000_000, 1024), 5)
    expect(time(15_900_000, 1024)).toBeLessThan(small * 80)
  })
})

it('keeps nothing of a line that was read, however long it is until the next', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const reader = new LineReader('backend', { message() {}, malformed() {}, noise() {} })
  const feed = (): void => {
    reader.push(Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"a":"${'x'.repeat(8_000_000)}`))
    reader.push(Buffer.from('"}}\n'))
  }
  gc()
  const before = process.memoryUsage().arrayBuffers
  feed()
  // What has just been read may still stand on the stack.
  await new Promise(resolve => setTimeout(resolve, 20))
  gc()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  reader.stop()
})
