/** Memory that a load took is given back (docs/decisions/0008). */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { modernRequest } from '../fixtures/clients/raw-http.ts'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { share } from './daemon-kit.ts'
import { bin, createSandbox, fixture, startListening, type Sandbox } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const backend = { command: process.execPath, args: [fixture('plain.mjs'), '--name', 'a'] }

/** 64 at a time. */
async function load(calls: number, call: () => Promise<unknown>): Promise<void> {
  let left = calls
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (left-- > 0) await call()
  }))
}

const text = 'x'.repeat(20_000)

/** What a process has to preload so that `youngBytes` can ask it. */
function looker(sandbox: Sandbox): { readonly flags: readonly string[]; youngBytes(pid: number): Promise<number> } {
  const file = join(sandbox.dir, 'young')
  const script = sandbox.write('look.mjs', `
    import { renameSync, writeFileSync } from 'node:fs'
    import { getHeapSpaceStatistics } from 'node:v8'
    process.on('SIGUSR2', () => {
      const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
      writeFileSync(${JSON.stringify(`${file}.new`)}, String(space_size))
      renameSync(${JSON.stringify(`${file}.new`)}, ${JSON.stringify(file)})
    })`)
  return {
    flags: ['--import', script],
    async youngBytes(pid) {
      process.kill(pid, 'SIGUSR2')
      return vi.waitFor(() => Number(readFileSync(file, 'utf8')), { timeout: 5000 })
    },
  }
}

// Two halves of 1 MB; the load makes it 32 MB where it may grow.
const small = 2 * 2 ** 20

describe.runIf(process.platform !== 'win32')('the room for young objects stays small', () => {
  it('in `run`, under a load that begins after the first second', async () => {
    const sandbox = createSandbox()
    closing.push(() => sandbox.dispose())
    const { flags, youngBytes } = looker(sandbox)
    const target = sandbox.runTarget({ mcpServers: { a: backend } })
    const client = startRaw({ ...target, args: [...flags, ...(target.args ?? [])] })
    closing.push(() => client.close())
    await initialize(client)
    await client.request('tools/list', {})
    await new Promise(resolve => setTimeout(resolve, 1500))
    await load(6000, () => client.request('tools/call', { name: 'a__echo', arguments: { text } }))
    const bytes = await youngBytes(client.pid as number)
    expect(bytes).toBeGreaterThan(0)
    // What the opening made of it may be there still.
    expect(bytes).toBeLessThanOrEqual(4 * small)
  })

  it('in `serve`, under a load from the first moment on', async () => {
    const sandbox = createSandbox()
    closing.push(() => sandbox.dispose())
    const { flags, youngBytes } = looker(sandbox)
    const words = [...flags, bin, 'serve', '--http', '--port', '0', '--no-auth', '--config', sandbox.config({ mcpServers: { a: backend } })]
    const listener = await startListening(process.execPath, words, { env: sandbox.env, cwd: sandbox.dir })
    closing.push(() => listener.stop())
    let id = 0
    await load(3000, async () => {
      const [message, headers] = modernRequest(++id, 'tools/call', { name: 'a__echo', arguments: { text } })
      const answer = await fetch(listener.url, { method: 'POST', headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json', ...headers }, body: JSON.stringify(message) })
      expect(await answer.text()).toContain('"result"')
    })
    const bytes = await youngBytes(listener.pid)
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(small)
  })
})

it.runIf(process.platform !== 'win32')('`run` with known servers loads nothing for what has not happened: no child, no file to write, no time zone', async () => {
  const sandbox = createSandbox()
  closing.push(() => sandbox.dispose())
  const file = join(sandbox.dir, 'loaded')
  const look = sandbox.write('loaded.cjs', `
    const before = new Set(process.moduleLoadList), { toISOString } = Date.prototype, dates = []
    Date.prototype.toISOString = function () { dates.push(new Error().stack); return toISOString.call(this) }
    const { renameSync, writeFileSync } = require('node:fs')
    process.on('SIGUSR2', () => {
      const modules = process.moduleLoadList.filter(name => !before.has(name)).map(name => name.replace(/^NativeModule /, ''))
      writeFileSync(${JSON.stringify(`${file}.new`)}, JSON.stringify({ dates, modules }))
      renameSync(${JSON.stringify(`${file}.new`)}, ${JSON.stringify(file)})
    })`)
  const target = sandbox.runTarget({ mcpServers: { a: backend, b: backend } })
  const start = async (flags: readonly string[]): Promise<{ pid: number; list(): Promise<unknown>; call(): Promise<unknown> }> => {
    const client = startRaw({ ...target, args: [...flags, ...(target.args ?? [])] })
    closing.push(() => client.close())
    await initialize(client)
    return { pid: client.pid as number, list: () => client.request('tools/list', {}), call: () => client.request('tools/call', { name: 'a__echo', arguments: { text } }) }
  }
  const loaded = async (pid: number): Promise<{ dates: string[]; modules: string[] }> => {
    rmSync(file, { force: true })
    process.kill(pid, 'SIGUSR2')
    return vi.waitFor(() => JSON.parse(readFileSync(file, 'utf8')) as { dates: string[]; modules: string[] }, { timeout: 5000 })
  }
  await (await start([])).list()
  // What is stored for the next start is stored a moment after the list.
  await vi.waitFor(() => expect(readdirSync(sandbox.dir, { recursive: true }).map(String).filter(name => name.includes('catalog'))).not.toHaveLength(0), { timeout: 5000 })
  await closing.pop()?.()
  const second = await start(['--require', look])
  await second.list()
  const idle = await loaded(second.pid)
  expect(idle.modules).toContain('net')
  for (const name of ['child_process', 'fs/promises', 'timers/promises']) expect(idle.modules).not.toContain(name)
  expect(idle.dates).toEqual([])
  await second.call()
  expect((await loaded(second.pid)).modules).toContain('child_process')
})

describe.runIf(process.platform === 'linux')('what glibc is told', () => {
  const settings = (text: string): string[] => [...text.matchAll(/\bMALLOC_\w+=\d+/g)].map(([word]) => word).sort()

  it('the daemon gets it, its servers do not, and the units say the same', async () => {
    const shared = share(() => ({ mcpServers: { a: backend } }))
    const client = shared.raw()
    shared.closing(() => client.close())
    await initialize(client)
    await client.request('tools/list', {})
    const [daemon] = await vi.waitFor(() => {
      const found = shared.daemons()
      expect(found).toHaveLength(1)
      return found
    }, { timeout: 5000 })
    const environment = (pid: number): string => readFileSync(`/proc/${pid}/environ`, 'utf8')
    const told = settings(environment(daemon as number))
    expect(told.map(word => word.split('=')[0])).toEqual(['MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_'])
    const servers = shared.processes('plain.mjs')
    expect(servers.length).toBeGreaterThan(0)
    for (const pid of servers) expect(settings(environment(pid))).toEqual([])
    for (const unit of ['mcp-proxy.service', 'mcp-proxy-user.service'])
      expect(settings(readFileSync(new URL(`../../templates/systemd/${unit}`, import.meta.url), 'utf8')), unit).toEqual(told)
  })
})
