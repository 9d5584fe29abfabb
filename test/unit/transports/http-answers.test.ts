/** One request and what may come back: answers of every form, refusals, broken ways. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { McpError } from '../../../src/gateway/errors.ts'
import { event, events, json, listenTo, remoteServer, result, until, type Asked, type Heard, type RemoteServer } from './remote-server.ts'

let server: RemoteServer | undefined
let heard: Heard | undefined
afterEach(async () => {
  await heard?.channel.close()
  await server?.close()
})

async function scene(answer: (asked: Asked) => void, ...more: [endpoint?: object, options?: object]): Promise<Heard> {
  server = await remoteServer(answer)
  return (heard = listenTo(server.url, ...more))
}
async function outcome(answer: (asked: Asked) => void, ...more: [endpoint?: object, options?: object]) {
  const { ask, end } = await scene(answer, ...more)
  ask(1)
  return end(1)
}

describe('answers', () => {
  it('takes JSON, with the request that asked for it', async () => {
    expect(await outcome(asked => result(asked, { a: 1 }))).toMatchObject({ id: 1, result: { a: 1 } })
    expect(heard!.messages[0]!.relatedTo).toBe(1)
    const { request } = server!.asked[0]!
    expect(request.headers).toMatchObject({ 'content-type': 'application/json', accept: 'application/json, text/event-stream' })
  })

  it('takes a stream, with what the server says and asks on it before the answer', async () => {
    const { ask, end, messages } = await scene(asked => {
      events(asked, 'id: 1\ndata: \n\n', event({ jsonrpc: '2.0', method: 'notifications/progress', params: {} }), ': alive\n\n')
      events(asked, event({ jsonrpc: '2.0', id: 'q', method: 'ping' }), event({ jsonrpc: '2.0', id: 1, result: {} }))
      asked.response.end()
    })
    ask(1)
    await end(1)
    expect(messages.map(({ message, relatedTo }) => [message.method ?? message.id, relatedTo])).toEqual([['notifications/progress', 1], ['ping', 1], [1, 1]])
  })

  it('takes answers in the order and to the requests they are for', async () => {
    const waiting: Asked[] = []
    const { ask, end } = await scene(asked => {
      waiting.push(asked)
      if (waiting.length === 20) for (const one of waiting.reverse()) result(one, { of: one.message!.id })
    })
    const ids = Array.from({ length: 20 }, (_, index) => index + 1)
    for (const id of ids) ask(id)
    expect(await Promise.all(ids.map(end))).toMatchObject(ids.map(id => ({ id, result: { of: id } })))
  })

  it('takes several answers in one (2025-03-26)', async () => {
    expect(await outcome(asked => json(asked, 200, [{ jsonrpc: '2.0', method: 'x' }, { jsonrpc: '2.0', id: 1, result: {} }]))).toMatchObject({ id: 1 })
  })

  it('delivers the error of a refused request, also where the server could not tell whose it is', async () => {
    const error = { code: -32601, message: 'no such method', data: { kept: true } }
    expect(await outcome(asked => json(asked, 404, { jsonrpc: '2.0', id: 1, error }))).toMatchObject({ id: 1, error })
    for (const id of [null, undefined, 'server-error', ''])
      expect(await outcome(asked => json(asked, 400, { jsonrpc: '2.0', id, error }))).toMatchObject({ id: 1, error })
    expect(await outcome(asked => json(asked, 400, { jsonrpc: '2.0', id: 5, error }))).toMatchObject({ code: 'BACKEND_PROTOCOL' })
  })
})

describe('no answers', () => {
  const html = '<html><body>Sign in with s3cret</body></html>'
  const page = (status: number, headers: object = {}) => ({ response }: Asked) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers })
    response.end(html)
  }
  const cases: [string, (asked: Asked) => void, string, RegExp][] = [
    ['a web page', page(200), 'BACKEND_PROTOCOL', /web page \(text\/html\)/],
    ['a page that says 404', page(404), 'BACKEND_PROTOCOL', /404 Not Found/],
    ['405', page(405), 'BACKEND_PROTOCOL', /405/],
    ['401', page(401, { 'www-authenticate': 'Bearer realm="x"' }), 'BACKEND_NEEDS_AUTH', /401/],
    ['403 with a JSON-RPC error', asked => json(asked, 403, { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'no' } }), 'BACKEND_NEEDS_AUTH', /403/],
    ['500 with a JSON-RPC error', asked => json(asked, 500, { jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'no' } }), 'BACKEND_HTTP', /500/],
    ['502 from a proxy', page(502), 'BACKEND_HTTP', /502 Bad Gateway/],
    ['413', page(413), 'MESSAGE_TOO_LARGE', /413/],
    ['nothing', ({ response }) => void response.writeHead(202).end(), 'BACKEND_PROTOCOL', /nothing/],
    ['JSON that is broken', ({ response }) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc"'), 'BACKEND_PROTOCOL', /no answer/],
    ['the answer to something else', asked => json(asked, 200, { jsonrpc: '2.0', id: 99, result: {} }), 'BACKEND_PROTOCOL', /no answer/],
    ['an answer that is none', asked => json(asked, 200, { id: 1, result: {} }), 'BACKEND_PROTOCOL', /jsonrpc/],
    ['a compressed answer', asked => json(asked, 200, {}, { 'content-encoding': 'br' }), 'BACKEND_PROTOCOL', /compressed/],
    ['a stream that ends without the answer', asked => { events(asked, ': hello\n\n'); asked.response.end() }, 'BACKEND_DIED', /ended the stream/],
    ['a stream that breaks', asked => { events(asked, ': hello\n\n'); setTimeout(() => asked.response.destroy(), 20) }, 'BACKEND_DIED', /broke/],
    ['a connection that breaks', ({ request }) => void request.socket.destroy(), 'BACKEND_DIED', /broke/],
    ['half a body', ({ response }) => { response.writeHead(200, { 'content-type': 'application/json', 'content-length': '999' }); response.write('{'); setTimeout(() => response.destroy(), 20) }, 'BACKEND_DIED', /broke/],
  ]
  it.each(cases)('%s', async (_name, answer, code, text) => {
    const error = (await outcome(answer)) as McpError
    expect(error).toBeInstanceOf(McpError)
    expect(error).toMatchObject({ code, message: expect.stringMatching(text) })
    expect(JSON.stringify(error.toRpc())).not.toContain('s3cret')
    expect(heard!.closed).toEqual([])
  })

  it('reports when to come back', async () => {
    const error = (await outcome(page(429, { 'retry-after': '7' }))) as McpError
    expect(error).toMatchObject({ code: 'BACKEND_HTTP', details: { retryAfterMs: 7000 } })
    const date = (await outcome(page(503, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }))) as McpError
    expect(date.details.retryAfterMs).toBeGreaterThan(50_000)
  })

  it('nobody there', async () => {
    const gone = await remoteServer(() => {})
    await gone.close()
    heard = listenTo(gone.url)
    heard.ask(1)
    expect(await heard.end(1)).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/refused/), details: { hint: expect.stringMatching(/running/) } })
  })

  it('somebody there who speaks no HTTP, or no TLS', async () => {
    const raw = createServer(socket => socket.on('error', () => {}).end('220 mail.example.com ESMTP\r\n'))
    await new Promise<void>(resolve => raw.listen(0, '127.0.0.1', resolve))
    const { port } = raw.address() as AddressInfo
    heard = listenTo(`http://127.0.0.1:${port}/`)
    heard.ask(1)
    expect(await heard.end(1)).toMatchObject({ code: 'BACKEND_PROTOCOL', message: expect.stringMatching(/HTTP/) })
    await heard.channel.close()
    heard = listenTo(`https://127.0.0.1:${port}/`)
    heard.ask(1)
    expect(await heard.end(1)).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/secure/) })
    raw.close()
  })

  it('a host without an address', async () => {
    heard = listenTo('http://no-such-host.invalid/mcp')
    heard.ask(1)
    expect(await heard.end(1)).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/host name/) })
  })
})

describe('limits', () => {
  const big = 'x'.repeat(3000)
  it('fails the request whose JSON is too large, and no other', async () => {
    const { ask, end } = await scene(asked => result(asked, asked.message!.id === 1 ? { big } : {}), {}, { messageBytes: 2000 })
    ask(1)
    ask(2)
    expect(await end(1)).toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    expect(await end(2)).toMatchObject({ id: 2, result: {} })
  })

  it('fails the request whose event is too large, and lets what is not the answer go by', async () => {
    const { ask, end } = await scene(asked => {
      events(asked, event({ jsonrpc: '2.0', method: 'notifications/message', params: { big } }))
      events(asked, event(asked.message!.id === 1 ? { jsonrpc: '2.0', id: 1, result: { big } } : { jsonrpc: '2.0', id: 2, result: {} }))
      asked.response.end()
    }, {}, { messageBytes: 2000 })
    ask(1)
    ask(2)
    expect(await end(1)).toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    expect(await end(2)).toMatchObject({ id: 2, result: {} })
  })

  it('stops reading an answer that never ends', async () => {
    let closed = false
    const { ask, end } = await scene(({ response }) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const pour = (): void => void (response.write(' '.repeat(16_384)) ? setImmediate(pour) : response.once('drain', pour))
      response.on('close', () => (closed = true))
      pour()
    }, {}, { messageBytes: 100_000 })
    ask(1)
    expect(await end(1)).toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    await until(() => closed || undefined, 'the connection to close')
  })

  it('gives up a silent request', async () => {
    const { ask, end } = await scene(() => {}, {}, { timing: { postIdle: 60, look: 20 } })
    ask(1)
    expect(await end(1)).toMatchObject({ code: 'BACKEND_TIMEOUT' })
  })

  it('closes a stream that goes on after its answer', async () => {
    let closed = false
    const { ask, end } = await scene(asked => {
      asked.response.on('close', () => (closed = true))
      events(asked, event({ jsonrpc: '2.0', id: 1, result: {} }))
    })
    ask(1)
    expect(await end(1)).toMatchObject({ id: 1 })
    await heard!.channel.close()
    await until(() => closed || undefined, 'the stream to close')
  })
})

describe('giving up', () => {
  it('closes the stream of one request and of no other', async () => {
    const closed: unknown[] = []
    const { ask, end, channel } = await scene(asked => {
      asked.response.on('close', () => closed.push(asked.message!.id))
      events(asked, ': hello\n\n')
      if (asked.message!.id === 2) setTimeout(() => {
        events(asked, event({ jsonrpc: '2.0', id: 2, result: {} }))
        asked.response.end()
      }, 80)
    })
    ask(1)
    ask(2)
    await until(() => (server!.asked.length === 2 ? true : undefined), 'both')
    channel.abandon(1)
    await until(() => (closed.includes(1) ? true : undefined), 'the stream to close')
    expect(closed).toEqual([1])
    expect(await end(2)).toMatchObject({ id: 2 })
    expect(heard!.malformed).toEqual([])
  })

  it('ends everything on close, and says so once', async () => {
    const { ask, channel, closed } = await scene(() => {})
    ask(1)
    await until(() => (server!.asked.length === 1 ? true : undefined), 'the request')
    await channel.close()
    await channel.close()
    expect(closed).toEqual([undefined])
    ask(2)
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(server!.asked).toHaveLength(1)
  })
})

describe('redirects', () => {
  const headers = { Authorization: 'Bearer t0ps3cret', 'X-Team': 'blue' }
  it('follows within the origin, with method, body and credentials', async () => {
    const answer = (asked: Asked): void => {
      if (asked.path === '/mcp') asked.response.writeHead(308, { location: '/v2/mcp' }).end()
      else result(asked)
    }
    expect(await outcome(answer, { headers })).toMatchObject({ id: 1, result: {} })
    const [first, second] = server!.asked
    expect(second).toMatchObject({ method: 'POST', path: '/v2/mcp', body: first!.body })
    expect(second!.request.headers).toMatchObject({ authorization: 'Bearer t0ps3cret', 'x-team': 'blue' })
  })

  it.each([301, 302, 303])('refuses to lose the message to a %i', async status => {
    expect(await outcome(({ response }) => void response.writeHead(status, { location: '/elsewhere' }).end())).toMatchObject({ code: 'BACKEND_HTTP' })
    expect(server!.asked).toHaveLength(1)
  })

  it('does not go round for ever', async () => {
    expect(await outcome(({ response }) => void response.writeHead(307, { location: '/mcp' }).end())).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/again and again/) })
    expect(server!.asked).toHaveLength(4)
  })

  it('does not leave for another origin where anybody could listen', async () => {
    const other = await remoteServer(asked => result(asked))
    expect(await outcome(({ response }) => void response.writeHead(307, { location: other.url }).end(), { headers })).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/not secure/) })
    expect(other.asked).toEqual([])
    await other.close()
  })
})

describe('large answers', () => {
  const big = { text: 'x'.repeat(200_000), list: [1, 2, { é: '\u2028' }] }
  it.each(['json', 'stream'])('arrive whole as %s', async form => {
    const { ask, end } = await scene(asked => {
      const answer = { jsonrpc: '2.0', id: asked.message!.id, result: big }
      if (form === 'json') return json(asked, 200, answer)
      events(asked, event(answer))
      asked.response.end()
    })
    for (const id of [1, 2, 3]) ask(id)
    for (const id of [1, 2, 3]) expect(JSON.parse(JSON.stringify(await end(id)))).toEqual({ jsonrpc: '2.0', id, result: big })
  })
})
