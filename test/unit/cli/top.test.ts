/** `top` and `status --url` on a state that somebody else tells. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { ProxyStatus } from '../../../src/app/build.ts'
import { commandLine } from '../../../src/cli/command.ts'
import { top } from '../../../src/cli/top.ts'
import { CancelSource } from '../../../src/gateway/cancellation.ts'
import { contextFor } from './fake-house.ts'
import { fakeIo } from './fake-io.ts'

const backend = {
  alias: 'files', state: 'healthy', era: 'x', revision: '2025-11-25', transport: 'stdio', pid: process.pid, since: '2026-01-01T00:00:00.000Z', lastFailure: null,
  tools: 3, resources: 0, prompts: 0, inFlight: 1, restarts: 2,
  calls: { total: 7, perSecond: 1.5, p50Ms: 3.2, p95Ms: 12_345, now: [{ client: 'cur\x1bsor', method: 'tools/call', name: 'read', ms: 420 }] },
} as const
const state: ProxyStatus = {
  version: '9', pid: process.ppid, uptimeMs: 90_000, backends: [backend],
  adapted: [{ client: 'cursor', tools: 2, held: 1, changed: 0, changes: [] }],
}

describe('top', () => {
  it('prints once where nobody watches', async () => {
    const io = fakeIo()
    expect(await top({ look: async () => state }, contextFor(io), new CancelSource(), false)).toBe(0)
    expect(io.out()).toMatch(/^mcp-proxy 9, process \d+, up 1 min, - with its servers\n/)
    expect(io.out()).toMatch(/^files +healthy +\d+ +- +2 +1 +1\.5 +3\.2 ms +12 s +7$/m)
    expect(io.out()).toMatch(/^420 ms +files +cursor +tools\/call +read$/m)
  })

  it('adds the memory of processes that are here', async () => {
    const io = fakeIo()
    // A tree of our own: the runner's parent is not ours to count on every system.
    const child = (await import('node:child_process')).spawn(process.execPath, ['-e', 'console.log(1); setTimeout(() => {}, 60000)'])
    try {
      // Just after the fork it has hardly any memory of its own.
      await new Promise(resolve => child.stdout.once('data', resolve))
      const here = { ...state, backends: [{ ...backend, pid: child.pid ?? null }] }
      await top({ look: async () => here }, contextFor(io, { json: true }), new CancelSource(), true)
      const { memoryBytes } = JSON.parse(io.out()).backends[0]
      if (process.platform !== 'win32') expect(memoryBytes).toBeGreaterThan(1024 * 1024)
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('shows it again until interrupted', async () => {
    const io = fakeIo({ tty: true, columns: 120 })
    const cancellation = new CancelSource()
    let looks = 0
    const look = async () => (looks++ === 1 && cancellation.cancel('x'), state)
    expect(await top({ look }, contextFor(io), cancellation, false)).toBe(130)
    expect(io.out().split('\x1b[H\x1b[2J')).toHaveLength(3)
    expect(io.out()).not.toContain('cur\x1bsor')
  })

  it('says that nothing runs', async () => {
    await expect(top({ look: async () => undefined }, contextFor(fakeIo()), new CancelSource(), true)).rejects.toMatchObject({ code: 'NOT_RUNNING', exitCode: 4 })
  })
})

describe('status --url', () => {
  let server: Server | undefined
  afterEach(() => void server?.close())
  const token = 'a-token-of-some-length'

  async function listening(answer: unknown = state): Promise<string> {
    server = createServer((request, response) => {
      const known = request.headers.authorization === `Bearer ${token}` && request.url === '/status'
      response.writeHead(known ? 200 : 401).end(known ? JSON.stringify(answer) : '')
    })
    await new Promise<void>(resolve => server!.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  }

  async function ran(argv: string[], env: Record<string, string> = { MCP_PROXY_TOKEN: token }) {
    const io = fakeIo({ env: { NO_COLOR: '1', ...env } })
    return { code: await commandLine(argv, io).run(), out: io.out(), err: io.err() }
  }

  it('asks a listener with its token, and says what was changed for clients', async () => {
    const url = await listening()
    const { code, out } = await ran(['status', '--url', url])
    expect(code).toBe(0)
    expect(out).toMatch(/^files +healthy/m)
    expect(out).toContain('for cursor: 1 held back (mcp-proxy why TOOL --client cursor)')
    expect(JSON.parse((await ran(['top', '--url', url, '--json'])).out)).toMatchObject({ backends: [{ alias: 'files', calls: { total: 7 } }] })
    expect(await ran(['status', '--url', url], { MCP_PROXY_TOKEN: 'another-token-entirely' })).toMatchObject({ code: 2, err: expect.not.stringContaining('another-token') })
  })

  it('ends with 3 when a server is not healthy, with 4 when nothing is there', async () => {
    const url = await listening({ ...state, backends: [{ ...backend, state: 'held' }] })
    expect((await ran(['status', '--url', url])).code).toBe(3)
    server!.close()
    expect((await ran(['status', '--url', 'http://127.0.0.1:1/'])).code).toBe(4)
    expect((await ran(['status', '--url', 'nowhere'])).code).toBe(2)
    expect((await ran(['status', '--url', await listening({ hello: 1 })])).code).toBe(4)
  })
})
