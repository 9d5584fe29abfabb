/** A `caFile` that is renewed badly: half of it, or so that it cannot be read for a while. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { HttpPools } from '../../../src/transports/http-pools.ts'
import { listenTo } from './remote-server.ts'

const disk = vi.hoisted(() => ({ unreadable: '', refused: 0 }))
vi.mock('node:fs', async original => {
  const fs = await original<typeof import('node:fs')>()
  const read = (...given: Parameters<typeof fs.readFileSync>): unknown => {
    if (given[0] !== disk.unreadable) return fs.readFileSync(...given)
    disk.refused++
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  }
  return { ...fs, readFileSync: read }
})

let dir: string
let url: string
const closing: (() => unknown)[] = []
const path = (name: string): string => join(dir, name)
const wait = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-ca-'))
  for (const name of ['good', 'other'])
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', `/CN=${name}`,
      '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', path(`${name}.key`), '-out', path(`${name}.pem`)], { stdio: 'pipe' })
  const server = createServer({ cert: readFileSync(path('good.pem')), key: readFileSync(path('good.key')) }, (request, response) =>
    void request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
})
afterEach(() => {
  disk.unreadable = ''
  for (const close of closing.splice(0)) close()
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** What becomes of a new connection to the server, as long as somebody has one. */
function connected(name: string): () => Promise<unknown> {
  const pools = new HttpPools({})
  closing.push(pools.take(new URL(url).origin, { caFile: path(name), connectMs: 1000 }).release)
  return async () => {
    // A pool opens a connection where none is free.
    const { dispatcher, release } = pools.take(new URL(url).origin, { caFile: path(name), connectMs: 1000 })
    const heard = listenTo(url, { caFile: path(name) }, { pools: { take: () => ({ dispatcher, release }) } as unknown as HttpPools })
    heard.ask(1, 'tools/call')
    const end = await heard.end(1)
    await heard.channel.close()
    return end
  }
}
const trusted = { id: 1 }
const untrusted = { message: expect.stringMatching(/nobody we trust/) }

it('half a certificate does not take the place of a whole one', async () => {
  copyFileSync(path('good.pem'), path('half.pem'))
  const ask = connected('half.pem')
  await wait(1200)
  writeFileSync(path('half.pem'), readFileSync(path('good.pem'), 'utf8').slice(0, 200))
  await wait(2500)
  expect(await ask()).toMatchObject(trusted)
})

it('what cannot be read at first is read again, although it does not change any more', async () => {
  copyFileSync(path('other.pem'), path('later.pem'))
  const ask = connected('later.pem')
  await wait(1200)
  expect(await ask()).toMatchObject(untrusted)
  disk.unreadable = path('later.pem')
  disk.refused = 0
  copyFileSync(path('good.pem'), path('later.pem'))
  await expect.poll(() => disk.refused, { timeout: 5000 }).toBeGreaterThan(0)
  disk.unreadable = ''
  await expect.poll(ask, { timeout: 5000, interval: 300 }).toMatchObject(trusted)
}, 15_000)

it('the authorities are read once, not for each connection', async () => {
  // Node's own TLS calls it by this name where it is given authorities and not what was made of them.
  const made = vi.spyOn(tls, 'createSecureContext')
  const connections = vi.spyOn(tls, 'connect')
  closing.push(() => vi.restoreAllMocks())
  const pools = new HttpPools({})
  const { origin } = new URL(url)
  const { dispatcher, release } = pools.take(origin, { caFile: path('good.pem'), connectMs: 1000 })
  closing.push(release)
  for (let i = 0; i < 3; i++) {
    const { statusCode, body } = await dispatcher.request({ origin, path: '/', method: 'POST', body: '{}', headers: { connection: 'close' } })
    await body.dump()
    expect(statusCode).toBe(200)
  }
  expect(connections).toHaveBeenCalledTimes(3)
  expect(made).not.toHaveBeenCalled()
})
