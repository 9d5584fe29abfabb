/** The very files of MCP clients, pasted in: they load without an error, and mean what they meant. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { BackendConfig } from '../../../src/config/config.ts'
import { loadConfig } from '../../../src/config/load.ts'

const folder = fileURLToPath(new URL('../../fixtures/configs/clients/', import.meta.url))
const env = { TEAM: 'blue', TEAM_TOKEN: 'abcdefgh' }

const load = async (name: string): Promise<Record<string, BackendConfig>> => {
  const { config } = await loadConfig(join(folder, `${name}.json`), { env })
  return Object.fromEntries(config.backends.map(backend => [backend.alias, backend]))
}

const npxFiles = { kind: 'command', command: 'npx', args: ['-y', 'files'], cwd: join(folder, '.'), backup: false }

it.each(readdirSync(folder).filter(name => name.endsWith('.json')))('%s loads, and its own keys are no mistakes', async name => {
  const { problems, config } = await loadConfig(join(folder, name), { env })
  expect(config.backends.length).toBeGreaterThan(0)
  // What stands beside the servers belongs to the client, and is only mentioned.
  expect(problems.filter(({ path }) => path !== 'globalShortcut' && path !== 'theme')).toEqual([])
})

describe('what they meant', () => {
  it('Claude Desktop', async () => {
    const { filesystem } = await load('claude-desktop')
    expect(filesystem?.endpoints).toMatchObject([
      { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', '/data'], env: { LOG: 'info' } },
    ])
  })

  it('Claude Code', async () => {
    const { files, remote, events } = await load('claude-code')
    expect(files).toMatchObject({ transport: 'stdio', timeouts: { call: 600_000 } })
    expect(remote?.endpoints).toEqual([
      {
        kind: 'url',
        url: 'https://example.com/mcp',
        type: 'http',
        headers: { 'X-Team': 'core' },
        caFile: undefined,
        backup: false,
      },
    ])
    expect(events).toMatchObject({ transport: 'sse', endpoints: [{ type: 'sse' }] })
  })

  it('Cursor, with its env file beside it', async () => {
    const { files, remote } = await load('cursor')
    expect(files?.endpoints).toEqual([{ ...npxFiles, env: { FROM_FILE: 'yes', QUOTED: 'two words', LOG: 'file' } }])
    expect(remote?.endpoints).toMatchObject([{ type: undefined, headers: { Authorization: 'Bearer abcdefgh' } }])
  })

  it('VS Code', async () => {
    const { files, remote } = await load('vscode')
    expect(files?.endpoints).toEqual([{ ...npxFiles, env: {} }])
    expect(remote?.endpoints).toMatchObject([{ type: 'http' }])
  })

  it('Windsurf', async () => {
    const { remote } = await load('windsurf')
    expect(remote).toMatchObject({ enabled: false, transport: 'http', endpoints: [], tools: { exclude: ['delete_all'] } })
  })

  it('Zed, old and new', async () => {
    const { files, plain } = await load('zed')
    expect(files?.endpoints).toEqual([{ ...npxFiles, env: { A: '1' } }])
    expect(plain).toMatchObject({ enabled: true, timeouts: { call: 60_000 } })
  })

  it('Codex, written as JSON', async () => {
    const { files, remote } = await load('codex')
    expect(files).toMatchObject({
      timeouts: { start: 20_000, call: 90_000 },
      tools: { include: ['read'] },
      endpoints: [{ env: { TEAM: 'blue' } }],
    })
    expect(remote?.endpoints).toMatchObject([{ headers: { 'X-A': 'b', 'X-Team': 'blue', Authorization: 'Bearer abcdefgh' } }])
  })

  it('Gemini', async () => {
    const { remote } = await load('gemini')
    expect(remote).toMatchObject({
      timeouts: { call: 5000 },
      tools: { include: ['a'], exclude: ['b'] },
      endpoints: [{ type: 'http' }],
    })
  })

  it('OpenCode, both layouts', async () => {
    const { files, remote } = await load('opencode')
    expect(files?.endpoints).toEqual([{ ...npxFiles, env: { A: '1' } }])
    expect(remote?.endpoints).toMatchObject([{ kind: 'url', type: undefined }])
    expect((await load('opencode-2'))['files']?.endpoints).toMatchObject([{ command: 'npx', args: [] }])
  })

  it('Cline', async () => {
    const { files, remote } = await load('cline')
    expect(files).toMatchObject({ enabled: true, timeouts: { call: 60_000 } })
    expect(remote?.endpoints).toMatchObject([{ type: 'http' }])
  })
})
