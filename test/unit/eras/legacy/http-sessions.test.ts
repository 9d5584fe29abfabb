import { afterEach, describe, expect, it, vi } from 'vitest'
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import { createFront, FakeExchange, settle, toolCall } from '../http-kit.ts'

afterEach(() => void vi.useRealTimers())

describe('a session', () => {
  it('is open to the principal that began it, and looks like none to others', async () => {
    const http = createFront()
    const headers = await http.begin('ann')
    const stolen = http.post(toolCall('x'), headers, 'bob')
    const unknown = http.post(toolCall('x'), { 'mcp-session-id': 'nothing-of-the-kind' }, 'bob')
    expect([stolen.status, stolen.text]).toEqual([404, unknown.text])
    expect(http.get(headers, 'bob').status).toBe(404)
    expect(http.remove(headers, 'bob').status).toBe(404)
    http.post(toolCall('x'), headers, 'ann')
    expect([...http.calls.keys()]).toEqual(['x'])
    expect(http.calls.get('x')?.call.client.principal).toBe('ann')
  })

  it('answers each request on its own exchange, also where two sessions use the same ids and tokens', async () => {
    const http = createFront()
    const [ann, bob] = [await http.begin('ann'), await http.begin('bob')]
    const mine = http.post(toolCall('of-ann', 1, { progressToken: 't' }), ann, 'ann')
    const theirs = http.post(toolCall('of-bob', 1, { progressToken: 't' }), bob, 'bob')
    http.calls.get('of-bob')?.call.progress?.({ progress: 1, message: 'of bob' })
    http.finish('of-ann')
    http.finish('of-bob')
    await settle()
    expect([mine.text, mine.events]).toEqual([expect.stringContaining('of-ann'), []])
    expect(theirs.messages.map(({ method, result }) => method ?? JSON.stringify(result))).toEqual(['notifications/progress', expect.stringContaining('of-bob')])
    expect(JSON.stringify(theirs.messages)).not.toContain('of-ann')
  })

  it('ends when it is deleted: its calls are cancelled, and nobody finds it', async () => {
    const http = createFront()
    const headers = await http.begin()
    const call = http.post(toolCall('x'), headers)
    const stream = http.get(headers)
    expect(http.remove(headers).status).toBe(200)
    expect([call.status, stream.open, http.calls.get('x')?.call.cancellation.cancelled, http.watchers.size]).toEqual([404, false, true, 0])
    expect(http.post(toolCall('y'), headers).status).toBe(404)
    expect(http.remove(headers).status).toBe(404)
  })

  it('ends after so long without use, but not under a call or an open stream', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'performance'] })
    const http = createFront({ sessions: { idleMs: 10_000 } })
    const [idle, calling, listening] = [await http.begin(), await http.begin(), await http.begin()]
    http.post(toolCall('x'), calling)
    http.get(listening)
    const alive = (headers: Record<string, string>) => http.post({ jsonrpc: '2.0', id: 9, method: 'ping' }, headers).status === 200
    vi.advanceTimersByTime(9_000)
    expect(alive(idle)).toBe(true)
    vi.advanceTimersByTime(9_000)
    expect(alive(idle)).toBe(true)
    vi.advanceTimersByTime(20_000)
    expect([alive(idle), alive(calling), alive(listening)]).toEqual([false, true, true])
  })

  it('has been in use until its last answer, however long ago its client last spoke', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'performance'] })
    const http = createFront({ sessions: { idleMs: 10_000 } })
    const headers = await http.begin()
    const call = http.post(toolCall('x'), headers)
    vi.advanceTimersByTime(25_000)
    http.finish('x')
    await settle()
    expect(call.status).toBe(200)
    vi.advanceTimersByTime(9_000)
    expect(http.post({ jsonrpc: '2.0', id: 9, method: 'ping' }, headers).status).toBe(200)
    vi.advanceTimersByTime(16_000)
    expect(http.post({ jsonrpc: '2.0', id: 9, method: 'ping' }, headers).status).toBe(404)
  })

  it('makes room for a new one when there are too many, if it is not in use', async () => {
    const http = createFront({ sessions: { count: 2 } })
    const first = await http.begin()
    const second = await http.begin()
    http.post(toolCall('x'), first)
    const third = await http.begin()
    expect([first, second, third].map(headers => http.post({ jsonrpc: '2.0', id: 9, method: 'ping' }, headers).status)).toEqual([200, 404, 200])
    http.post(toolCall('y'), third)
    const refused = http.post({ jsonrpc: '2.0', id: 'n', method: 'initialize', params: {} })
    expect([refused.status, refused.fields['retry-after'], refused.messages[0]?.['id']]).toEqual([503, '1', 'n'])
  })
})

describe('the answer to a POST', () => {
  it('is JSON when nothing comes before it, else events, from the first on with ids that lead back', async () => {
    const http = createFront()
    const headers = await http.begin()
    const plain = http.post(toolCall('plain', 1), headers)
    http.finish('plain')
    const told = http.post(toolCall('told', 2, { progressToken: 7 }), headers)
    http.calls.get('told')?.call.progress?.({ progress: 1 })
    http.finish('told')
    await settle()
    expect([plain.status, plain.events]).toEqual([200, []])
    expect(told.messages).toEqual([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 7, progress: 1 } },
      expect.objectContaining({ id: 2 }),
    ])
    expect(told.open).toBe(false)
    const ids = told.events.map(({ id }) => id)
    expect(new Set(ids).size).toBe(3)
    // The first event only says where to come back to (2025-11-25).
    expect(told.events[0]?.data).toBe('')
  })

  it('has no first event for clients that would take it for a message', async () => {
    const http = createFront()
    const headers = await http.begin(undefined, '2025-06-18')
    const told = http.post(toolCall('told', 2, { progressToken: 7 }), headers)
    http.calls.get('told')?.call.progress?.({ progress: 1 })
    expect(told.events.map(({ data }) => data === '')).toEqual([false])
  })

  it('is a stream from the start for clients that prefer one, but not before they know their session', async () => {
    const http = createFront()
    const accept = 'text/event-stream, application/json'
    const opening = http.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }, { accept })
    await settle()
    const id = opening.fields['mcp-session-id'] as string
    expect([opening.status, opening.messages[0]?.['id'], typeof id]).toEqual([200, 0, 'string'])
    const slow = http.post(toolCall('slow'), { accept, 'mcp-session-id': id })
    expect(slow.open).toBe(true)
  })

  it('becomes a stream when it takes so long that somebody might hang up', async () => {
    const http = createFront()
    const slow = http.post(toolCall('slow'), await http.begin())
    slow.onQuiet?.()
    expect(slow.open).toBe(true)
    http.finish('slow')
    await settle()
    expect([slow.messages.at(-1)?.['id'], slow.open]).toEqual([1, false])
  })

  it('carries a question of the server, and that it is taken back', async () => {
    const http = createFront()
    const opening = http.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: { elicitation: {} } } })
    await settle()
    const call = http.post(toolCall('x'), { 'mcp-session-id': opening.fields['mcp-session-id'] as string })
    const withdrawn = new CancelSource()
    const ask = { method: 'elicitation/create', params: { message: 'name?' }, live: { withdrawn, refuse() {} } }
    http.calls.get('x')?.resolve({ kind: 'inputRequired', requests: { who: ask }, requestState: 's' })
    await settle()
    withdrawn.cancel('answered elsewhere')
    const [asked, ...rest] = call.messages
    expect([asked?.['method'], rest]).toEqual(['elicitation/create', [
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: asked?.['id'], reason: 'answered elsewhere' } },
    ]])
  })

  it('ends without a word when the client takes the request back', async () => {
    const http = createFront()
    const headers = await http.begin()
    const call = http.post(toolCall('x', 'c'), headers)
    http.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'c' } }, headers)
    expect([call.status, call.open, call.messages, http.calls.get('x')?.call.cancellation.cancelled]).toEqual([200, false, [], true])
    // The id is free again.
    expect(http.post({ jsonrpc: '2.0', id: 'c', method: 'ping' }, headers).status).toBe(200)
  })
})

describe('coming back', () => {
  it('brings what was missed of that stream, then what follows, and of no other', async () => {
    const http = createFront()
    const headers = await http.begin()
    const call = http.post(toolCall('x', 1, { progressToken: 1 }), headers)
    const other = http.post(toolCall('y', 2, { progressToken: 2 }), headers)
    const step = (name: string, progress: number) => http.calls.get(name)?.call.progress?.({ progress })
    step('x', 1)
    step('y', 1)
    const last = call.events.at(-1)?.id as string
    call.leave()
    step('x', 2)
    step('y', 2)
    const back = http.get({ ...headers, 'last-event-id': last })
    step('x', 3)
    http.finish('x')
    await settle()
    expect(back.messages.map(message => (message['params'] as { progress?: number })?.progress ?? message['id'])).toEqual([2, 3, 1])
    expect(back.open).toBe(false)
    expect(other.messages).toHaveLength(2)
    expect(http.calls.get('x')?.call.cancellation.cancelled).toBe(false)
  })

  it('is told no id ahead of what was missed: who loses the connection between the two would not be told the rest', async () => {
    const http = createFront()
    const headers = await http.begin()
    const [watcher] = http.watchers
    const stream = http.get(headers)
    watcher?.change({ kind: 'list', list: 'tools' })
    stream.leave()
    watcher?.change({ kind: 'list', list: 'prompts' })
    const back = http.get({ ...headers, 'last-event-id': stream.events[0]?.id as string })
    expect(back.messages.map(({ method }) => method)).toEqual(['notifications/tools/list_changed', 'notifications/prompts/list_changed'])
    const places = back.events.map(({ id }) => Number(id?.split('_')[1]))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
  })

  it('is bounded by what is kept', async () => {
    const http = createFront({ sessions: { events: 3 } })
    const headers = await http.begin()
    const call = http.post(toolCall('x', 1, { progressToken: 1 }), headers)
    const start = () => call.events[0]?.id as string
    for (let progress = 1; progress <= 10; progress++) http.calls.get('x')?.call.progress?.({ progress })
    call.leave()
    const back = http.get({ ...headers, 'last-event-id': start() })
    expect(back.messages.map(({ params }) => (params as { progress: number }).progress)).toEqual([8, 9, 10])
  })

  it('gives the standalone stream what waited for it, and takes the place of the one that broke', async () => {
    const http = createFront()
    const headers = await http.begin()
    const [watcher] = http.watchers
    watcher?.change({ kind: 'list', list: 'tools' })
    watcher?.change({ kind: 'list', list: 'tools' })
    const stream = http.get(headers)
    expect(stream.messages).toEqual([{ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }])
    expect(http.get(headers).status).toBe(409)
    const last = stream.events.at(-1)?.id as string
    watcher?.change({ kind: 'list', list: 'prompts' })
    const again = http.get({ ...headers, 'last-event-id': last })
    expect([stream.open, again.messages.map(({ method }) => method)]).toEqual([false, ['notifications/prompts/list_changed']])
    stream.leave()
    watcher?.change({ kind: 'list', list: 'resources' })
    expect(again.messages.at(-1)?.['method']).toBe('notifications/resources/list_changed')
  })
})

describe('the paths of 2024-11-05', () => {
  it('belong to one stream of one principal', async () => {
    const http = createFront()
    const stream = new FakeExchange('GET', {})
    http.front.openStream(stream)
    const query = stream.events[0]?.data.split('?')[1] as string
    const post = (body: object, principal = 'ann') => {
      const exchange = new FakeExchange('POST', {}, body as never, { principal, query })
      http.front.postMessage(exchange)
      return exchange.status
    }
    expect(post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2024-11-05', capabilities: {} } }, 'bob')).toBe(404)
    expect(post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2024-11-05', capabilities: {} } })).toBe(202)
    await settle()
    expect(stream.events.slice(1).map(({ data }) => JSON.parse(data))).toEqual([
      { jsonrpc: '2.0', id: 1, result: expect.objectContaining({ protocolVersion: '2024-11-05' }) },
    ])
    stream.leave()
    expect(post({ jsonrpc: '2.0', id: 2, method: 'ping' })).toBe(404)
  })
})

describe('a drain', () => {
  it('waits for what is in flight and refuses the rest', async () => {
    const http = createFront()
    const headers = await http.begin()
    const call = http.post(toolCall('x', 1), headers)
    const drained = http.front.drain(5000)
    expect(http.post(toolCall('y', 2), headers).status).toBe(503)
    expect(http.post({ jsonrpc: '2.0', method: 'notifications/x' }, headers).status).toBe(202)
    http.finish('x')
    await drained
    expect(call.messages[0]).toMatchObject({ id: 1, result: {} })
    expect(http.watchers.size).toBe(0)
  })

  it('does not wait longer than it may', async () => {
    const http = createFront()
    const call = http.post(toolCall('x', 1), await http.begin())
    await http.front.drain(20)
    expect(call.messages[0]).toMatchObject({ id: 1, error: { data: { code: 'SHUTTING_DOWN' } } })
  })
})
