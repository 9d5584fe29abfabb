/** How `run` behaves as a process and as a peer: what may not happen to its user whatever its servers and client do. */
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture, stdioBackend, type Sandbox } from './harness.ts'

const open: Array<{ sandbox: Sandbox; client: RawClient }> = []

function start(make: (sandbox: Sandbox) => JsonObject, settings: JsonObject = {}) {
  const sandbox = createSandbox()
  const client = startRaw(sandbox.runTarget({ mcpServers: make(sandbox), ...settings }))
  open.push({ sandbox, client })
  return { sandbox, client }
}
afterEach(async () => {
  for (const { client, sandbox } of open.splice(0)) {
    await client.close()
    await sandbox.dispose()
  }
})

const v1 = (sandbox: Sandbox) => ({ one: stdioBackend(sandbox, 'v1', 'one') })
const call = (name: string, args: JsonObject = {}, more: JsonObject = {}) => ({ name, arguments: args, ...more })
const textOf = (response: JsonObject) => ((response['result'] as any)?.content?.[0]?.text ?? JSON.stringify(response)) as string
const answersTo = (client: RawClient, id: unknown) =>
  client.log.filter(({ direction, message }) => direction === 'received' && message['id'] === id && message['method'] === undefined).map(({ message }) => message)

describe('a server that does not work', () => {
  it.each([
    ['a command that is not there', { command: 'no-such-command-anywhere' }, /no-such-command-anywhere/],
    ['a process that ends at once', { command: process.execPath, args: ['-e', 'console.error("no licence key"); process.exit(3)'] }, /no licence key/],
    ['a process that never speaks', { command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'], timeouts: { start: 700 } }, /broken/],
    ['a process that speaks nonsense', { command: process.execPath, args: ['-e', 'setInterval(() => console.log("hello {"), 50)'], timeouts: { start: 700 } }, /broken/],
    ['an unset variable', { command: process.execPath, env: { KEY: '${SURELY_NOT_SET}' } }, /SURELY_NOT_SET/],
  ])('%s: the others serve, and stderr says why', async (_title, entry, why) => {
    const { client } = start(sandbox => ({ broken: entry, ...v1(sandbox) }), { startWait: 1500 })
    await initialize(client)
    const { result } = await client.request('tools/list') as { result: { tools: Array<{ name: string }> } }
    const aliases = new Set(result.tools.map(tool => tool.name.split('__')[0]))
    expect([...aliases]).toEqual(['one'])
    expect(textOf(await client.request('tools/call', call('one__echo', { message: 'fine' })))).toBe('fine')
    await eventually(() => (why.test(client.stderr()) && client.stderr().includes('broken') ? true : undefined), 'the reason on stderr')
    const refused = await client.request('tools/call', call('broken__anything'))
    expect(refused['error']).toMatchObject({ code: -32603, message: expect.stringMatching(/broken/), data: { backend: 'broken' } })
  })

  it('starts slower than its era is asked for: it serves all the same, at the first attempt', async () => {
    const slow = (script: string, ...args: string[]) => ({
      command: 'sh', args: ['-c', `sleep 2.5; exec "${process.execPath}" "${fixture(script)}" ${args.join(' ')}`],
    })
    const { client } = start(() => ({
      modern: slow('everything-v2.mjs', '--era', 'modern'),
      legacy: slow('everything-v2.mjs', '--era', 'legacy'),
      dual: slow('everything-v2.mjs', '--era', 'dual'),
      // It refuses the older opening before it has answered the newer one: that refusal names its era too.
      late: slow('lossless.mjs', '--era', 'modern', '--late', '100'),
    }), { startWait: 10_000 })
    await initialize(client)
    for (const alias of ['modern', 'legacy', 'dual'])
      expect(textOf(await client.request('tools/call', call(`${alias}__echo`, { message: alias })))).toBe(alias)
    expect((await client.request('tools/call', call('late__seen')))['result']).toBeDefined()
    expect(client.stderr()).not.toMatch(/not available|refused/)
  })

  it('dies in the middle of a call: that call fails and says so, the next finds it back', async () => {
    const { client, sandbox } = start(v1, { defaults: { restart: { backoff: 50 } } })
    await initialize(client)
    const doomed = client.request('tools/call', call('one__slow', { key: 'k' }))
    await eventually(() => sandbox.readJournal('one').find(entry => entry.event === 'started'), 'the call to start')
    const pid = sandbox.survivors().find(candidate => readFileSync(`/proc/${candidate}/cmdline`, 'utf8').includes('v1.mjs'))
    process.kill(pid as number, 'SIGKILL')
    expect((await doomed)['error']).toMatchObject({ code: -32603, message: expect.stringContaining('one'), data: { code: 'BACKEND_DIED', backend: 'one' } })
    const back = await eventually(async () => {
      const answer = await client.request('tools/call', call('one__echo', { message: 'back' }))
      return answer['result'] ? answer : undefined
    }, 'the server to be back', 5000)
    expect(textOf(back)).toBe('back')
  })
})

describe('ids', () => {
  it('answers a duplicate in-flight id once with an error and once with the result', async () => {
    const { client } = start(v1)
    await initialize(client)
    const message = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: call('one__slow', { key: 'a', ms: 200 }) }
    client.send(message)
    client.send({ ...message, params: call('one__echo', { message: 'second' }) })
    const answers = await eventually(() => (answersTo(client, 7).length === 2 ? answersTo(client, 7) : undefined), 'two answers')
    expect(answers[0]?.['error']).toMatchObject({ code: -32600 })
    expect(textOf(answers[1] as JsonObject)).toBe('finished')
  })

  it('keeps 1 and "1" apart', async () => {
    const { client } = start(v1)
    await initialize(client)
    for (const id of [1, '1', 0, '', -5, 'a b']) client.send({ jsonrpc: '2.0', id, method: 'tools/call', params: call('one__echo', { message: `for ${JSON.stringify(id)}` }) })
    for (const id of [1, '1', 0, '', -5, 'a b']) {
      const answer = await eventually(() => answersTo(client, id)[0], `the answer to ${JSON.stringify(id)}`)
      expect(textOf(answer)).toBe(`for ${JSON.stringify(id)}`)
    }
  })
})

describe('a client that is odd', () => {
  it('sends lines that are no messages, and is served on', async () => {
    const { client } = start(v1)
    await initialize(client)
    const since = client.log.length
    for (const line of ['{ not json', '', '[]', '42', '"text"', '{}', '{"jsonrpc":"2.0","id":[1],"method":"ping"}', '\u0000'.repeat(10), '['.repeat(5000)])
      client.sendLine(line)
    expect(textOf(await client.request('tools/call', call('one__echo', { message: 'alive' })))).toBe('alive')
    for (const { direction, message } of client.log.slice(since))
      if (direction === 'received' && 'error' in message) expect([-32700, -32600]).toContain((message['error'] as { code: number }).code)
  })

  it('gets no answer to a call that it cancelled', async () => {
    const { client, sandbox } = start(v1)
    await initialize(client)
    client.send({ jsonrpc: '2.0', id: 'gone', method: 'tools/call', params: call('one__slow', { key: 'gone' }) })
    await eventually(() => sandbox.readJournal('one').find(entry => entry.event === 'started'), 'the call to start')
    client.notify('notifications/cancelled', { requestId: 'gone', reason: 'enough' })
    await eventually(() => sandbox.readJournal('one').find(entry => entry.event === 'cancelled'), 'the cancellation')
    await client.request('ping')
    expect(answersTo(client, 'gone')).toEqual([])
  })

  it('gets -32601 for a method nobody knows, in either era, and for ping in the modern one', async () => {
    const { client } = start(v1)
    await initialize(client)
    expect((await client.request('com.example/none', {}))['error']).toMatchObject({ code: -32601 })
    expect(await client.request('ping')).toMatchObject({ result: {} })
    const other = start(v1).client
    for (const method of ['com.example/none', 'ping', 'logging/setLevel', 'resources/subscribe'])
      expect((await other.request(method, { _meta: envelope() }))['error'], method).toMatchObject({ code: -32601 })
  })

  it('must say which revision it speaks in each modern request', async () => {
    const { client } = start(v1)
    await client.request('server/discover', { _meta: envelope() })
    const response = await client.request('tools/list', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } })
    expect(response['error']).toMatchObject({ code: -32602 })
  })
})

describe('a message of 12 MB', () => {
  it.each(['legacy', 'modern'])('goes there and back, %s server', async era => {
    const { client } = start(() => ({ raw: { command: process.execPath, args: [fixture('lossless.mjs'), '--era', era] } }))
    await initialize(client)
    const big = 'é'.repeat(6 * 1024 * 1024)
    const response = await client.request('tools/call', call('raw__echo_message', { big }))
    const echoed = (response['result'] as any).structuredContent.params.arguments.big
    expect(echoed.length).toBe(big.length)
    expect(echoed === big).toBe(true)
  })
})

describe('state that a modern client carries', () => {
  const ask = (client: RawClient, more: JsonObject = {}) =>
    client.request('tools/call', { ...call('one__ask_form', { message: 'who?' }, more), _meta: envelope({ elicitation: {} }) })
  const answers = (requests: object) => Object.fromEntries(Object.keys(requests).map(key => [key, { action: 'accept', content: { name: 'Ada' } }]))

  it.each(['v1', 'v2-modern'] as const)('is refused when altered, moved to another call or used twice: %s server', async backend => {
    const { client } = start(sandbox => ({ one: stdioBackend(sandbox, backend, 'one'), two: stdioBackend(sandbox, backend, 'two') }))
    const asked = (await ask(client))['result'] as any
    expect(asked.resultType).toBe('input_required')
    const inputResponses = answers(asked.inputRequests)
    if (asked.requestState !== undefined) {
      const state: string = asked.requestState
      const middle = Math.floor(state.length / 2)
      const altered = state.slice(0, middle) + (state[middle] === 'A' ? 'B' : 'A') + state.slice(middle + 1)
      for (const requestState of [altered, state.slice(0, -2), '', 'x'])
        expect((await ask(client, { inputResponses, requestState }))['error'], requestState).toMatchObject({ code: -32602 })
      for (const params of [call('two__ask_form', { message: 'who?' }), call('one__ask_form', { message: 'changed' })])
        expect((await client.request('tools/call', { ...params, inputResponses, requestState: state, _meta: envelope({ elicitation: {} }) }))['error'])
          .toMatchObject({ code: -32602 })
    }
    const more = asked.requestState === undefined ? {} : { requestState: asked.requestState }
    const done = await ask(client, { inputResponses: { ...inputResponses, unasked: { action: 'decline' } }, ...more })
    expect(JSON.parse(textOf(done))).toMatchObject({ action: 'accept', content: { name: 'Ada' } })
    // What resumed a waiting call is spent; what only a server's own state stands for may be answered again.
    if (backend === 'v1') expect((await ask(client, { inputResponses, ...more }))['error']).toMatchObject({ code: -32602 })
  })

  it('asks again for an answer that is missing', async () => {
    const { client } = start(v1)
    const asked = (await ask(client))['result'] as any
    const again = (await ask(client, { inputResponses: {}, requestState: asked.requestState }))['result'] as any
    expect(again.resultType).toBe('input_required')
    const done = await ask(client, { inputResponses: answers(again.inputRequests), requestState: again.requestState })
    expect(JSON.parse(textOf(done))).toMatchObject({ action: 'accept' })
  })

  it('is bound to what the client declared: -32021 otherwise', async () => {
    const { client } = start(sandbox => ({ one: stdioBackend(sandbox, 'v2-modern', 'one') }))
    const response = await client.request('tools/call', { ...call('one__ask_form', { message: 'who?' }), _meta: envelope({}) })
    expect(response['error']).toMatchObject({ code: -32021, data: { requiredCapabilities: { elicitation: expect.anything() } } })
  })
})

describe('the end', () => {
  it('comes when stdin closes: exit code 0, nothing left', async () => {
    const { client, sandbox } = start(v1)
    await initialize(client)
    await client.request('tools/call', call('one__echo', { message: 'x' }))
    expect(await client.close()).toBe(0)
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'children to end')
    expect(client.noise).toEqual([])
  })

  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('comes with %s: no server survives', async signal => {
    const { client, sandbox } = start(sandbox => ({ one: stdioBackend(sandbox, 'v1', 'one'), two: stdioBackend(sandbox, 'v2-modern', 'two') }))
    await initialize(client)
    await client.request('tools/call', call('one__echo', { message: 'x' }))
    await client.request('tools/call', call('two__echo', { message: 'x' }))
    const pending = client.request('tools/call', call('one__slow', { key: 'k', ms: 300 })).then(answer => answer, () => undefined)
    await eventually(() => sandbox.readJournal('one').find(entry => entry.event === 'started'), 'the call to start')
    process.kill(client.pid as number, signal)
    await pending
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'children to end', 8000)
  })

  it('comes to grandchildren too', async () => {
    const { client, sandbox } = start(sandbox => {
      const { command, args } = stdioBackend(sandbox, 'v1', 'one') as { command: string; args: string[] }
      return { one: { command: 'sh', args: ['-c', `"${command}" ${args.map(arg => `"${arg}"`).join(' ')}; true`] } }
    })
    await initialize(client)
    expect(textOf(await client.request('tools/call', call('one__echo', { message: 'x' })))).toBe('x')
    process.kill(client.pid as number, 'SIGTERM')
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'grandchildren to end', 8000)
  })
})
