/** Each revision of the protocol in front of servers of each revision, all of them behind one proxy at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClientKind, TestClient } from '../fixtures/clients/client.ts'
import { connectClient } from '../fixtures/clients/client.ts'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox, stdioBackend, type BackendKind } from './harness.ts'
import { oldest, scenarios, since20250326, since20250618, willing } from './scenarios.ts'

const expressible: Record<string, readonly string[]> = {
  '2024-11-05': oldest,
  '2025-03-26': since20250326,
  '2025-06-18': since20250618,
  '2025-11-25': [...since20250618, 'carries a url elicitation'],
  '2026-07-28': [...since20250618, 'carries a url elicitation'],
}
const revisions = Object.keys(expressible)
const legacy = revisions.slice(0, -1)

const fronts: ReadonlyArray<{ kind: ClientKind; revision: string }> = [
  ...legacy.map(revision => ({ kind: 'v2-legacy' as const, revision })),
  { kind: 'v1', revision: '2024-11-05' },
  { kind: 'v2-modern', revision: '2026-07-28' },
]

describe.each(fronts)('$kind client of $revision', ({ kind, revision }) => {
  const sandbox = createSandbox()
  let client: TestClient
  beforeAll(async () => {
    const mcpServers = Object.fromEntries(revisions.map(of => {
      const alias = `r${of.replaceAll('-', '')}`
      return [alias, of === '2026-07-28' ? stdioBackend(sandbox, 'v2-modern', alias) : stdioBackend(sandbox, 'v1', alias, ['--revision', of])]
    }))
    client = await connectClient({ kind, revision, ...sandbox.runTarget({ mcpServers }), answers: willing })
  })
  afterAll(async () => {
    await client?.close()
    await sandbox.dispose()
  })

  describe.each(revisions)('server of %s', of => {
    const alias = `r${of.replaceAll('-', '')}`
    const backend: BackendKind = of === '2026-07-28' ? 'v2-modern' : 'v1'
    // What both can express, and only where names tell the servers apart: they all share their URIs.
    const titles = (expressible[revision] as readonly string[])
      .filter(title => expressible[of]?.includes(title) && !/resource|lists|completes/.test(title))
    it.each(titles)('%s', async title => {
      await scenarios[title]?.({
        client, backend, name: own => `${alias}__${own}`, journal: () => sandbox.readJournal(alias), bystander: () => [],
      })
    })
  })

  it('hears of every server', async () => {
    const aliases = new Set((await client.tools()).map(tool => String(tool['name']).split('__')[0]))
    expect([...aliases]).toEqual(revisions.map(of => `r${of.replaceAll('-', '')}`))
  })
})

describe('the opening', () => {
  const open = async (revision: string) => {
    const sandbox = createSandbox()
    const client = startRaw(sandbox.runTarget({ mcpServers: {} }))
    const response = await initialize(client, {}, revision)
    await client.close()
    await sandbox.dispose()
    return response['result'] as { protocolVersion: string }
  }
  it.each(legacy)('is answered with the revision %s that was offered', async revision => {
    expect(await open(revision)).toMatchObject({ protocolVersion: revision })
  })
  it.each(['2026-07-28', '1999-01-01', '2024-10-07'])('of %s is answered with the newest that has such an opening', async revision => {
    expect(await open(revision)).toMatchObject({ protocolVersion: '2025-11-25' })
  })
  it('of an unknown modern revision is refused with what is supported', async () => {
    const sandbox = createSandbox()
    const client = startRaw(sandbox.runTarget({ mcpServers: {} }))
    const response = await client.request('server/discover', {
      _meta: { 'io.modelcontextprotocol/protocolVersion': '2099-01-01', 'io.modelcontextprotocol/clientCapabilities': {} },
    })
    await client.close()
    await sandbox.dispose()
    expect(response['error']).toMatchObject({ code: -32022, data: { supported: ['2026-07-28'], requested: '2099-01-01' } })
  })
})
