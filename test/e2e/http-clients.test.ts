/**
 * The listener in front of servers of both eras over stdio: official clients of both SDKs, in every revision and over both
 * HTTP transports, do what any client may do. One backend alone has its own path and its own names.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, serve, stdioBackend, type BackendKind, type Started } from './harness.ts'
import { oldest, scenarios, since20250326, since20250618, willing } from './scenarios.ts'

const newest = [...since20250618, 'carries a url elicitation']
const fronts: ReadonlyArray<{ kind: ClientKind; revision: string; over: 'http' | 'sse'; titles: readonly string[] }> = [
  { kind: 'v2-modern', revision: '2026-07-28', over: 'http', titles: newest },
  { kind: 'v2-legacy', revision: '2025-11-25', over: 'http', titles: newest },
  { kind: 'v1', revision: '2025-11-25', over: 'http', titles: newest },
  { kind: 'v1', revision: '2025-06-18', over: 'http', titles: since20250618 },
  { kind: 'v1', revision: '2025-03-26', over: 'http', titles: since20250326 },
  { kind: 'v1', revision: '2025-11-25', over: 'sse', titles: newest },
  { kind: 'v1', revision: '2024-11-05', over: 'sse', titles: oldest },
  { kind: 'v2-legacy', revision: '2025-11-25', over: 'sse', titles: newest },
]
const backends = ['v1', 'v2-modern'] as const satisfies readonly BackendKind[]

describe.each(backends)('in front of a %s server', backend => {
  const sandbox = createSandbox()
  let listener: Started
  beforeAll(async () => {
    listener = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, backend, 'one'), two: stdioBackend(sandbox, 'v1', 'two') } })
  })
  afterAll(async () => {
    await listener?.stop()
    await sandbox.dispose()
  })

  describe.each(fronts)('$kind client of $revision over $over', ({ kind, revision, over, titles }) => {
    let client: TestClient
    let mute: TestClient
    beforeAll(async () => {
      const target = over === 'sse' ? { url: listener.url.replace(/\/mcp$/, '/sse'), sse: true } : { url: listener.url }
      client = await connectClient({ kind, revision, ...target, answers: willing })
      mute = await connectClient({ kind, revision, ...target })
    })
    afterAll(async () => {
      await client?.close()
      await mute?.close()
    })

    it.each(titles.filter(title => !/resource|lists/.test(title)))('%s', async title => {
      const [own, others] = [sandbox.readJournal('one').length, sandbox.readJournal('two').length]
      await scenarios[title]?.({
        client, mute, backend, name: tool => `one__${tool}`,
        journal: () => sandbox.readJournal('one').slice(own),
        bystander: () => sandbox.readJournal('two').slice(others),
      })
    })

    it('leaves no errors behind', () => expect(client.errors).toEqual([]))
  })

  it.each(['v1', 'v2-legacy', 'v2-modern'] as const)('gives a %s client one server alone, under its own names', async kind => {
    const client = await connectClient({ kind, url: listener.url.replace(/\/mcp$/, '/servers/one/mcp'), answers: willing })
    const names = (await client.tools()).map(tool => String(tool['name']))
    expect(names).toContain('echo')
    expect(names.filter(name => name.includes('__'))).toEqual([])
    expect(await client.say('echo', { message: 'alone' })).toBe('alone')
    await client.close()
  })
})
