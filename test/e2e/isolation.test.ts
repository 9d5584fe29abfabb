/**
 * Clients that choose the very same ids and progress tokens, at the same moment, on one shared backend: each gets its own
 * answers, each exactly once, and never another's. `ISOLATION_CALLS` raises the number of calls per era (1,000 by default).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { modernRequest, openSession, rawHttp } from '../fixtures/clients/raw-http.ts'
import { rawLines } from '../fixtures/clients/raw-lines.ts'
import { bin, createSandbox, remoteBackend, serve, stdioBackend, type BackendKind, type Sandbox, type Started } from './harness.ts'

const total = Number(process.env['ISOLATION_CALLS'] ?? 1000)
const clients = 2
const inFlight = 16

type Era = 'legacy' | 'modern'

/** One client's conversation in one era: everything that came for a request, answers and progress. */
interface Conversation {
  call(id: string | number, params: JsonObject): Promise<JsonObject[]>
  /** What came and belonged to no request. */
  strays(): readonly string[]
  close(): Promise<void>
}

/** Makes calls with ids 1, 2, 3 … and returns what came that should not have, or did not that should. */
async function hammer(mark: string, calls: number, { call, strays }: Conversation): Promise<{ foreign: string[]; lost: number }> {
  const foreign: string[] = []
  let next = 0
  let lost = 0
  const worker = async () => {
    while (next < calls) {
      const id = ++next
      const payload = `${mark}:${id}`
      const messages = await call(id, { name: 'one__echo', arguments: { message: payload }, _meta: { progressToken: id } })
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
  return { foreign: [...foreign, ...strays()], lost }
}

/** One proxy, and a way for clients to reach it. */
interface Stage {
  converse(era: Era): Promise<Conversation>
  stop(): Promise<unknown>
}

async function overHttp(sandbox: Sandbox, config: JsonObject): Promise<Stage> {
  const listener = await serve(sandbox, config)
  return {
    async converse(era) {
      const raw = rawHttp(listener.url)
      const session = era === 'legacy' ? await openSession(raw) : {}
      return {
        async call(id, params) {
          if (era === 'legacy') return (await raw.post({ jsonrpc: '2.0', id, method: 'tools/call', params }, session)).messages
          const [request, headers] = modernRequest(id, 'tools/call', params)
          return (await raw.post(request, headers)).messages
        },
        strays: () => [],
        close: async () => raw.close(),
      }
    },
    stop: () => listener.stop(),
  }
}

/** Every client has a `run` of its own; the daemon behind them has the one backend. */
async function overStdio(sandbox: Sandbox, config: JsonObject): Promise<Stage> {
  const file = sandbox.config(config)
  const env = { ...sandbox.env, MCP_PROXY_NO_DAEMON: '' }
  return {
    async converse(era) {
      const raw = rawLines({ command: process.execPath, args: [bin, 'run', '--config', file], env, cwd: sandbox.dir })
      if (era === 'legacy') {
        await raw.post({
          jsonrpc: '2.0', id: 0, method: 'initialize',
          params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '0' } },
        })
        raw.notify('notifications/initialized')
      }
      return {
        call: (id, params) =>
          raw.post(era === 'legacy' ? { jsonrpc: '2.0', id, method: 'tools/call', params } : modernRequest(id, 'tools/call', params)[0]),
        strays: () => raw.strays,
        close: () => raw.close(),
      }
    },
    stop: () => sandbox.run(['daemon', 'stop', '--config', file], { env: { MCP_PROXY_NO_DAEMON: '' } }),
  }
}

const stages: ReadonlyArray<{ front: 'HTTP' | 'stdio'; backend: BackendKind; over: 'stdio' | 'http' }> = [
  { front: 'HTTP', backend: 'v1', over: 'stdio' }, { front: 'HTTP', backend: 'v2-modern', over: 'stdio' }, { front: 'HTTP', backend: 'v2-legacy', over: 'http' },
  { front: 'stdio', backend: 'v1', over: 'stdio' }, { front: 'stdio', backend: 'v2-modern', over: 'stdio' },
]

describe.each(stages)('two clients over $front with equal ids on one $backend backend over $over', ({ front, backend, over }) => {
  const sandbox = createSandbox()
  let remote: Started | undefined
  let stage: Stage
  beforeAll(async () => {
    if (over === 'http') remote = await remoteBackend(sandbox, backend, 'one', over)
    const config = { mcpServers: { one: remote ? { url: remote.url } : stdioBackend(sandbox, backend, 'one') } }
    stage = await (front === 'HTTP' ? overHttp : overStdio)(sandbox, config)
  })
  afterAll(async () => {
    await stage?.stop()
    await remote?.stop()
    await sandbox.dispose()
  })

  it.each(['legacy', 'modern'] as const)('in the %s era', async era => {
    const conversations = await Promise.all(Array.from({ length: clients }, () => stage.converse(era)))
    const results = await Promise.all(conversations.map((conversation, i) => hammer(`${era}-${i}`, Math.ceil(total / clients), conversation)))
    await Promise.all(conversations.map(conversation => conversation.close()))
    expect(results).toEqual(Array(clients).fill({ foreign: [], lost: 0 }))
  }, 1_800_000)

  it('in both eras at once, with progress that belongs to one call only', async () => {
    const [first, second] = await Promise.all([stage.converse('legacy'), stage.converse('modern')])
    const steps = async ({ call }: Conversation, count: number) => {
      const messages = await call('same', { name: 'one__steps', arguments: { count, delayMs: 3 }, _meta: { progressToken: 'same' } })
      return messages.filter(message => message['method'] === 'notifications/progress').map(message => message['params'])
    }
    const expected = (count: number) => Array.from({ length: count }, (_, i) => ({ progressToken: 'same', progress: i + 1, total: count, message: `step ${i + 1}` }))
    const [legacy, modern] = await Promise.all([steps(first, 7), steps(second, 9)])
    await Promise.all([first.close(), second.close()])
    expect(legacy).toEqual(expected(7))
    expect(modern).toEqual(expected(9))
  })
})
