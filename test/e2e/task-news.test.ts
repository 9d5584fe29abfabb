/** News of tasks (extension of 2026-07-28): a client names tasks as it was told them, their server as it made them. */
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { envelope, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox } from './harness.ts'

const extension = 'io.modelcontextprotocol/tasks'
const _meta = envelope({ extensions: { [extension]: {} } })

/** Makes a task for each call; tells of each task of a stream that it names, and of one that it does not. */
const server = `
const out = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
let made = 0
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  const result = result => out({ id, result: { resultType: 'complete', ...result } })
  if (method === 'server/discover')
    return result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, extensions: { '${extension}': {} } }, ttlMs: 0, cacheScope: 'private' })
  if (method === 'tools/list') return result({ tools: [{ name: 'work', inputSchema: { type: 'object' } }], ttlMs: 0, cacheScope: 'private' })
  if (method === 'tools/call') return result({ resultType: 'task', taskId: 't' + ++made, status: 'working', ttlMs: null })
  if (method !== 'subscriptions/listen') return id !== undefined && out({ id, error: { code: -32601, message: 'no' } })
  const stamp = { _meta: { 'io.modelcontextprotocol/subscriptionId': id } }
  out({ method: 'notifications/subscriptions/acknowledged', params: { ...stamp, notifications: params.notifications } })
  for (const taskId of [...(params.notifications.taskIds ?? []), 'another'])
    out({ method: 'notifications/tasks', params: { ...stamp, taskId, status: 'completed', seenAs: params.notifications.taskIds } })
})`

describe('a stream that names tasks', () => {
  it.each([['one server', ['a']], ['several', ['a', 'b.c']]])('hears of them, of %s, under the ids they have here', async (_, aliases) => {
    const sandbox = createSandbox()
    const entry = { command: process.execPath, args: [sandbox.write('server.cjs', server)] }
    const client = startRaw(sandbox.runTarget({ mcpServers: Object.fromEntries(aliases.map(alias => [alias, entry])) }))
    const ids: string[] = []
    const { tools } = (await client.request('tools/list', { _meta }))['result'] as { tools: { name: string }[] }
    for (const { name } of tools) ids.push(((await client.request('tools/call', { name, arguments: {}, _meta }))['result'] as { taskId: string }).taskId)
    expect(new Set(ids).size).toBe(aliases.length)
    const since = client.log.length
    void client.request('subscriptions/listen', { notifications: { taskIds: ids }, _meta }).catch(() => {})
    const heard = (method: string) => client.log.slice(since).filter(({ message }) => message['method'] === method).map(({ message }) => message['params'] as JsonObject)
    await expect.poll(() => heard('notifications/tasks').length, { timeout: 5000 }).toBe(aliases.length)
    expect(heard('notifications/tasks').map(({ taskId }) => taskId).toSorted()).toEqual(ids.toSorted())
    expect(heard('notifications/tasks').map(({ seenAs }) => seenAs)).toEqual(aliases.map(() => ['t1']))
    const [acknowledged] = heard('notifications/subscriptions/acknowledged')
    expect((acknowledged?.['notifications'] as { taskIds: string[] }).taskIds.toSorted()).toEqual(ids.toSorted())
    await client.close()
    await sandbox.dispose()
  })
})
