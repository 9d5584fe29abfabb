import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { silent } from '../../../src/gateway/log.ts'
import type { Exchange } from '../../../src/transports/exchange.ts'
import { listen, type ListenerLimits, type Listening } from '../../../src/transports/http-listener.ts'
import { plainRequest, wire } from '../../fixtures/clients/wire.ts'

const open: Listening[] = []
afterEach(async () => void (await Promise.all(open.splice(0).map(each => each.close(100)))))

async function start(serve: (exchange: Exchange) => void, limits: Partial<ListenerLimits> = {}): Promise<number> {
  const listening = await listen({ host: '127.0.0.1', port: 0 }, {
    route: path => (path === '/x' ? { methods: ['GET', 'POST'], serve } : undefined),
    authenticate: () => 'somebody',
    hosts: [], origins: [], cors: { allow: [], expose: [] }, log: silent, limits,
  })
  open.push(listening)
  return listening.port
}
const get = plainRequest('GET', '/x', ['Host: localhost'])
const post = (body: string) => plainRequest('POST', '/x', ['Host: localhost', 'Content-Type: application/json'], body)
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

describe('an exchange', () => {
  it('brings one message, and who sent it', async () => {
    let seen: unknown[] = []
    const port = await start(exchange => {
      seen = [exchange.principal, exchange.method, exchange.content]
      exchange.json(200, '{}')
    })
    await wire({ port }, post('{"jsonrpc":"2.0","id":1,"method":"m"}'))
    expect(seen).toEqual(['somebody', 'POST', { kind: 'message', message: { jsonrpc: '2.0', id: 1, method: 'm' } }])
  })

  it('is answered once, whatever is tried afterwards', async () => {
    const port = await start(exchange => {
      exchange.json(201, '"first"')
      exchange.json(500, '"second"')
      exchange.empty(500)
      expect(exchange.stream().send('x')).toBe(false)
    })
    expect(await wire({ port }, get)).toMatchObject({ status: 201, body: '"first"' })
  })

  it('reads a request however it is cut into pieces', async () => {
    const port = await start(exchange => exchange.json(200, JSON.stringify(exchange.content)))
    const bytes = Buffer.from(post('{"jsonrpc":"2.0","id":"é😀","method":"m"}'))
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', chunk => void (text += chunk.toString('utf8')))
    for (const byte of bytes) {
      socket.write(Buffer.of(byte))
      await pause(0)
    }
    await pause(100)
    socket.destroy()
    expect(text).toContain('"id":"é😀"')
  })

  it('tells once when the client goes before the answer is complete, and not after', async () => {
    let gone = 0
    let stream: ReturnType<Exchange['stream']> | undefined
    const port = await start(exchange => {
      exchange.onGone = () => gone++
      if (exchange.query === 'answered') exchange.json(200, '{}')
      else stream = exchange.stream()
    })
    await wire({ port }, plainRequest('GET', '/x?answered', ['Host: localhost', 'Connection: close']))
    await pause(50)
    expect(gone).toBe(0)
    const outgoing = request({ port, path: '/x', agent: false }, answer => answer.resume())
    outgoing.on('error', () => {})
    outgoing.end()
    await pause(100)
    expect(stream?.send('a')).toBe(true)
    outgoing.destroy()
    await pause(100)
    expect([gone, stream?.open, stream?.send('b')]).toEqual([1, false, false])
  })

  it('is served no worse by one that throws', async () => {
    let first = true
    const port = await start(exchange => {
      if (!first) return exchange.json(200, '"fine"')
      first = false
      throw new Error('a secret of ours')
    })
    const failed = await wire({ port }, get)
    expect([failed.status, failed.body.includes('secret')]).toEqual([500, false])
    expect((await wire({ port }, get)).status).toBe(200)
  })
})

describe('an event stream', () => {
  it('carries text of several lines as one event', async () => {
    const port = await start(exchange => {
      const stream = exchange.stream()
      stream.send('{\r\n"a":1,\n"b":2\r}', { id: '7' })
      stream.send('/there', { event: 'endpoint' })
      stream.end()
    })
    const { headers, body } = await wire({ port }, get)
    expect(headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    expect(body).toContain('event: message\nid: 7\ndata: {\ndata: "a":1,\ndata: "b":2\ndata: }\n\n')
    expect(body).toContain('event: endpoint\ndata: /there\n\n')
  })

  it('gives signs of life while nothing happens, and leads to an answer that keeps nobody waiting in silence', async () => {
    const port = await start(exchange => {
      const begin = () => {
        const stream = exchange.stream()
        setTimeout(() => stream.end(), 200)
      }
      if (exchange.query === 'slow') exchange.onQuiet = begin
      else begin()
    }, { pulseMs: 20 })
    expect((await wire({ port }, get, 300)).body).toMatch(/:\n\n/)
    expect((await wire({ port }, plainRequest('GET', '/x?slow', ['Host: localhost']), 300)).headers['content-type']).toBe('text/event-stream')
  })

  it('sheds what may be shed when the reader is slow, and gives up one that has stopped', async () => {
    const sent = { kept: 0, shed: 0 }
    let gone = false
    const port = await start(exchange => {
      exchange.onGone = () => (gone = true)
      const stream = exchange.stream()
      const text = 'x'.repeat(64 * 1024)
      // More than the system's own buffers take, and then some.
      for (let i = 0; i < 400; i++) stream.send(text)
      for (let i = 0; i < 400; i++) stream.send(text, { sheddable: true }) ? sent.kept++ : sent.shed++
      expect(stream.send('"important"')).toBe(true)
    }, { pulseMs: 50 })
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    socket.on('error', () => {})
    socket.write(get)
    for (let i = 0; i < 200 && !gone; i++) await pause(50)
    socket.destroy()
    expect(gone).toBe(true)
    expect(sent).toEqual({ kept: 0, shed: 400 })
  })
})

it('answers that nobody reads are kept up to a bound, the newest of them', async () => {
  const text = JSON.stringify('x'.repeat(16 * 1024 * 1024))
  const port = await start(exchange => exchange.json(200, text), { unreadBytes: 40 * 1024 * 1024 })
  const sockets = []
  for (let n = 0; n < 5; n++) {
    const socket = connect(port, '127.0.0.1').pause()
    socket.on('error', () => {})
    socket.write(get)
    sockets.push(socket)
    await pause(100)
  }
  const whole = await Promise.all(sockets.map(async socket => {
    let bytes = 0
    socket.on('data', chunk => (bytes += chunk.length)).resume()
    for (let idle = 0, last = -1; idle < 5 && bytes < text.length; last = bytes) {
      await pause(50)
      idle = bytes === last ? idle + 1 : 0
    }
    socket.destroy()
    return bytes >= text.length
  }))
  expect(whole).toEqual([false, false, false, true, true])
  // Whoever reads has the whole of it, whatever waits elsewhere.
  const hasty = plainRequest('GET', '/x', ['Host: localhost', 'Connection: close'])
  expect((await wire({ port }, hasty, 5000)).body.length).toBe(text.length)
})

describe('time', () => {
  it('is short for a header, and for a body', async () => {
    const port = await start(exchange => exchange.json(200, '{}'), { headersMs: 100, requestMs: 200 })
    const begun = Date.now()
    const [header, body] = await Promise.all([
      wire({ port }, 'GET /x HTTP/1.1\r\nHost: loc', 5000),
      wire({ port }, plainRequest('POST', '/x', ['Host: localhost', 'Content-Type: application/json', 'Content-Length: 9']) + '{"a', 5000),
    ])
    expect([header.status, body.status]).toEqual([408, 408])
    expect(Date.now() - begun).toBeLessThan(4000)
    expect((await wire({ port }, get)).status).toBe(200)
  })
})
