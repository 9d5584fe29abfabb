import { mkdtemp } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { LineWriter } from '../../../src/transports/line-writer.ts'

/** A reader that takes one write at a time, when it is told to. */
class Reader extends Writable {
  text = ''
  private taken: (() => void) | undefined
  constructor() {
    super({ highWaterMark: 1 })
  }
  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    this.text += chunk.toString()
    this.taken = taken
  }
  async takeAll(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      await new Promise(resolve => setImmediate(resolve))
      const { taken } = this
      this.taken = undefined
      if (!taken) continue
      taken()
      idle = 0
    }
  }
}

describe.each([100, 200_000])('a full queue of lines of %i characters', length => {
  it('is written out once the reader goes on, whatever was shed, and is then no longer full', async () => {
    const reader = new Reader()
    const pressure: boolean[] = []
    const writer = new LineWriter(reader, { stuck() {}, broke() {}, pressure: full => pressure.push(full) }, { queueBytes: 10 * length, maxQueueBytes: 1000 * length })
    const line = (name: string): string => `${name} ${'x'.repeat(length)}\n`
    for (let n = 0; n < 100; n++) {
      writer.push(line(`note ${n}`), 'notes')
      if (n % 10 === 0) writer.push(line(`answer ${n}`))
    }
    expect(writer.dropped).toBeGreaterThan(50)
    expect(pressure).toEqual([true])
    await reader.takeAll()
    expect(reader.text.match(/answer \d+/g)).toEqual(Array.from({ length: 10 }, (_, n) => `answer ${n * 10}`))
    expect(reader.text.match(/note \d+/g)?.at(-1)).toBe('note 99')
    expect(pressure).toEqual([true, false])
    expect(writer.full).toBe(false)
  })
})

/** Both ends of a pipe of the system's. */
async function pipe(): Promise<[Socket, Socket]> {
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\mcp-${process.pid}` : join(await mkdtemp(join(tmpdir(), 'mcp-proxy-test-')), 's')
  const server = createServer()
  const far = new Promise<Socket>(resolve => server.once('connection', resolve))
  await new Promise<void>(resolve => server.listen(path, resolve))
  const near = connect(path)
  const other = await far
  server.close()
  return [near, other]
}

it('lines in pieces reach two slow readers of real pipes whole, whichever write had to wait', async () => {
  const ends = [await pipe(), await pipe()]
  const writers = ends.map(([near]) => new LineWriter(near, { stuck() {}, broke() {} }))
  const expected = ['', '']
  for (let turn = 0; turn < 40; turn++) {
    for (const [which, writer] of writers.entries())
      for (let n = 0; n < 3; n++) {
        const body = `${which} ${turn} ${n} `.repeat(300 + turn * 20)
        expected[which] += `<${body}>\n`
        writer.push(['<', Buffer.from(body), '>\n'])
      }
    await new Promise(resolve => setImmediate(resolve))
  }
  const read = ends.map(([, far]) => text(far))
  await Promise.all(writers.map(writer => writer.end()))
  const got = await Promise.all(read)
  expect(got.map((each, which) => each === expected[which])).toEqual([true, true])
})
