/** A server that ends whenever it is started: what it costs until it is held, and what `status` says then. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { isRunning } from '../unit/transports/processes.ts'
import { call, share, textOf } from './daemon-kit.ts'
import { createSandbox, stdioBackend, type Sandbox } from './harness.ts'

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

it('one that hangs at its start and will not end is gone before the next process starts', async () => {
  const sandbox = createSandbox()
  const journal = join(sandbox.dir, 'pids')
  const deaf = `trap '' TERM; echo $$ >> ${journal}; while :; do sleep 0.1; done`
  const client = startRaw(sandbox.runTarget({
    mcpServers: { deaf: { command: '/bin/sh', args: ['-c', deaf], timeouts: { start: 300 }, restart: { backoff: 0, holdAfter: 0 } } },
  }))
  await initialize(client)
  const started = () => existsSync(journal) ? readFileSync(journal, 'utf8').trim().split('\n').map(Number) : []
  let most = 0
  await eventually(() => {
    const pids = started()
    most = Math.max(most, pids.filter(isRunning).length)
    return pids.length > 1 ? true : undefined
  }, 'a second process', 15_000)
  expect(most).toBe(1)
  await client.close()
  await sandbox.dispose()
})
