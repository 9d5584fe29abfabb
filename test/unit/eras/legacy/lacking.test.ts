/** What becomes of a call whose server asked what its client cannot do (2026-07-28 basic/index, "Capabilities"). */
import { describe, expect, it, vi } from 'vitest'
import { abilitiesOf } from '../../../../src/eras/abilities.ts'
import { relatedTask } from '../../../../src/eras/legacy/ownership.ts'
import { Shortfalls } from '../../../../src/eras/shortfalls.ts'
import type { CancelSource } from '../../../../src/gateway/cancellation.ts'
import type { JsonObject, Outcome } from '../../../../src/gateway/contract.ts'
import { McpError } from '../../../../src/gateway/errors.ts'
import type { RequestId } from '../../../../src/transports/channel.ts'
import { callOf, connected, FakeWatcher, legacyClient, modernClient, toolCall } from './kit.ts'

const question = { message: 'name?', requestedSchema: { type: 'object' } }
const page = { mode: 'url', message: 'm', url: 'https://x.test' }
const failed = { content: [{ type: 'text', text: 'no model here' }, { type: 'image' }], isError: true }
const can = (capabilities: JsonObject) => modernClient({ capabilities })

const refusal = (outcome: Promise<Outcome>): Promise<McpError> =>
  outcome.then(() => Promise.reject(new Error('it did not fail')), (error: McpError) => error)

describe('a call that fails after an ask was refused', () => {
  it.each([
    ['sampling/createMessage', { messages: [] }, {}, { sampling: {} }, 'sampling'],
    ['sampling/createMessage', { messages: [], tools: [] }, { sampling: {} }, { sampling: { tools: {} } }, 'sampling.tools'],
    ['elicitation/create', question, { sampling: {} }, { elicitation: { form: {} } }, 'elicitation.form'],
    ['elicitation/create', page, { elicitation: {} }, { elicitation: { url: {} } }, 'elicitation.url'],
  ])('says what its client would have to declare: %s %o', async (method, params, capabilities, requires, said) => {
    const { server, connection } = await connected()
    const outcome = refusal(connection.handle(toolCall('a', { client: can(capabilities) })))
    const { id } = await server.next('tools/call')
    await server.ask(method, params)
    server.answer(id, failed)
    const error = await outcome
    expect(error).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires, backend: 'files' } })
    expect(error.message).toContain(`(${said})`)
    expect(error.message).toContain('the server said: no model here')
  })

  it('names all that was refused, and quotes no more of the server than other errors do', async () => {
    const { server, connection } = await connected()
    const outcome = refusal(connection.handle(toolCall('a', { client: can({ roots: {} }) })))
    const { id } = await server.next('tools/call')
    await server.ask('sampling/createMessage', { messages: [] })
    await server.ask('elicitation/create', page)
    await server.ask('elicitation/create', question)
    server.answer(id, { error: { code: -32000, message: 'x'.repeat(10_000) } })
    const error = await outcome
    expect(error.details.requires).toEqual({ sampling: {}, elicitation: { url: {}, form: {} } })
    expect(error.message.length).toBeLessThan(1000)
  })

  it.each(['prompts/get', 'resources/read'])('%s: an error is its only failure', async method => {
    const { server, connection } = await connected()
    const outcome = refusal(connection.handle(callOf(method, { name: 'p', uri: 'a:b' }, { client: can({}) })))
    const { id } = await server.next(method)
    await server.ask('elicitation/create', question)
    server.answer(id, { error: { code: -32603, message: 'no' } })
    expect(await outcome).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires: { elicitation: { form: {} } } } })
  })

  it('is told of it after a round of asking, too', async () => {
    const { server, connection } = await connected()
    const client = can({ sampling: {} })
    const outcome = connection.handle(toolCall('a', { client }))
    const { id } = await server.next('tools/call')
    void server.ask('sampling/createMessage', { messages: [] })
    await server.ask('elicitation/create', question)
    const round = await outcome
    if (round.kind !== 'inputRequired') throw new Error('complete')
    expect(Object.values(round.requests ?? {}).map(({ method }) => method)).toEqual(['sampling/createMessage'])
    const { requestState } = round
    const next = refusal(connection.handle(toolCall('a', { client, requestState, inputResponses: { 'ask-1': { role: 'assistant' } } })))
    server.answer(id, failed)
    expect(await next).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires: { elicitation: { form: {} } } } })
  })
})

describe('passed on as it is', () => {
  const run = async (client = can({}), answer: Parameters<Awaited<ReturnType<typeof connected>>['server']['answer']>[1] = failed, ask = true) => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client }))
    const { id } = await server.next('tools/call')
    if (ask) await server.ask('sampling/createMessage', { messages: [] })
    server.answer(id, answer)
    return outcome
  }

  it('a success: the tool did without', async () => {
    expect(await run(can({}), { content: [] })).toMatchObject({ kind: 'complete', result: { content: [] } })
  })

  it('a failure of a call that asked nothing', async () => {
    expect(await run(can({}), failed, false)).toMatchObject({ kind: 'complete', result: failed })
  })

  it('everything, to clients of older revisions', async () => {
    const client = legacyClient({ capabilities: {} })
    expect(await run(client)).toMatchObject({ kind: 'complete', result: failed })
    expect(await refusal(run(client, { error: { code: -32000, message: 'no' } }))).toMatchObject({ code: 'BACKEND_ERROR' })
  })

  it('the death of the server', async () => {
    const { server, connection } = await connected()
    const outcome = refusal(connection.handle(toolCall('a', { client: can({}) })))
    await server.next('tools/call')
    await server.ask('elicitation/create', question)
    await server.channel.close()
    expect((await outcome).code).not.toBe('ASK_UNSUPPORTED')
  })

  it('a failure where another call of the client may have been meant', async () => {
    const { server, connection } = await connected()
    const outcomes = ['a', 'b'].map(name => connection.handle(toolCall(name, { client: can({}) })))
    await server.next('tools/call', 2)
    await server.ask('elicitation/create', question)
    for (const { id } of server.all('tools/call')) server.answer(id, failed)
    for (const outcome of outcomes) expect(await outcome).toMatchObject({ kind: 'complete', result: failed })
  })

  it('a call without roots: to have none is an answer', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client: can({}) }))
    const { id } = await server.next('tools/call')
    expect((await server.ask('roots/list')).result).toEqual({ roots: [] })
    server.answer(id, failed)
    expect(await outcome).toMatchObject({ kind: 'complete', result: failed })
  })
})

describe('a server that was told what its clients can do', () => {
  const client = can({ elicitation: {} })
  const { declared } = abilitiesOf(client, false)!
  const learnt = async (): Promise<Shortfalls> => {
    const shortfalls = new Shortfalls()
    const { server, connection } = await connected({ shortfalls })
    const outcome = refusal(connection.handle(toolCall('needy', { client })))
    const { id } = await server.next('tools/call')
    await server.ask('sampling/createMessage', { messages: [] })
    server.answer(id, failed)
    await outcome
    return shortfalls
  }
  const call = async (shortfalls: Shortfalls, answer: JsonObject, name = 'needy', who = client) => {
    const { server, connection } = await connected({ shortfalls, abilities: declared })
    server.on('tools/call', () => answer)
    return connection.handle(toolCall(name, { client: who }))
  }

  it('hears of no others', async () => {
    const { server } = await connected({ abilities: declared })
    expect(server.all('initialize')[0]?.params?.['capabilities']).toEqual({
      elicitation: { form: {} }, extensions: expect.anything() as unknown,
    })
  })

  it('fails without asking: what that call was refused before is what it lacks', async () => {
    const shortfalls = await learnt()
    expect(await refusal(call(shortfalls, failed))).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires: { sampling: {} } } })
    expect(await call(shortfalls, failed, 'other')).toMatchObject({ kind: 'complete' })
    expect(await call(shortfalls, failed, 'needy', can({ sampling: {} }))).toMatchObject({ kind: 'complete' })
  })

  it('does without after all: that is remembered as well', async () => {
    const shortfalls = await learnt()
    expect(await call(shortfalls, { content: [] })).toMatchObject({ kind: 'complete' })
    expect(await call(shortfalls, failed)).toMatchObject({ kind: 'complete', result: failed })
  })

  it('does without although it was to be a task: so does that', async () => {
    const shortfalls = await learnt()
    const { server, connection } = await connected({ shortfalls, abilities: declared })
    server.on('tools/call', () => ({ content: [] }))
    await connection.handle(callOf('tools/call', { name: 'needy', task: {} }, { client }))
    expect(await call(shortfalls, failed)).toMatchObject({ kind: 'complete', result: failed })
  })

  it.each<[string, (server: Awaited<ReturnType<typeof connected>>['server'], id: RequestId, source: CancelSource) => unknown]>([
    ['cancelled', (_server, _id, source) => source.cancel('no longer needed')],
    ['cut off', server => server.channel.close()],
    ['answered with nonsense', (server, id) => server.channel.send({ jsonrpc: '2.0', id, result: 7 as never })],
    ['begun as a task', (server, id) => server.answer(id, { task: { taskId: 't', status: 'working' } })],
  ])('learns nothing from a call that is %s', async (_, end) => {
    const shortfalls = await learnt()
    const { server, connection } = await connected({ shortfalls, abilities: declared })
    const begun = callOf('tools/call', { name: 'needy', task: {} }, { client })
    const outcome = connection.handle(begun).catch((error: unknown) => error)
    const { id } = await server.next('tools/call')
    await end(server, id as RequestId, begun.source)
    await outcome
    expect(await refusal(call(shortfalls, failed))).toMatchObject({ code: 'ASK_UNSUPPORTED', details: { requires: { sampling: {} } } })
  })

  it('is no reason to tell its clients apart when it asks all the same', async () => {
    for (const [options, times] of [[{ abilities: declared }, 0], [{ client }, 0], [{}, 1]] as const) {
      let beyond = 0
      const { server, connection } = await connected({ ...options, askedBeyond: () => void beyond++ })
      const outcome = connection.handle(toolCall('a', { client }))
      const { id } = await server.next('tools/call')
      await server.ask('sampling/createMessage', { messages: [] })
      await server.ask('elicitation/create', page).catch(() => {})
      server.answer(id, { content: [] })
      await outcome
      expect(beyond > 0 ? 1 : 0).toBe(times)
    }
  })

  it('says which of its calls continue here', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('a', { client }))
    await server.next('tools/call')
    void server.ask('elicitation/create', question)
    const round = await outcome
    if (round.kind !== 'inputRequired') throw new Error('complete')
    expect(connection.holds?.(toolCall('a', { requestState: round.requestState }))).toBe(true)
    expect(connection.holds?.(toolCall('a', { requestState: 'other' }))).toBe(false)
    expect(connection.holds?.(callOf('tasks/get', { taskId: 't' }))).toBe(false)
  })
})

describe('what is known of failed calls', () => {
  it.each<[string, (setting: Awaited<ReturnType<typeof connected>>, id: RequestId) => void]>([
    ['names the task', ({ server }) => void server.ask('sampling/createMessage', { messages: [], _meta: { [relatedTask]: { taskId: 't' } } }, 7)],
    ['asks on its stream', ({ onStream }, id) => onStream(id, { id: 7, method: 'sampling/createMessage', params: { messages: [] } })],
    ['says nothing of whose it is', ({ server }) => void server.ask('sampling/createMessage', { messages: [] }, 7)],
  ])('never is of a method without a name: a refused ask of a task, where the server %s', async (_, ask) => {
    const shortfalls = new Shortfalls()
    const setting = await connected({ shortfalls })
    const { server, connection } = setting
    const client = legacyClient({ capabilities: {} })
    connection.watch(new FakeWatcher(client, {}, () => Promise.resolve({})))
    server.on('tools/call', () => ({ task: { taskId: 't', status: 'working' } }))
    const begun = callOf('tools/call', { name: 'a', task: {} }, { client })
    await connection.handle(begun)
    const waiting = callOf('tasks/result', { taskId: 't' }, { client })
    const outcome = refusal(connection.handle(waiting))
    const { id } = await server.next('tasks/result')
    ask(setting, id as RequestId)
    await vi.waitFor(() => expect(server.got).toContainEqual(expect.objectContaining({ id: 7, error: expect.anything() as unknown })))
    server.answer(id, { error: { code: -32000, message: 'no' } })
    expect(await outcome).toMatchObject({ code: 'BACKEND_ERROR' })
    expect([waiting, begun].map(call => shortfalls.of(call))).toEqual([undefined, undefined])
  })

  it('is bounded, and the oldest is forgotten first', () => {
    const shortfalls = new Shortfalls()
    for (let n = 0; n < 300; n++) shortfalls.add(toolCall(`t${n}`), { sampling: {} })
    expect([0, 299].map(n => shortfalls.of(toolCall(`t${n}`)))).toEqual([undefined, { sampling: {} }])
    shortfalls.add(toolCall('t299'), { roots: {} })
    expect(shortfalls.of(toolCall('t299'))).toEqual({ sampling: {}, roots: {} })
  })
})
