/** What holds single requests together: the echoed field, order, renewal, streams that are taken up again, the older pair. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Tuning } from '../../../src/transports/channel.ts'
import { HttpPools } from '../../../src/transports/http-pools.ts'
import { event, events, json, listenTo, remoteServer, result, until, type Asked, type Heard, type RemoteServer } from './remote-server.ts'

let server: RemoteServer
let heard: Heard
afterEach(async () => {
  await heard?.channel.close()
  await server?.close()
})

async function scene(answer: (asked: Asked) => void, tuning: Tuning = {}, ...more: [endpoint?: object, options?: object]): Promise<Heard> {
  server = await remoteServer(answer)
  heard = listenTo(server.url, ...more)
  heard.channel.tune!(tuning)
  return heard
}

const echo = 'x-conversation'
const tick = (ms = 30) => new Promise(resolve => setTimeout(resolve, ms))
const posts = () => server.asked.filter(({ method }) => method === 'POST')

/** Answers an opening with a name for the conversation, and knows only the latest one. */
function forgetful() {
  const state = { name: undefined as string | undefined, opened: 0, executed: [] as unknown[] }
  const answer = (asked: Asked): void => {
    const { message, request, response, method } = asked
    if (method === 'GET') return void response.writeHead(405).end()
    if (method === 'DELETE') return void response.writeHead(204).end()
    if (message?.method === 'open') {
      state.name = `c${++state.opened}`
      return result(asked, { opened: state.opened }, { [echo]: state.name })
    }
    if (request.headers[echo] !== state.name) return json(asked, 404, { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'who?' } })
    if (message?.id === undefined) return void response.writeHead(202).end()
    state.executed.push(message.id)
    result(asked)
  }
  return { state, answer }
}

const renewing = (heardLater: () => Heard, ids: { next: number }): Tuning => ({
  echo,
  resumes: true,
  renew: async () => {
    const id = ids.next++
    heardLater().ask(id, 'open', { opens: true })
    await heardLater().end(id)
  },
})

describe('the echoed field and the common ones', () => {
  it('go with every request, the goodbye included, and the goodbye is said', async () => {
    const { answer } = forgetful()
    const { ask, end, channel } = await scene(answer, { echo })
    ask(1, 'open', { opens: true })
    await end(1)
    channel.tune!({ headers: { 'x-revision': '7' } })
    ask(2)
    await end(2)
    await channel.close()
    expect(server.asked.map(({ method, request }) => [method, request.headers[echo], request.headers['x-revision']])).toEqual([
      ['POST', undefined, undefined], ['POST', 'c1', '7'], ['DELETE', 'c1', '7'],
    ])
  })

  it('a server that takes no goodbye does not keep us', async () => {
    const { answer } = forgetful()
    const { ask, end, channel } = await scene(asked => (asked.method === 'DELETE' ? undefined : answer(asked)), { echo }, {}, { timing: { goodbye: 50 } })
    ask(1, 'open', { opens: true })
    await end(1)
    const started = performance.now()
    await channel.close()
    expect(performance.now() - started).toBeLessThan(500)
  })

  it('nor keeps the connection it took it on, where others go on using the pool', async () => {
    const { answer } = forgetful()
    const pools = new HttpPools({})
    const { ask, end, channel } = await scene(asked => (asked.method === 'DELETE' ? undefined : answer(asked)), { echo }, {}, { pools, timing: { goodbye: 50 } })
    const other = listenTo(server.url, {}, { pools })
    ask(1, 'open', { opens: true })
    await end(1)
    await channel.close()
    const goodbye = server.asked.find(({ method }) => method === 'DELETE')
    await until(() => goodbye?.request.socket.destroyed || undefined, 'the connection to be let go')
    await other.channel.close()
  })
})

describe('order', () => {
  it('nothing overtakes a message that goes ahead', async () => {
    const order: unknown[] = []
    const { channel, ask, end } = await scene(asked => {
      const { message, response } = asked
      order.push(message!.method)
      if (message!.method === 'hello') setTimeout(() => response.writeHead(202).end(), 60)
      else {
        order.push(`${message!.method} answered`)
        result(asked)
      }
    })
    channel.send({ jsonrpc: '2.0', method: 'hello' }, { ahead: true })
    ask(1, 'a')
    expect(posts()).toHaveLength(0)
    await end(1)
    await tick()
    expect(order).toEqual(['hello', 'a', 'a answered'])
  })

  it('but only for a while', async () => {
    const { channel, ask, end } = await scene(asked => (asked.message!.method === 'hello' ? undefined : result(asked)), {}, {}, { timing: { ahead: 40 } })
    channel.send({ jsonrpc: '2.0', method: 'hello' }, { ahead: true })
    ask(1)
    expect(await end(1)).toMatchObject({ id: 1 })
  })

  it('a request given up while it waits is never sent', async () => {
    const { channel, ask } = await scene(asked => void setTimeout(() => asked.response.writeHead(202).end(), 40))
    channel.send({ jsonrpc: '2.0', method: 'hello' }, { ahead: true })
    ask(1)
    channel.abandon(1)
    await tick(100)
    expect(posts()).toHaveLength(1)
  })
})

describe('a server that forgets', () => {
  it('is told anew, once for all, and what it had refused is sent again, once each', async () => {
    const { state, answer } = forgetful()
    const ids = { next: 100 }
    const { ask, end } = await scene(answer, renewing(() => heard, ids))
    ask(1, 'open', { opens: true })
    await end(1)
    state.name = 'restarted'
    const wanted = Array.from({ length: 10 }, (_, index) => index + 2)
    for (const id of wanted) ask(id)
    expect(await Promise.all(wanted.map(end))).toMatchObject(wanted.map(id => ({ id, result: {} })))
    expect(state.opened).toBe(2)
    expect([...state.executed].sort()).toEqual([...wanted].sort())
    expect(heard.closed).toEqual([])
  })

  it('fails what it was working on, and never repeats that', async () => {
    const { state, answer } = forgetful()
    let stream: Asked | undefined
    const { ask, end } = await scene(asked => {
      if (asked.message?.id !== 2) return answer(asked)
      stream = asked
      events(asked, ': working\n\n')
    }, renewing(() => heard, { next: 100 }))
    ask(1, 'open', { opens: true })
    await end(1)
    ask(2)
    await until(() => stream, 'the stream')
    await tick()
    state.name = 'restarted'
    ask(3)
    expect(await end(3)).toMatchObject({ id: 3 })
    expect(await end(2)).toMatchObject({ code: 'BACKEND_DIED', message: expect.stringMatching(/session/) })
    expect(posts().filter(({ message }) => message?.id === 2)).toHaveLength(1)
  })

  it('does not get answers to questions it no longer knows', async () => {
    const { state, answer } = forgetful()
    const { ask, end, channel } = await scene(answer, renewing(() => heard, { next: 100 }))
    ask(1, 'open', { opens: true })
    await end(1)
    state.name = 'restarted'
    channel.send({ jsonrpc: '2.0', id: 'q', result: {} }, { relatedTo: 'q' })
    await tick(60)
    expect(posts().filter(({ message }) => message?.id === 'q')).toHaveLength(1)
  })

  it('again and again fails the call', async () => {
    const { answer } = forgetful()
    const { ask, end } = await scene(asked => {
      if (asked.message?.method === 'open' || asked.method === 'DELETE') return answer(asked)
      asked.response.writeHead(404).end()
    }, renewing(() => heard, { next: 100 }))
    ask(1, 'open', { opens: true })
    await end(1)
    ask(2)
    expect(await end(2)).toMatchObject({ code: 'BACKEND_DIED', message: expect.stringMatching(/again/) })
  })

  it('and cannot be told anew ends the channel', async () => {
    const { state, answer } = forgetful()
    const { ask, end, closed } = await scene(answer, { echo, renew: () => Promise.reject(new Error('no')) })
    ask(1, 'open', { opens: true })
    await end(1)
    state.name = 'restarted'
    ask(2)
    expect(await end(2)).toMatchObject({ code: 'BACKEND_DIED' })
    expect(closed).toHaveLength(1)
  })

  it('and says 400 is understood when it keeps saying so', async () => {
    const { state, answer } = forgetful()
    const { ask, end } = await scene(asked => {
      const known = asked.message?.method === 'open' || asked.method !== 'POST' || asked.request.headers[echo] === state.name
      if (known) answer(asked)
      else json(asked, 400, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Bad Request: no valid session' } })
    }, renewing(() => heard, { next: 100 }))
    ask(1, 'open', { opens: true })
    await end(1)
    state.name = 'restarted'
    ask(2)
    expect(await end(2)).toMatchObject({ error: { code: -32000 } })
    ask(3)
    expect(await end(3)).toMatchObject({ id: 3, result: {} })
  })

  it('is not meant where it knows no such method', async () => {
    const { state, answer } = forgetful()
    const { ask, end } = await scene(asked => {
      if (asked.message?.id !== 2) return answer(asked)
      json(asked, 404, { jsonrpc: '2.0', id: 2, error: { code: -32601, message: 'no such method' } })
    }, renewing(() => heard, { next: 100 }))
    ask(1, 'open', { opens: true })
    await end(1)
    ask(2)
    expect(await end(2)).toMatchObject({ error: { code: -32601 } })
    expect(state.opened).toBe(1)
  })
})

describe('a stream that breaks', () => {
  it('is taken up again after its last event, with the pause the server named', async () => {
    let came: number | undefined
    const { ask, end, messages } = await scene(asked => {
      if (asked.method === 'POST') {
        events(asked, 'id: a-1\nretry: 60\ndata: \n\n', event({ jsonrpc: '2.0', method: 'one' }, 'a-2'))
        return void asked.response.end()
      }
      came = performance.now()
      expect(asked.request.headers['last-event-id']).toBe('a-2')
      events(asked, event({ jsonrpc: '2.0', method: 'two' }, 'a-3'), event({ jsonrpc: '2.0', id: 1, result: {} }, 'a-4'))
    }, { resumes: true })
    const started = performance.now()
    ask(1)
    expect(await end(1)).toMatchObject({ id: 1 })
    expect(came! - started).toBeGreaterThan(55)
    expect(messages.map(({ message, relatedTo }) => [message.method ?? message.id, relatedTo])).toEqual([['one', 1], ['two', 1], [1, 1]])
    expect(posts()).toHaveLength(1)
  })

  it('and breaks again is taken up where it broke last', async () => {
    let round = 0
    const { ask, end } = await scene(asked => {
      if (asked.method === 'GET') expect(asked.request.headers['last-event-id']).toBe(`e${round}`)
      round++
      events(asked, `retry: 5\nid: e${round}\ndata: \n\n`, round === 4 ? event({ jsonrpc: '2.0', id: 1, result: {} }) : ': bye\n\n')
      asked.response.end()
    }, { resumes: true })
    ask(1)
    expect(await end(1)).toMatchObject({ id: 1 })
    expect(round).toBe(4)
  })

  it('fails the request where the server cannot take it up', async () => {
    const { ask, end } = await scene(asked => {
      if (asked.method === 'GET') return void asked.response.writeHead(405).end()
      events(asked, 'retry: 5\nid: 1\ndata: \n\n')
      asked.response.end()
    }, { resumes: true })
    ask(1)
    expect(await end(1)).toMatchObject({ code: 'BACKEND_DIED' })
  })

  it('fails at once where the revision has no such thing', async () => {
    const { ask, end } = await scene(asked => {
      events(asked, 'retry: 5\nid: 1\ndata: \n\n')
      asked.response.end()
    })
    ask(1)
    expect(await end(1)).toMatchObject({ code: 'BACKEND_DIED' })
    expect(server.asked).toHaveLength(1)
  })

  it('and is given up is not taken up', async () => {
    const { ask, channel } = await scene(asked => {
      events(asked, 'retry: 100\nid: 1\ndata: \n\n')
      asked.response.end()
    }, { resumes: true })
    ask(1)
    await until(() => (server.asked.length === 1 ? true : undefined), 'the request')
    await tick()
    channel.abandon(1)
    await tick(120)
    expect(server.asked).toHaveLength(1)
    expect(heard.malformed).toEqual([])
  })
})

describe('a stream of its own', () => {
  it('brings what the server says unasked, and comes back after its last event', async () => {
    let missed = 0
    let round = 0
    const { messages } = await scene(asked => {
      round++
      if (round === 2) expect(asked.request.headers['last-event-id']).toBe('1')
      events(asked, 'retry: 10\n', event({ jsonrpc: '2.0', method: `say-${round}` }, String(round)))
      if (round === 1) asked.response.end()
    }, { listens: () => missed++ })
    await until(() => messages.find(({ message }) => message.method === 'say-2'), 'the second')
    expect(messages.map(({ message, relatedTo }) => [message.method, relatedTo])).toEqual([['say-1', undefined], ['say-2', undefined]])
    expect(missed).toBe(0)
    expect(server.asked[0]!.request.headers['accept']).toBe('text/event-stream')
  })

  it('tells when something may have been missed', async () => {
    let missed = 0
    let round = 0
    await scene(asked => {
      round++
      events(asked, 'retry: 5\n', event({ jsonrpc: '2.0', method: 'x' }))
      if (round < 3) asked.response.end()
    }, { listens: () => missed++ })
    await until(() => (missed === 2 ? true : undefined), 'both returns')
  })

  it('is not asked for again where there is none', async () => {
    await scene(({ response }) => void response.writeHead(405).end(), { listens: () => {} })
    await tick(80)
    expect(server.asked).toHaveLength(1)
    expect(heard.closed).toEqual([])
  })
})

describe('the older pair of endpoints', () => {
  function pair(options: { endpoint?: string; refusal?: number; opensOnPost?: boolean } = {}) {
    let stream: Asked | undefined
    return (asked: Asked): void => {
      const { method, path, message, response } = asked
      if (path === '/mcp' && (method === 'GET' || options.opensOnPost)) {
        if (method === 'GET') stream = asked
        return events(asked, `event: endpoint\ndata: ${options.endpoint ?? '/messages?session=1'}\n\n`)
      }
      if (path === '/mcp') return void response.writeHead(options.refusal ?? 405).end('Cannot POST')
      response.writeHead(202).end('Accepted')
      if (message?.id !== undefined) events(stream!, event({ jsonrpc: '2.0', id: message.id, result: { path } }))
    }
  }

  it.each([400, 404, 405])('is found where the opening is refused with %i', async refusal => {
    const { ask, end, channel } = await scene(pair({ refusal }))
    ask(1, 'probe')
    expect(await end(1)).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(channel.transport).toBe('http')
    channel.tune!({ triesPair: true })
    ask(2, 'open', { opens: true })
    expect(await end(2)).toMatchObject({ id: 2, result: { path: '/messages?session=1' } })
    expect(channel.transport).toBe('sse')
    expect(channel.cancelsByClosing).toBe(false)
    ask(3)
    expect(await end(3)).toMatchObject({ id: 3 })
    expect(heard.messages.every(({ relatedTo }) => relatedTo === undefined)).toBe(true)
  })

  it('is found where the stream opens to anything', async () => {
    const { ask, end, channel } = await scene(pair({ opensOnPost: true }), { triesPair: true })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ id: 1, result: { path: '/messages?session=1' } })
    expect(channel.transport).toBe('sse')
  })

  it('is used at once where the config says so', async () => {
    const { ask, end } = await scene(pair(), {}, { type: 'sse', headers: { authorization: 'Bearer x1y2z3' } })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ id: 1 })
    expect(server.asked.map(({ method, request }) => [method, request.headers.authorization])).toEqual([['GET', 'Bearer x1y2z3'], ['POST', 'Bearer x1y2z3']])
  })

  it('is not looked for where the config says http', async () => {
    const { ask, end } = await scene(pair(), { triesPair: true }, { type: 'http' })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(server.asked).toHaveLength(1)
  })

  it('that is not there leaves the refusal as it was', async () => {
    const error = { code: -32600, message: 'not like this' }
    const { ask, end } = await scene(asked => json(asked, 400, { jsonrpc: '2.0', id: null, error }), { triesPair: true })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ id: 1, error })
    expect(server.asked.map(({ method }) => method)).toEqual(['POST', 'GET'])
  })

  it('that sends us to another origin is refused', async () => {
    const { ask, end } = await scene(pair({ endpoint: 'http://127.0.0.1:1/messages' }), {}, { type: 'sse' })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ code: 'BACKEND_PROTOCOL', message: expect.stringMatching(/another origin/) })
  })

  it('that never names an address is given up', async () => {
    const { ask, end } = await scene(asked => events(asked, ': hello\n\n'), {}, { type: 'sse' }, { timing: { pair: 50 } })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ code: 'BACKEND_TIMEOUT' })
  })

  it('dies with its stream', async () => {
    let stream: Asked | undefined
    const answer = pair()
    const { ask, end, closed } = await scene(asked => {
      if (asked.method === 'GET') stream = asked
      answer(asked)
    }, {}, { type: 'sse' })
    ask(1, 'open', { opens: true })
    await end(1)
    stream!.response.end()
    await until(() => (closed.length > 0 ? true : undefined), 'the end')
    expect(closed).toMatchObject([{ code: 'BACKEND_DIED' }])
  })

  it('needs credentials like any other', async () => {
    const { ask, end, closed } = await scene(({ response }) => void response.writeHead(401).end(), {}, { type: 'sse' })
    ask(1, 'open', { opens: true })
    expect(await end(1)).toMatchObject({ code: 'BACKEND_NEEDS_AUTH' })
    expect(closed).toHaveLength(1)
  })
})
