/**
 * Clients of revision 2026-07-28 that can be asked different things, in front of one server of an older revision, which hears
 * what its client can do only once (2026-07-28 basic/index, "Capabilities"; 2025-11-25 basic/lifecycle).
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { modernRequest, openSession, rawHttp, type HttpAnswer, type RawHttp } from '../fixtures/clients/raw-http.ts'
import { createSandbox, remoteBackend, root, serve, stdioBackend, type Started } from './harness.ts'

const sandbox = createSandbox()
const started: Started[] = []
const clients: RawHttp[] = []
afterAll(async () => {
  for (const client of clients) client.close()
  for (const each of started.reverse()) await each.stop()
  await sandbox.dispose()
})

const choosy = 'test_input_required_result_capabilities'
const needy = 'test_missing_capability'

/** `mcp-proxy serve`, and requests of clients that each say what they can do. */
async function open(mcpServers: JsonObject) {
  const listener = await serve(sandbox, { mcpServers, names: { prefix: 'never' } })
  started.push(listener)
  const raw = rawHttp(listener.url)
  clients.push(raw)
  let id = 0
  const send = (method: string, params: JsonObject = {}, capabilities: JsonObject = {}): Promise<HttpAnswer> =>
    raw.post(...modernRequest(++id, method, params, capabilities))
  const call = (name: string, capabilities: JsonObject, more: JsonObject = {}): Promise<HttpAnswer> =>
    send('tools/call', { name, arguments: {}, ...more }, capabilities)
  return { listener, raw, send, call }
}

const resultOf = ({ messages }: HttpAnswer): JsonObject => (messages.at(-1)?.['result'] ?? {}) as JsonObject
const asked = (answer: HttpAnswer): unknown[] =>
  Object.values((resultOf(answer)['inputRequests'] ?? {}) as JsonObject).map(ask => (ask as JsonObject)['method'])

describe.each(['stdio', 'http'] as const)('a server over %s', transport => {
  let raw: RawHttp
  let call: Awaited<ReturnType<typeof open>>['call']

  beforeAll(async () => {
    const alias = `old-${transport}`
    let entry = stdioBackend(sandbox, 'v2-legacy', alias)
    if (transport === 'http') {
      const remote = await remoteBackend(sandbox, 'v2-legacy', alias, 'http')
      started.push(remote)
      entry = { url: remote.url }
    }
    const opened = await open({ [alias]: entry })
    raw = opened.raw
    call = opened.call
    await opened.send('tools/list')
  })

  const refused = { status: 400, messages: [{ error: { code: -32021, data: { requiredCapabilities: { sampling: {} } } } }] }

  it('fails for want of what its client cannot do: the client is told what, each time', async () => {
    for (let n = 0; n < 3; n++) expect(await call(needy, {})).toMatchObject(refused)
  })

  it('asks each kind of client for what that can do, and no more', async () => {
    for (let n = 0; n < 2; n++) {
      expect(asked(await call(choosy, { sampling: {} }))).toEqual(['sampling/createMessage'])
      expect(asked(await call(choosy, { roots: {} }))).toEqual(['roots/list'])
      expect(asked(await call(choosy, { elicitation: {}, roots: {} }))).toEqual(['elicitation/create', 'roots/list'])
    }
  })

  it('gets the answer to its question, whoever else calls meanwhile', async () => {
    const [{ result }] = (await call(choosy, { sampling: {} })).messages as [{ result: { inputRequests: JsonObject; requestState: string } }]
    await call(choosy, { roots: {} })
    const [key] = Object.keys(result.inputRequests) as [string]
    const answer = { role: 'assistant', model: 'm', content: { type: 'text', text: 'hello' } }
    const done = await call(choosy, { sampling: {} }, { inputResponses: { [key]: answer }, requestState: result.requestState })
    expect(done.messages[0]).toMatchObject({ result: { resultType: 'complete', content: [{ text: 'fulfilled' }] } })
  })

  it('is as it was for clients of older revisions: what it says reaches them', async () => {
    const session = await openSession(raw)
    const [message] = (await raw.post({ jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: needy, arguments: {} } }, session)).messages
    expect(message).toMatchObject({ id: 9, result: { isError: true } })
  })
})

describe('a server that shows its tools by what its client can do', () => {
  const name = 'trigger-sampling-request'
  const rich = { sampling: {}, elicitation: {}, roots: {} }
  const poor = { elicitation: {} }
  const everything = { command: process.execPath, args: [join(root, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'), 'stdio'] }
  const openEverything = async () => {
    const { listener, send, call } = await open({ everything })
    const names = async (capabilities: JsonObject) =>
      (resultOf(await send('tools/list', {}, capabilities))['tools'] as JsonObject[]).map(tool => tool['name'])
    return { listener, names, sample: (capabilities: JsonObject) => call(name, capabilities, { arguments: { prompt: 'p' } }) }
  }

  it('shows all of them what it shows the ablest, whoever calls, and after a restart', async () => {
    const { listener, names, sample } = await openEverything()
    const all = await names(rich)
    expect(all).toContain(name)
    for (let n = 0; n < 3; n++) {
      // The first of these has clients told apart; from then on the poor have a server that says at its start that its list has changed.
      await sample(poor)
      await sleep(700)
      expect(await names(rich)).toEqual(all)
      expect(asked(await sample(rich))).toEqual(['sampling/createMessage'])
    }
    await listener.stop()
    expect(await (await openEverything()).names(poor)).toEqual(all)
  })
})

describe('a server that takes one connection only', () => {
  const rich = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} }
  const poor = { roots: {} }

  it('is had by the able, also when the less able came first after a restart', async () => {
    const { command, args } = stdioBackend(sandbox, 'v2-legacy', 'single') as { command: string; args: string[] }
    const [server, ...rest] = args as [string, ...string[]]
    const only = sandbox.write('only.mjs', `
      import { closeSync, openSync, rmSync } from 'node:fs'
      const lock = ${JSON.stringify(join(sandbox.dir, 'only.lock'))}
      closeSync(openSync(lock, 'wx'))
      process.on('exit', () => rmSync(lock))
      await import(${JSON.stringify(server)})
    `)
    const servers = { single: { command, args: [only, ...rest] } }
    const first = await open(servers)
    await first.send('tools/list')
    // It asks for more than this client can do: known from here on, and used after the restart.
    await first.call(needy, poor)
    await first.listener.stop()
    const { call } = await open(servers)
    const fine = { status: 200, messages: [{ result: { content: [{ type: 'text' }] } }] }
    expect(await call('test_simple_text', poor)).toMatchObject(fine)
    for (let n = 0; n < 2; n++) {
      expect(asked(await call(choosy, rich))).toContain('sampling/createMessage')
      expect(await call('test_simple_text', poor)).toMatchObject(fine)
    }
  })
})
