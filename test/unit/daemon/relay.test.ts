import { PassThrough } from 'node:stream'
import { describe, expect, it, vi } from 'vitest'
import { Relay, type Way } from '../../../src/daemon/relay.ts'

type Json = { [key: string]: any }

/** A daemon in memory: what it was told, and what it says. */
class Fake implements Way {
  readonly from = new PassThrough()
  readonly to = new PassThrough()
  readonly heard: Json[] = []
  closed = false
  ended = false
  /** Written to it so far. */
  bytes = 0
  constructor(answers = true) {
    let rest = ''
    this.to.on('data', chunk => {
      this.bytes += chunk.length
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() as string
      for (const line of lines) {
        const message = JSON.parse(line) as Json
        this.heard.push(message)
        if (!answers) continue
        if (message['method'] === 'initialize') this.say({ id: message['id'], result: { protocolVersion: '2025-11-25' } })
        else if (message['id'] !== undefined && /subscribe|setLevel/.test(message['method'])) this.say({ id: message['id'], result: {} })
      }
    })
    this.to.on('end', () => {
      this.ended = true
      this.from.end()
    })
  }
  say(message: Json): void {
    this.from.write(`${JSON.stringify('daemon' in message ? message : { jsonrpc: '2.0', ...message })}\n`)
  }
  die(): void {
    this.from.destroy()
  }
  close(): void {
    this.closed = true
    this.from.destroy()
    this.to.destroy()
  }
}

const quiet = (ms = 15) => new Promise(resolve => setTimeout(resolve, ms))

function rig(next: () => Promise<Fake> = async () => new Fake(), firstAnswers = true) {
  const input = new PassThrough()
  const output = new PassThrough()
  const got: Json[] = []
  const ways = [new Fake(firstAnswers)]
  let rest = ''
  output.on('data', chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() as string
    got.push(...lines.map(line => JSON.parse(line) as Json))
  })
  const relay = new Relay({
    input, output, first: ways[0] as Fake,
    again: async () => {
      const way = await next()
      ways.push(way)
      return way
    },
  })
  const send = (message: Json) => void input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const open = async () => {
    send({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: { roots: {} } } })
    await quiet()
    send({ method: 'notifications/initialized' })
    await quiet()
    got.length = 0
  }
  return { input, output, relay, got, ways, send, open, at: (n: number) => ways[n] as Fake, methods: (n: number) => (ways[n] as Fake).heard.map(({ method }) => method) }
}

describe('a relay', () => {
  it('passes lines on as they are, whatever they are', async () => {
    const { input, got, at, output } = rig()
    const raw: Buffer[] = []
    at(0).to.on('data', chunk => raw.push(chunk))
    input.write('{ "jsonrpc" : "2.0","method":"x", "é": 1e400 }\n')
    await quiet()
    expect(Buffer.concat(raw).toString()).toBe('{ "jsonrpc" : "2.0","method":"x", "é": 1e400 }\n')
    output.removeAllListeners('data')
    const back: Buffer[] = []
    output.on('data', chunk => back.push(chunk))
    at(0).from.write('{"jsonrpc":"2.0","result":{"n":12345678901234567890},"id":1}\n')
    await quiet()
    expect(Buffer.concat(back).toString()).toContain('12345678901234567890')
    expect(got).toEqual([])
  })

  it('answers what was in flight with a typed error when the daemon dies, and nothing else', async () => {
    const { send, got, at, open } = rig()
    await open()
    for (const id of [1, '1', 2, 3]) send({ id, method: 'tools/call' })
    send({ method: 'notifications/cancelled', params: { requestId: 2 } })
    await quiet()
    at(0).say({ id: 3, result: {} })
    await quiet()
    at(0).die()
    await quiet()
    expect(got.map(({ id, error }) => [id, error?.data?.code, error?.code])).toEqual([[3, undefined, undefined], [1, 'DAEMON_DIED', -32603], ['1', 'DAEMON_DIED', -32603]])
  })

  it('reads no more than it can hold while no daemon is to be had, and passes all of it on', async () => {
    let found = (_: Fake): void => {}
    const { input, send, at, open } = rig(() => new Promise(resolve => (found = resolve)))
    await open()
    at(0).die()
    await quiet()
    const filler = 'x'.repeat(1024 * 1024)
    let sent = 0
    const more = (): void => {
      while (sent < 60 && !input.isPaused()) send({ id: ++sent, method: 'tools/call', params: { filler } })
    }
    while (sent < 60 && !input.isPaused()) {
      more()
      await quiet(1)
    }
    expect(input.isPaused()).toBe(true)
    expect(sent).toBeLessThan(60)
    found(new Fake())
    await quiet(50)
    while (sent < 60) {
      more()
      await quiet(1)
    }
    await vi.waitFor(() => expect(at(1).heard.filter(({ method }) => method === 'tools/call').map(({ id }) => id)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1)))
  })

  it('tells the next daemon what the client had said, and keeps the answers to itself', async () => {
    const { send, got, at, open, methods } = rig()
    await open()
    send({ id: 1, method: 'logging/setLevel', params: { level: 'info' } })
    send({ id: 2, method: 'logging/setLevel', params: { level: 'error' } })
    for (const uri of ['a', 'b']) send({ id: uri, method: 'resources/subscribe', params: { uri } })
    send({ id: 'x', method: 'resources/unsubscribe', params: { uri: 'a' } })
    await quiet()
    const before = got.length
    at(0).die()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'logging/setLevel', 'resources/subscribe'])
    expect(at(1).heard[0]?.['params']).toEqual({ protocolVersion: '2025-11-25', capabilities: { roots: {} } })
    expect(at(1).heard.slice(2).map(({ params }) => params)).toEqual([{ level: 'error' }, { uri: 'b' }])
    expect(got.slice(before)).toEqual([])
    send({ id: 9, method: 'tools/call' })
    await quiet()
    at(1).say({ id: 9, result: { ok: true } })
    await quiet()
    expect(got.at(-1)).toMatchObject({ id: 9, result: { ok: true } })
    // And the one after that.
    at(1).die()
    await quiet(40)
    expect(methods(2)).toEqual(methods(1).slice(0, 4))
  })

  it('holds what the client says until the next daemon is there', async () => {
    let give: (way: Fake) => void = () => {}
    const { send, got, at, open, methods } = rig(() => new Promise(resolve => (give = resolve)))
    await open()
    at(0).die()
    await quiet()
    send({ id: 1, method: 'a' })
    send({ method: 'b' })
    send({ id: 2, method: 'c' })
    send({ id: 77, result: {} })
    await quiet()
    expect(got).toEqual([])
    give(new Fake())
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'a', 'b', 'c'])
  })

  it('opens again, under its own id, what was not answered yet', async () => {
    const input = rig()
    input.at(0).to.removeAllListeners('data')
    input.send({ id: 'mine', method: 'initialize', params: {} })
    await quiet()
    input.at(0).die()
    await quiet(40)
    expect(input.at(1).heard.map(({ id, method }) => [id, method])).toEqual([['mine', 'initialize']])
    expect(input.got).toEqual([{ jsonrpc: '2.0', id: 'mine', result: { protocolVersion: '2025-11-25' } }])
  })

  it('keeps streams open across daemons, with one confirmation', async () => {
    const { send, got, at } = rig()
    send({ id: 's', method: 'subscriptions/listen', params: { notifications: {} } })
    await quiet()
    const stamp = { _meta: { 'io.modelcontextprotocol/subscriptionId': 's' } }
    at(0).say({ method: 'notifications/subscriptions/acknowledged', params: stamp })
    await quiet()
    at(0).die()
    await quiet(40)
    expect(at(1).heard).toEqual([{ jsonrpc: '2.0', id: 's', method: 'subscriptions/listen', params: { notifications: {} } }])
    at(1).say({ method: 'notifications/subscriptions/acknowledged', params: stamp })
    at(1).say({ method: 'notifications/tools/list_changed', params: stamp })
    await quiet()
    expect(got.map(({ method }) => method)).toEqual(['notifications/subscriptions/acknowledged', 'notifications/tools/list_changed'])
    // One that leaves ends its streams; the client need not know.
    at(1).say({ daemon: 'restart' })
    at(1).say({ id: 's', result: {} })
    at(1).from.end()
    await quiet(40)
    expect(at(2).heard).toHaveLength(1)
    expect(got).toHaveLength(2)
  })

  it('withdraws questions that nobody waits for any more', async () => {
    const { got, at, open, send } = rig()
    await open()
    at(0).say({ id: 5, method: 'ask' })
    at(0).say({ id: 6, method: 'ask' })
    await quiet()
    send({ id: 6, result: {} })
    await quiet()
    at(0).die()
    await quiet()
    expect(got.slice(2)).toMatchObject([{ method: 'notifications/cancelled', params: { requestId: 5 } }])
  })

  it('lets calls finish with one that leaves, and holds new ones for the next', async () => {
    const { send, got, at, open, methods, ways } = rig()
    await open()
    send({ id: 1, method: 'slow' })
    await quiet()
    at(0).say({ daemon: 'restart' })
    at(0).say({ id: 9, method: 'ask' })
    await quiet()
    send({ id: 2, method: 'later' })
    send({ id: 9, result: {} })
    await quiet()
    expect(at(0).heard.at(-1)).toMatchObject({ id: 9, result: {} })
    expect(ways).toHaveLength(1)
    at(0).say({ id: 1, result: {} })
    at(0).from.end()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'later'])
    expect(got.filter(({ error }) => error)).toEqual([])
  })

  it('asks the next one what a leaving one had not read, once, in order, and passes no refusal on', async () => {
    const { send, got, at, open, methods } = rig()
    await open()
    send({ id: 1, method: 'read' })
    await quiet()
    const heard = at(0).bytes
    for (const id of [2, 3, '3']) send({ id, method: `unread-${id}`, params: { id } })
    send({ method: 'notifications/x' })
    await quiet()
    at(0).say({ daemon: 'restart', heard })
    for (const id of [2, 3]) at(0).say({ id, error: { code: -32603, message: 'the gateway is shutting down', data: { code: 'SHUTTING_DOWN' } } })
    await quiet()
    send({ id: 4, method: 'later' })
    at(0).say({ id: 1, result: { mine: true } })
    at(0).from.end()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'unread-2', 'unread-3', 'unread-3', 'later'])
    expect(at(1).heard.slice(2, 5).map(({ params }) => params.id)).toEqual([2, 3, '3'])
    expect(got).toEqual([{ jsonrpc: '2.0', id: 1, result: { mine: true } }])
    for (const id of [2, 3, '3', 4]) at(1).say({ id, result: {} })
    await quiet()
    expect(got.map(({ id }) => id)).toEqual([1, 2, 3, '3', 4])
  })

  it('hears of the daemon’s end before it writes to it, where the client had been quiet', async () => {
    const { send, got, at, open, methods } = rig()
    await open()
    await quiet(150)
    send({ id: 1, method: 'unread' })
    at(0).die()
    send({ id: 2, method: 'later' })
    await quiet(40)
    expect(methods(0)).toEqual(['initialize', 'notifications/initialized'])
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'unread', 'later'])
    expect(got).toEqual([])
  })

  it('hears all of a client that was quiet and ends with its word', async () => {
    const { input, at, open, methods } = rig()
    await open()
    await quiet(150)
    input.write('{"jsonrpc":"2.0","id":1,')
    input.end('"method":"last"}')
    await quiet(40)
    expect(methods(0).at(-1)).toBe('last')
    expect(at(0).ended).toBe(true)
  })

  it('does not ask again what a leaving one had read and did not answer', async () => {
    const { send, got, at, open, methods } = rig()
    await open()
    send({ id: 1, method: 'read' })
    await quiet()
    at(0).say({ daemon: 'restart', heard: at(0).bytes })
    at(0).from.end()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized'])
    expect(got).toMatchObject([{ id: 1, error: { data: { code: 'DAEMON_DIED', hint: expect.stringContaining('may have been') } } }])
  })

  it('holds what it was about to release when the next one leaves as well', async () => {
    const next = [new Fake(false), new Fake()]
    const { send, got, at, open, methods } = rig(async () => next.shift() as Fake)
    await open()
    at(0).die()
    await quiet()
    send({ id: 1, method: 'held' })
    send({ id: 2, method: 'withdrawn' })
    await quiet()
    send({ method: 'notifications/cancelled', params: { requestId: 2 } })
    at(1).say({ daemon: 'restart', heard: 0 })
    at(1).say({ id: at(1).heard[0]?.['id'], error: { code: -32603, message: 'the gateway is shutting down' } })
    await quiet()
    at(1).from.end()
    await quiet(40)
    expect(methods(1)).not.toContain('held')
    expect(methods(2)).toEqual(['initialize', 'notifications/initialized', 'held'])
    expect(got).toEqual([])
  })

  it('opens with the next one what a leaving one refused to open', async () => {
    const { send, got, at, input, methods, relay } = rig(undefined, false)
    send({ id: 'hello', method: 'initialize', params: {} })
    await quiet()
    at(0).say({ daemon: 'stop', heard: 0 })
    at(0).say({ id: 'hello', error: { code: -32603, message: 'the gateway is shutting down' } })
    // Even for a client that says no more.
    input.end()
    await quiet()
    at(0).from.end()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize'])
    expect(got).toEqual([{ jsonrpc: '2.0', id: 'hello', result: { protocolVersion: '2025-11-25' } }])
    await relay.over
  })

  it('tells the next one that the client has opened, where a leaving one had read nothing of it', async () => {
    const { send, got, at, input, methods } = rig(undefined, false)
    input.cork()
    send({ id: 1, method: 'initialize', params: {} })
    send({ method: 'notifications/initialized' })
    send({ id: 2, method: 'tools/list' })
    input.uncork()
    await quiet()
    at(0).say({ daemon: 'restart', heard: 0 })
    at(0).from.end()
    await quiet(40)
    expect(methods(1)).toEqual(['initialize', 'notifications/initialized', 'tools/list'])
    at(1).say({ id: 2, result: {} })
    await quiet()
    expect(got.map(({ id, error }) => [id, error])).toEqual([[1, undefined], [2, undefined]])
  })

  it('passes on the confirmation of a stream that a leaving one had not read', async () => {
    const { send, got, at } = rig(undefined, false)
    send({ id: 's', method: 'subscriptions/listen', params: { notifications: {} } })
    await quiet()
    at(0).say({ daemon: 'restart', heard: 0 })
    at(0).from.end()
    await quiet(40)
    const stamp = { _meta: { 'io.modelcontextprotocol/subscriptionId': 's' } }
    for (let i = 0; i < 2; i++) {
      at(i + 1).say({ method: 'notifications/subscriptions/acknowledged', params: stamp })
      await quiet()
      at(i + 1).die()
      await quiet(40)
    }
    expect(got.map(({ method }) => method)).toEqual(['notifications/subscriptions/acknowledged'])
  })

  it('hears the client again when one is gone that had not taken all it was sent', async () => {
    const { send, got, at, open, ways, methods, input } = rig()
    await open()
    // Enough that the way says it can take no more, which one that does not read never takes back.
    at(0).to.removeAllListeners('data')
    at(0).to.pause()
    send({ method: 'notifications/large', params: { text: 'x'.repeat(10_000) } })
    send({ method: 'notifications/large', params: { text: 'x'.repeat(100_000) } })
    await quiet()
    expect(input.isPaused()).toBe(true)
    at(0).say({ daemon: 'stop', heard: at(0).bytes })
    at(0).from.end()
    await quiet(40)
    expect(ways).toHaveLength(1)
    expect(input.isPaused()).toBe(false)
    send({ id: 1, method: 'tools/list' })
    await quiet(40)
    expect(methods(1).at(-1)).toBe('tools/list')
    at(1).say({ id: 1, result: {} })
    await quiet()
    expect(got).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }])
  })

  it('hears the client while it looks for the next one, and when that one leaves at once', async () => {
    const next = [new Fake(false), new Fake()]
    let give: () => void = () => {}
    const { send, at, open, input, methods } = rig(() => new Promise(resolve => (give = () => resolve(next.shift() as Fake))))
    await open()
    at(0).to.removeAllListeners('data')
    at(0).to.pause()
    for (const size of [10_000, 100_000]) send({ id: size, method: 'large', params: { text: 'x'.repeat(size) } })
    await quiet()
    expect(input.isPaused()).toBe(true)
    at(0).die()
    await quiet()
    expect(input.isPaused()).toBe(false)
    give()
    await quiet()
    at(1).say({ daemon: 'stop', heard: 0 })
    at(1).say({ id: at(1).heard[0]?.['id'], error: { code: -32603, message: 'the gateway is shutting down' } })
    await quiet()
    at(1).from.end()
    await quiet()
    send({ id: 1, method: 'tools/list' })
    await quiet()
    give()
    await quiet(40)
    expect(methods(2).at(-1)).toBe('tools/list')
  })

  it('lets one that was stopped be, until it is needed', async () => {
    const { send, at, open, ways, methods } = rig()
    await open()
    at(0).say({ daemon: 'stop' })
    at(0).from.end()
    await quiet(40)
    expect(ways).toHaveLength(1)
    send({ id: 1, method: 'again' })
    await quiet(40)
    expect(methods(1).at(-1)).toBe('again')
  })

  it('tries again when there is none for now', async () => {
    let tries = 0
    const { at, open, ways } = rig(async () => {
      if (++tries < 2) throw new Error('none')
      return new Fake()
    })
    await open()
    at(0).die()
    await quiet(300)
    expect(tries).toBe(2)
    expect(ways).toHaveLength(2)
  })

  it('is over when the client has said all and was answered', async () => {
    const { input, relay, at, got } = rig()
    input.end('{"jsonrpc":"2.0","id":1,"method":"last"}')
    await quiet()
    expect(at(0).heard).toMatchObject([{ method: 'last' }])
    await relay.over
    expect(at(0).ended).toBe(true)
    expect(got).toMatchObject([{ id: 1, error: { data: { code: 'DAEMON_DIED' } } }])
  })

  // Written from documentation; no real Windows has run this.
  it('keeps a pipe of Windows whole until the client has its last answer', async () => {
    const { input, send, got, at, open, relay } = rig()
    Object.assign(at(0), { isWhole: true })
    await open()
    send({ id: 1, method: 'tools/call' })
    input.end()
    await quiet(60)
    expect(at(0).ended).toBe(false)
    at(0).say({ id: 1, result: { late: true } })
    await relay.over
    expect(at(0).ended).toBe(true)
    expect(got).toMatchObject([{ id: 1, result: { late: true } }])
  })

  it('is over when the client goes while there is no daemon', async () => {
    const { input, relay, at, open } = rig(() => new Promise(() => {}))
    await open()
    at(0).die()
    await quiet()
    input.end()
    await relay.over
  })

  describe('when no daemon can be had', () => {
    const patience = async (rigged: ReturnType<typeof rig>, isGone = false) => {
      rigged.send({ id: 'hello', method: 'initialize', params: {} })
      await quiet()
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      rigged.at(0).die()
      if (isGone) rigged.input.end()
      await vi.advanceTimersByTimeAsync(10_100)
      vi.useRealTimers()
      await quiet()
    }
    const refusal = (id: string | number) => ({ id, error: { data: { code: 'DAEMON_DIED', hint: expect.stringContaining('call again') } } })

    it('refuses an opening as well, and is over for a client that is gone', async () => {
      const rigged = rig(() => Promise.reject(new Error('none')), false)
      await patience(rigged, true)
      expect(rigged.got).toMatchObject([refusal('hello')])
      await rigged.relay.over
    })

    it('forgets an opening that it refused', async () => {
      let give: (way: Fake) => void = () => {}
      const rigged = rig(() => new Promise(resolve => (give = resolve)), false)
      await patience(rigged)
      const { send, got, methods, at } = rigged
      send({ id: 1, method: 'early' })
      await quiet()
      expect(got).toMatchObject([refusal('hello'), refusal(1)])
      give(new Fake())
      await quiet()
      expect(methods(1)).toEqual([])
      send({ id: 'again', method: 'initialize', params: {} })
      await quiet(40)
      expect(methods(1)).toEqual(['initialize'])
      expect(at(1).heard[0]).toMatchObject({ id: 'again' })
      expect(got.at(-1)).toMatchObject({ id: 'again', result: {} })
    })
  })

  it('is over when it is stopped, at the second word at once', async () => {
    const first = rig()
    first.relay.stop(false)
    await first.relay.over
    const second = rig()
    second.relay.stop(true)
    await second.relay.over
    expect(second.at(0).closed).toBe(true)
  })

  it('is over when the client does not listen any more', async () => {
    const { output, relay, at } = rig()
    output.destroy()
    await relay.over
    expect(at(0).closed).toBe(true)
  })
})
