/** Servers whose messages have wrong values everywhere: the process lives, and so does the server beside them. */
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture, stdioBackend, type Sandbox } from './harness.ts'

const rounds = Number(process.env['HOSTILE_ROUNDS'] ?? 60)
const open: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const hostile = (era: string, seed: number): JsonObject => ({
  command: process.execPath, args: [fixture('hostile.mjs'), '--era', era, '--seed', String(seed)],
  timeouts: { call: 1000, max: 2000 }, breaker: { failures: 0 },
})

function started(sandbox: Sandbox, seed: number): RawClient {
  const config = { mcpServers: { old: hostile('legacy', seed), new: hostile('modern', seed + 1), good: stdioBackend(sandbox, 'v1', 'good') } }
  const client = startRaw(sandbox.runTarget(config))
  open.push(() => client.close())
  return client
}

/** What a client may ask, of each server. */
const asks = (alias: string, n: number): [string, JsonObject][] => [
  ['tools/call', { name: `${alias}__echo`, arguments: { a: 'x' }, _meta: { progressToken: `${alias}-${n}` } }],
  ['tools/call', { name: `${alias}__other`, arguments: {}, task: { ttl: 1000 } }],
  ['prompts/get', { name: `${alias}__p`, arguments: {} }],
  ['resources/read', { uri: 'x://a' }],
  ['resources/subscribe', { uri: 'x://a' }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: `${alias}__p` }, argument: { name: 'a', value: 'x' } }],
  ['tools/list', {}], ['prompts/list', {}], ['resources/list', {}], ['resources/templates/list', {}],
  ['tasks/get', { taskId: 't1' }],
]

describe.each([['2025-11-25', 1], ['2025-11-25', 1001], ['2026-07-28', 2001], ['2026-07-28', 3001]] as const)('for a client of %s, seed %i', (revision, seed) => {
  it('servers that send values of wrong kinds leave the others alone', async () => {
    const sandbox = createSandbox()
    open.push(() => sandbox.dispose())
    const client = started(sandbox, seed)
    const abilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} }
    client.onRequest(() => ({ result: { action: 'accept', content: { a: 'x' } } }))
    const meta = revision === '2026-07-28' ? envelope(abilities, { 'io.modelcontextprotocol/logLevel': 'debug' }) : {}
    const ask = (method: string, params: JsonObject) =>
      client.request(method, { ...params, _meta: { ...meta, ...(params['_meta'] as JsonObject | undefined) } })
    if (revision === '2025-11-25') {
      await initialize(client, abilities)
      await ask('logging/setLevel', { level: 'debug' })
    }
    let heard = 0
    for (let n = 0; n < rounds; n++) {
      const answers = await Promise.all(['old', 'new'].flatMap(alias => asks(alias, n).map(([method, params]) => ask(method, params))))
      for (const answer of answers) {
        expect('result' in answer || 'error' in answer).toBe(true)
        // Not refused by us on the way: the server had its say.
        if (!['BACKEND_UNAVAILABLE', 'UNKNOWN_NAME', 'METHOD_NOT_FOUND'].includes((answer['error'] as any)?.data?.code)) heard++
      }
      const { result } = await ask('tools/call', { name: 'good__echo', arguments: { message: `still ${n}` } })
      expect((result as { content: unknown[] }).content, client.stderr()).toEqual([{ type: 'text', text: `still ${n}` }])
    }
    expect(heard).toBeGreaterThan(rounds * 12)
    expect(client.noise).toEqual([])
    expect(client.stderr()).not.toContain('internal error')
  })
})
