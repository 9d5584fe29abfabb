/**
 * One listener, every transport on both sides at once: official clients over stdio, Streamable HTTP and HTTP+SSE in front
 * of servers over the same three, of either SDK and era.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, remoteBackend, serve, stdioBackend, type BackendKind, type Started } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

const fronts = [
  { kind: 'v1', over: 'http' }, { kind: 'v1', over: 'sse' }, { kind: 'v2-legacy', over: 'http' },
  { kind: 'v2-legacy', over: 'sse' }, { kind: 'v2-modern', over: 'http' }, { kind: 'v2-modern', over: 'stdio' },
] as const satisfies ReadonlyArray<{ kind: ClientKind; over: string }>

const behind = (['v1', 'v2-legacy', 'v2-modern'] as const).flatMap((backend: BackendKind) =>
  (['stdio', 'http', 'sse'] as const)
    .filter(over => over !== 'sse' || backend !== 'v2-modern')
    .map(over => ({ backend, over, alias: `${backend}-${over}` })))

// All servers share their URIs, so only what is found by name can tell them apart.
const titles = [
  'calls a tool', 'passes structured content', 'carries a form elicitation to the person and back', 'carries a url elicitation',
  'carries a sampling request', 'carries a roots request', 'carries several asks of one call', 'keeps concurrent callers apart',
  'reports progress', 'cancels one call at the server that owns it, and no other', 'gets prompts',
]

const sandbox = createSandbox()
const remotes: Started[] = []
let listener: Started
let config: JsonObject

beforeAll(async () => {
  const mcpServers: Record<string, JsonObject> = {}
  for (const { backend, over, alias } of behind) {
    if (over === 'stdio') mcpServers[alias] = stdioBackend(sandbox, backend, alias)
    else {
      const remote = await remoteBackend(sandbox, backend, alias, over)
      remotes.push(remote)
      mcpServers[alias] = { url: remote.url }
    }
  }
  config = { mcpServers }
  listener = await serve(sandbox, config)
})
afterAll(async () => {
  await listener?.stop()
  await Promise.all(remotes.map(remote => remote.stop()))
  await sandbox.dispose()
})

describe.each(fronts)('$kind client over $over', ({ kind, over }) => {
  let client: TestClient
  beforeAll(async () => {
    const target = over === 'stdio' ? sandbox.runTarget(config)
      : over === 'sse' ? { url: listener.url.replace(/\/mcp$/, '/sse'), sse: true } : { url: listener.url }
    client = await connectClient({ kind, ...target, answers: willing })
  })
  afterAll(() => client?.close())

  it('hears of every server', async () => {
    const aliases = new Set((await client.tools()).map(tool => String(tool['name']).split('__')[0]))
    expect([...aliases]).toEqual(behind.map(({ alias }) => alias))
  })

  describe.each(behind)('$backend server over $over', ({ backend, alias }) => {
    it.each(titles)('%s', async title => {
      const before = new Map(behind.map(other => [other.alias, sandbox.readJournal(other.alias).length]))
      const own = before.get(alias)
      await scenarios[title]?.({
        client, backend, shared: true, name: own => `${alias}__${own}`,
        // Journals outlive a front: only what is new counts.
        journal: () => sandbox.readJournal(alias).slice(own),
        bystander: () => behind.flatMap(other => (other.alias === alias ? [] : sandbox.readJournal(other.alias).slice(before.get(other.alias)))),
      })
    })
  })

  it('leaves no errors behind', () => {
    expect(client.errors).toEqual([])
  })
})
