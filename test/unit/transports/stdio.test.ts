import { PassThrough, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { McpError } from '../../../src/gateway/errors.ts'
import { silent } from '../../../src/gateway/log.ts'
import type { Channel, Message, RequestId } from '../../../src/transports/channel.ts'
import { LinePipe } from '../../../src/transports/line-pipe.ts'
import { stdioChannel, type StdioOptions } from '../../../src/transports/stdio.ts'
import { until } from './processes.ts'

/** A client's end of the wire: takes what it is sent while it reads, and nothing while it does not. */
class Client extends Writable {
  readonly chunks: Buffer[] = []
  private held: (() => void) | undefined
  private readonly reads: { now: boolean }

  constructor(reading = true) {
    super({ decodeStrings: false, highWaterMark: 16_384 })
    this.reads = { now: reading }
  }
  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk as string))
    if (this.reads.now) done()
    else this.held = done
  }
  read(): void {
    this.reads.now = true
    const held = this.held
    this.held = undefined
    held?.()
  }
  stall(): void {
    this.reads.now = false
  }
  get received(): Message[] {
    return Buffer.concat(this.chunks)
      .toString()
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Message)
  }
}

function connect(options: StdioOptions = {}, client = new Client()) {
  const input = new PassThrough()
  const messages: Message[] = []
  const malformed: { code: string; id: RequestId | undefined }[] = []
  const state: { closed?: { reason: McpError | undefined } } = {}
  const channel: Channel = stdioChannel(input, client, options)
  channel.open({
    message: message => void messages.push(message),
    malformed: (error, id) => void malformed.push({ code: error.code, id }),
    closed: reason => {
      expect(state.closed).toBeUndefined()
      state.closed = { reason }
    },
  })
  const say = (message: object): boolean => input.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n')
  const answer = (id: RequestId, text = ''): void => channel.send({ jsonrpc: '2.0', id, result: { text } })
  const notify = (method: string, n?: number): void =>
    channel.send({ jsonrpc: '2.0', method, ...(n !== undefined && { params: { n } }) })
  return { input, client, channel, messages, malformed, state, say, answer, notify }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(() => setImmediate(resolve)))
const big = 'x'.repeat(100_000)

describe('our own standard input and output', () => {
  it('carries messages both ways; many in one turn make one write', async () => {
    const { client, messages, say, answer } = connect()
    say({ id: 1, method: 'a' })
    say({ id: 2, method: 'b' })
    await turn()
    expect(messages.map(message => message.id)).toEqual([1, 2])
    answer(1)
    answer(2)
    expect(client.chunks).toEqual([])
    await turn()
    expect(client.chunks).toHaveLength(1)
    expect(client.received.map(message => message.id)).toEqual([1, 2])
  })

  it('passes over what is no message, and reports what is broken', async () => {
    const { input, messages, malformed, say } = connect({ maxLineBytes: 1000 })
    input.write('hello?\n')
    input.write(`{"jsonrpc":"2.0","id":1,"method":"a","params":{"t":"${big}"}}\n`)
    say({ id: 2, method: 'b' })
    await turn()
    expect(malformed).toEqual([{ code: 'MESSAGE_TOO_LARGE', id: 1 }])
    expect(messages).toHaveLength(1)
  })

  it('writes a message of any length whole, in pieces a slow reader can take', async () => {
    const { client, answer } = connect()
    answer(1, 'ü€😀'.repeat(500_000))
    answer(2)
    await until(() => client.received.length === 2)
    expect(client.received[0]?.result?.['text'] === 'ü€😀'.repeat(500_000)).toBe(true)
    expect(Math.max(...client.chunks.map(chunk => chunk.length))).toBeLessThan(100_000)
  })
})

describe('the end', () => {
  it('comes when the client closes its end and nothing is owed', async () => {
    const { input, state, say, answer, client } = connect()
    say({ id: 1, method: 'a' })
    await turn()
    answer(1)
    input.end()
    await until(() => state.closed !== undefined)
    expect(state.closed).toEqual({ reason: undefined })
    expect(client.received).toHaveLength(1)
  })

  it('waits for the answers to what was asked before it, but not for ever', async () => {
    const { input, state, say, answer, client } = connect({ lingerMs: 300 })
    for (const id of [1, 2, 3]) say({ id, method: 'a' })
    say({ method: 'cancelled', params: { requestId: 2 } })
    input.end()
    await turn()
    answer(1)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(state.closed).toBeUndefined()
    answer(3)
    await until(() => state.closed !== undefined, 200)
    expect(client.received.map(message => message.id)).toEqual([1, 3])

    const hanging = connect({ lingerMs: 100 })
    hanging.say({ id: 1, method: 'a' })
    hanging.input.end()
    await until(() => hanging.state.closed !== undefined, 1000)
    expect(hanging.state.closed).toEqual({ reason: undefined })

    const old = connect({ lingerMs: 100 })
    old.say({ id: 1, method: 'a' })
    await new Promise(resolve => setTimeout(resolve, 110))
    old.input.end()
    await turn()
    await turn()
    expect(old.state.closed).toEqual({ reason: undefined })
  })

  it('by our side, while the client takes its last answer, does not cut that off', async () => {
    const { input, client, channel, say, answer } = connect({}, new Client(false))
    say({ id: 1, method: 'a' })
    input.end()
    await turn()
    answer(1, big + big + big)
    await turn()
    let closed = false
    void channel.close().then(() => (closed = true))
    await turn()
    expect(closed).toBe(false)
    client.read()
    await until(() => closed)
    expect(client.received).toMatchObject([{ id: 1 }])
  })

  it('waits for both answers to two requests with one id', async () => {
    const { input, state, say, answer, client } = connect()
    say({ id: 1, method: 'a' })
    say({ id: 1, method: 'a' })
    input.end()
    await turn()
    answer(1, 'refused')
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(state.closed).toBeUndefined()
    answer(1, 'the result')
    await until(() => state.closed !== undefined, 200)
    expect(client.received.map(({ result }) => result?.['text'])).toEqual(['refused', 'the result'])
  })

  it('comes when the client breaks off, and nothing is thrown', async () => {
    const { client, state, answer } = connect()
    client.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    await until(() => state.closed !== undefined)
    expect(state.closed?.reason).toMatchObject({ code: 'CLIENT_GONE' })
    answer(1)
    await turn()
  })

  it('by our side writes what waits first; nothing is delivered after it', async () => {
    const { channel, state, say, answer, client, messages } = connect()
    answer(1, big)
    answer(2)
    const closed = channel.close()
    expect(channel.close()).toBe(closed)
    say({ id: 1, method: 'late' })
    await closed
    expect(state.closed).toEqual({ reason: undefined })
    expect(client.received.map(message => message.id)).toEqual([1, 2])
    expect(client.writableEnded).toBe(true)
    expect(messages).toEqual([])
  })
})

describe('a client that does not read', () => {
  const stalled = (options: StdioOptions = {}) => connect({ queueBytes: 10_000, ...options }, new Client(false))

  it('loses no answer, and gets each notification method’s newest', async () => {
    const { client, answer, notify } = stalled()
    answer(1, big)
    await turn()
    answer(2, 'y'.repeat(10_001))
    for (let n = 0; n < 10_000; n++) {
      notify('noisy', n)
      notify('changed')
      if (n % 1000 === 0) answer(1000 + n)
    }
    client.read()
    await until(() => client.received.some(message => message.id === 10_000))
    const { received } = client
    expect(received.filter(message => message.method === undefined).map(message => message.id)).toEqual([
      1,
      2,
      ...Array.from({ length: 10 }, (_, n) => 1000 * (n + 1)),
    ])
    expect(received.filter(message => message.method === 'changed')).toHaveLength(1)
    const noisy = received.filter(message => message.method === 'noisy').map(message => message.params?.['n'] as number)
    expect(noisy.length).toBeLessThan(1000)
    expect(noisy.at(-1)).toBe(9999)
    expect(noisy).toEqual([...noisy].sort((a, b) => a - b))
  })

  it('is not heard with new calls until it has read', async () => {
    const { client, answer, say, messages } = stalled()
    answer(1, big)
    await turn()
    answer(2, big)
    say({ id: 1, method: 'a' })
    await turn()
    expect(messages).toEqual([])
    client.read()
    await until(() => messages.length === 1)
  })

  it('is cut after the deadline, or when too much waits for it', async () => {
    const late = stalled({ stallMs: 100 })
    late.answer(1, big)
    await until(() => late.state.closed !== undefined, 1000)
    expect(late.state.closed?.reason).toMatchObject({ code: 'CLIENT_GONE' })
    await late.channel.close()

    const greedy = stalled({ maxQueueBytes: 1_000_000 })
    for (let id = 0; id < 100; id++) {
      greedy.answer(id, big)
      await turn()
    }
    expect(greedy.state.closed?.reason).toMatchObject({ code: 'CLIENT_GONE' })
    await greedy.channel.close()
  })

  it('is not cut while it reads, however slowly', async () => {
    const { client, answer, state } = stalled({ stallMs: 150 })
    answer(1, 'x'.repeat(400_000))
    await turn()
    for (let n = 0; n < 6; n++) {
      await new Promise(resolve => setTimeout(resolve, 80))
      client.read()
      client.stall()
    }
    expect(state.closed).toBeUndefined()
    client.read()
    await until(() => client.received.length === 1)
  })
})

describe('a line that is not JSON', () => {
  const parseError = { jsonrpc: '2.0', id: null, error: { code: -32700, message: expect.any(String) } }

  it('is answered under no id, and the next one is heard', async () => {
    const { input, client, messages, say } = connect()
    input.write('hello\n{"jsonrpc":"2.0","id":1,"method":\n[1,2]\n42\n\n')
    say({ id: 2, method: 'a' })
    await until(() => client.received.length >= 2)
    expect(client.received).toEqual([parseError, parseError])
    expect(messages).toMatchObject([{ id: 2, method: 'a' }])
  })

  it('is answered ten times a second at most', async () => {
    const { input, client, messages, say } = connect()
    input.write('garbage\n'.repeat(5000))
    say({ id: 1, method: 'a' })
    await until(() => messages.length === 1 && client.received.length > 0)
    expect(client.received).toHaveLength(10)
  })

  it('is not answered when only its beginning came', async () => {
    const { input, client, state } = connect()
    input.end('{"jsonrpc":"2.0","id":1,"meth')
    await until(() => state.closed !== undefined)
    expect(client.received).toEqual([])
  })

  it('is not answered where a server wrote it', async () => {
    const toServer = new Client()
    const input = new PassThrough()
    const heard: string[] = []
    const pipe = new LinePipe(input, toServer, 'backend', { ended() {}, stuck() {}, broke() {} }, { ...silent, warn: (_fields: object, text: string) => void heard.push(text) }, {})
    pipe.open({ message() {}, closed() {} })
    input.write('Server ready\n')
    await until(() => heard.length === 1)
    await new Promise(resolve => setTimeout(resolve, 10))
    expect(toServer.received).toEqual([])
  })
})
