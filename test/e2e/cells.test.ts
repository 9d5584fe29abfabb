/**
 * Every scenario through the built binary over stdio: each official client in front, each era of server behind, and a
 * second server beside it that shares all its names and must never be touched by mistake.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, stdioBackend, type BackendKind } from './harness.ts'
import { scenarios, willing } from './scenarios.ts'

const clients: readonly ClientKind[] = ['v1', 'v2-legacy', 'v2-modern']
const backends: readonly BackendKind[] = ['v1', 'v2-legacy', 'v2-modern']

describe.each(clients.flatMap(kind => backends.map(backend => ({ kind, backend }))))('$kind client, $backend server', ({ kind, backend }) => {
  const sandbox = createSandbox()
  let client: TestClient
  let mute: TestClient
  beforeAll(async () => {
    const config = {
      mcpServers: {
        one: stdioBackend(sandbox, backend, 'one'),
        two: stdioBackend(sandbox, 'v1', 'two'),
      },
    }
    const apart = { ...config, mcpServers: { one: stdioBackend(sandbox, backend, 'mute') } }
    ;[client, mute] = await Promise.all([
      connectClient({ kind, ...sandbox.runTarget(config), answers: willing }),
      connectClient({ kind, ...sandbox.runTarget(apart) }),
    ])
  })
  afterAll(async () => {
    await Promise.all([client?.close(), mute?.close()])
    await sandbox.dispose()
  })

  it.each(Object.entries(scenarios))('%s', async (_title, run) => {
    await run({
      client, mute, backend, name: own => `one__${own}`,
      journal: () => sandbox.readJournal('one'), bystander: () => sandbox.readJournal('two'),
    })
  })

  it('merges both servers in the order of the config', async () => {
    const aliases = (await client.tools()).map(tool => String(tool['name']).split('__')[0])
    expect([...new Set(aliases)]).toEqual(['one', 'two'])
    expect(aliases).toEqual([...aliases].sort())
    expect(await client.say('two__echo', { message: 'from two' })).toBe('from two')
  })

  it('gives a clashing resource an address that reads back', async () => {
    const uris = (await client.resources()).map(resource => String(resource['uri']))
    expect(new Set(uris).size).toBe(uris.length)
    const own = uris.filter(uri => uri !== 'test://counter' && uri.includes('counter'))
    expect(own).toHaveLength(1)
    const before = await client.read('test://counter')
    const expected = Number(((await client.read(own[0] as string))['contents'] as any)[0].text) + 1
    expect(await client.say('two__touch')).toBe(String(expected))
    const contents = (await client.read(own[0] as string))['contents'] as any
    expect(contents).toMatchObject([{ uri: own[0], text: String(expected) }])
    expect(await client.read('test://counter')).toMatchObject({ contents: before['contents'] as object })
    const stop = await client.subscribe({ resources: [own[0] as string] })
    const since = client.notifications.length
    await client.say('two__touch')
    expect(await client.heard('notifications/resources/updated', since)).toMatchObject({ uri: own[0] })
    await stop()
  })

  it('leaves no errors behind', () => {
    expect(client.errors).toEqual([])
    expect(mute.errors).toEqual([])
  })
})

describe('a server that demands a visit to an address (-32042)', () => {
  it.each(clients)('%s client', async kind => {
    const sandbox = createSandbox()
    const client = await connectClient({ kind, ...sandbox.runTarget({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') } }), answers: willing })
    try {
      if (client.modern) {
        expect(await client.say('one__require_url')).toBe('signed in')
        expect(client.asks).toMatchObject([{ method: 'elicitation/create', params: { mode: 'url', url: 'https://example.com/sign-in?flow=fixture' } }])
      } else {
        await expect(client.call('one__require_url')).rejects.toMatchObject({
          code: -32042, data: { elicitations: [{ mode: 'url', url: 'https://example.com/sign-in?flow=fixture', elicitationId: expect.any(String) }] },
        })
        expect(await client.say('one__require_url')).toBe('signed in')
      }
    } finally {
      await client.close()
      await sandbox.dispose()
    }
  })
})
