/** The end, in time: what is on its way finishes, who does not end by himself is ended, and a command does not linger. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture, type Sandbox } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const sandboxed = (): Sandbox => {
  const sandbox = createSandbox()
  closing.push(() => sandbox.dispose())
  return sandbox
}
const plain = (sandbox: Sandbox, ...more: string[]): JsonObject => ({
  command: process.execPath, args: [fixture('plain.mjs'), '--name', 'one', '--journal', sandbox.journal('one'), ...more],
})

/** `run` with one server and a call on its way that takes `ms`. */
async function busy(ms: number, ...more: string[]): Promise<{ sandbox: Sandbox; client: RawClient; slow: Promise<JsonObject | undefined> }> {
  const sandbox = sandboxed()
  const client = startRaw(sandbox.runTarget({ mcpServers: { one: plain(sandbox, '--mark', 'done', ...more) } }))
  await initialize(client)
  const slow = client.request('tools/call', { name: 'one__slow', arguments: { ms } }).catch(() => undefined)
  await eventually(() => sandbox.readJournal('one').find(({ event }) => event === 'started'), 'the call to start')
  return { sandbox, client, slow }
}

async function ended(client: RawClient, limitMs: number): Promise<number> {
  const since = performance.now()
  const isAlive = (): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${client.pid}/status`, 'utf8'))
    } catch {
      return false
    }
  }
  await eventually(() => (isAlive() ? undefined : true), 'the process to end', limitMs)
  return performance.now() - since
}

describe.runIf(process.platform === 'linux')('SIGTERM', () => {
  it('lets calls in flight finish and takes no new ones', async () => {
    const { client, slow } = await busy(3000)
    process.kill(client.pid as number, 'SIGTERM')
    await sleep(200)
    const late = await client.request('tools/call', { name: 'one__echo', arguments: { message: 'late' } })
    expect(late['error']).toMatchObject({ code: expect.any(Number), message: expect.stringContaining('shutting down') })
    expect(((await slow)?.['result'] as any)?.content[0].text).toBe('done')
    expect(await client.close()).toBe(0)
  })

  it('waits 25 seconds for a call, and is over in 30, even with a server that will not end', async () => {
    const { client, sandbox } = await busy(60_000, '--deaf', 'yes')
    const since = performance.now()
    process.kill(client.pid as number, 'SIGTERM')
    const refused = await eventually(() => client.log.find(({ message }) => message['error'])?.message, 'the call to be given up', 28_000)
    const waited = performance.now() - since
    expect(refused['error']).toMatchObject({ code: expect.any(Number), message: expect.stringContaining('shutting down') })
    expect(waited).toBeGreaterThan(24_000)
    await ended(client, 31_000)
    const all = performance.now() - since
    expect(all).toBeLessThan(29_500)
    console.log(`SIGTERM: the call had ${(waited / 1000).toFixed(1)} s, the end came after ${(all / 1000).toFixed(1)} s`)
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'the server to be ended', 3000)
  }, 60_000)

  it('twice ends it within two seconds', async () => {
    const { client, sandbox } = await busy(60_000, '--deaf', 'yes')
    process.kill(client.pid as number, 'SIGTERM')
    await sleep(300)
    process.kill(client.pid as number, 'SIGTERM')
    expect(await ended(client, 3000)).toBeLessThan(2000)
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'the server to be ended', 3000)
  })
})

describe.runIf(process.platform === 'linux')('the end of stdin', () => {
  it('ends everything, a server that will not end by itself as well', async () => {
    const sandbox = sandboxed()
    const client = startRaw(sandbox.runTarget({ mcpServers: { one: plain(sandbox, '--deaf', 'yes') } }))
    await initialize(client)
    await client.request('tools/call', { name: 'one__echo', arguments: {} })
    // The client's own patience is eight seconds.
    expect(await client.close()).toBe(0)
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'the server to be ended', 3000)
  })

  it('with nothing open but a subscription ends at once, with an answer to it', async () => {
    const sandbox = sandboxed()
    const client = startRaw(sandbox.runTarget({ mcpServers: { one: plain(sandbox) } }))
    await client.request('tools/list', { _meta: envelope() })
    const stream = client.request('subscriptions/listen', { _meta: envelope(), notifications: { toolsListChanged: true } })
    await client.received('notifications/subscriptions/acknowledged')
    const since = performance.now()
    expect(await client.close()).toBe(0)
    expect(performance.now() - since).toBeLessThan(1500)
    expect((await stream)['result']).toMatchObject({ resultType: 'complete' })
  })

  it('and then SIGTERM, as SDK clients do, ends calls in flight at once', async () => {
    const { client, sandbox } = await busy(60_000)
    const closed = client.close()
    await sleep(1000)
    const since = performance.now()
    process.kill(client.pid as number, 'SIGTERM')
    expect(await closed).toBe(0)
    expect(performance.now() - since).toBeLessThan(2500)
    await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'the server to be ended', 3000)
  })
})

describe.runIf(process.platform === 'linux')('a command', () => {
  const timed = async (sandbox: Sandbox, config: string, ...args: string[]): Promise<{ ms: number; out: string }> => {
    const since = performance.now()
    const { code, stdout, stderr } = await sandbox.run([...args, '--config', config])
    expect(code, stderr).toBe(0)
    return { ms: performance.now() - since, out: stdout }
  }

  it('is over soon after its answer, whatever the server does', async () => {
    const sandbox = sandboxed()
    const polite = sandbox.config({ mcpServers: { one: plain(sandbox) } })
    const deaf = sandbox.config({ mcpServers: { one: plain(sandbox, '--deaf', 'yes') } })
    const first = await timed(sandbox, polite, 'call', 'one__echo', '{"message":"x"}')
    expect(first.out).toBe('x\n')
    const stubborn = await timed(sandbox, deaf, 'call', 'one__echo', '{"message":"x"}')
    console.log(`call: ${Math.round(first.ms)} ms; with a server that ignores EOF and SIGTERM: ${Math.round(stubborn.ms)} ms`)
    expect(stubborn.ms - first.ms).toBeLessThan(1800)
    expect(sandbox.survivors()).toEqual([])
  })
})
