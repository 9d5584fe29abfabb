/** `validate` beyond the file itself: forms for build systems, what a client sees, who can be reached. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCatalogueStore } from '../../../src/app/catalogue-store.ts'
import { version } from '../../../src/app/version.ts'
import { commandLine } from '../../../src/cli/command.ts'
import { contactAll } from '../../../src/cli/contact.ts'
import { offlineChecks } from '../../../src/config/offline-checks.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { silent } from '../../../src/gateway/log.ts'
import { contextFor, fakeHouse } from './fake-house.ts'
import { fakeIo } from './fake-io.ts'

let dir: string
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'validate-'))))
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const home = (): string => join(dir, 'home')
const write = (name: string, value: unknown): string => {
  writeFileSync(join(dir, name), JSON.stringify(value), { mode: 0o600 })
  return join(dir, name)
}

async function ran(...argv: string[]) {
  const io = fakeIo({ cwd: dir, env: { MCP_PROXY_HOME: home(), PATH: process.env['PATH'] ?? '', NO_COLOR: '1' } })
  return { code: await commandLine(['validate', ...argv], io).run(), out: io.out(), err: io.err() }
}

/** As if the server had run before. */
async function knows(file: string, tools: readonly string[]): Promise<void> {
  mkdirSync(join(home(), 'cache'), { recursive: true })
  const store = createCatalogueStore({ dir: join(home(), 'cache', 'catalogue'), version, log: silent })
  const { config } = await loadConfig(file)
  const description = { info: undefined, capabilities: {}, instructions: undefined, era: undefined, revision: undefined }
  const offer = { description, tools: tools.map(name => ({ name })), prompts: [], resources: [], templates: [] }
  store.shelf({ endpoints: config.backends[0]!.endpoints, scope: 'all' }).save(offer)
  await store.settled()
}

describe('validate', () => {
  it('prints SARIF or JUnit, not both, and keeps secrets out of them', async () => {
    const file = write('c.json', { mcpServers: { a: { command: 'node', args: ['x.js'], env: { API_TOKEN: 'super-secret-value' } } } })
    const log = await ran(file, '--sarif')
    expect(log.code).toBe(0)
    expect(JSON.parse(log.out)).toMatchObject({ version: '2.1.0', runs: [{ results: [{ ruleId: 'LITERAL_SECRET', level: 'warning' }] }] })
    const xml = await ran(file, '--junit', '--strict')
    expect(xml.code).toBe(2)
    expect(xml.out).toMatch(/^<\?xml.*\n<testsuites tests="2" failures="1"/)
    expect(log.out + xml.out).not.toContain('super-secret-value')
    expect((await ran(file, '--junit', '--sarif')).code).toBe(2)
  })

  it('prints SARIF for a file that cannot be parsed', async () => {
    writeFileSync(join(dir, 'bad.json'), '{')
    const { code, out } = await ran(join(dir, 'bad.json'), '--sarif')
    expect(code).toBe(2)
    expect(JSON.parse(out).runs[0].results[0]).toMatchObject({ ruleId: 'SYNTAX', level: 'error' })
  })

  it('shows what a client would see, once a catalogue is known', async () => {
    const file = write('c.json', { mcpServers: { files: { command: 'node', args: ['x.js'] } }, clients: { cursor: { tools: 2 } } })
    expect((await ran(file, '--client', 'cursor')).out).not.toContain('sees')
    await knows(file, ['one', `read_${'very_'.repeat(9)}long`, 'three'])
    const { code, out } = await ran(file, '--client', 'cursor')
    expect(code).toBe(0)
    expect(out).toContain('Cursor sees 2 tools')
    expect(out).toMatch(/^files__read_\S+_\w{6} +renamed from files__read_/m)
    expect(out).toMatch(/warning CLIENT_LIMIT: Cursor is not shown files__three: Cursor takes 2 tools/)
    expect(JSON.parse((await ran(file, '--json')).out).clients).toContainEqual(expect.objectContaining({ client: 'cursor', changes: [expect.anything(), expect.anything()] }))
    expect((await ran(file)).out).toContain('for Cursor: 1 tools changed, 1 held back (mcp-proxy validate --client cursor)')
    expect((await ran(file, '--client', 'cursor', '--strict')).code).toBe(2)
  })

  it('knows its clients', async () => {
    const file = write('c.json', { mcpServers: { a: { command: 'node' } } })
    expect(await ran(file, '--client', 'cursr')).toMatchObject({ code: 2, err: expect.stringContaining('did you mean cursor?') })
  })

  it('looks for programs where the client would', async () => {
    const bin = join(dir, 'bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'my-server'), '', { mode: 0o755 })
    const loaded = await loadConfig(write('c.json', { mcpServers: { a: { command: 'my-server' } } }))
    const codes = async (path: string, more: string[]) => (await offlineChecks(loaded, { search: { path, more, of: 'Zed' } })).map(({ code, message }) => [code, message])
    expect(await codes(bin, [])).toEqual([])
    expect(await codes('/nowhere', [bin])).toEqual([['OFF_PATH', expect.stringContaining('not on the PATH that Zed gives')]])
    expect(await codes('/nowhere', [])).toEqual([['DEAD_COMMAND', expect.any(String)]])
  })
})

describe('contactAll', () => {
  it('asks each server, a few at a time, with its cost, and shows how far it is', async () => {
    const io = fakeIo({ tty: true })
    const servers = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`s${n}`, { tools: [{ name: 'x'.repeat(92) }] }]))
    const { house, started } = fakeHouse({ ...servers, bad: { broken: 'no' } })
    const found = await contactAll(house.gateway.members, contextFor(io))
    expect(found.map(({ alias }) => alias)).toEqual([...Object.keys(servers), 'bad'])
    expect(started).toHaveLength(21)
    expect(found[0]).toMatchObject({ state: 'healthy', ms: expect.any(Number), tokens: 27 })
    expect(found.at(-1)).toMatchObject({ state: 'held', tokens: 0 })
    expect(io.err()).toContain('contacting 0/21: s0')
    expect(io.err().endsWith('\r\x1b[2K')).toBe(true)
    const quiet = fakeIo({ tty: true })
    await contactAll(house.gateway.members, contextFor(quiet, { json: true }))
    expect(quiet.err()).toBe('')
  })
})
