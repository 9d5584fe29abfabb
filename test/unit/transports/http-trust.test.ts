/** TLS, certificate authorities, redirects between origins, proxies: what is trusted, and what is told to whom. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { connect, createServer as createSocketServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { HttpPools, isPrivate } from '../../../src/transports/http-pools.ts'
import { listenTo, remoteServer, result, type Heard } from './remote-server.ts'

vi.mock('node:dns', async original => {
  const dns = await original<typeof import('node:dns')>()
  const lookup = (name: string, options: object, done: (...given: unknown[]) => void): void =>
    name === 'intranet.example.test' ? done(null, [{ address: '10.1.2.3', family: 4 }]) : dns.lookup(name, options, done)
  return { ...dns, lookup }
})

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
  issue('far', 'DNS:localhost,DNS:example.test,DNS:*.example.test', '-days', '30')
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

  it.each(['directly', 'through a proxy'])('of an authority that came into the caFile later are trusted without a new start, %s', async how => {
    const { url } = await secure('far', answerOne)
    const tunnel = createHttpServer().on('connect', (request, socket) => {
      const target = connect(Number(request.url!.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        target.pipe(socket).pipe(target)
      })
      for (const each of [socket, target]) each.on('error', () => socket.destroy())
    })
    const pools = new HttpPools(how === 'directly' ? {} : { HTTPS_PROXY: `127.0.0.1:${await port(tunnel)}` })
    const name = how === 'directly' ? url.replace('127.0.0.1', 'localhost') : url.replace('127.0.0.1', 'far.example.test')
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'more.key', '-out', 'now.pem', '-subj', '/CN=More', '-days', '30')
    // Somebody stays connected, so the pool does too.
    const { release } = pools.take(new URL(name).origin, { caFile: path('now.pem'), connectMs: 1000 })
    expect(await ask(name, { caFile: path('now.pem') }, { pools })).toMatchObject({ message: expect.stringMatching(/nobody we trust/) })
    await new Promise(resolve => setTimeout(resolve, 1200))
    writeFileSync(path('now.pem'), 'half a')
    await new Promise(resolve => setTimeout(resolve, 1200))
    expect(await ask(name, { caFile: path('other.key') }, { pools }).catch((error: Error) => error)).toMatchObject({ message: expect.stringMatching(/no certificate/) })
    expect(await ask(name, { caFile: path('now.pem') }, { pools })).toMatchObject({ message: expect.stringMatching(/nobody we trust/) })
    copyFileSync(path('ca.pem'), path('now.pem'))
    await expect.poll(() => ask(name, { caFile: path('now.pem') }, { pools }), { timeout: 6000, interval: 300 }).toMatchObject({ id: 1 })
    release()
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

it('what stands before the host in a url signs us in there, a lone percent sign as it stands', async () => {
  const server = await remoteServer(asked => result(asked))
  closing.push(() => server.close())
  for (const user of ['me:100%', 'me:100%25']) expect(await ask(server.url.replace('//', `//${user}@`))).toMatchObject({ id: 1 })
  for (const { request } of server.asked) expect(request.headers.authorization).toBe(`Basic ${Buffer.from('me:100%').toString('base64')}`)
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

  it('that lead back to the origin in an address of another one carry none any more', async () => {
    class Open extends HttpPools {
      override take(origin: string, options: Parameters<HttpPools['take']>[1]) {
        return super.take(origin, { ...options, guarded: false })
      }
    }
    let home = ''
    const second = await secure('good', (_request, response) => void response.writeHead(307, { location: `${home}?delete=everything` }).end())
    const first = await secure('good', (request, response) =>
      request.url === '/mcp' ? void response.writeHead(307, { location: second.url }).end() : answerOne(request, response))
    home = first.url
    expect(await ask(first.url, { caFile: path('ca.pem'), headers: secret }, { pools: new Open({}) })).toMatchObject({ id: 1 })
    expect(first.asked.map(({ url, headers }) => [url, headers.authorization])).toEqual([['/mcp', secret.Authorization], ['/mcp?delete=everything', undefined]])
  })

  it('knows private addresses in every spelling', () => {
    for (const address of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '192.168.0.1', '100.64.0.1', '0.0.0.0', '::1', '::', 'fd00::1', 'fe80::1', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::'])
      expect(isPrivate(address), address).toBe(true)
    for (const address of ['1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:101:101']) expect(isPrivate(address), address).toBe(false)
  })
})

describe('proxies', () => {
  /** Takes every name for this machine. `wants`: what a client has to sign in with. */
  async function proxy(wants?: string) {
    const seen: string[] = []
    const server = createHttpServer((_request, response) => void response.writeHead(500).end())
    server.on('connect', (request, socket, head) => {
      const given = request.headers['proxy-authorization'] ?? '-'
      seen.push(`${request.url} ${given}`)
      if (wants !== undefined && given !== wants) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n')
      const target = connect(Number(request.url!.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        target.write(head)
        target.pipe(socket).pipe(target)
      })
      for (const each of [socket, target]) each.on('error', () => socket.destroy())
    })
    const at = await port(server)
    return { url: `http://127.0.0.1:${at}`, host: `127.0.0.1:${at}`, seen }
  }
  async function far() {
    const server = await remoteServer(asked => result(asked))
    closing.push(() => server.close())
    const { port: at } = new URL(server.url)
    return { url: `http://example.test:${at}/mcp`, host: `example.test:${at}`, asked: server.asked }
  }

  it('are used as the environment says, and see no header of ours', async () => {
    const { url, seen } = await proxy()
    const { url: there, host } = await far()
    expect(await ask(there, {}, { pools: new HttpPools({ HTTP_PROXY: url }) })).toMatchObject({ id: 1 })
    expect(seen).toEqual([`${host} -`])
  })

  it('are not used for what NO_PROXY names, nor for this machine', async () => {
    const { url, seen } = await proxy()
    const server = await remoteServer(asked => result(asked))
    closing.push(() => server.close())
    expect(await ask(server.url, {}, { pools: new HttpPools({ HTTP_PROXY: url }) })).toMatchObject({ id: 1 })
    const out: [noProxy: string, url: string][] = [
      ['.invalid', 'http://no-such-host.invalid/'], ['other.test, no-such-host.invalid:99', 'http://no-such-host.invalid:99/'], ['*', 'http://no-such-host.invalid/'],
      ['::FFFF:7f00:1', 'http://[::ffff:127.0.0.1]:1/'], ['0:0::ffff:7f00:beef', 'http://[::ffff:7f00:beef]:1/'], ['fe80::1%eth0,.invalid', 'http://no-such-host.invalid/'], ['[::ffff:7f00:1]:1', 'http://[::ffff:7f00:1]:1/'],
    ]
    for (const [noProxy, target] of out)
      expect(await ask(target, {}, { pools: new HttpPools({ HTTP_PROXY: url, NO_PROXY: noProxy }) }), noProxy).toMatchObject({ code: 'BACKEND_HTTP' })
    expect(seen).toEqual([])
    await ask('http://example.test:1/', {}, { pools: new HttpPools({ HTTP_PROXY: url, NO_PROXY: 'example.test:2,le.test,::1' }) })
    expect(seen).toEqual(['example.test:1 -'])
  })

  const signedIn = [['user:p%40ss@', 'user:p@ss'], ['user:100%@', 'user:100%'], ['t0ken@', 't0ken:'], ['t0ken:@', 't0ken:']] as const
  it.each(signedIn)('are told %s as they want it, and the server is not', async (given, pair) => {
    const basic = `Basic ${Buffer.from(pair).toString('base64')}`
    const { host, seen } = await proxy(basic)
    const { url, host: there, asked } = await far()
    for (const scheme of ['http://', '']) expect(await ask(url, {}, { pools: new HttpPools({ http_proxy: `${scheme}${given}${host}` }) })).toMatchObject({ id: 1 })
    expect(seen).toEqual([`${there} ${basic}`, `${there} ${basic}`])
    for (const { request } of asked) expect(request.headers).not.toHaveProperty('proxy-authorization')
  })

  it('that want credentials, are away or are none are told as that, without what we signed in with', async () => {
    const { host } = await proxy('Basic other')
    const why = async (env: Record<string, string>): Promise<object> => {
      try {
        return (await ask('http://example.test:1/', {}, { pools: new HttpPools(env) })) as object
      } catch (error) {
        return error as object
      }
    }
    const failed = async (env: Record<string, string>): Promise<[string, string, string]> => {
      const { code, message, details } = (await why(env)) as { code: string; message: string; details: { hint: string } }
      expect(`${message} ${details.hint}`).not.toMatch(/s3cret/)
      return [code, message, details.hint]
    }
    expect(await failed({ HTTP_PROXY: `http://user:s3cret@${host}` })).toEqual(['BACKEND_HTTP', expect.stringMatching(/the proxy .* 407/), expect.stringMatching(/credentials.*HTTP_PROXY/)])
    expect(await failed({ HTTP_PROXY: 'http://user:s3cret@127.0.0.1:1' })).toEqual(['BACKEND_HTTP', expect.stringMatching(/the proxy .*ECONNREFUSED/), expect.stringContaining('HTTP_PROXY')])
    expect(await failed({ http_proxy: 'http://user:s3cret@no-such-host.invalid' })).toEqual(['BACKEND_HTTP', expect.stringMatching(/the proxy .*(ENOTFOUND|EAI_AGAIN)/), expect.stringContaining('http_proxy')])
    const rude = createHttpServer()
    let asked = 0
    rude.on('connect', (_request, socket) => void (asked++, socket.on('error', () => {}).destroy()))
    expect(await failed({ HTTP_PROXY: `http://user:s3cret@127.0.0.1:${await port(rude)}` })).toEqual(['BACKEND_HTTP', expect.stringMatching(/the proxy .*broke/), expect.stringContaining('HTTP_PROXY')])
    expect(asked).toBe(1)
    for (const none of ['http://', 'ftp://user:s3cret@x', 'user:s3cret@', 'http://user:s3cret@x:port'])
      expect(await failed({ HTTP_PROXY: none }), none).toEqual(['BACKEND_START_FAILED', expect.stringContaining('HTTP_PROXY'), expect.stringContaining('http://HOST:PORT')])
  })

  it('may speak SOCKS', async () => {
    const { url } = await far()
    const server = createSocketServer(socket => {
      socket.on('error', () => {}).once('data', () => {
        socket.write(Buffer.from([5, 0])) // nobody has to sign in
        socket.once('data', request => {
          const target = connect(request.readUInt16BE(request.length - 2), '127.0.0.1', () => {
            socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
            target.pipe(socket).pipe(target)
          }).on('error', () => socket.destroy())
        })
      })
    })
    expect(await ask(url, {}, { pools: new HttpPools({ HTTP_PROXY: `socks5://127.0.0.1:${await port(server)}` }) })).toMatchObject({ id: 1 })
  })

  it('do not take us into private networks on the word of a server, as far as the name is known here', async () => {
    const { url, seen } = await proxy()
    const pools = new HttpPools({ HTTPS_PROXY: url })
    const at = `https://example.test:${new URL((await secure('far', (_request, response) => void response.writeHead(307, { location: 'https://intranet.example.test:1/' }).end())).url).port}/`
    expect(await ask(at, { caFile: path('ca.pem') }, { pools })).toMatchObject({ code: 'BACKEND_HTTP', message: expect.stringMatching(/private network/) })
    expect(seen).toEqual([`${new URL(at).host} -`])
  })

  it('see and tell each server its own name, also of those a server sends us to', async () => {
    const { url } = await proxy()
    const hosts: (string | undefined)[] = []
    const last = await secure('far', (request, response) => {
      hosts.push(request.headers.host)
      answerOne(request, response)
    })
    const there = (server: { url: string }, name: string): string => `https://${name}.example.test:${new URL(server.url).port}/mcp`
    const middle = await secure('far', (request, response) => {
      hosts.push(request.headers.host)
      response.writeHead(307, { location: there(last, 'c') }).end()
    })
    const first = await secure('far', (_request, response) => void response.writeHead(307, { location: there(middle, 'b') }).end())
    expect(await ask(there(first, 'a'), { caFile: path('ca.pem') }, { pools: new HttpPools({ HTTPS_PROXY: url }) })).toMatchObject({ id: 1 })
    expect(hosts).toEqual([new URL(there(middle, 'b')).host, new URL(there(last, 'c')).host])
  })
})
