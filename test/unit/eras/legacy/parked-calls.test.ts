import { describe, expect, it } from 'vitest'
import type { InputRequired, JsonObject, Outcome } from '../../../../src/gateway/contract.ts'
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import { connected, legacyClient, limits, modernClient, quiet, toolCall } from './kit.ts'

const question = { message: 'name?', requestedSchema: { type: 'object', properties: {} } }
const accepted = (name: string): JsonObject => ({ action: 'accept', content: { name }, vendor: 1 })

function asked(outcome: Outcome): InputRequired & { keys: string[]; requestState: string } {
  if (outcome.kind !== 'inputRequired') throw new Error(`complete: ${JSON.stringify(outcome.result)}`)
  return { ...outcome, keys: Object.keys(outcome.requests ?? {}), requestState: outcome.requestState as string }
}

/** Answers every ask of a round with `name`. */
const answers = (round: InputRequired, name = 'ada'): JsonObject =>
  Object.fromEntries(Object.keys(round.requests ?? {}).map(key => [key, accepted(name)]))

describe('a server that asks in the middle of a call', () => {
  it('ends the call with its ask, and goes on with the answer under its own id', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    const reply = server.ask('elicitation/create', { ...question, vendor: 'kept' }, 'own-id')
    const round = asked(await outcome)
    expect(round.requests?.[round.keys[0] as string]).toMatchObject({
      method: 'elicitation/create',
      params: { ...question, vendor: 'kept' },
    })

    const resumed = connection.handle(toolCall('greet', { inputResponses: answers(round), requestState: round.requestState }))
    expect(await reply).toEqual({ jsonrpc: '2.0', id: 'own-id', result: accepted('ada') })
    server.answer(id, { content: [{ type: 'text', text: 'hi ada' }] })
    expect(await resumed).toEqual({ kind: 'complete', result: { content: [{ type: 'text', text: 'hi ada' }] } })
    expect(server.all('tools/call')).toHaveLength(1)
  })

  it('takes several rounds with one call', async () => {
    const { server, connection } = await connected()
    let outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    const states: string[] = []
    for (const name of ['a', 'b', 'c']) {
      const reply = server.ask('elicitation/create', question)
      const round = asked(await outcome)
      states.push(round.requestState)
      outcome = connection.handle(toolCall('greet', { inputResponses: answers(round, name), requestState: round.requestState }))
      expect((await reply).result).toEqual(accepted(name))
    }
    server.answer(id, { content: [] })
    expect((await outcome).kind).toBe('complete')
    expect(new Set(states).size).toBe(3)
  })

  it('gathers what is asked at once into one round, and asks again for what is left out', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    const replies = [
      server.ask('elicitation/create', question),
      server.ask('sampling/createMessage', { messages: [], maxTokens: 1 }),
      server.ask('roots/list'),
    ]
    const round = asked(await outcome)
    expect(Object.values(round.requests ?? {}).map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ])
    const [first, second, third] = round.keys as [string, string, string]
    const some = { [first]: accepted('x'), [third]: { roots: [] }, stray: {} }
    const partly = connection.handle(toolCall('greet', { inputResponses: some, requestState: round.requestState }))
    expect((await replies[0])?.result).toEqual(accepted('x'))
    expect((await replies[2])?.result).toEqual({ roots: [] })
    const again = asked(await partly)
    expect(again.keys).toEqual([second])
    expect(again.requestState).not.toBe(round.requestState)
    const last = connection.handle(
      toolCall('greet', { inputResponses: { [second]: { role: 'assistant' } }, requestState: again.requestState }),
    )
    expect((await replies[1])?.result).toEqual({ role: 'assistant' })
    server.answer(id, { content: [] })
    expect((await last).kind).toBe('complete')
  })

  it('shows what is asked while the call is parked in the next round', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    await server.next('tools/call')
    void server.ask('elicitation/create', question)
    const round = asked(await outcome)
    void server.ask('elicitation/create', { ...question, message: 'second' })
    await quiet(10)
    const next = asked(
      await connection.handle(toolCall('greet', { inputResponses: answers(round), requestState: round.requestState })),
    )
    expect(Object.values(next.requests ?? {}).map(({ params }) => params?.['message'])).toEqual(['second'])
  })

  it('returns a result that came while nobody waited', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question, 'q')
    const round = asked(await outcome)
    server.say('notifications/cancelled', { requestId: 'q' })
    server.answer(id, { content: [], isError: true })
    await quiet(5)
    const resumed = await connection.handle(
      toolCall('greet', { inputResponses: answers(round), requestState: round.requestState }),
    )
    expect(resumed).toEqual({ kind: 'complete', result: { content: [], isError: true } })
  })

  it('returns an error that came while nobody waited', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question)
    const round = asked(await outcome)
    server.answer(id, { error: { code: -32603, message: 'broke' } })
    await quiet(5)
    await expect(
      connection.handle(toolCall('greet', { inputResponses: answers(round), requestState: round.requestState })),
    ).rejects.toMatchObject({ code: 'BACKEND_ERROR' })
  })

  it('does not bother the client with an ask that is taken back at once', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question, 'q')
    server.say('notifications/cancelled', { requestId: 'q' })
    await quiet(10)
    server.answer(id, { content: [] })
    expect((await outcome).kind).toBe('complete')
  })

  it('lets a client that holds on hear that an ask was withdrawn, and refuse one', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall('greet', { client: legacyClient() }))
    await server.next('tools/call')
    void server.ask('elicitation/create', question, 'q1')
    const second = server.ask('elicitation/create', question, 'q2')
    const round = asked(await outcome)
    const [one, two] = round.keys.map(key => round.requests?.[key]?.live)
    server.say('notifications/cancelled', { requestId: 'q1', reason: 'too slow' })
    await quiet(2)
    expect(one?.withdrawn).toMatchObject({ cancelled: true, reason: 'too slow' })
    expect(two?.withdrawn.cancelled).toBe(false)
    two?.refuse(new Error('secret'))
    expect((await second).error).toMatchObject({ code: -32603, message: 'internal error' })
  })
})

describe('tickets', () => {
  async function parked(options = {}, over = {}) {
    const setting = await connected(options)
    const call = toolCall('greet', over)
    const outcome = setting.connection.handle(call)
    const { id } = await setting.server.next('tools/call')
    const reply = setting.server.ask('elicitation/create', question)
    const round = asked(await outcome)
    return { ...setting, call, id, reply, round }
  }

  it('are good once', async () => {
    const { connection, round } = await parked()
    const retry = { inputResponses: answers(round), requestState: round.requestState }
    void connection.handle(toolCall('greet', retry)).catch(() => {})
    await expect(connection.handle(toolCall('greet', retry))).rejects.toMatchObject({ code: 'STATE_INVALID' })
  })

  it.each([
    ['another tool', toolCall('other')],
    ['other arguments', { ...toolCall(), params: { name: 'greet', arguments: { x: 1 } } }],
    ['another method', { ...toolCall(), method: 'prompts/get' }],
    ['another principal', toolCall('greet', { client: modernClient({ principal: 'eve' }) })],
  ])('do not fit %s, and stay good for their own call', async (_what, other) => {
    const { connection, server, round, id } = await parked()
    const retry = { inputResponses: answers(round), requestState: round.requestState }
    await expect(connection.handle({ ...other, ...retry })).rejects.toMatchObject({ code: 'STATE_INVALID' })
    const resumed = connection.handle(toolCall('greet', retry))
    server.answer(id, { content: [] })
    expect((await resumed).kind).toBe('complete')
  })

  it('fit the same call by another client of the principal, in another key order, with other trace context', async () => {
    const { connection, server, round, id } = await parked()
    const resumed = connection.handle({
      ...toolCall('greet', { client: modernClient({ id: 'next-request' }) }),
      params: { _meta: { traceparent: '01' }, arguments: {}, name: 'greet' },
      inputResponses: answers(round),
      requestState: round.requestState,
    })
    server.answer(id, { content: [] })
    expect((await resumed).kind).toBe('complete')
  })

  it('are unknown when made up', async () => {
    const { connection } = await connected()
    await expect(connection.handle(toolCall('greet', { requestState: 'x' }))).rejects.toMatchObject({ code: 'STATE_INVALID' })
  })

  it('expire: the server’s work is cancelled and its ask refused', async () => {
    const { connection, server, round, reply, id } = await parked({ asks: { ...limits, waitMs: 15 } })
    expect((await reply).error).toMatchObject({ data: { code: 'ASK_REFUSED' } })
    expect((await server.next('notifications/cancelled')).params).toMatchObject({ requestId: id })
    await expect(
      connection.handle(toolCall('greet', { inputResponses: answers(round), requestState: round.requestState })),
    ).rejects.toMatchObject({ code: 'STATE_INVALID', message: expect.stringContaining('too late') as string })
  })

  it('are limited: a call more is refused and cancelled at the server', async () => {
    const { connection, server } = await parked({ asks: { ...limits, parked: 1 } })
    const second = connection.handle(toolCall())
    const { id } = await server.next('tools/call', 2)
    const reply = server.ask('elicitation/create', question)
    await expect(second).rejects.toMatchObject({ code: 'BACKEND_BUSY' })
    expect((await reply).error).toBeDefined()
    expect((await server.next('notifications/cancelled')).params).toMatchObject({ requestId: id })
  })

  it('are lost with the connection, and a later one says so', async () => {
    const { server, connection, round } = await parked()
    await server.channel.close()
    await connection.closed
    const retry = toolCall('greet', { inputResponses: answers(round), requestState: round.requestState })
    await expect(connection.handle(retry)).rejects.toMatchObject({ code: 'STATE_INVALID' })
    const { connection: next } = await connected()
    await expect(next.handle(retry)).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: expect.stringContaining('was lost') as string,
    })
  })
})

describe('cancellation of a parked call', () => {
  it('by the request it began with reaches the server', async () => {
    const { server, connection } = await connected()
    const call = toolCall('greet', { client: legacyClient() })
    const outcome = connection.handle(call)
    const { id } = await server.next('tools/call')
    const reply = server.ask('elicitation/create', question)
    asked(await outcome)
    call.source.cancel('stop')
    expect((await server.next('notifications/cancelled')).params).toEqual({ requestId: id, reason: 'stop' })
    expect((await reply).error).toBeDefined()
  })

  it('by a resuming request reaches the server', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question)
    const round = asked(await outcome)
    const retry = toolCall('greet', { inputResponses: answers(round), requestState: round.requestState })
    const resumed = connection.handle(retry)
    await quiet(2)
    retry.source.cancel('stop')
    await expect(resumed).rejects.toMatchObject({ code: 'CANCELLED' })
    expect((await server.next('notifications/cancelled')).params).toEqual({ requestId: id, reason: 'stop' })
  })

  it('before it resumes ends the server’s work too', async () => {
    const { server, connection } = await connected()
    const outcome = connection.handle(toolCall())
    const { id } = await server.next('tools/call')
    void server.ask('elicitation/create', question)
    const round = asked(await outcome)
    const source = new CancelSource()
    source.cancel('gone')
    const retry = { inputResponses: answers(round), requestState: round.requestState, cancellation: source }
    await expect(connection.handle(toolCall('greet', retry))).rejects.toMatchObject({ code: 'CANCELLED' })
    expect((await server.next('notifications/cancelled')).params).toMatchObject({ requestId: id })
  })
})

describe('what a server says while its call is parked', () => {
  it.each([
    ['is dropped for a client that has no request open', modernClient(), [{ progress: 1 }, { progress: 3 }], 2],
    ['reaches a client that holds on', legacyClient(), [{ progress: 1 }, { progress: 2 }, { progress: 3 }], 3],
  ])('%s', async (_title, client, progress, logs) => {
    const { server, connection } = await connected()
    const seen: unknown[] = []
    const lines: unknown[] = []
    const sinks = { client, progress: (params: JsonObject) => seen.push(params), log: (params: JsonObject) => lines.push(params) }
    const outcome = connection.handle(toolCall('greet', sinks))
    const { id, params } = await server.next('tools/call')
    const { progressToken } = params?.['_meta'] as JsonObject
    const tell = (value: number): void => {
      server.say('notifications/progress', { progressToken, progress: value })
      server.say('notifications/message', { level: 'info', data: value })
    }
    tell(1)
    void server.ask('elicitation/create', question)
    const round = asked(await outcome)
    tell(2)
    await quiet(2)
    const resumed = connection.handle(
      toolCall('greet', { ...sinks, inputResponses: answers(round), requestState: round.requestState }),
    )
    await quiet(2)
    tell(3)
    server.answer(id, { content: [] })
    await resumed
    expect(seen).toEqual(progress)
    expect(lines).toHaveLength(logs)
  })
})
