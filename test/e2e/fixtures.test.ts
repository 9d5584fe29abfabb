/** The control: each scenario of this folder against a fixture server directly, in the cells the SDKs know by themselves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, stdioBackend, type BackendKind } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

const pairs: ReadonlyArray<[ClientKind, BackendKind]> = [['v1', 'v1'], ['v2-legacy', 'v2-legacy'], ['v2-modern', 'v2-modern']]

describe.each(pairs)('%s client, %s server, nothing between', (kind, backend) => {
  const sandbox = createSandbox()
  let client: TestClient
  let mute: TestClient
  beforeAll(async () => {
    const target = stdioBackend(sandbox, backend, 'direct') as { command: string; args: string[] }
    client = await connectClient({ kind, ...target, env: sandbox.env, answers: willing })
    mute = await connectClient({ kind, ...target, env: sandbox.env })
  })
  afterAll(async () => {
    await Promise.all([client?.close(), mute?.close()])
    await sandbox.dispose()
  })

  it.each(Object.entries(scenarios))('%s', async (_title, run) => {
    await run({ client, mute, backend, name: own => own, journal: () => sandbox.readJournal('direct'), bystander: () => [] })
  })
  it('leaves no errors behind', () => {
    expect(client.errors).toEqual([])
  })
})
