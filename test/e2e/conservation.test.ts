/**
 * Nothing is lost and nothing is doubled: a client makes a long random mix of calls, cancellations, pings, lists and
 * failures at two servers at once, and every request must end exactly as its kind says.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, stdioBackend, type BackendKind } from './harness.ts'

const operations = Number(process.env['CONSERVATION_OPERATIONS'] ?? 2000)
const inFlight = 64

/** Small and seeded, so that a failure can be had again. */
function dice(seed: number) {
  let state = seed
  return (sides: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % sides
  }
}

type Expected = { kind: 'text'; text: string; steps?: number } | { kind: 'error'; code: number } | { kind: 'any' } | { kind: 'perhaps' }

const cells = (['legacy', 'modern'] as const).flatMap(era =>
  ([['v1', 'v2-modern'], ['v2-modern', 'v2-legacy']] as const satisfies ReadonlyArray<readonly [BackendKind, BackendKind]>)
    .map(([one, two]) => ({ era, one, two })))

describe.each(cells)('$era client, $one and $two servers', ({ era, one, two }) => {
  const sandbox = createSandbox()
  const modern = era === 'modern'
  let client: RawClient
  beforeAll(async () => {
    client = startRaw(sandbox.runTarget({ mcpServers: { one: stdioBackend(sandbox, one, 'one'), two: stdioBackend(sandbox, two, 'two') } }))
    if (!modern) await initialize(client)
    else await client.request('server/discover', { _meta: envelope() })
    await client.request('tools/list', modern ? { _meta: envelope() } : {})
  })
  afterAll(async () => {
    await client?.close()
    await sandbox.dispose()
  })

  it('ends every request exactly once', async () => {
    const roll = dice(20261120)
    const expected = new Map<string | number, Expected>()
    const since = client.log.length
    const wrong: string[] = []
    let taken = since
    let open = 0
    const answered = new Map<string | number, number>()
    const progress = new Map<unknown, number>()

    const send = (id: string | number, method: string, params: JsonObject, outcome: Expected) => {
      expected.set(id, outcome)
      if (outcome.kind !== 'perhaps') open++
      const meta = modern ? { _meta: { ...envelope(), ...(params['_meta'] as JsonObject) } } : {}
      client.send({ jsonrpc: '2.0', id, method, params: { ...params, ...meta } })
    }
    const call = (id: string | number, name: string, args: JsonObject, outcome: Expected, meta?: JsonObject) =>
      send(id, 'tools/call', { name, arguments: args, ...(meta ? { _meta: meta } : {}) }, outcome)

    const collect = () => {
      for (; taken < client.log.length; taken++) {
        const entry = client.log[taken] as { direction: string; message: JsonObject }
        if (entry.direction !== 'received') continue
        const message = entry.message as any
        if (message.method === 'notifications/progress') {
          const token = message.params.progressToken
          const last = progress.get(token) ?? 0
          if (message.params.progress !== last + 1) wrong.push(`progress of ${token}: ${last} then ${message.params.progress}`)
          if (answered.has(token)) wrong.push(`progress of ${token} after its answer`)
          progress.set(token, message.params.progress)
        }
        if (message.method !== undefined) continue
        const outcome = expected.get(message.id)
        if (!outcome) {
          wrong.push(`an answer to nothing: ${JSON.stringify(message).slice(0, 200)}`)
          continue
        }
        answered.set(message.id, (answered.get(message.id) ?? 0) + 1)
        if (outcome.kind !== 'perhaps') open--
        const text = message.result?.content?.[0]?.text
        if (outcome.kind === 'text' && text !== outcome.text) wrong.push(`${message.id}: ${JSON.stringify(message).slice(0, 200)}`)
        if (outcome.kind === 'text' && (outcome.steps ?? 0) !== (progress.get(message.id) ?? 0))
          wrong.push(`${message.id} was answered after ${progress.get(message.id) ?? 0} steps of ${outcome.steps}`)
        if (outcome.kind === 'error' && message.error?.code !== outcome.code) wrong.push(`${message.id}: ${JSON.stringify(message).slice(0, 200)}`)
        if (outcome.kind === 'any' && !message.result) wrong.push(`${message.id}: ${JSON.stringify(message).slice(0, 200)}`)
      }
      return open
    }

    for (let n = 1; n <= operations; n++) {
      await eventually(() => (collect() < inFlight ? true : undefined), 'room for another request', 20_000)
      const alias = roll(2) === 0 ? 'one' : 'two'
      const id = roll(2) === 0 ? n : `s${n}`
      switch (roll(10)) {
        case 0:
          call(id, `${alias}__steps`, { count: 3, delayMs: roll(4) }, { kind: 'text', text: 'done', steps: 3 }, { progressToken: id })
          break
        case 1:
          call(id, `${alias}__slow`, { key: String(id), ms: 5000 }, { kind: 'perhaps' })
          setTimeout(() => client.notify('notifications/cancelled', { requestId: id }), roll(20))
          break
        case 2:
          call(id, `${alias}__no_such_tool`, {}, { kind: 'error', code: -32602 })
          break
        case 3:
          send(id, 'resources/read', { uri: 'test://note' }, { kind: 'any' })
          break
        case 4:
          send(id, 'prompts/get', { name: `${alias}__greet`, arguments: { name: 'x' } }, { kind: 'any' })
          break
        case 5:
          if (modern) send(id, 'tools/list', {}, { kind: 'any' })
          else send(id, 'ping', {}, { kind: 'any' })
          break
        default:
          call(id, `${alias}__echo`, { message: `payload ${n} of ${alias}` }, { kind: 'text', text: `payload ${n} of ${alias}` })
      }
    }
    await eventually(() => (collect() === 0 ? true : undefined), 'the last answers', 20_000)
    // A cancelled request has no answer, now or later.
    await new Promise(resolve => setTimeout(resolve, 200))
    collect()
    for (const [id, outcome] of expected) {
      const times = answered.get(id) ?? 0
      if (outcome.kind === 'perhaps' ? times !== 0 : times !== 1) wrong.push(`${id} was answered ${times} times`)
    }
    expect(wrong).toEqual([])
    expect(client.noise).toEqual([])
    const started = sandbox.readJournal('one').concat(sandbox.readJournal('two'))
    expect(started.filter(entry => entry.event === 'finished')).toEqual([])
    expect(started.filter(entry => entry.event === 'cancelled')).toHaveLength(started.filter(entry => entry.event === 'started').length)
  }, 120_000)
})
