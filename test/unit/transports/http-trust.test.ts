/** TLS, certificate authorities, redirects between origins, proxies: what is trusted, and what is told to whom. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { connect, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { HttpPools, isPrivate } from '../../../src/transports/http-pools.ts'
import { listenTo, remoteServer, result, type Heard } from './remote-server.ts'

let dir: string
const closing: (() => unknown)[] = []
let heard: Heard | undefined
const path = (name: string): string => join(dir, name)
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-tls-'))
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '30')
  const issue = (name: string, subject: string, ...dates: string[]): void => {
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=test')
    writeFileSync(path(`${name}.ext`), `subjectAltName=${subject}`)
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', `${name}.pem`, '-extfile', `${name}.ext`, ...dates)
  }
  issue('good', 'IP:127.0.0.1,DNS:localhost', '-days', '30')
  issue('old', 'IP:127.0.0.1', '-days', '-1')
  issue('other', 'DNS:other.example', '-days', '30')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))
afterEach(async () => {
  await heard?.channel.close()
  for (const close of closing.splice(0)) close()
})

async function port(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

async function secure(name: string, answer: RequestListener): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = []
  const server = createServer({ cert: readFileSync(path(`${name}.pem`)), key: readFileSync(path(`${name}.key`)) }, (request, response) => {
    asked.push(request)
    request.resume().on('end', () => answer(request, response))
  })
  return { url: `https://127.0.0.1:${await port(server)}/mcp`, asked }
}
const answerOne: RequestListener = (_request, response) =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')

async function ask(url: string, endpoint: object = {}, options: object = {}) {
  heard = listenTo(url, endpoint, options)
  heard.ask(1, 'tools/call', { headers: { 'mcp-x': 'y' } })
  return heard.end(1)
}

describe('certificates', () => {
  it('of a private authority are trusted when it is named', async () => {
    const { url } = await secure('good', answerOne)
    expect(await ask(url)).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/nobody we trust/), details: { hint: expect.stringMatching(/caFile/) } })
    expect(await ask(url, { caFile: path('ca.pem') })).toMatchObject({ id: 1 })
  })

  it('that NODE_EXTRA_CA_CERTS names stay trusted beside a caFile', async () => {
    const { url } = await secure('good', answerOne)
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'more.key', '-out', 'more.pem', '-subj', '/CN=More', '-days', '30')
    const pools = new HttpPools({ NODE_EXTRA_CA_CERTS: path('ca.pem') })
    expect(await ask(url, { caFile: path('more.pem') }, { pools })).toMatchObject({ id: 1 })
  })

  it.each([['old', /expired/], ['other', /another host/]])('%s are refused', async (name, text) => {
    const { url } = await secure(name, answerOne)
    expect(await ask(url, { caFile: path('ca.pem') })).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(text) })
  })

  it('from a file that is none are told before anything is sent', () => {
    expect(() => listenTo('https://127.0.0.1:1/', { caFile: path('nowhere.pem') })).toThrow(/cannot be read/)
    expect(() => listenTo('https://127.0.0.1:1/', { caFile: path('ca.key') })).toThrow(/no certificate/)
  })
})

describe('redirects between origins', () => {
  const secret = { Authorization: 'Bearer t0ps3cret', 'X-Api-Key': 'k3y' }

  it('are not followed into private networks, whatever the server says', async () => {
    const second = await secure('good', answerOne)
    const first = await secure('good', (_request, response) => void response.writeHead(307, { location: second.url }).end())
    expect(await ask(first.url, { caFile: path('ca.pem'), headers: secret })).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/private network/) })
    expect(second.asked).toEqual([])
  })

  it('carry the message but no credentials', async () => {
    const second = await secure('good', answerOne)
    const first = await secure('good', (_request, response) => void response.writeHead(308, { location: second.url }).end())
    // The guard is another test's matter: here everything may be connected to.
    class Open extends HttpPools {
      override take(origin: string, options: Parameters<HttpPools['take']>[1]) {
        return super.take(origin, { ...options, guarded: false })
      }
    }
    expect(await ask(first.url, { caFile: path('ca.pem'), headers: secret }, { pools: new Open({}) })).toMatchObject({ id: 1 })
    const [there] = second.asked
    expect(there!.headers).toMatchObject({ 'content-type': 'application/json', 'mcp-x': 'y' })
    expect(there!.headers).not.toHaveProperty('authorization')
    expect(there!.headers).not.toHaveProperty('x-api-key')
  })

  it('knows private addresses in every spelling', () => {
    for (const address of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '192.168.0.1', '100.64.0.1', '0.0.0.0', '::1', '::', 'fd00::1', 'fe80::1', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::'])
      expect(isPrivate(address), address).toBe(true)
    for (const address of ['1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:101:101']) expect(isPrivate(address), address).toBe(false)
  })
})

describe('proxies', () => {
  async function proxy() {
    const seen: string[] = []
    const server = createHttpServer((_request, response) => void response.writeHead(500).end())
    server.on('connect', (request, socket, head) => {
      seen.push(`${request.url} ${request.headers['proxy-authorization'] ?? '-'}`)
      const target = connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        target.write(head)
        target.pipe(socket).pipe(target)
      })
      for (const each of [socket, target]) each.on('error', () => {})
    })
    return { url: `http://127.0.0.1:${await port(server)}`, seen }
  }

  it('are used as the environment says, and see no header of ours', async () => {
    const { url, seen } = await proxy()
    const server = await remoteServer(asked => result(asked))
    closing.push(() => server.close())
    const { port: target } = new URL(server.url)
    const pools = new HttpPools({ HTTP_PROXY: url })
    expect(await ask(`http://example.test:${target}/mcp`, {}, { pools })).toMatchObject({ id: 1 })
    expect(seen).toEqual([`example.test:${target} -`])
  })

  it('are not used for what NO_PROXY names, nor for this machine', async () => {
    const { url, seen } = await proxy()
    const server = await remoteServer(asked => result(asked))
    closing.push(() => server.close())
    expect(await ask(server.url, {}, { pools: new HttpPools({ HTTP_PROXY: url }) })).toMatchObject({ id: 1 })
    expect(await ask('http://no-such-host.invalid/', {}, { pools: new HttpPools({ HTTP_PROXY: url, NO_PROXY: '.invalid' }) })).toMatchObject({ code: 'BACKEND_HTTP' })
    expect(seen).toEqual([])
  })
})
