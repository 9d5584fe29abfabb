/**
 * Every scenario against servers over HTTP, through the built binary: a client of each era in front, each SDK, era and
 * HTTP transport behind, and nothing in the config but an address. More clients are in interop.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, remoteBackend, type BackendKind, type Started } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

const clients: readonly ClientKind[] = ['v2-legacy', 'v2-modern']
const backends = [
  { backend: 'v1', over: 'http' }, { backend: 'v1', over: 'sse' }, { backend: 'v2-legacy', over: 'http' }, { backend: 'v2-modern', over: 'http' },
] as const satisfies readonly { backend: BackendKind; over: 'http' | 'sse' }[]

const cells = clients.flatMap(kind => backends.map(behind => ({ kind, ...behind })))

describe.each(cells)('$kind client, $backend server over $over', ({ kind, backend, over }) => {
  const sandbox = createSandbox()
  const remotes: Started[] = []
  let client: TestClient
  let mute: TestClient
  beforeAll(async () => {
    const [one, two] = await Promise.all([remoteBackend(sandbox, backend, 'one', over), remoteBackend(sandbox, 'v1', 'two', 'http')])
    const apart = await remoteBackend(sandbox, backend, 'mute', over)
    remotes.push(one, two, apart)
    ;[client, mute] = await Promise.all([
      connectClient({ kind, ...sandbox.runTarget({ mcpServers: { one: { url: one.url }, two: { url: two.url } } }), answers: willing }),
      connectClient({ kind, ...sandbox.runTarget({ mcpServers: { one: { url: apart.url } } }) }),
    ])
  })
  afterAll(async () => {
    await Promise.all([client?.close(), mute?.close()])
    await Promise.all(remotes.map(remote => remote.stop()))
    await sandbox.dispose()
  })

  it.each(Object.entries(scenarios))('%s', async (_title, run) => {
    await run({
      client, mute, backend, name: own => `one__${own}`,
      journal: () => sandbox.readJournal('one'), bystander: () => sandbox.readJournal('two'),
    })
  })

  it('leaves no errors behind', () => {
    expect(client.errors).toEqual([])
    expect(mute.errors).toEqual([])
  })
})
