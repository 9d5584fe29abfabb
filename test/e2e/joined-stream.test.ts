/** What a server of the newest revision refuses to one client, where it is asked for all of them on one stream. */
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { modernRequest, rawHttp } from '../fixtures/clients/raw-http.ts'
import { createSandbox, serve } from './harness.ts'

/** Refuses the whole stream for one resource; tells of what a stream names when the tool is called. */
const strict = `
const out = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const streams = new Map()
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  const result = result => out({ id, result: { resultType: 'complete', ...result } })
  const cached = { ttlMs: 0, cacheScope: 'private' }
  if (method === 'notifications/cancelled') return streams.delete(params.requestId)
  if (method === 'server/discover')
    return result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, resources: { subscribe: true } }, ...cached })
  if (method === 'tools/list') return result({ tools: [{ name: 'touch', inputSchema: { type: 'object' } }], ...cached })
  if (method === 'resources/list') return result({ resources: ['one', 'two', 'bad'].map(name => ({ uri: 'x://' + name, name })), ...cached })
  if (method === 'resources/templates/list') return result({ resourceTemplates: [], ...cached })
  if (method === 'tools/call') {
    for (const [stream, uris] of streams)
      for (const uri of uris) out({ method: 'notifications/resources/updated', params: { uri, _meta: { 'io.modelcontextprotocol/subscriptionId': stream } } })
    return result({ content: [] })
  }
  if (method !== 'subscriptions/listen') return id !== undefined && out({ id, error: { code: -32601, message: 'no' } })
  const uris = params.notifications.resourceSubscriptions ?? []
  if (uris.includes('x://bad')) return out({ id, error: { code: -32602, message: 'no such resource: x://bad' } })
  streams.set(id, uris)
  out({ method: 'notifications/subscriptions/acknowledged', params: { notifications: params.notifications, _meta: { 'io.modelcontextprotocol/subscriptionId': id } } })
})`

/** Posts one request and hears what comes on its stream, until it is closed. */
function listening(url: string, [message, headers]: ReturnType<typeof modernRequest>) {
  const heard: JsonObject[] = []
  const fields = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }
  const outgoing = request(url, { method: 'POST', headers: fields }, answer => {
    let rest = ''
    answer.on('error', () => {})
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('data: {')) heard.push(JSON.parse(line.slice(6)) as JsonObject)
    })
  })
  outgoing.on('error', () => {})
  outgoing.end(JSON.stringify(message))
  const of = (method: string): JsonObject[] => heard.filter(each => each['method'] === method).map(each => each['params'] as JsonObject)
  return { of, close: () => outgoing.destroy() }
}

describe('a stream that a server of the newest revision refuses for one URI', () => {
  it('costs nobody else theirs, whoever came first', async () => {
    const sandbox = createSandbox()
    const listener = await serve(sandbox, { mcpServers: { s: { command: process.execPath, args: [sandbox.write('strict.cjs', strict)] } } })
    const streams: ReturnType<typeof listening>[] = []
    for (const name of ['bad', 'one', 'two']) {
      const stream = listening(listener.url, modernRequest(name, 'subscriptions/listen', { notifications: { resourceSubscriptions: [`x://${name}`] } }))
      streams.push(stream)
      await expect.poll(() => stream.of('notifications/subscriptions/acknowledged').length, { timeout: 5000 }).toBe(1)
    }
    expect(streams.map(({ of }) => (of('notifications/subscriptions/acknowledged')[0]?.['notifications'] as JsonObject)['resourceSubscriptions']))
      .toEqual([undefined, ['x://one'], ['x://two']])
    const caller = rawHttp(listener.url)
    const [{ name: tool }] = ((await caller.post(...modernRequest(1, 'tools/list'))).messages[0]?.['result'] as { tools: [{ name: string }] }).tools
    await caller.post(...modernRequest(2, 'tools/call', { name: tool, arguments: {} }))
    await expect.poll(() => streams.map(({ of }) => of('notifications/resources/updated').map(({ uri }) => uri)), { timeout: 3000 })
      .toEqual([[], ['x://one'], ['x://two']])
    caller.close()
    for (const { close } of streams) close()
    await listener.stop()
    await sandbox.dispose()
  })
})
