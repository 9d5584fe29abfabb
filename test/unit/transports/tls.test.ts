import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silent } from '../../../src/gateway/log.ts'
import { loadTls, type TlsPair } from '../../../src/transports/tls.ts'

let dir: string
const path = (name: string): string => join(dir, name)
const now = { get cert() { return path('now.pem') }, get key() { return path('now.key') } }
const put = (cert: string, key: string): void => {
  copyFileSync(path(`${cert}.pem`), now.cert)
  copyFileSync(path(`${key}.key`), now.key)
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-tls-'))
  for (const name of ['first', 'second'])
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', `/CN=${name}`,
      '-keyout', path(`${name}.key`), '-out', path(`${name}.pem`)], { stdio: 'pipe' })
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('the certificate of the listener', () => {
  it('is refused when it is missing, is none, or belongs to another key', () => {
    const refusal = expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('the TLS certificate cannot be used') })
    const attempt = (cert: string, key: string): unknown => {
      try {
        return loadTls({ cert: path(cert), key: path(key) }, silent)
      } catch (error) {
        return error
      }
    }
    expect(attempt('missing.pem', 'first.key')).toEqual(refusal)
    expect(attempt('first.key', 'first.key')).toEqual(refusal)
    expect(attempt('first.pem', 'second.key')).toEqual(refusal)
    for (const [name, form] of [['new.key', []], ['old.key', ['-traditional']]] as const) {
      execFileSync('openssl', ['pkey', '-in', path('first.key'), '-aes256', '-passout', 'pass:long-enough', ...form, '-out', path(name)], { stdio: 'pipe' })
      expect(attempt('first.pem', name)).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(`${name} is encrypted.*passphrase`) })
    }
    expect(attempt('first.pem', 'first.key')).toMatchObject({ current: { cert: readFileSync(path('first.pem')), minVersion: 'TLSv1.2' } })
  })

  it('is replaced when both files fit again, not in between, and not after the watch has ended', async () => {
    put('first', 'first')
    const warned: string[] = []
    const tls = loadTls(now, { ...silent, warn: (_fields, message) => void warned.push(message) })
    const seen: TlsPair[] = []
    const stop = tls.watch(pair => void seen.push(pair))
    put('second', 'first')
    await expect.poll(() => warned, { timeout: 8000 }).toContainEqual(expect.stringContaining('the old one stays'))
    expect([seen, tls.current.cert]).toEqual([[], readFileSync(path('first.pem'))])
    put('second', 'second')
    await expect.poll(() => seen, { timeout: 8000 }).toEqual([{ cert: readFileSync(path('second.pem')), key: readFileSync(path('second.key')), minVersion: 'TLSv1.2' }])
    expect(tls.current).toBe(seen[0])
    stop()
    put('first', 'first')
    await new Promise(resolve => setTimeout(resolve, 1200))
    expect(seen).toHaveLength(1)
  }, 20_000)
})
