/** A token is made once, whoever asks at the same moment, on a disk that takes its time between making a file and filling it. */
import type * as Files from 'node:fs/promises'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { findToken } from '../../../src/cli/token.ts'

vi.mock('node:fs/promises', async original => {
  const files = await original<typeof Files>()
  const writeFile = async (path: string, text: string, { flag, mode }: { flag: string; mode: number }) => {
    const handle = await files.open(path, flag, mode)
    await new Promise(resolve => setTimeout(resolve, 50))
    await handle.writeFile(text)
    await handle.close()
  }
  return { ...files, writeFile }
})

it('is the same for all who start at once, and nothing else is left', async () => {
  const state = mkdtempSync(join(tmpdir(), 'mcp-proxy-token-'))
  const sources = { flag: undefined, environment: undefined, configured: undefined, state }
  const first = findToken(sources)
  await new Promise(resolve => setTimeout(resolve, 20))
  const found = await Promise.all([first, findToken(sources), findToken(sources)])
  expect(new Set(found.map(({ token }) => token)).size).toBe(1)
  expect(readdirSync(state)).toEqual(['token'])
  expect(statSync(join(state, 'token')).mode & 0o777).toBe(0o600)
  rmSync(state, { recursive: true })
})
