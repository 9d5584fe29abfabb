import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../../../src/gateway/contract.ts'
import { callOf, connected, FakeWatcher, legacyClient, modernClient, quiet, toolCall } from './kit.ts'

const page = { mode: 'url', elicitationId: 'e1', url: 'https://x.test/sign', message: 'sign in', vendor: 1 }
const error = { code: -32042, message: 'sign in first', data: { elicitations: [page], vendor: 2 } }

async function refusing(reply: () => object = () => ({ error })) {
  const setting = await connected()
  for (const method of ['tools/call', 'prompts/get']) setting.server.on(method, () => reply() as never)
  return setting
}

const keyOf = (outcome: Outcome): string => {
  if (outcome.kind !== 'inputRequired') throw new Error('complete')
  return Object.keys(outcome.requests ?? {})[0] as string
}

describe('a call refused until a URL was opened', () => {
  it('is passed on as it is to a client of the same era', async () => {
    const { connection } = await refusing()
    await expect(connection.handle(toolCall('a', { client: legacyClient() }))).rejects.toMatchObject({ details: { rpc: error } })
  })

  it('is a round of asking for a client of the newer era, without elicitation id', async () => {
    const { connection } = await refusing()
    const { elicitationId: _, ...params } = page
    expect(await connection.handle(toolCall())).toEqual({
      kind: 'inputRequired',
      requests: { e1: { method: 'elicitation/create', params } },
    })
  })

  it('is made again once the server says that the person is done', async () => {
    let done = false
    const { server, connection } = await refusing(() => (done ? { content: ['in'] } : { error }))
    const key = keyOf(await connection.handle(toolCall()))
    const retry = connection.handle(toolCall('greet', { inputResponses: { [key]: { action: 'accept' } } }))
    await quiet(5)
    expect(server.all('tools/call')).toHaveLength(1)
    done = true
    server.say('notifications/elicitation/complete', { elicitationId: 'e1' })
    expect(await retry).toEqual({ kind: 'complete', result: { content: ['in'] } })
  })

  it('is not made again when the person declined', async () => {
    const { server, connection } = await refusing()
    const inputResponses = { e1: { action: 'decline' } }
    expect(await connection.handle(toolCall('a', { inputResponses }))).toMatchObject({ result: { isError: true } })
    await expect(connection.handle(callOf('prompts/get', { name: 'p' }, { inputResponses }))).rejects.toMatchObject({
      code: 'ASK_REFUSED',
    })
    expect(server.all('tools/call')).toEqual([])
  })

  it('is cancelled while it waits for the person', async () => {
    const { server, connection } = await refusing()
    const key = keyOf(await connection.handle(toolCall()))
    const call = toolCall('greet', { inputResponses: { [key]: { action: 'accept' } } })
    const retry = connection.handle(call)
    call.source.cancel('stop')
    await expect(retry).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(server.all('tools/call')).toHaveLength(1)
  })

  it('says what is missing to a client that cannot ask', async () => {
    const { connection } = await refusing()
    const client = modernClient({ capabilities: { elicitation: {} } })
    await expect(connection.handle(toolCall('a', { client }))).rejects.toMatchObject({
      code: 'ASK_UNSUPPORTED',
      details: { requires: { elicitation: { url: {} } } },
    })
  })

  it.each([undefined, {}, { elicitations: 'x' }, { elicitations: [] }])('is an error like any other with data %o', async data => {
    const { connection } = await refusing(() => ({ error: { ...error, data } }))
    await expect(connection.handle(toolCall())).rejects.toMatchObject({ code: 'BACKEND_ERROR' })
  })

  it('tells its completion to the client that was refused', async () => {
    const { server, connection } = await refusing()
    const [mine, theirs] = [new FakeWatcher(legacyClient()), new FakeWatcher(legacyClient({ id: 'bob' }))]
    for (const watcher of [mine, theirs]) await connection.watch(watcher).granted
    await connection.handle(toolCall('a', { client: legacyClient() })).catch(() => {})
    server.say('notifications/elicitation/complete', { elicitationId: 'e1' })
    await quiet(2)
    expect([mine.heard.length, theirs.heard.length]).toEqual([1, 0])
  })
})
