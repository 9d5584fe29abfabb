/**
 * Remote servers that restart, go away, ask for patience or for credentials, behind the built binary: what a client sees of
 * it, which is as little as possible, and what `status` says.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { connectClient, eventually, type TestClient } from '../fixtures/clients/client.ts'
import { json, remoteServer, result, type Asked, type RemoteServer } from '../unit/transports/remote-server.ts'
import { createSandbox, fixture, startListening, type Started } from './harness.ts'
import { willing } from './scenarios.ts'

const sandbox = createSandbox()
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(() => sandbox.dispose())

async function connected(mcpServers: Record<string, object>): Promise<TestClient> {
  const client = await connectClient({ kind: 'v1', ...sandbox.runTarget({ mcpServers }), answers: willing })
  closing.push(() => client.close())
  return client
}

async function fixtureOn(port: string, args: readonly string[]): Promise<Started> {
  const started = await startListening(process.execPath, [...args, '--port', port], { env: { ...sandbox.env } })
  closing.push(() => started.stop())
  return started
}
const portOf = ({ url }: Started): string => new URL(url).port

describe('a server that restarts', () => {
  it.each([
    ['with sessions', [fixture('v1.mjs'), '--transport', 'http']],
    ['without', [fixture('everything-v2.mjs'), '--era', 'modern', '--transport', 'http']],
  ])('%s serves on, and still tells of changes', async (name, args) => {
    const first = await fixtureOn('0', args)
    const client = await connected({ one: { url: first.url } })
    await client.subscribe({ resources: ['test://counter'] })
    expect(await client.say('one__echo', { message: 'before' })).toBe('before')
    await first.stop()
    await fixtureOn(portOf(first), args)
    if (name === 'without') await new Promise(resolve => setTimeout(resolve, 2500))
    expect(await client.say('one__echo', { message: 'after' })).toBe('after')
    await eventually(async () => {
      const since = client.notifications.length
      await client.call('one__touch')
      return client.heard('notifications/resources/updated', since, 300).catch(() => undefined)
    }, 'an update of the resource', 8000)
    expect(client.errors).toEqual([])
    expect(client.stderr()).not.toMatch(/"level":"(warn|error)"/)
  })

  it('fails the call it was working on, with the reason, and no other', async () => {
    const args = [fixture('v1.mjs'), '--transport', 'http', '--journal', sandbox.journal('slow')]
    const first = await fixtureOn('0', args)
    const client = await connected({ one: { url: first.url } })
    const doomed = client.call('one__slow', { key: 'doomed' }).catch((error: unknown) => error)
    await eventually(() => sandbox.readJournal('slow').find(({ event }) => event === 'started'), 'the call to start')
    await first.stop()
    await fixtureOn(portOf(first), args)
    expect(await doomed).toMatchObject({ code: -32603, data: { backend: 'one', code: expect.stringMatching(/BACKEND_(DIED|HTTP)/) } })
    expect(await client.say('one__echo', { message: 'again' })).toBe('again')
    expect(sandbox.readJournal('slow').filter(({ event, key }) => event === 'started' && key === 'doomed')).toHaveLength(1)
  }, 30_000)
})

describe('a server that is replaced', () => {
  const legacy = [fixture('everything-v2.mjs'), '--era', 'legacy', '--transport', 'http']
  const modern = [fixture('everything-v2.mjs'), '--era', 'modern', '--transport', 'http']
  it.each([['by a newer one', legacy, modern], ['by an older one', modern, legacy]])('%s is found out', async (_name, before, after) => {
    const first = await fixtureOn('0', before)
    const client = await connected({ one: { url: first.url } })
    expect(await client.say('one__echo', { message: 'before' })).toBe('before')
    await first.stop()
    await fixtureOn(portOf(first), after)
    expect(await eventually(() => client.say('one__echo', { message: 'after' }).catch(() => undefined), 'an answer', 15_000)).toBe('after')
  }, 30_000)
})

/** A server of 2025-06-18 that answers calls as the test says. */
async function scripted(call: (asked: Asked) => void): Promise<RemoteServer> {
  const server = await remoteServer(asked => {
    const { message, method, response } = asked
    if (method !== 'POST') return void response.writeHead(405).end()
    if (message?.method === 'initialize')
      return result(asked, { protocolVersion: '2025-06-18', capabilities: { tools: {}, resources: {} }, serverInfo: { name: 's', version: '1' } })
    if (message?.method === 'tools/list') return result(asked, { tools: [{ name: 'do', inputSchema: { type: 'object' } }] })
    if (message?.method === 'resources/list') return result(asked, { resources: [] })
    if (message?.method === 'resources/templates/list') return result(asked, { resourceTemplates: [] })
    if (message?.method === 'tools/call' || message?.method === 'resources/read') return call(asked)
    if (message?.method === 'server/discover') return json(asked, 400, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no' } })
    if (message?.id === undefined) return void response.writeHead(202).end()
    result(asked, {})
  })
  closing.push(() => server.close())
  return server
}
const calls = (server: RemoteServer): number => server.asked.filter(({ message }) => message?.method === 'tools/call' || message?.method === 'resources/read').length
const refuse = (status: number, headers: Record<string, string> = {}) => ({ response }: Asked) =>
  void response.writeHead(status, { 'content-type': 'text/html', ...headers }).end('<h1>internal host db-7.corp says no</h1>')

describe('what a client is told', () => {
  it.each([
    [503, { 'retry-after': '3' }, { code: 'BACKEND_HTTP', retryAfterMs: 3000 }],
    [429, { 'retry-after': '1' }, { code: 'BACKEND_HTTP', retryAfterMs: 1000 }],
    [500, {}, { code: 'BACKEND_HTTP' }],
    [401, { 'www-authenticate': 'Bearer resource_metadata="https://evil.example/"' }, { code: 'BACKEND_NEEDS_AUTH' }],
    [403, {}, { code: 'BACKEND_NEEDS_AUTH' }],
    [404, {}, { code: 'BACKEND_PROTOCOL' }],
  ])('of %i', async (status, headers, data) => {
    const server = await scripted(refuse(status, headers as Record<string, string>))
    const client = await connected({ one: { url: server.url } })
    const error = await client.call('one__do').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: -32603, message: expect.stringContaining(`one: the server`), data: { backend: 'one', ...data } })
    expect(JSON.stringify([error, String(error)])).not.toMatch(/db-7|evil/)
    // What may have effects is never tried twice.
    expect(calls(server)).toBe(1)
  })

  it('nothing, where a read may be tried again', async () => {
    let tries = 0
    const server = await scripted(asked => (++tries === 1 ? refuse(503, { 'retry-after': '1' })(asked) : result(asked, { contents: [{ uri: 'x://y', text: 'ok' }] })))
    const client = await connected({ one: { url: server.url } })
    expect(await client.read('x://y')).toMatchObject({ contents: [{ text: 'ok' }] })
    expect(tries).toBe(2)
  })

  it('that a stream ended without the answer, at once', async () => {
    const server = await scripted(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(': bye\n\n')
    })
    const client = await connected({ one: { url: server.url } })
    const started = performance.now()
    await expect(client.call('one__do')).rejects.toMatchObject({ data: { code: 'BACKEND_DIED' } })
    expect(performance.now() - started).toBeLessThan(2000)
    expect(calls(server)).toBe(1)
  })
})

describe('status', () => {
  it('says which server wants credentials, which is away, and which is well', async () => {
    const guarded = await remoteServer(refuse(401))
    const away = await remoteServer(() => {})
    await away.close()
    closing.push(() => guarded.close())
    const well = await scripted(asked => result(asked))
    const config = sandbox.config({ mcpServers: { guarded: { url: guarded.url }, away: { url: away.url }, well: { url: well.url } } })
    const { stdout } = await sandbox.run(['list', '--json', '--config', config])
    const { backends, tools } = JSON.parse(stdout) as { backends: { alias: string; state: string }[]; tools: { name: string }[] }
    expect(backends).toMatchObject([{ alias: 'guarded', state: 'needs-auth' }, { alias: 'away', state: expect.stringMatching(/stopped|starting|held/) }, { alias: 'well', state: 'healthy' }])
    expect(tools.map(({ name }) => name)).toEqual(['well__do'])
  })
})
