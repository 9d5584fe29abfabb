/**
 * Nothing is lost on the way: a backend and a client that both speak raw JSON exchange what no schema knows, and every
 * key of it is compared, in both directions and in all four era cells. Allowed to differ: the prefix of names, what
 * belongs to a hop (ids, progress tokens, reserved `_meta`, result kind, freshness), and the envelope of merged lists.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { differences, undressed, without, withoutHop } from '../fixtures/clients/differences.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture } from './harness.ts'

type Era = 'legacy' | 'modern'
const eras: readonly Era[] = ['legacy', 'modern']

// Not an import: a bundler would turn a `__proto__` key into a prototype.
const payload = JSON.parse(readFileSync(fixture('lossless-payload.json'), 'utf8'))

const reserved = 'io.modelcontextprotocol/'

// The control: without a proxy the very same comparisons hold, so a difference is the proxy's.
const cells = [
  ...eras.flatMap(client => eras.map(backend => ({ client, backend, between: 'the proxy' }))),
  ...eras.map(era => ({ client: era, backend: era, between: 'nothing' })),
]

describe.each(cells)('$client client, $between, $backend backend', ({ client: era, backend, between }) => {
  const sandbox = createSandbox()
  const prefix = between === 'nothing' ? '' : 'raw__'
  const named = (items: JsonObject[]) => items.map(item => ({ ...item, name: `${prefix}${item['name']}` }))
  const modern = era === 'modern'
  let client: RawClient
  let opening: JsonObject

  /** Sends a request in this cell's clothes. */
  const request = (method: string, params: JsonObject = {}, extra: JsonObject = {}) =>
    client.request(method, modern ? {
      ...params,
      _meta: {
        ...envelope(payload.client.capabilities), [`${reserved}clientInfo`]: payload.client.info, ...(params['_meta'] as JsonObject),
      },
    } : params, extra)
  const result = async (method: string, params?: JsonObject, extra?: JsonObject): Promise<JsonObject> => {
    const response = await request(method, params, extra)
    expect(response['error'], method).toBeUndefined()
    return response['result'] as JsonObject
  }
  const call = (name: string, args: JsonObject = {}, more: JsonObject = {}) =>
    result('tools/call', { name: `${prefix}${name}`, arguments: args, ...more })
  const seen = async (method: string): Promise<JsonObject[]> =>
    (((await call('seen'))['structuredContent'] as JsonObject)['received'] as JsonObject[]).filter(message => message['method'] === method)

  beforeAll(async () => {
    const target = { command: process.execPath, args: [fixture('lossless.mjs'), '--era', backend] }
    client = startRaw(between === 'nothing' ? { ...target, env: sandbox.env } : sandbox.runTarget({ mcpServers: { raw: target } }))
    if (modern) opening = await result('server/discover')
    else {
      const response = await initialize(client, payload.client.capabilities, '2025-11-25', { clientInfo: payload.client.info })
      opening = response['result'] as JsonObject
      await result('logging/setLevel', { level: 'debug' })
    }
    client.onRequest(asked => {
      const kind = Object.keys(payload.asks).find(key => payload.asks[key].method === asked['method'])
      return kind ? { result: payload.answers[kind] } : { error: { code: -32601, message: 'unknown' } }
    })
  })
  afterAll(async () => {
    await client?.close()
    await sandbox.dispose()
  })

  it('what the only backend says of itself', () => {
    expect(opening['instructions']).toContain(payload.server.instructions)
    for (const key of ['experimental', 'extensions', 'x-vendor'])
      expect(differences(payload.server.capabilities[key], (opening['capabilities'] as JsonObject)[key])).toEqual([])
  })

  it.each([
    ['tools/list', 'tools', named(payload.tools.filter((tool: JsonObject) => tool['name'] !== 'odd_output'))],
    ['prompts/list', 'prompts', named(payload.prompts)],
    ['resources/list', 'resources', payload.resources],
    ['resources/templates/list', 'resourceTemplates', payload.templates],
  ])('every item of %s, all pages, in order', async (method, key, expected) => {
    const items: JsonObject[] = []
    let page: JsonObject = {}
    do {
      page = await result(method, page['nextCursor'] === undefined ? {} : { cursor: page['nextCursor'] })
      items.push(...page[key] as JsonObject[])
    } while (page['nextCursor'] !== undefined)
    expect(differences(expected, items.filter(item => item['name'] !== `${prefix}odd_output`))).toEqual([])
  })

  it('a tool whose output is no object', async () => {
    const { tools } = await result('tools/list') as { tools: JsonObject[] }
    const [odd] = named(payload.tools.filter((tool: JsonObject) => tool['name'] === 'odd_output'))
    const listed = tools.find(tool => tool['name'] === odd?.['name'])
    expect(differences(odd, listed)).toEqual([])
    expect(differences(payload.results.odd_output, undressed(await call('odd_output')))).toEqual([])
  })

  it('a result with unknown content types and fields', async () => {
    const response = await request('tools/call', { name: `${prefix}rich`, arguments: {} })
    expect(differences(payload.results.rich, undressed(response['result'] as JsonObject))).toEqual([])
    expect(differences(payload.topLevel, without(response, 'jsonrpc', 'id', 'result'))).toEqual([])
  })

  it.each(Object.entries<JsonObject>(payload.results.structured))('structured content that is no object: %s', async (index, expected) => {
    expect(differences(expected, undressed(await call('structured', { index: Number(index) })))).toEqual([])
  })

  it('an error object with a code, data and keys of its own', async () => {
    const response = await request('tools/call', { name: `${prefix}broken`, arguments: {} })
    expect(differences(payload.error, response['error'])).toEqual([])
  })

  it("the client's arguments, params, _meta and top-level keys", async () => {
    const echoed = (await result('tools/call', {
      name: `${prefix}echo_message`, arguments: payload.client.arguments, _meta: payload.client.meta, ...payload.client.params,
    }, payload.client.topLevel))['structuredContent'] as JsonObject
    expect(differences(
      { name: 'echo_message', arguments: payload.client.arguments, _meta: payload.client.meta, ...payload.client.params },
      withoutHop(echoed['params'] as JsonObject),
    )).toEqual([])
    expect(differences(payload.client.topLevel, without(echoed, 'jsonrpc', 'id', 'method', 'params'))).toEqual([])
  })

  it.runIf(backend === 'modern')('who the client is and what it declared', async () => {
    const echoed = (await call('echo_message'))['structuredContent'] as JsonObject
    const meta = (echoed['params'] as JsonObject)['_meta'] as JsonObject
    expect(differences(payload.client.capabilities, meta[`${reserved}clientCapabilities`])).toEqual([])
    expect(differences(payload.client.info, meta[`${reserved}clientInfo`])).toEqual([])
  })

  it('what a resource holds', async () => {
    const read = await result('resources/read', { uri: 'raw://one', 'x-part': [1], _meta: payload.client.meta })
    expect(differences(payload.read, undressed(read))).toEqual([])
    const [asked] = await seen('resources/read')
    expect(differences({ uri: 'raw://one', 'x-part': [1], _meta: payload.client.meta }, withoutHop(asked?.['params'] as JsonObject))).toEqual([])
    if (modern && backend === 'modern') expect(read).toMatchObject({ ttlMs: 1234, cacheScope: 'private' })
  })

  it('what a prompt says', async () => {
    const args = { topic: '', 'x-more': 'kept' }
    expect(differences(payload.prompt, undressed(await result('prompts/get', { name: `${prefix}plain`, arguments: args, 'x-tone': 1 })))).toEqual([])
    const [asked] = await seen('prompts/get')
    expect(differences({ name: 'plain', arguments: args, 'x-tone': 1 }, withoutHop(asked?.['params'] as JsonObject))).toEqual([])
  })

  it('a completion with more than a hundred values', async () => {
    const params = { argument: { name: 'topic', value: 'v', 'x-at': 1 }, context: { arguments: { other: 'o' }, 'x-c': 1 } }
    const completed = await result('completion/complete', { ref: { type: 'ref/prompt', name: `${prefix}plain`, title: 'P', 'x-r': 1 }, ...params })
    const values = Array.from({ length: 150 }, (_, i) => `value ${i}`)
    expect(differences({ completion: { values, ...payload.completion }, 'x-model': 'prefix' }, undressed(completed))).toEqual([])
    const [asked] = await seen('completion/complete')
    expect(differences({ ref: { type: 'ref/prompt', name: 'plain', title: 'P', 'x-r': 1 }, ...params }, withoutHop(asked?.['params'] as JsonObject))).toEqual([])
  })

  it.each(['a token', 0])('progress and a log message, on the token %j', async progressToken => {
    const since = client.log.length
    const level = modern ? { [`${reserved}logLevel`]: 'debug' } : {}
    await call('noisy', {}, { _meta: { progressToken, ...level } })
    const progress = await client.received('notifications/progress', since)
    expect(differences({ ...payload.progress, progressToken }, progress['params'])).toEqual([])
    const log = await client.received('notifications/message', since)
    expect(differences(payload.log, without(withoutHop(log['params'] as JsonObject), 'logger'))).toEqual([])
  })

  it('a request of an extension', async () => {
    const { method, params } = payload.custom
    expect(differences(payload.custom.result, undressed(await result(method, params)))).toEqual([])
    const [asked] = await seen(method)
    expect(differences(params, withoutHop(asked?.['params'] as JsonObject))).toEqual([])
  })

  it("an extension's notification from the client", async () => {
    const { params } = payload.custom
    client.notify('notifications/com.example/beam/aim', modern ? { ...params, _meta: { ...envelope(), ...params._meta } } : params)
    const [told] = await seen('notifications/com.example/beam/aim')
    expect(differences(params, withoutHop(told?.['params'] as JsonObject))).toEqual([])
  })

  it("a resource update and an extension's notification from the server", async () => {
    // A modern client hears only what it asked for (basic/patterns/subscriptions); an extension names its own field.
    const notifications = { resourceSubscriptions: ['raw://one'], toolsListChanged: true, 'com.example/beam': { cooled: true } }
    if (modern) void request('subscriptions/listen', { notifications }).catch(() => {})
    else await result('resources/subscribe', { uri: 'raw://one' })
    if (modern) await client.received('notifications/subscriptions/acknowledged')
    const since = client.log.length
    await call('notify')
    const updated = await client.received('notifications/resources/updated', since)
    expect(differences(payload.updated, withoutHop(updated['params'] as JsonObject))).toEqual([])
    const cooled = await client.received(payload.custom.notification, since)
    expect(differences(payload.custom.notificationParams, withoutHop(cooled['params'] as JsonObject))).toEqual([])
  })

  it.each(['elicit', 'sample', 'roots', 'all'])('what the server asks and the client answers: %s', async kind => {
    const kinds = kind === 'all' ? Object.keys(payload.asks) : [kind]
    const since = client.log.length
    const asked: JsonObject[] = []
    let answered: JsonObject
    if (modern) {
      let outcome = await call('ask', { kind })
      while (outcome['resultType'] === 'input_required') {
        const requests = outcome['inputRequests'] as Record<string, JsonObject>
        if (backend === 'modern') {
          expect(Object.keys(requests)).toEqual(kinds.map(name => `${name}.1`))
          expect(outcome['x-round']).toBe(1)
        }
        asked.push(...Object.values(requests))
        const inputResponses = Object.fromEntries(Object.entries(requests).map(([key, { method }]) =>
          [key, payload.answers[kinds.find(name => payload.asks[name].method === method) as string]]))
        outcome = await call('ask', { kind }, { inputResponses, ...('requestState' in outcome ? { requestState: outcome['requestState'] } : {}) })
      }
      answered = outcome['structuredContent'] as JsonObject
    } else {
      answered = (await call('ask', { kind }))['structuredContent'] as JsonObject
      for (const { direction, message } of client.log.slice(since))
        if (direction === 'received' && message['method'] !== undefined && message['id'] !== undefined)
          asked.push({ method: message['method'], params: message['params'] })
    }
    const byMethod = (a: JsonObject, b: JsonObject) => String(a['method']).localeCompare(String(b['method']))
    expect(differences(
      kinds.map(name => payload.asks[name]).sort(byMethod),
      asked.map(({ method, params }) => ({ method, params: withoutHop(params as JsonObject) })).sort(byMethod),
    )).toEqual([])
    expect(differences(
      { answers: Object.fromEntries(kinds.map(name => [`${name}.1`, payload.answers[name]])) }, without(answered, 'state'),
    )).toEqual([])
    if (backend === 'modern') expect(answered['state']).toBe('state of the backend: é"\\')
  })

  it('nothing but messages on stdout', () => {
    expect(client.noise).toEqual([])
  })
})
