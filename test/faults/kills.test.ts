/** A server is killed while it works: every caller hears of it at once, nobody else does, and it comes back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kill, pause, quantile } from './lib/processes.ts'
import { record, round, size } from './lib/record.ts'
import { said, type StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const kills = size(60, 1000)
const untiring = { restart: { backoff: 0, holdAfter: 0 }, breaker: { failures: 0 } }

describe.each(['legacy', 'modern'] as const)('%s', era => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    const flags = era === 'modern' ? ['--modern'] : []
    client = world.run({
      mcpServers: { victim: world.rogue('victim', { flags, settings: untiring }), bystander: world.rogue('bystander', { flags }) },
      log: { file: 'proxy.log' },
    }, { era })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('fails each call in flight within a second, typed, and no other', async () => {
    const rounds = Math.ceil(kills / 2)
    const toError: number[] = []
    const toReady: number[] = []
    const bystander: number[] = []
    const untyped: unknown[] = []
    let over = false
    const others = (async () => {
      while (!over) {
        const reply = await client.call('bystander', 'echo').reply
        expect(reply.error).toBeUndefined()
        bystander.push(reply.ms)
        await pause(5)
      }
    })()
    for (let n = 0; n < rounds; n++) {
      const call = client.call('victim', 'hang')
      const pid = Number((await call.progress).split(' ')[1])
      const killedAt = performance.now()
      kill(pid, 'SIGKILL')
      const { error, at } = await call.reply
      toError.push(at - killedAt)
      if (error?.code !== -32603 || error.data?.code !== 'BACKEND_DIED' || error.data.backend !== 'victim' || !error.message.includes('victim')) untyped.push(error)
      const ready = await client.call('victim', 'echo').reply
      if (ready.error) untyped.push(ready.error)
      toReady.push(ready.at - killedAt)
    }
    over = true
    await others
    const worst = Math.max(...toError)
    record({
      fault: '1', id: `kills-${era}`, what: `SIGKILL of a server in the middle of a call, ${era} era`,
      promise: 'a typed error within 1 s for each call, none lost, none foreign; the next call is served by a new process; others unaffected',
      measured: `${rounds} kills: ${toError.length - untyped.length} typed errors, ${rounds - toError.length} lost, ${client.wrong.length} foreign; `
        + `error after ${round(quantile(toError, 0.5))} ms (median), ${round(worst)} ms (worst); next answer after ${round(quantile(toReady, 0.99))} ms (p99); `
        + `${bystander.length} calls to another server meanwhile, none failed`,
      met: worst <= 1000 && untyped.length === 0 && client.wrong.length === 0,
    })
    expect(untyped).toEqual([])
    expect(worst).toBeLessThanOrEqual(1000)
    expect(world.spawned('victim')).toBeGreaterThan(rounds)
    expect(world.spawned('bystander')).toBeLessThanOrEqual(2)
  }, 1_200_000)

  it('fails all calls of a server that is killed, and only those', async () => {
    const hanging = Array.from({ length: 40 }, () => client.call('victim', 'hang'))
    const elsewhere = Array.from({ length: 40 }, () => client.call('bystander', 'sleep', { ms: 500 }))
    const [first] = await Promise.all(hanging.map(({ progress }) => progress))
    const killedAt = performance.now()
    kill(Number(first?.split(' ')[1]), 'SIGKILL')
    for (const reply of await Promise.all(hanging.map(call => call.reply))) {
      expect(reply.error?.data).toMatchObject({ code: 'BACKEND_DIED', backend: 'victim' })
      expect(reply.at - killedAt).toBeLessThan(1000)
    }
    for (const call of elsewhere) expect(said(await call.reply).mark).toBe(call.mark)
  })

  it('says why where the server said why', async () => {
    const { error } = await client.call('victim', 'exit', { code: 7, words: 'the disk is on fire' }).reply
    expect(error?.data).toMatchObject({ code: 'BACKEND_DIED', backend: 'victim' })
    expect(error?.message).toContain('code 7')
    expect(error?.data?.hint).toContain('the disk is on fire')
  })
})
