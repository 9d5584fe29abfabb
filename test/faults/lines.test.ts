/** Whatever bytes a server writes, whole messages arrive whole, and one bad line costs its own call and nothing else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { peakRssMb } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said, type StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const mb = 1024 * 1024

describe('bytes in pieces', () => {
  // What a server writes besides messages is quoted in the log.
  const world = new World({ quoted: true })
  let client: StdioClient
  beforeAll(async () => {
    client = world.run({ mcpServers: { one: world.rogue('one', { settings: { restart: { backoff: 0, holdAfter: 0 }, breaker: { failures: 0 } } }) } })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  const text = 'aé€😀\u2028ü\\"\u0000z'
  let cases = 0

  it('arrive whole, wherever they are cut', async () => {
    const answer = Buffer.byteLength(JSON.stringify({ text })) + 120
    const cuts = Array.from({ length: size(Math.min(answer, 160), 260) }, (_, n) => n + 1)
    // One after the other: two answers in pieces at a time would be the server's own corruption.
    for (const cut of cuts) expect(said(await client.call('one', 'cut', { text, cuts: [cut] }).reply)['text']).toBe(text)
    const { text: bytewise } = said(await client.call('one', 'cut', { text, cuts: Array.from({ length: 200 }, (_, n) => n + 1), gapMs: 0 }).reply)
    expect(bytewise).toBe(text)
    cases += cuts.length + 1
  })

  it.each([
    ['CRLF', { end: '\r\n' }],
    ['empty lines around', { end: '\n\n\r\n\n' }],
    ['a banner before', { before: Buffer.from('Server listening…\n').toString('base64') }],
    ['terminal colours before', { before: Buffer.from('\x1b[32mready\x1b[0m\n').toString('base64') }],
    ['JSON that is no message before', { before: Buffer.from('{"level":"info","msg":"hi"}\n[1,2]\n"x"\n42\nnull\n').toString('base64') }],
    ['a broken line before', { before: Buffer.from('{"jsonrpc":"2.0","id":\n').toString('base64') }],
    ['invalid UTF-8 before', { before: Buffer.from([0xff, 0xfe, 0x41, 0x0a]).toString('base64') }],
    ['a byte order mark before', { before: Buffer.from([0xef, 0xbb, 0xbf]).toString('base64') }],
    ['zero bytes before', { before: Buffer.from('\0\0\0\n').toString('base64') }],
  ])('survive %s', async (_what, how) => {
    expect(said(await client.call('one', 'cut', { text, cuts: [], ...how }).reply)['text']).toBe(text)
    cases++
  })

  it('that are not UTF-8 fail their call, typed', async () => {
    const { error } = await client.call('one', 'invalid').reply
    expect(error).toMatchObject({ code: -32603, data: { code: 'BACKEND_PROTOCOL', backend: 'one' } })
    const { pid } = said(await client.call('one', 'echo').reply)
    expect(pid).toBe(world.journal('one').at(-1)?.pid)
    cases++
  })

  it('that end in the middle fail their call, typed; a last line without its newline counts', async () => {
    const { error } = await client.call('one', 'partial').reply
    expect(error).toMatchObject({ code: -32603, data: { code: 'BACKEND_DIED', backend: 'one' } })
    const call = client.call('one', 'unended')
    expect(said(await call.reply).mark).toBe(call.mark)
    cases += 2
    record({
      fault: '4', id: 'pieces', what: 'answers cut at each byte, in the middle of characters too; CRLF; banners and broken lines between; invalid UTF-8; a server that exits in the middle of a line',
      promise: 'no corruption; a line that cannot be read fails its own call, typed', measured: `${cases} of ${cases} cases`, met: true,
    })
  })
})

describe('lines beyond the limit', () => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    client = world.run({
      mcpServers: {
        large: world.rogue('large', { settings: { timeouts: { call: '20s' } } }),
        endless: world.rogue('endless', { settings: { timeouts: { call: '3s' } } }),
        other: world.rogue('other'),
      },
    }, { probe: true, debug: false })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('under it pass whole', async () => {
    const call = client.call('large', 'big', { bytes: 11 * mb })
    const reply = await call.reply
    expect(((reply.result as any).content[0].text as string).length).toBeGreaterThan(11 * mb)
  })

  it.each([17, 100, ...size(0, 1) ? [500] : []])('%i MB cost under 200 ms of event-loop delay, and the next call is answered by the same process', async megabytes => {
    const before = said(await client.call('large', 'echo').reply).pid
    await world.look(client)
    const call = client.call('large', 'big', { bytes: megabytes * mb })
    const elsewhere = await client.call('other', 'echo').reply
    const { error } = await call.reply
    const { lateMs } = await world.look(client)
    const next = said(await client.call('large', 'echo').reply)
    record({
      fault: '5', id: `line-${megabytes}`, what: `one line of ${megabytes} MB from a server`,
      promise: 'a typed error to its caller, less than 200 ms of event-loop delay, and the same process answers the next call',
      measured: `${error?.data?.code}; longest delay ${round(lateMs)} ms; peak RSS ${round(peakRssMb(client.pid))} MB; a call to another server meanwhile took ${round(elsewhere.ms)} ms`,
      met: error?.data?.code === 'MESSAGE_TOO_LARGE' && lateMs < 200 && next.pid === before,
    })
    expect(error).toMatchObject({ code: -32603, data: { code: 'MESSAGE_TOO_LARGE', backend: 'large' } })
    expect(next.pid).toBe(before)
    expect(lateMs).toBeLessThan(200)
    expect(peakRssMb(client.pid)).toBeLessThan(512)
  })

  it('without end fail their call at its deadline, in bounded memory, and others are answered meanwhile', async () => {
    await world.look(client)
    const call = client.call('endless', 'endless')
    const elsewhere: number[] = []
    let over = false
    void call.reply.then(() => (over = true))
    while (!over) elsewhere.push((await client.call('other', 'echo').reply).ms)
    const { error, ms } = await call.reply
    const { lateMs } = await world.look(client)
    const worst = Math.max(...elsewhere)
    record({
      fault: '5', id: 'line-endless', what: 'a line without end from a server', promise: 'a typed error at the deadline of the call, bounded memory, others unaffected',
      measured: `${error?.data?.code} after ${round(ms)} ms (deadline 3000 ms); longest delay ${round(lateMs)} ms; peak RSS ${round(peakRssMb(client.pid))} MB; ${elsewhere.length} calls to another server meanwhile, the slowest took ${round(worst)} ms`,
      met: error?.data?.code === 'BACKEND_TIMEOUT' && lateMs < 200,
    })
    expect(error?.data?.code).toBe('BACKEND_TIMEOUT')
    expect(ms).toBeLessThan(4500)
    expect(peakRssMb(client.pid)).toBeLessThan(512)
    expect(worst).toBeLessThan(2000)
  })

  it('from a client are refused, and the connection lives on', async () => {
    client.send({ jsonrpc: '2.0', id: 'too long', method: 'tools/call', params: { name: 'other__echo', arguments: { message: 'x'.repeat(20 * mb) } } })
    client.ledger.sent++
    const reply = await client.call('other', 'echo').reply
    expect(reply.error).toBeUndefined()
    // The refusal answers a request that our own books do not know.
    const refusal = client.wrong.findIndex(text => text.includes('"too long"'))
    expect(client.wrong.splice(refusal, 1)).toEqual([expect.stringContaining('MESSAGE_TOO_LARGE')])
    client.ledger.refused++
  })

  it('on stderr are drained, and cost the call nothing', async () => {
    const { ms } = await client.call('other', 'words', { bytes: 20 * mb }).reply
    expect(ms).toBeLessThan(10_000)
  })
})
