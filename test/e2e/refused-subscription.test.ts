/** A subscription that was refused leaves nothing behind: its server is stopped when it is idle like any other. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
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
