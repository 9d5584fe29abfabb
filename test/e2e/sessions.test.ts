/** Many sessions of one listener: what all of them hear, what only one hears, and what an idle one costs. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { openSession, rawHttp } from '../fixtures/clients/raw-http.ts'
import { bin, createSandbox, root, serve, startListening, stdioBackend } from './harness.ts'

const sandbox = createSandbox()
const ends: (() => unknown)[] = []
afterAll(async () => {
  for (const end of ends.reverse()) await end()
  await sandbox.dispose()
})

/** A session's own stream: every message that came on it. */
async function listen(url: string, headers: Record<string, string>): Promise<JsonObject[]> {
  const heard: JsonObject[] = []
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(url, { method: 'GET', headers: { accept: 'text/event-stream', ...headers } }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        const events = (text += chunk).split('\n\n')
        text = events.pop() as string
        for (const event of events) {
          const line = /^data: ?(\S.*)$/m.exec(event)?.[1]
          if (line) heard.push(JSON.parse(line) as JsonObject)
        }
      })
      answer.on('error', () => {})
      resolve()
    })
    outgoing.on('error', reject)
    outgoing.end()
    ends.push(() => outgoing.destroy())
  })
  return heard
}

const count = (heard: readonly JsonObject[], method: string): number => heard.filter(message => message['method'] === method).length

describe('sessions of one listener', () => {
  it('all hear that a list has changed, and only who subscribed hears of a resource', async () => {
    const { url, stop } = await serve(sandbox, { mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), two: stdioBackend(sandbox, 'v1', 'two') } })
    ends.push(stop)
    const raw = rawHttp(url)
    ends.push(() => raw.close())
    let id = 0
    const ask = async (session: Record<string, string>, method: string, params: JsonObject = {}) =>
      (await raw.post({ jsonrpc: '2.0', id: ++id, method, params }, session)).messages.at(-1) as JsonObject
    const call = (session: Record<string, string>, name: string, args: JsonObject = {}) => ask(session, 'tools/call', { name, arguments: args })
    const roots = (session: Record<string, string>, heard: JsonObject[]) =>
      eventually(() => heard.find(({ method }) => method === 'roots/list'), 'the question for roots')
        .then(({ id }) => raw.post({ jsonrpc: '2.0', id: id as number, result: { roots: [{ uri: 'file:///here' }] } }, session))

    const sessions = await Promise.all(['2025-03-26', '2025-06-18', '2025-11-25', '2025-11-25'].map(revision => openSession(raw, revision)))
    const rooted = await openSession(raw, '2025-11-25', { roots: {} })
    const late = await openSession(raw)
    const heard = await Promise.all([...sessions, rooted].map(session => listen(url, session)))
    await roots(rooted, heard.at(-1) as JsonObject[])
    const { resources } = (await ask(sessions[3]!, 'resources/list'))['result'] as { resources: { uri: string; name: string }[] }
    const counter = resources.find(({ name }) => name.includes('counter'))?.uri as string
    expect(await ask(sessions[3]!, 'resources/subscribe', { uri: counter })).toMatchObject({ result: {} })
    await ask(sessions[0]!, 'tools/list')

    const owner = resources.findIndex(({ uri }) => uri === counter) < resources.length / 2 ? 'one' : 'two'
    await call(sessions[0]!, `${owner}__touch`)
    await eventually(() => count(heard[3]!, 'notifications/resources/updated') === 1 || undefined, 'the update')
    await call(sessions[1]!, 'two__add', { kind: 'tool', name: 'fresh' })
    const changed = 'notifications/tools/list_changed'
    await eventually(() => heard.every(each => count(each, changed) === 1) || undefined, 'all to hear of the tool')
    expect(heard.map(each => count(each, 'notifications/resources/updated'))).toEqual([0, 0, 0, 1, 0])

    const lateHeard = await listen(url, late)
    await eventually(() => count(lateHeard, changed) === 1 || undefined, 'the late one to hear of it')
    const [latest, gone] = [await openSession(raw), sessions[2]!]
    const latestHeard = await listen(url, latest)
    expect((await raw.send('DELETE', gone)).status).toBe(200)
    await call(sessions[1]!, 'one__add', { kind: 'prompt', name: 'fresh' })
    const prompts = 'notifications/prompts/list_changed'
    await eventually(() => [...heard.filter((_, at) => at !== 2), lateHeard, latestHeard].every(each => count(each, prompts) === 1) || undefined, 'all to hear of the prompt')
    expect(count(heard[2]!, prompts)).toBe(0)
  })
})

describe('an idle session', () => {
  it('costs less than 2 KiB of heap, however many servers there are, and nothing when it is over', async () => {
    const file = join(sandbox.dir, 'memory')
    const servers = Object.fromEntries(['a', 'b', 'c', 'd'].map(alias => [alias, stdioBackend(sandbox, 'v1', alias)]))
    const { url, pid, stop } = await startListening(
      process.execPath,
      ['--expose-gc', '--import', join(root, 'bench/lib/watch.mjs'), bin, 'serve', '--http', '--port', '0', '--no-auth', '--config', sandbox.config({ mcpServers: servers })],
      { env: { ...sandbox.env, BENCH_WATCH: file }, cwd: sandbox.dir },
    )
    ends.push(stop)
    const raw = rawHttp(url)
    ends.push(() => raw.close())
    const heap = async (): Promise<number> => {
      process.kill(pid, 'SIGUSR2')
      const text = await eventually(() => (existsSync(`${file}.${pid}`) ? readFileSync(`${file}.${pid}`, 'utf8') || undefined : undefined), 'the figures')
      rmSync(`${file}.${pid}`)
      return (JSON.parse(text) as { heapUsed: number }).heapUsed
    }
    const open = (many: number) => Promise.all(Array.from({ length: many }, () => openSession(raw)))
    const close = (sessions: readonly Record<string, string>[]) => Promise.all(sessions.map(session => raw.send('DELETE', session)))

    await raw.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, (await open(1))[0])
    await close(await open(1000))
    const before = await heap()
    const sessions = await open(1500)
    const each = (await heap() - before) / sessions.length
    expect(each).toBeLessThan(2048)
    await close(sessions)
    expect(await heap() - before).toBeLessThan(each * sessions.length / 4)
  })
})
