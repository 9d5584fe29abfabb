import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { isPassing, renameOver } from '../../../src/credentials/rename.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-rename-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const [from, to] = [join(folder, 'new'), join(folder, 'old')]
beforeEach(() => {
  writeFileSync(from, 'new')
  writeFileSync(to, 'old')
})

/** Refuses so many times, as Windows does while somebody reads the file. */
const refusing = (times: number, code: string) => {
  let left = times
  return async (...paths: [string, string]): Promise<void> => {
    if (left-- > 0) throw Object.assign(new Error(code), { code })
    await rename(...paths)
  }
}

// Written from documentation; no real Windows has run this.
describe('a file that takes the place of another', () => {
  it.each(['EPERM', 'EACCES', 'EBUSY'])('waits on Windows until nobody has the old one open: %s', async code => {
    await renameOver(from, to, { platform: 'win32', rename: refusing(3, code) as typeof rename })
    expect(readFileSync(to, 'utf8')).toBe('new')
  })

  it('does not wait for ever, and not for what does not pass', async () => {
    await expect(renameOver(from, to, { platform: 'win32', rename: refusing(Infinity, 'EPERM') as typeof rename })).rejects.toMatchObject({ code: 'EPERM' })
    await expect(renameOver(from, to, { platform: 'win32', rename: refusing(1, 'ENOENT') as typeof rename })).rejects.toMatchObject({ code: 'ENOENT' })
    expect(readFileSync(to, 'utf8')).toBe('old')
  })

  it('does not wait elsewhere, where a refusal is final', async () => {
    await expect(renameOver(from, to, { platform: 'linux', rename: refusing(1, 'EACCES') as typeof rename })).rejects.toMatchObject({ code: 'EACCES' })
    expect(isPassing({ code: 'EBUSY' }, 'darwin')).toBe(false)
  })
})
