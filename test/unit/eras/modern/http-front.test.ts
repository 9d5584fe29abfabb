/** One POST, one answer: what a request over HTTP of this revision is answered with, and when an answer becomes a stream. */
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../../src/gateway/contract.ts'
import { McpError } from '../../../../src/gateway/errors.ts'
import { createFront, settle } from '../http-kit.ts'

const revision = '2026-07-28'
const meta = { 'io.modelcontextprotocol/protocolVersion': revision, 'io.modelcontextprotocol/clientCapabilities': {} }
const request = (method: string, params: JsonObject = {}, id: string | number = 1): JsonObject =>
  ({ jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...meta, ...(params['_meta'] as JsonObject) } } })
const fields = (method: string, name?: string): Record<string, string> =>
  ({ 'mcp-protocol-version': revision, 'mcp-method': method, ...(name === undefined ? {} : { 'mcp-name': name }) })

function rig(options: Parameters<typeof createFront>[0] = {}) {
  const made = createFront(options)
  const post = (method: string, params: JsonObject = {}, id: string | number = 1) =>
    made.post(request(method, params, id), fields(method, params['name'] as string | undefined))
  return { ...made, ask: post, call: (name: string, more: JsonObject = {}, id: string | number = 1) => post('tools/call', { name, arguments: {}, ...more }, id) }
}

describe('an answer', () => {
  it('is JSON when nothing comes before it', async () => {
    const { call, finish } = rig()
    const exchange = call('echo')
    await settle()
    expect(exchange.status).toBeUndefined()
    finish('echo', 'hi')
    await settle()
    expect([exchange.status, exchange.open]).toEqual([200, false])
    expect(exchange.messages).toMatchObject([{ id: 1, result: { resultType: 'complete', content: [{ text: 'hi' }] } }])
  })

  it('is an event stream when something does, and all of it is there in order', async () => {
    const { call, calls, finish } = rig()
    const exchange = call('steps', { _meta: { progressToken: 'p' } })
    await settle()
    calls.get('steps')?.call.progress?.({ progress: 1, total: 2 })
    calls.get('steps')?.call.progress?.({ progress: 2, total: 2 })
    expect([exchange.status, exchange.open]).toEqual([200, true])
    finish('steps')
    await settle()
    expect(exchange.open).toBe(false)
    expect(exchange.messages).toMatchObject([
      { method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } },
      { method: 'notifications/progress', params: { progressToken: 'p', progress: 2 } },
      { id: 1, result: { content: [{ text: 'steps' }] } },
    ])
  })

  it('becomes one when it was quiet for long, so that nobody on the way gives up', async () => {
    const { call, finish } = rig()
    const exchange = call('slow')
    await settle()
    exchange.onQuiet?.()
    expect([exchange.status, exchange.open]).toEqual([200, true])
    finish('slow')
    await settle()
    expect(exchange.messages).toMatchObject([{ id: 1, result: {} }])
    expect(exchange.open).toBe(false)
  })

  it('goes to the request that asked, when two use the same id', async () => {
    const { call, finish } = rig()
    const [first, second] = [call('one', {}, 'same'), call('two', {}, 'same')]
    await settle()
    finish('two')
    finish('one')
    await settle()
    expect([first, second].map(({ messages }) => messages)).toMatchObject([[{ id: 'same', result: { content: [{ text: 'one' }] } }], [{ id: 'same', result: { content: [{ text: 'two' }] } }]])
  })

  it('is 202 without a body for a notification', () => {
    const { post } = rig()
    expect(post({ jsonrpc: '2.0', method: 'notifications/x', params: { _meta: meta } }, fields('notifications/x'))).toMatchObject({ status: 202, text: '' })
  })
})

describe('a refusal', () => {
  const refused = async (method: string, params: JsonObject, headers: Record<string, string>, body: JsonObject = request(method, params)) => {
    const exchange = rig().post(body, headers)
    await settle()
    return { status: exchange.status, error: exchange.messages[0]?.['error'] }
  }

  it.each<[string, string, JsonObject, Record<string, string>, number, number]>([
    ['a header that says something else', 'tools/call', { name: 'echo', arguments: {} }, fields('tools/call', 'other'), 400, -32020],
    ['a header that is missing', 'tools/call', { name: 'echo', arguments: {} }, fields('tools/call'), 400, -32020],
    ['a method that says something else', 'tools/list', {}, fields('prompts/list'), 400, -32020],
    ['a method that this revision does not have', 'ping', {}, fields('ping'), 404, -32601],
    ['a stream without a filter', 'subscriptions/listen', {}, fields('subscriptions/listen'), 200, -32602],
  ])('of %s', async (_what, method, params, headers, status, code) => {
    expect(await refused(method, params, headers)).toMatchObject({ status, error: { code } })
  })

  it('of a revision nobody has says which there are', async () => {
    const params = { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } }
    expect(await refused('tools/list', params, { ...fields('tools/list'), 'mcp-protocol-version': '2099-01-01' })).toMatchObject({
      status: 400, error: { code: -32022, data: { supported: [revision], requested: '2099-01-01' } },
    })
  })

  it('of an argument whose header differs comes before the server hears of the call, also when its schema is not known yet', async () => {
    const tool = { name: 'echo', inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } }
    for (const found of [tool, Promise.resolve(tool)]) {
      const { post, calls } = rig({ tool: () => found })
      const body = request('tools/call', { name: 'echo', arguments: { region: 'eu' } })
      const bad = post(body, { ...fields('tools/call', 'echo'), 'mcp-param-region': 'us' })
      await settle()
      expect([bad.status, bad.messages[0]?.['error']]).toMatchObject([400, { code: -32020 }])
      expect(calls.size).toBe(0)
      post(body, { ...fields('tools/call', 'echo'), 'mcp-param-region': 'eu' })
      await settle()
      expect(calls.size).toBe(1)
    }
  })

  it('that comes of looking for the tool is told, and no more of it than its words', async () => {
    const { post } = rig({ tool: () => Promise.reject(new McpError('BACKEND_TIMEOUT', 'the list took too long')) })
    const exchange = post(request('tools/call', { name: 'echo', arguments: {} }), fields('tools/call', 'echo'))
    await settle()
    expect(exchange.messages).toMatchObject([{ id: 1, error: { code: -32603, message: expect.stringContaining('the list took too long') } }])
  })
})

describe('a client that leaves', () => {
  it('takes its request back, and nobody else\'s', async () => {
    const { call, calls, finish } = rig()
    const [gone, here] = [call('gone'), call('here')]
    await settle()
    gone.leave()
    expect(calls.get('gone')?.call.cancellation.cancelled).toBe(true)
    expect(calls.get('here')?.call.cancellation.cancelled).toBe(false)
    finish('gone')
    finish('here')
    await settle()
    expect([gone.status, here.status]).toEqual([undefined, 200])
  })
})

describe('a stream of changes', () => {
  const listen = (made: ReturnType<typeof rig>) => made.ask('subscriptions/listen', { notifications: { toolsListChanged: true } }, 'l')

  it('is acknowledged, tells of what it asked for, and ends with its client', async () => {
    const made = rig()
    const exchange = listen(made)
    await settle()
    for (const watcher of made.watchers) {
      watcher.change({ kind: 'list', list: 'tools' } as never)
      watcher.change({ kind: 'list', list: 'prompts' } as never)
    }
    expect(exchange.messages.map(message => message['method'])).toEqual(['notifications/subscriptions/acknowledged', 'notifications/tools/list_changed'])
    exchange.leave()
    expect(made.watchers.size).toBe(0)
  })

  it('is ended in good order by a drain, which refuses what comes after it and waits for calls', async () => {
    const made = rig()
    const [stream, call] = [listen(made), made.call('slow')]
    await settle()
    const drained = made.front.drain(5000)
    await settle()
    expect(stream.open).toBe(false)
    expect(stream.messages.at(-1)).toMatchObject({ id: 'l', result: { resultType: 'complete' } })
    const late = made.call('late')
    await settle()
    expect([late.status, late.messages[0]?.['error']]).toMatchObject([503, { message: expect.stringContaining('shutting down') }])
    made.finish('slow')
    await drained
    expect(call.messages).toMatchObject([{ result: { content: [{ text: 'slow' }] } }])
  })

  it('or a call that outlasts the drain is told so', async () => {
    const made = rig()
    const call = made.call('slow')
    await settle()
    await made.front.drain(1)
    expect(call.messages).toMatchObject([{ id: 1, error: { message: expect.stringContaining('shutting down') } }])
    expect(made.calls.get('slow')?.call.cancellation.cancelled).toBe(true)
  })
})
