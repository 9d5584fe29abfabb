/** Commands on a real config file whose servers are all switched off: nothing is spawned. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandLine } from '../../../src/cli/command.ts'
import { openHouse, withHouse } from '../../../src/cli/house.ts'
import { run } from '../../../src/cli/run.ts'
import { contextFor, fakeHouse } from './fake-house.ts'
import { fakeIo, type FakeIoOptions } from './fake-io.ts'

let dir: string
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'cli-'))))
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const off = { command: 'node', enabled: false }
const write = (name: string, value: unknown): string => {
  const path = join(dir, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value, null, 2), { mode: 0o600 })
  return path
}
const home = (): string => join(dir, 'home')
const io = (options: FakeIoOptions = {}) => fakeIo({ cwd: dir, ...options, env: { MCP_PROXY_HOME: home(), NO_COLOR: '1', ...options.env } })

async function ran(argv: readonly string[], options: FakeIoOptions & { input?: string } = {}) {
  const made = io(options)
  if (options.input !== undefined) made.stdin.push(options.input)
  made.end()
  const code = await commandLine(argv, made).run()
  return { code, out: made.out(), err: made.err() }
}

describe('openHouse', () => {
  it('mentions a config in the current folder instead of running it', async () => {
    write('mcp-proxy.json', { mcpServers: { a: off } })
    expect((await ran(['list'])).err).toContain('--config mcp-proxy.json')
    write('home/config.json', { mcpServers: { b: off } })
    const listed = await ran(['list'])
    expect(listed.code).toBe(0)
    expect(listed.err).toBe('note: ./mcp-proxy.json is not used by itself; to run it: --config mcp-proxy.json\n')
    expect((await ran(['list', '--json'])).err).toBe('')
    expect((await ran(['list', '--quiet'])).err).toBe('')
  })

  it.each<[object, object, 'server' | 'command', string]>([
    [{}, {}, 'server', 'info'],
    [{}, { verbose: true }, 'server', 'debug'],
    [{}, { quiet: true }, 'server', 'error'],
    [{ level: 'silent' }, { quiet: true }, 'server', 'silent'],
    [{ level: 'warn' }, {}, 'server', 'warn'],
    [{ level: 'debug' }, {}, 'command', 'error'],
    [{}, { verbose: true }, 'command', 'info'],
    [{}, { json: true }, 'command', 'silent'],
    [{}, { debug: true, json: true }, 'command', 'debug'],
    [{}, { logLevel: 'warn', debug: true }, 'command', 'warn'],
  ])('log %o, flags %o, for a %s: %s', async (log, flags, purpose, level) => {
    const config = write('c.json', { mcpServers: { a: off }, log })
    const opened = await openHouse(contextFor(io(), { config, ...flags }), purpose)
    expect(opened.log.level).toBe(level)
    await opened.close()
  })

  it('takes a level for one command from the environment', async () => {
    const config = write('c.json', { mcpServers: { a: off } })
    const opened = await openHouse(contextFor(io({ env: { MCP_PROXY_LOG_LEVEL: 'debug' } }), { config }), 'command')
    expect(opened.log.level).toBe('debug')
    await opened.close()
  })

  it('logs the warnings of the config for a server, with their place', async () => {
    const config = write('c.json', { mcpServers: { a: { ...off, somethingElse: 1 } }, log: { format: 'json', file: 'logs/p.log' } })
    const made = io()
    const opened = await openHouse(contextFor(made, { config }), 'server')
    await opened.close()
    const lines = made.err().trim().split('\n').map(text => JSON.parse(text))
    expect(lines).toContainEqual(expect.objectContaining({ level: 'warn', backend: 'a', at: expect.stringMatching(/c\.json:\d+:\d+$/), msg: expect.stringContaining('somethingElse') }))
    expect(readFileSync(join(dir, 'logs/p.log'), 'utf8')).toBe(made.err())
  })

  it('ends a command that a signal interrupts, and closes everything', async () => {
    const config = write('c.json', { mcpServers: { a: off } })
    const made = io()
    let cancelled = false
    const done = withHouse(contextFor(made, { config }), (_, cancellation) => {
      cancellation.subscribe(() => void (cancelled = true))
      return new Promise(() => {})
    })
    await expect.poll(() => made.listeners.size).toBe(1)
    made.signal('SIGINT')
    await expect(done).rejects.toMatchObject({ code: 'CANCELLED', exitCode: 130 })
    expect(cancelled).toBe(true)
    expect(made.listeners.size).toBe(0)
  })
})

describe('run', () => {
  function running(options: FakeIoOptions = {}) {
    const made = io(options)
    const inputSchema = { properties: { words: { type: 'string' }, n: { type: 'integer' } }, required: ['words', 'n'] }
    const opened = fakeHouse({ one: { tools: [{ name: 'echo', inputSchema }] } })
    const drains: number[] = []
    let gone = (): void => {}
    const closed = new Promise<void>(resolve => (gone = resolve))
    const house = { ...opened.house, serveStdio: () => ({ closed, drain: async (ms: number) => (drains.push(ms), gone()) }) }
    const done = run({ client: 'x' }, { ...opened, house }, contextFor(made))
    return { io: made, opened, drains, gone: () => gone(), done }
  }

  it('ends with 0 when the client is gone', async () => {
    const { gone, done, opened, io: made } = running()
    gone()
    expect(await done).toBe(0)
    expect(opened.closed()).toBe(true)
    expect(made.out()).toBe('')
    expect(made.stdout.destroyed).toBe(true)
    expect(made.listeners.size).toBe(0)
  })

  it.each([['SIGTERM', 0], ['SIGHUP', 0], ['SIGINT', 130]] as const)('drains on %s and ends with %i', async (signal, code) => {
    const { io: made, drains, done } = running()
    made.signal(signal)
    made.signal(signal)
    expect(await done).toBe(code)
    expect(drains).toEqual([25_000, 0])
  })

  it('says on a terminal what is ready and how to try it', async () => {
    const { io: made, gone, done } = running({ tty: true })
    await expect.poll(() => made.err()).toContain('Ctrl-C')
    gone()
    await done
    expect(made.out()).toBe('')
    expect(made.err()).toContain('ready: 1 tools of 1 servers')
    expect(made.err()).toContain(`mcp-proxy call one__echo '{"words":"text","n":1}' --config '/x/mcp proxy.json'`)
    expect(made.err()).toContain('"args":["run","--config","/x/mcp proxy.json"]')
  })
})

describe('validate', () => {
  it('says valid, and where what is wrong', async () => {
    const good = write('good.json', { mcpServers: { a: off } })
    expect(await ran(['validate', good])).toMatchObject({ code: 0, out: expect.stringContaining(`valid: ${good} (0 errors, 1 warnings)`) })
    const bad = write('bad.json', '{\n  "mcpServers": {\n    "a": { "comand": "x" }\n  }\n}')
    const { code, out } = await ran(['validate', '--config', bad])
    expect(code).toBe(2)
    expect(out).toContain(`  at ${bad}:3:12\n    error UNKNOWN_KEY: unknown key mcpServers.a.comand\n    hint: did you mean "command"?\n`)
    expect(out).toContain('not valid')
  })

  it('lets warnings fail with --strict', async () => {
    const file = write('c.json', { mcpServers: { a: off } })
    expect((await ran(['validate', file, '--strict'])).code).toBe(2)
  })

  it('is JSON for scripts, secrets hidden', async () => {
    const file = write('c.json', { mcpServers: { a: { command: 'node', args: ['x.js'], env: { API_TOKEN: 'super-secret-value' } } } })
    const { code, out } = await ran(['validate', file, '--json'], { env: { PATH: process.env['PATH'] ?? '' } })
    const report = JSON.parse(out)
    expect(report).toMatchObject({ ok: true, file })
    expect(report.problems).toMatchObject([{ severity: 'warning', code: 'LITERAL_SECRET', line: expect.any(Number), path: expect.any(String) }])
    expect(code).toBe(0)
    expect(out).not.toContain('super-secret-value')
  })

  it('contacts every server with --online, and exits 3 when one does not work', async () => {
    const file = write('c.json', { mcpServers: { a: off, b: { command: process.execPath, args: ['-e', 'process.exit(3)'], timeouts: { start: '2s' } } } })
    const { code, out } = await ran(['validate', file, '--online', '--json'], { env: { PATH: process.env['PATH'] ?? '' } })
    expect(code).toBe(3)
    const { ok, servers } = JSON.parse(out)
    expect(ok).toBe(false)
    expect(servers).toMatchObject([{ alias: 'a', state: 'disabled' }, { alias: 'b', lastFailure: { message: expect.any(String) } }])
  })
})

describe('credentials', () => {
  const file = () => join(home(), 'credentials.json')

  it('are set from stdin, listed by name, and removed', async () => {
    expect(await ran(['credentials', 'list'])).toMatchObject({ code: 0, out: '' })
    const set = await ran(['credentials', 'set', 'github'], { input: 'hunter2-hunter2\n' })
    expect(set).toMatchObject({ code: 0, out: '', err: `stored github in ${file()}; use it as \${cred:github}\n` })
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual({ github: 'hunter2-hunter2' })
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect((await ran(['credentials', 'set', 'github'], { input: 'other-value' })).err).toContain('replaced github')
    expect((await ran(['credentials', 'list'])).out).toBe('github\n')
    expect(JSON.parse((await ran(['credentials', 'list', '--json'])).out)).toEqual({ file: file(), names: ['github'] })
    expect(await ran(['credentials', 'remove', 'githib'])).toMatchObject({ code: 1, err: expect.stringContaining('did you mean github?') })
    expect(JSON.parse((await ran(['credentials', 'remove', 'github', '--json'])).out)).toMatchObject({ removed: true })
    expect((await ran(['credentials', 'list'])).out).toBe('')
  })

  it('are typed without being shown', async () => {
    const made = io({ tty: true })
    const done = commandLine(['credentials', 'set', 'github'], made).run()
    await expect.poll(() => made.err()).toContain('not shown')
    made.stdin.push('hunterx\x7f2-hunter2\r')
    expect(await done).toBe(0)
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual({ github: 'hunter2-hunter2' })
    expect(made.err() + made.out()).not.toContain('hunter2')
    const given = io({ tty: true })
    const up = commandLine(['credentials', 'set', 'github'], given).run()
    await expect.poll(() => given.err()).toContain('not shown')
    given.stdin.push('abc\x03')
    expect(await up).toBe(130)
  })

  it('are never taken from the command line', async () => {
    expect((await ran(['credentials', 'set', 'github', 'value'])).code).toBe(2)
  })

  it('are checked: the file itself, and what the config misses', async () => {
    expect(await ran(['credentials', 'check'])).toMatchObject({ code: 0, out: `ok: ${file()} (0 stored)\n` })
    const config = write('home/config.json', { mcpServers: { a: { url: 'https://x.example/mcp', headers: { Authorization: '${cred:github}' } } } })
    const missing = await ran(['credentials', 'check', '--json'])
    expect(missing.code).toBe(2)
    expect(JSON.parse(missing.out)).toMatchObject({ ok: false, problems: [{ message: expect.stringContaining(`${config}:`), hint: 'mcp-proxy credentials set github' }] })
    await ran(['credentials', 'set', 'github'], { input: 'hunter2-hunter2' })
    expect((await ran(['credentials', 'check'])).code).toBe(0)
    chmodSync(file(), 0o644)
    expect(await ran(['credentials', 'check'])).toMatchObject({ code: 2, out: expect.stringContaining(`hint: chmod 600 '${file()}'`) })
  })
})

describe('config', () => {
  it('shows the path and what else lies around', async () => {
    const file = write('home/config.json', { mcpServers: { a: off } })
    write('.mcp.json', { mcpServers: {} })
    expect(await ran(['config', 'path'])).toMatchObject({ code: 0, out: `${file}\n`, err: expect.stringContaining('./.mcp.json is not used') })
    expect(JSON.parse((await ran(['config', 'path', '--json'])).out)).toEqual({ file, by: 'user folder' })
  })

  it('shows every value with its origin, secrets masked', async () => {
    await ran(['credentials', 'set', 'k'], { input: 'hunter2-hunter2' })
    const file = write('c.json', { mcpServers: { a: { command: 'node', env: { KEY: '${cred:k}', PLAIN: '${HOME_TOWN:-Rome}' } } } })
    const { code, out } = await ran(['config', 'show', '--config', file], { env: { MCP_PROXY_LOG_LEVEL: 'warn' } })
    expect(code).toBe(0)
    expect(out).not.toContain('hunter2')
    expect(out).toMatch(/^mcpServers\.a\.env\.KEY +\S+ +line \d+:\d+$/m)
    expect(out).toMatch(/^mcpServers\.a\.env\.PLAIN +Rome +line/m)
    expect(out).toMatch(/^log\.level +warn +environment MCP_PROXY_LOG_LEVEL$/m)
    expect(out).toMatch(/^startWait +\S+ +default$/m)
    const values = JSON.parse((await ran(['config', 'show', '--config', file, '--json'])).out)
    expect(values).toMatchObject({ file, values: expect.arrayContaining([expect.objectContaining({ path: 'mcpServers.a.command', value: 'node' })]) })
  })

  it('prints the schema editors use', async () => {
    const { code, out } = await ran(['config', 'schema'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toHaveProperty('properties.mcpServers')
  })
})
