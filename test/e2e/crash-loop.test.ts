/** A server that ends whenever it is started: what it costs until it is held, and what `status` says then. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize } from '../fixtures/clients/raw.ts'
import { call, share, textOf } from './daemon-kit.ts'
import { stdioBackend, type Sandbox } from './harness.ts'

const dying = (sandbox: Sandbox) => ({
  command: process.execPath,
  args: ['-e', 'require("fs").appendFileSync(process.argv[1], "x"); console.error("no database"); process.exit(3)', join(sandbox.dir, 'starts')],
  restart: { backoff: 10, maxBackoff: 50 },
})

it('is held after five crashes that took six processes, and status says so', async () => {
  const shared = share(sandbox => ({ mcpServers: { dying: dying(sandbox), old: stdioBackend(sandbox, 'v1', 'old') } }))
  const client = shared.raw()
  await initialize(client)
  const held = await eventually(async () => {
    await client.request('tools/call', call('dying__x'))
    const { backends } = JSON.parse((await shared.run('daemon', 'status', '--json')).stdout) as { backends: { alias: string; state: string }[] }
    return backends.find(({ alias, state }) => alias === 'dying' && state === 'held')
  }, 'the server to be held', 20_000)
  expect(held).toMatchObject({ restarts: 4, lastFailure: { message: expect.stringContaining('exited with code 3') } })
  expect(readFileSync(join(shared.sandbox.dir, 'starts'), 'utf8')).toHaveLength(6)
  expect((await shared.run('daemon', 'status')).stdout).toMatch(/dying.*held/)
  expect(textOf(await client.request('tools/call', call('old__echo', { message: 'fine' })))).toBe('fine')
  expect(readFileSync(join(shared.sandbox.dir, 'starts'), 'utf8')).toHaveLength(6)
})
