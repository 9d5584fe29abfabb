import { describe, expect, it } from 'vitest'
import { CancelSource } from '../../../../src/gateway/cancellation.ts'
import type { Ask, Call, JsonObject, Outcome } from '../../../../src/gateway/contract.ts'
import { FakeGateway, limits, opened, quiet } from './kit.ts'

const form: Ask = { method: 'elicitation/create', params: { message: 'name?', requestedSchema: {}, vendor: 1 } }
const sample: Ask = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } }
const round = (requests: Record<string, Ask> | undefined, over = {}): Outcome => ({ kind: 'inputRequired', requests, ...over })
const done: Outcome = { kind: 'complete', result: { content: [] } }

/** A gateway that answers the rounds of one call in turn. */
const turns = (...outcomes: (Outcome | ((call: Call) => Outcome))[]): FakeGateway => {
  const gateway = new FakeGateway()
  gateway.answer = call => {
    const next = outcomes.shift() ?? done
    return typeof next === 'function' ? next(call) : next
  }
  return gateway
}

describe('a call that needs something of the client', () => {
  it('is asked all at once and made again with the answers, the exact state and where it came from', async () => {
    const gateway = turns(round({ who: form, what: sample }, { requestState: 'opaque+/=', from: 'files', rest: { x: 1 } }))
    const { client } = await opened(undefined, undefined, gateway)
    const answer = client.ask('tools/call', { name: 'a', _meta: { progressToken: 1 } }, 'rpc')
    const [elicited, sampled] = [await client.next('elicitation/create'), await client.next('sampling/createMessage')]
    expect([elicited.params, sampled.params]).toEqual([form.params, sample.params])
    client.answer(sampled.id, { role: 'assistant', vendor: 2 })
    client.answer(elicited.id, { action: 'accept', content: { name: 'ada' } })
    expect((await answer).result).toEqual({ content: [] })
    expect(gateway.calls[1]).toMatchObject({
      method: 'tools/call',
      params: { name: 'a' },
      inputResponses: { who: { action: 'accept', content: { name: 'ada' } }, what: { role: 'assistant', vendor: 2 } },
      requestState: 'opaque+/=',
      continues: 'files',
    })
    expect(gateway.calls[1]?.progress).toBe(gateway.calls[0]?.progress)
  })

  it('is answered under whatever key the server has chosen', async () => {
    const gateway = turns(round(JSON.parse(`{"__proto__": ${JSON.stringify(form)}, "constructor": ${JSON.stringify(form)}}`) as Record<string, Ask>))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ action: 'decline' }))
    await client.ask('tools/call', { name: 'a' })
    expect(JSON.stringify(gateway.calls[1]?.inputResponses)).toBe('{"__proto__":{"action":"decline"},"constructor":{"action":"decline"}}')
  })

  it('is made again without state where there was none', async () => {
    const gateway = turns(round({ who: form }))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ action: 'decline' }))
    await client.ask('tools/call', { name: 'a' })
    expect(gateway.calls[1]?.requestState).toBeUndefined()
  })

  it('asks on the stream of the request', async () => {
    const gateway = turns(round({ who: form }))
    const { client, peer } = await opened(undefined, undefined, gateway)
    const related: unknown[] = []
    const request = peer.request.bind(peer)
    peer.request = (method, params, options) => {
      related.push(options?.relatedTo)
      return request(method, params, options)
    }
    client.on('elicitation/create', () => ({ action: 'accept' }))
    await client.ask('tools/call', { name: 'a' }, 'rpc-7')
    expect(related).toEqual(['rpc-7'])
  })

  it.each([
    [true, '[files] name?'],
    [false, 'name?'],
  ])('names who asks where there are several (%s)', async (nameAsker, message) => {
    const { client } = await opened(undefined, undefined, turns(round({ who: form }, { from: 'files' })), { nameAsker })
    client.on('elicitation/create', () => ({ action: 'accept' }))
    await client.ask('tools/call', { name: 'a' })
    expect(client.all('elicitation/create')[0]?.params).toEqual({ ...form.params, message })
  })

  it('gives url mode the elicitation id it needs here', async () => {
    const url = { mode: 'url', url: 'https://x.test', message: 'm' }
    const own = { ...url, elicitationId: 'own' }
    const ask = (params: JsonObject): Ask => ({ method: 'elicitation/create', params })
    const { client } = await opened(undefined, undefined, turns(round({ a: ask(url), b: ask(own) })))
    client.on('elicitation/create', () => ({ action: 'accept' }))
    await client.ask('tools/call', { name: 'a' })
    const [first, second] = client.all('elicitation/create').map(({ params }) => params)
    expect(first).toEqual({ ...url, elicitationId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string })
    expect(second).toEqual(own)
  })

  it('pauses where a server only sheds load', async () => {
    const gateway = turns(round(undefined, { requestState: 's1' }), round({}, { requestState: 's2' }))
    const { client } = await opened(undefined, undefined, gateway)
    const start = performance.now()
    await client.ask('tools/call', { name: 'a' })
    expect(performance.now() - start).toBeGreaterThan(450)
    expect(gateway.calls.map(({ requestState, inputResponses }) => [requestState, inputResponses])).toEqual([
      [undefined, undefined],
      ['s1', {}],
      ['s2', {}],
    ])
  })
})

describe('a client that does not answer', () => {
  const error = { code: -1, message: 'user said no' }

  it('an elicitation is taken as cancelled', async () => {
    const gateway = turns(round({ who: form }))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ error }))
    await client.ask('tools/call', { name: 'a' })
    expect(gateway.calls[1]?.inputResponses).toEqual({ who: { action: 'cancel' } })
  })

  it('a sampling request fails the call and takes its siblings back', async () => {
    const gateway = turns(round({ who: form, what: sample }))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('sampling/createMessage', () => ({ error }))
    expect((await client.ask('tools/call', { name: 'a' })).error).toMatchObject({ data: { code: 'ASK_REFUSED' } })
    const elicited = client.all('elicitation/create')[0]
    expect((await client.next('notifications/cancelled')).params).toMatchObject({ requestId: elicited?.id })
    expect(gateway.calls).toHaveLength(1)
  })

  it('is never asked what it did not declare', async () => {
    const gateway = turns(round({ who: form }))
    const { client } = await opened('2025-11-25', {}, gateway)
    await client.ask('tools/call', { name: 'a' })
    expect(client.all('elicitation/create')).toEqual([])
    expect(gateway.calls[1]?.inputResponses).toEqual({ who: { action: 'cancel' } })
  })

  it('in time ends the call', async () => {
    const gateway = turns(round({ who: form }))
    const { client } = await opened(undefined, undefined, gateway, { asks: { ...limits, waitMs: 15 } })
    const answer = await client.ask('tools/call', { name: 'a' })
    expect(answer.result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('no answer') as string }] })
    await client.next('notifications/cancelled')
    expect(gateway.calls).toHaveLength(1)
  })

  it('and cancels its call has its asks taken back', async () => {
    const { client, gateway } = await opened(undefined, undefined, turns(round({ who: form })))
    void client.ask('tools/call', { name: 'a' }, 9)
    const { id } = await client.next('elicitation/create')
    client.say('notifications/cancelled', { requestId: 9 })
    expect((await client.next('notifications/cancelled')).params).toMatchObject({ requestId: id })
    await quiet(5)
    expect(gateway.calls).toHaveLength(1)
    expect(client.got.filter(message => message.id === 9)).toEqual([])
  })
})

describe('rounds', () => {
  it.each([
    ['tools/call', { result: { isError: true } }],
    ['prompts/get', { error: { data: { code: 'TOO_MANY_ROUNDS' } } }],
  ])('of %s are limited', async (method, expected) => {
    const gateway = new FakeGateway()
    gateway.answer = () => round({ who: form }, { requestState: 's' })
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ action: 'accept' }))
    expect(await client.ask(method, { name: 'a' })).toMatchObject(expected)
    expect(client.all('elicitation/create')).toHaveLength(limits.rounds)
  })

  it('of a server that waits in this process are its own affair', async () => {
    const live = () => ({ ...form, live: { withdrawn: new CancelSource(), refuse: () => {} } })
    const gateway = turns(...Array.from({ length: limits.rounds + 3 }, () => round({ who: live() }, { requestState: 's' })))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ action: 'accept' }))
    expect((await client.ask('tools/call', { name: 'a' })).result).toEqual({ content: [] })
  })
})

describe('a server that waits in this process', () => {
  const live = () => {
    const withdrawn = new CancelSource()
    const refused: unknown[] = []
    return { refused, withdrawn, ask: { ...form, live: { withdrawn, refuse: (error: unknown) => void refused.push(error) } } }
  }

  it('gets the client’s error as it came, and the call goes on', async () => {
    const { ask, refused } = live()
    const gateway = turns(round({ who: ask, what: sample }, { requestState: 's' }))
    const { client } = await opened(undefined, undefined, gateway)
    client.on('elicitation/create', () => ({ error: { code: -1, message: 'no' } }))
    client.on('sampling/createMessage', () => ({ role: 'x' }))
    await client.ask('tools/call', { name: 'a' })
    expect(refused).toMatchObject([{ details: { rpc: { code: -1, message: 'no' } } }])
    expect(gateway.calls[1]?.inputResponses).toEqual({ what: { role: 'x' } })
  })

  it('takes an ask back at the client', async () => {
    const { ask, withdrawn, refused } = live()
    const gateway = turns(round({ who: ask }, { requestState: 's' }))
    const { client } = await opened(undefined, undefined, gateway)
    const answer = client.ask('tools/call', { name: 'a' })
    const { id } = await client.next('elicitation/create')
    withdrawn.cancel('too slow')
    expect((await client.next('notifications/cancelled')).params).toEqual({ requestId: id, reason: 'too slow' })
    expect((await answer).result).toEqual({ content: [] })
    expect(gateway.calls[1]?.inputResponses).toEqual({})
    expect(refused).toEqual([])
  })

  it('is told when time ran out', async () => {
    const { ask, refused } = live()
    const { client } = await opened(undefined, undefined, turns(round({ who: ask })), { asks: { ...limits, waitMs: 15 } })
    expect((await client.ask('tools/call', { name: 'a' })).result).toMatchObject({ isError: true })
    expect(refused).toMatchObject([{ code: 'ASK_REFUSED' }])
  })
})
