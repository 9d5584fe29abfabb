/**
 * The control: each scenario of this folder against a fixture server directly, in the cells the SDKs know by themselves.
 * `E2E_CONTROL=all` adds the servers' other transports.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, remoteBackend, stdioBackend, type BackendKind, type Started } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

const pairs: ReadonlyArray<[ClientKind, BackendKind]> = [['v1', 'v1'], ['v2-legacy', 'v2-legacy'], ['v2-modern', 'v2-modern']]
const cells = pairs.flatMap(([kind, backend]) =>
  (['stdio', 'http', 'sse'] as const)
    .filter(transport => transport === 'stdio' || (process.env['E2E_CONTROL'] === 'all' && (transport === 'http' || kind !== 'v2-modern')))
    .map(transport => ({ kind, backend, transport })))

describe.each(cells)('$kind client, $backend server over $transport, nothing between', ({ kind, backend, transport }) => {
  const sandbox = createSandbox()
  let remote: Started | undefined
  let client: TestClient
  let mute: TestClient
  beforeAll(async () => {
    if (transport !== 'stdio') remote = await remoteBackend(sandbox, backend, 'direct', transport)
    const target = remote
      ? { url: remote.url, sse: transport === 'sse' }
      : stdioBackend(sandbox, backend, 'direct') as { command: string; args: string[] }
    client = await connectClient({ kind, ...target, env: sandbox.env, answers: willing })
    mute = await connectClient({ kind, ...target, env: sandbox.env })
  })
  afterAll(async () => {
    await Promise.all([client?.close(), mute?.close()])
    await remote?.stop()
    await sandbox.dispose()
  })

  it.each(Object.entries(scenarios))('%s', async (_title, run) => {
    await run({ client, mute, backend, name: own => own, journal: () => sandbox.readJournal('direct'), bystander: () => [] })
  })
  it('leaves no errors behind', () => {
    expect(client.errors).toEqual([])
  })
})
