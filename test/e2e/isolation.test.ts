/**
 * Clients that choose the very same ids and progress tokens, at the same moment, on one shared backend: each gets its own
 * answers, each exactly once, and never another's. `ISOLATION_CALLS` raises the number of calls (5,000 by default).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { modernRequest, openSession, rawHttp, type RawHttp } from '../fixtures/clients/raw-http.ts'
import { createSandbox, serve, stdioBackend, type BackendKind, type Started } from './harness.ts'

const total = Number(process.env['ISOLATION_CALLS'] ?? 5000)
const clients = 2
const inFlight = 16

/** Makes calls with ids 1, 2, 3 … and returns what came that should not have, or did not that should. */
async function hammer(mark: string, calls: number, send: (message: JsonObject) => Promise<JsonObject[]>): Promise<{ foreign: string[]; lost: number }> {
  const foreign: string[] = []
  let next = 0
  let lost = 0
  const worker = async () => {
    while (next < calls) {
      const id = ++next
      const payload = `${mark}:${id}`
      const messages = await send({
        jsonrpc: '2.0', id, method: 'tools/call',
        params: { name: 'one__echo', arguments: { message: payload }, _meta: { progressToken: id } },
      })
      const answers = messages.filter(message => 'result' in message || 'error' in message)
      if (answers.length === 0) lost++
      for (const answer of answers) {
        const text = ((answer['result'] as any)?.content?.[0]?.text ?? JSON.stringify(answer)) as string
        if (answer['id'] !== id || text !== payload) foreign.push(`${payload} got ${JSON.stringify(answer).slice(0, 200)}`)
      }
      if (answers.length > 1) foreign.push(`${payload} got ${answers.length} answers`)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return { foreign, lost }
}

describe.each(['v1', 'v2-modern'] as const satisfies readonly BackendKind[])('two clients with equal ids on one %s backend', backend => {
  const sandbox = createSandbox()
  const raws: RawHttp[] = []
  let listener: Started
  beforeAll(async () => {
    listener = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, backend, 'one') } })
    for (let i = 0; i < clients; i++) raws.push(rawHttp(listener.url))
  })
  afterAll(async () => {
    for (const raw of raws) raw.close()
    await listener?.stop()
    await sandbox.dispose()
  })

  const clean = Array(clients).fill({ foreign: [], lost: 0 })
  const each = Math.ceil(total / clients / 2)

  it('in the legacy era', async () => {
    const results = await Promise.all(raws.map(async (raw, i) => {
      const headers = await openSession(raw)
      return hammer(`legacy-${i}`, each, async message => (await raw.post(message, headers)).messages)
    }))
    expect(results).toEqual(clean)
  }, 600_000)

  it('in the modern era', async () => {
    const results = await Promise.all(raws.map((raw, i) => hammer(`modern-${i}`, each, async message => {
      const [request, headers] = modernRequest(message['id'] as number, 'tools/call', message['params'] as JsonObject)
      return (await raw.post(request, headers)).messages
    })))
    expect(results).toEqual(clean)
  }, 600_000)

  it('in both eras at once, with progress that belongs to one call only', async () => {
    const [first, second] = raws as [RawHttp, RawHttp]
    const headers = await openSession(first)
    const steps = async (count: number, run: (params: JsonObject) => Promise<JsonObject[]>) => {
      const messages = await run({ name: 'one__steps', arguments: { count, delayMs: 3 }, _meta: { progressToken: 'same' } })
      return messages.filter(message => message['method'] === 'notifications/progress').map(message => message['params'])
    }
    const expected = (count: number) => Array.from({ length: count }, (_, i) => ({ progressToken: 'same', progress: i + 1, total: count, message: `step ${i + 1}` }))
    const [legacy, modern] = await Promise.all([
      steps(7, async params => (await first.post({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params }, headers)).messages),
      steps(9, async params => {
        const [request, more] = modernRequest('same', 'tools/call', params)
        return (await second.post(request, more)).messages
      }),
    ])
    expect(legacy).toEqual(expected(7))
    expect(modern).toEqual(expected(9))
  })
})
