import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SseReader } from '../../../src/transports/sse-reader.ts'
import { processorMs } from '../timing.ts'

interface Seen {
  events: [string, string][]
  oversized: number
  lastId: string | undefined
  retryMs: number | undefined
}

function read(chunks: readonly Buffer[], maxBytes = 1024 * 1024): Seen {
  const seen: Seen = { events: [], oversized: 0, lastId: undefined, retryMs: undefined }
  const reader = new SseReader(
    { event: (name, data) => void seen.events.push([name, data.toString('utf8')]), oversized: () => void seen.oversized++ },
    maxBytes,
  )
  for (const chunk of chunks) reader.push(chunk)
  return { ...seen, lastId: reader.lastId, retryMs: reader.retryMs }
}

const readText = (text: string, maxBytes?: number): Seen => read([Buffer.from(text)], maxBytes)

/** Cuts bytes at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

describe('an event stream', () => {
  it('reads data, names, ids and pauses', () => {
    expect(readText('event: endpoint\ndata: /messages?x=1\n\nid: 7\nretry: 1500\ndata: {"a":1}\n\n')).toEqual({
      events: [['endpoint', '/messages?x=1'], ['message', '{"a":1}']], oversized: 0, lastId: '7', retryMs: 1500,
    })
  })

  it('costs no more than its bytes in lines of one byte', () => {
    const lines = 1_500_000
    const seen: number[] = []
    const reader = new SseReader({ event: (_, data) => void seen.push(data.length), oversized: () => {} }, 2 * lines)
    const before = process.memoryUsage().heapUsed
    for (let sent = 0; sent < lines; sent += 10_000) reader.push(Buffer.from('data:\n'.repeat(10_000)))
    // 96 bytes a line would be 144 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6)
    reader.push(Buffer.from('\n'))
    expect(seen).toEqual([lines - 1])
  })

  it('joins several data lines with newlines and takes one space off each', () => {
    expect(readText('data:a\ndata:  b\ndata\ndata: c\n\n').events).toEqual([['message', 'a\n b\n\nc']])
  })

  it('ignores comments, unknown fields, events without data and what is cut off', () => {
    expect(readText(': keep-alive\n\nfoo: bar\nevent: x\n\nid: 3\n\ndata: half').events).toEqual([])
    expect(readText('id: 3\n\n').lastId).toBe('3')
  })

  it('ignores ids with NUL and pauses that are no number, and forgets an id that is taken back', () => {
    expect(readText('id: a\0b\nretry: soon\ndata: x\n\n')).toMatchObject({ lastId: undefined, retryMs: undefined })
    expect(readText('id: a\ndata: x\n\nid\ndata: y\n\n').lastId).toBeUndefined()
  })

  it('ignores a byte order mark at the beginning and nowhere else', () => {
    expect(readText('\ufeffdata: x\n\n').events).toEqual([['message', 'x']])
    expect(readText('data: x\n\n\ufeffdata: y\n\n').events).toEqual([['message', 'x']])
  })

  it('reports an event over the cap once and reads on', () => {
    const big = 'x'.repeat(5000)
    expect(readText(`data: ${big}\n\ndata: ok\n\n`, 1000)).toMatchObject({ events: [['message', 'ok']], oversized: 1 })
    expect(readText(`data: ${'y'.repeat(600)}\ndata: ${'y'.repeat(600)}\ndata: z\n\ndata: ok\n\n`, 1000)).toMatchObject({ events: [['message', 'ok']], oversized: 1 })
    expect(readText(`data: ${'y'.repeat(1000)}\n\n`, 1000).events).toHaveLength(1)
  })

  it('keeps the ends of what is over the cap, also when it comes byte by byte', () => {
    const ends: string[] = []
    const reader = new SseReader({ event() {}, oversized: (head, tail) => void ends.push(head.toString(), tail.toString()) }, 6000)
    const bytes = Buffer.from(`data: {"id":7,"x":"${'x'.repeat(30_000)}","jsonrpc":"2.0"}\n\n`)
    for (let at = 0; at < bytes.length; at += 7) reader.push(bytes.subarray(at, at + 7))
    expect(ends[0]).toMatch(/^\{"id":7,"x":"xxx/)
    expect(ends[1]).toMatch(/xxx","jsonrpc":"2\.0"\}$/)
  })

  it('stays linear with a huge line in small pieces', () => {
    const piece = Buffer.alloc(1024, 0x61)
    const before = processorMs()
    let length = 0
    const reader = new SseReader({ event: (_name, data) => void (length = data.length), oversized() {} }, 64 * 1024 * 1024)
    reader.push(Buffer.from('data: '))
    for (let count = 0; count < 32 * 1024; count++) reader.push(piece)
    reader.push(Buffer.from('\n\n'))
    expect(length).toBe(32 * 1024 * 1024)
    expect(processorMs() - before).toBeLessThan(2000)
  })

  it('says nothing after it was stopped, not even the rest of a chunk', () => {
    const seen: string[] = []
    const reader: SseReader = new SseReader({
      event(_name, data) {
        seen.push(data.toString())
        reader.stop()
      },
      oversized() {},
    }, 1000)
    reader.push(Buffer.from('data: 1\n\ndata: 2\n\n'))
    reader.push(Buffer.from('data: 3\n\n'))
    expect(seen).toEqual(['1'])
  })

  it('reads the same whatever the line ends and however it is cut', () => {
    const value = fc.string({ unit: fc.constantFrom('a', ' ', ':', '{', '"', 'é', '𝄞', '\u2028', 'data') })
    const line = fc.record({ field: fc.constantFrom('data', 'event', 'id', '', 'x'), value })
    fc.assert(
      fc.property(
        fc.array(fc.array(line, { maxLength: 4 }), { maxLength: 5 }),
        fc.constantFrom('\n', '\r', '\r\n'),
        fc.boolean(),
        fc.array(fc.nat()),
        (blocks, end, hasBom, places) => {
          const spell = (ending: string) => blocks.map(lines => lines.map(one => `${one.field}: ${one.value}${ending}`).join('') + ending).join('')
          const bytes = Buffer.from((hasBom ? '\ufeff' : '') + spell(end))
          expect(read(cut(bytes, places))).toEqual(readText(spell('\n')))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('survives any bytes, however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat()), (bytes, places) => {
        const buffer = Buffer.from(bytes)
        expect(read(cut(buffer, places), 50)).toEqual(read([buffer], 50))
      }),
      { numRuns: 500 },
    )
  })
})
