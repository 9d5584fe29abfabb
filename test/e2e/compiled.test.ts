/** What one start compiled is taken by the next: only from a file that is ours and whole, and never instead of another build. */
import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture, type Sandbox } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Runs until `done`, with an answered call's worth of use. */
async function used(sandbox: Sandbox, env: Record<string, string>, done: () => void): Promise<void> {
  const config = { mcpServers: { a: { command: process.execPath, args: [fixture('plain.mjs'), '--name', 'a'] } }, startWait: '20s' }
  const target = sandbox.runTarget(config)
  const client = startRaw({ ...target, env: { ...target.env, ...env } })
  try {
    await initialize(client)
    const { result } = await client.request('tools/list', {})
    expect((result as { tools: unknown[] }).tools.length).toBeGreaterThan(0)
    await vi.waitFor(done, { timeout: 8000, interval: 20 })
  } finally {
    await client.close()
  }
}

describe.runIf(process.platform !== 'win32')('compiled code', () => {
  const setUp = async () => {
    const sandbox = createSandbox()
    closing.push(() => sandbox.dispose())
    const folder = join(sandbox.env['MCP_PROXY_HOME'] as string, 'cache', 'code')
    const files = (): string[] => {
      try {
        return readdirSync(folder).filter(name => !/\.\d+$/.test(name))
      } catch {
        return []
      }
    }
    await used(sandbox, {}, () => expect(files()).toHaveLength(1))
    return { sandbox, folder, files, path: join(folder, files()[0] as string) }
  }

  it('is kept for the user alone, and taken as it is by the next start', async () => {
    const { sandbox, folder, files, path } = await setUp()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const { mtimeMs, ino } = statSync(path)
    const began = Date.now()
    // Longer than it takes to keep a new one.
    await used(sandbox, {}, () => expect(Date.now() - began).toBeGreaterThan(2500))
    expect(statSync(path)).toMatchObject({ mtimeMs, ino })
    expect(files()).toHaveLength(1)
  })

  it.each([
    ['damaged in the middle', (path: string) => {
      const bytes = readFileSync(path)
      bytes.fill(0x5a, bytes.length >> 1, (bytes.length >> 1) + 4096)
      writeFileSync(path, bytes)
    }],
    ['cut off', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 5000))],
    ['empty', (path: string) => writeFileSync(path, '')],
    ['full of zeros', (path: string) => writeFileSync(path, Buffer.alloc(statSync(path).size))],
    ['writable by others', (path: string) => chmodSync(path, 0o666)],
    ['a pipe that nobody writes to', (path: string) => {
      unlinkSync(path)
      execFileSync('mkfifo', ['-m', '600', path])
    }],
    ['a link to elsewhere', (path: string) => {
      writeFileSync(`${path}x`, readFileSync(path))
      unlinkSync(path)
      symlinkSync(`${path}x`, path)
    }],
  ])('that is %s is not taken but made anew', async (_, spoil) => {
    const { sandbox, path } = await setUp()
    const good = readFileSync(path)
    spoil(path)
    const spoilt = statSync(path).ino
    await used(sandbox, {}, () => {
      expect(statSync(path).ino).not.toBe(spoilt)
      expect(statSync(path).mode & 0o777).toBe(0o600)
    })
    expect(Math.abs(readFileSync(path).length - good.length)).toBeLessThan(good.length / 2)
  })

  it('is neither read nor kept with NODE_DISABLE_COMPILE_CACHE=1', async () => {
    const sandbox = createSandbox()
    closing.push(() => sandbox.dispose())
    const began = Date.now()
    await used(sandbox, { NODE_DISABLE_COMPILE_CACHE: '1' }, () => expect(Date.now() - began).toBeGreaterThan(2500))
    expect(() => statSync(join(sandbox.env['MCP_PROXY_HOME'] as string, 'cache', 'code'))).toThrow()
  })
})
