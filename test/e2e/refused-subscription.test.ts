/** A subscription that was refused, or never answered, leaves nothing behind and costs no other. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox } from './harness.ts'

const server = `
require('node:fs').writeFileSync(process.argv[2], String(process.pid))
const answers = {
  initialize: { protocolVersion: '2025-11-25', capabilities: { resources: { subscribe: true } }, serverInfo: { name: 's', version: '1' } },
  'resources/list': { resources: [{ uri: 'x://1', name: 'one' }] },
  'resources/templates/list': { resourceTemplates: [] },
  ping: {},
}
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method } = JSON.parse(line)
  if (id === undefined) return
  const result = answers[method]
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...(result ? { result } : { error: { code: -32601, message: 'no' } }) }) + '\\n')
})`

it('a server that refused a subscription is stopped when it is idle', async () => {
  const sandbox = createSandbox()
  const journal = join(sandbox.dir, 'pid')
  const entry = { command: process.execPath, args: [sandbox.write('server.cjs', server), journal], idleTimeout: '1s' }
  const client = startRaw(sandbox.runTarget({ mcpServers: { s: entry } }))
  await initialize(client, {}, '2025-11-25')
  expect((await client.request('resources/list'))['result']).toMatchObject({ resources: [{ uri: 'x://1' }] })
  expect((await client.request('resources/subscribe', { uri: 'x://1' }))['error']).toMatchObject({ code: -32601 })
  const runs = (): boolean => {
    try {
      return process.kill(Number(readFileSync(journal, 'utf8')), 0)
    } catch {
      return false
    }
  }
  expect(runs()).toBe(true)
  await expect.poll(runs, { timeout: 8000, interval: 100 }).toBe(false)
  await client.close()
  await sandbox.dispose()
})

/** Never says whether it takes a subscription of one resource. */
const silent = server
  .replace('if (id === undefined) return', "if (id === undefined || (method === 'resources/subscribe' && params.uri === 'x://1')) return\n  if (method === 'resources/subscribe') return process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: {} }) + '\\n')")
  .replace('{ id, method }', '{ id, method, params }')

describe('a subscription that a server of an older revision never answers', () => {
  it('is given up when a call would be, and what the client wants later is done', async () => {
    const sandbox = createSandbox()
    const entry = { command: process.execPath, args: [sandbox.write('server.cjs', silent), join(sandbox.dir, 'pid')], timeouts: { call: '1s' } }
    const client = startRaw(sandbox.runTarget({ mcpServers: { s: entry } }))
    await initialize(client, {}, '2025-11-25')
    const first = client.request('resources/subscribe', { uri: 'x://1' })
    const later = [2, 3, 4].map(number => client.request('resources/subscribe', { uri: `x://${number}` }))
    const began = performance.now()
    expect((await first)['error']).toMatchObject({ code: -32603, message: expect.stringContaining('did not answer') })
    expect((await Promise.all(later)).map(({ result }) => result)).toEqual([{}, {}, {}])
    // What was asked meanwhile waits for it once more at most, however much it is.
    expect(performance.now() - began).toBeLessThan(3500)
    await client.close()
    await sandbox.dispose()
  })
})
