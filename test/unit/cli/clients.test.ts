/** A person at the terminal: what is asked, what an answer means, and that no is no. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandLine } from '../../../src/cli/command.ts'
import { fakeIo, type FakeIo } from './fake-io.ts'

let home: string
let io: FakeIo

beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-proxy-clients-')))
  mkdirSync(join(home, '.cursor'))
  mkdirSync(join(home, 'shop', '.cursor'), { recursive: true })
  const servers = { one: { command: 'one' }, two: { command: 'two', env: { API_KEY: 'abcdefgh1234' } }, hub: { command: '/n', args: ['/x/mcp-proxy.js', 'run', '--client', 'cursor'] } }
  writeFileSync(join(home, '.cursor', 'mcp.json'), JSON.stringify({ mcpServers: servers }, null, 2))
  writeFileSync(join(home, 'shop', '.cursor', 'mcp.json'), JSON.stringify({ mcpServers: { three: { command: 'three' } } }))
  io = fakeIo({ tty: true, env: { HOME: home, MCP_PROXY_HOME: join(home, 'own'), NO_COLOR: '1' }, cwd: join(home, 'shop') })
})

afterEach(() => rmSync(home, { recursive: true, force: true }))

const run = (...args: string[]): Promise<number> => commandLine(args, io).run()

const servers = (): string[] => Object.keys((JSON.parse(readFileSync(join(home, 'own', 'config.json'), 'utf8')) as { mcpServers: object }).mcpServers)

describe('init', () => {
  it('takes what the person chooses', async () => {
    io.type('2-3', 'y')
    expect(await run('init', '--no-check')).toBe(0)
    expect(servers()).toEqual(['two', 'three'])
    expect(io.out()).toContain('three  (cursor, project: of this folder)')
    // An entry that starts us is no server of anybody's.
    expect(io.out()).not.toContain('hub')
  })

  it('by Enter takes the person’s own, not those of the folder', async () => {
    io.type('', '')
    expect(await run('init', '--no-check')).toBe(0)
    expect(servers()).toEqual(['one', 'two'])
  })

  it('asks again for what is no answer, and takes no for an answer', async () => {
    io.type('7', '1', 'n')
    expect(await run('init', '--no-check')).toBe(130)
    expect(io.err()).toContain('no list of these numbers')
    expect(servers).toThrow()
  })
})

it('what a client asks its user for is asked once, not shown, and stored', async () => {
  mkdirSync(join(home, '.config', 'Code', 'User'), { recursive: true })
  writeFileSync(join(home, '.config', 'Code', 'User', 'mcp.json'), JSON.stringify({ servers: { t: { command: 't', env: { KEY: '${input:key}' } } } }))
  io.type('y')
  setTimeout(() => io.type('s3cret-value'), 300)
  expect(await run('import', 'vscode')).toBe(0)
  expect(JSON.parse(readFileSync(join(home, 'own', 'credentials.json'), 'utf8'))).toEqual({ key: 's3cret-value' })
  expect(io.out() + io.err()).not.toContain('s3cret-value')
})

it('a diff shows the lines around ours without their secrets', async () => {
  const around = { command: 'x', args: ['--api-key', 'flagged-1234', '--token=joined-1234', 'plain-word'], env: { A_TOKEN: 'Bearer ${env:REF}', B_TOKEN: 'literal-1234' } }
  writeFileSync(join(home, '.cursor', 'mcp.json'), JSON.stringify({ mcpServers: { around } }))
  expect(await run('install', 'cursor', '--dry-run')).toBe(0)
  expect(io.out()).toContain('plain-word')
  expect(io.out()).toContain('Bearer ${env:REF}')
  for (const secret of ['flagged-1234', 'joined-1234', 'literal-1234']) expect(io.out()).not.toContain(secret)
})

it('clients shows our entry and how it differs', async () => {
  expect(await run('clients')).toBe(0)
  expect(io.out()).toMatch(/cursor +yes +user +hub, differs +2 /)
  expect(io.out()).toContain('cursor (user): command is "/n", not ')
})
