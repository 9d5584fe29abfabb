/** The certificate of `serve` is renewed in the ways it is renewed in the world: half a renewal costs nobody a connection. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { createSandbox, serve, type Sandbox, type Started } from './harness.ts'

let sandbox: Sandbox
let listener: Started | undefined
const file = (...names: string[]): string => join(sandbox.dir, ...names)

/** `name.pem` and `name.key`. */
const make = (name: string, kind: 'ec' | 'rsa'): void =>
  void execFileSync('openssl', ['req', '-x509', ...(kind === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-newkey', 'rsa:2048']),
    '-nodes', '-days', '1', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost', '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)], { stdio: 'ignore' })

beforeEach(() => {
  sandbox = createSandbox()
  make('old', 'rsa')
  make('new', 'ec')
})
afterEach(async () => {
  await listener?.stop()
  await sandbox.dispose()
})

const start = async (cert: string, key: string): Promise<void> => {
  listener = await serve(sandbox, { mcpServers: {} }, ['--tls-cert', cert, '--tls-key', key])
}

/** Whose certificate a new connection is shown, or why there is none. */
const shown = (): Promise<string> =>
  new Promise(resolve => {
    const ca = [readFileSync(file('old.pem')), readFileSync(file('new.pem'))]
    const { port } = new URL((listener as Started).url)
    request({ port, host: '127.0.0.1', servername: 'localhost', ca, path: '/healthz', agent: false }, answer => {
      resolve((answer.socket as TLSSocket).getPeerCertificate().subject.CN as string)
      answer.resume()
    }).on('error', error => resolve(error.message)).end()
  })
const becomes = (name: string): Promise<unknown> => eventually(async () => ((await shown()) === name ? true : undefined), `the certificate ${name}`, 8000)
const said = (text: RegExp): Promise<unknown> => eventually(() => (text.test((listener as Started).stderr()) ? true : undefined), `${text} in the log`, 8000)

describe('a renewal', () => {
  it('with a key of another kind is taken when both files are there, and half of it never', async () => {
    copyFileSync(file('old.pem'), file('cert.pem'))
    copyFileSync(file('old.key'), file('key.pem'))
    await start(file('cert.pem'), file('key.pem'))
    expect(await shown()).toBe('old')
    copyFileSync(file('new.pem'), file('cert.pem'))
    await said(/the old one stays/)
    expect(await shown()).toBe('old')
    expect((listener as Started).stderr()).toContain(`${file('key.pem')} is not the key of ${file('cert.pem')}`)
    copyFileSync(file('new.key'), file('key.pem'))
    await becomes('new')
  })

  it('by links that are swapped, as certbot and Kubernetes do it, is seen', async () => {
    for (const name of ['old', 'new']) {
      mkdirSync(file(`..${name}`))
      copyFileSync(file(`${name}.pem`), file(`..${name}`, 'tls.crt'))
      copyFileSync(file(`${name}.key`), file(`..${name}`, 'tls.key'))
    }
    symlinkSync('..old', file('..data'))
    for (const part of ['tls.crt', 'tls.key']) symlinkSync(join('..data', part), file(part))
    await start(file('tls.crt'), file('tls.key'))
    expect(await shown()).toBe('old')
    symlinkSync('..new', file('..next'))
    renameSync(file('..next'), file('..data'))
    await becomes('new')
    // One link after the other, the certificate first.
    for (const part of ['tls.crt', 'tls.key']) {
      symlinkSync(join('..old', part), file('next'))
      renameSync(file('next'), file(part))
      await new Promise(resolve => setTimeout(resolve, 1500))
      expect(await shown()).toBe(part === 'tls.crt' ? 'new' : 'old')
    }
  })

  it.each([['cert.pem', 'half'], ['key.pem', 'half'], ['key.pem', 'none']])('that spoils %s (%s of it) is told by the name of that file', async (name, how) => {
    copyFileSync(file('old.pem'), file('cert.pem'))
    copyFileSync(file('old.key'), file('key.pem'))
    await start(file('cert.pem'), file('key.pem'))
    const text = readFileSync(file(name), 'utf8')
    writeFileSync(file(name), how === 'half' ? text.slice(0, 200) : '')
    await said(/the old one stays/)
    const line = (listener as Started).stderr().split('\n').find(each => each.includes('the old one stays')) as string
    expect((JSON.parse(line) as { reason: string }).reason).toContain(file(name))
    expect(await shown()).toBe('old')
    writeFileSync(file(name), text)
    await new Promise(resolve => setTimeout(resolve, 1500))
    expect(await shown()).toBe('old')
  })

  it.runIf(process.platform === 'linux')('that could not be read at first is read again', async () => {
    copyFileSync(file('old.pem'), file('cert.pem'))
    copyFileSync(file('old.key'), file('key.pem'))
    await start(file('cert.pem'), file('key.pem'))
    const { pid } = listener as Started
    const openFiles = (soft: string): void => void execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`])
    openFiles('3')
    copyFileSync(file('new.key'), file('key.pem'))
    copyFileSync(file('new.pem'), file('cert.pem'))
    await said(/EMFILE/)
    await new Promise(resolve => setTimeout(resolve, 2500))
    openFiles('1000')
    await becomes('new')
    expect((listener as Started).stderr().match(/the old one stays/g)).toHaveLength(1)
  })
})
