/** How a conversation begins: which revision an opening is answered with, and what a path of the listener offers. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient } from '../fixtures/clients/client.ts'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox, serve, stdioBackend, type Started } from './harness.ts'
import { revisions } from './matrix.ts'
import { willing } from './scenarios.ts'

describe('the opening', () => {
  const open = async (revision: string) => {
    const sandbox = createSandbox()
    const client = startRaw(sandbox.runTarget({ mcpServers: {} }))
    const response = await initialize(client, {}, revision)
    await client.close()
    await sandbox.dispose()
    return response['result'] as { protocolVersion: string }
  }
  it.each(revisions.slice(0, -1))('is answered with the revision %s that was offered', async revision => {
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

describe('the path of one server alone', () => {
  const sandbox = createSandbox()
  let listener: Started
  beforeAll(async () => {
    listener = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), 'two.b': stdioBackend(sandbox, 'v2-modern', 'two.b') } })
  })
  afterAll(async () => {
    await listener?.stop()
    await sandbox.dispose()
  })

  const cells = (['one', 'two.b'] as const).flatMap(alias => (['v1', 'v2-legacy', 'v2-modern'] as const).map(kind => ({ alias, kind })))
  it.each(cells)('gives a $kind client $alias under its own names', async ({ alias, kind }) => {
    const client = await connectClient({ kind, url: listener.url.replace(/\/mcp$/, `/servers/${alias}/mcp`), answers: willing })
    const names = (await client.tools()).map(tool => String(tool['name']))
    expect(names).toContain('echo')
    expect(names.filter(name => name.includes('__'))).toEqual([])
    expect(await client.say('echo', { message: 'alone' })).toBe('alone')
    await client.close()
  })
})

it('a server of the newest revision that is slow to start, and of which there can be one only, is opened all the same', async () => {
  const sandbox = createSandbox()
  const lock = join(sandbox.dir, 'lock')
  const { command, args } = stdioBackend(sandbox, 'v2-modern', 'slow') as { command: string; args: string[] }
  // Silence is taken for an older server, and the second opening for a second process.
  const script = `mkdir ${lock} || exit 3; sleep 2; "$@"; rmdir ${lock}`
  const { stdout } = await sandbox.run([
    'list', '--json', '--config', sandbox.config({ mcpServers: { slow: { command: '/bin/sh', args: ['-c', script, 'slow', command, ...args] } } }),
  ])
  await sandbox.dispose()
  expect(JSON.parse(stdout)).toMatchObject({ tools: expect.arrayContaining([expect.objectContaining({ name: 'slow__echo' })]) })
})
