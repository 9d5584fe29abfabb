import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandLine, commands, parse } from '../../../src/cli/command.ts'
import { globals } from './fake-house.ts'
import { fakeIo } from './fake-io.ts'

const parsed = async (...argv: string[]) => parse(argv, fakeIo())
async function ran(...argv: string[]) {
  const io = fakeIo({ env: { MCP_PROXY_HOME: '/nonexistent' }, cwd: '/nonexistent' })
  const code = await commandLine(argv, io).run()
  return { code, out: io.out(), err: io.err() }
}

describe('the command line', () => {
  it.each<[string[], object]>([
    [['list'], {}],
    [['--config', 'x', 'list'], { config: 'x' }],
    [['list', '--config', 'x', 'tools', '--backend', 'a'], { config: 'x' }],
    [['--log-level', 'debug', 'run', '--log-format=json'], { logLevel: 'debug', logFormat: 'json' }],
    [['run', '--config', 'x', '--client', 'cursor', '--no-daemon'], { config: 'x' }],
    [['call', 'a__b', '{"x":1}', '--json', '--quiet'], { json: true, quiet: true }],
    [['call', 'a__b', '-', '--arg', 'a=b', '--arg', 'c=d', '-v'], { verbose: true }],
    [['read', 'file:///a', '--no-color'], { color: false }],
    [['prompt', 'a__b'], {}],
    [['status', '--watch', '--debug'], { debug: true }],
    [['validate', 'f.json', '--strict', '--online'], {}],
    [['credentials', 'set', 'NAME'], {}],
    [['credentials', '--json', 'list'], { json: true }],
    [['config', 'show', '--profile', '/tmp/p'], { profile: '/tmp/p' }],
    [['version', '--', ], {}],
  ])('understands %o', async (argv, expected) => {
    const { work, globals: given } = await parsed(...argv)
    expect(work).toBeTypeOf('function')
    expect(given).toEqual({ ...globals, ...expected })
  })

  it.each<[string[], RegExp, RegExp?]>([
    [['lst'], /unknown command 'lst'/, /list/],
    [['list', '--colour'], /unknown option '--colour'/, /--color|help/],
    [['list', 'tool'], /'tool' is invalid|Allowed choices/],
    [['call'], /missing required argument 'name'/],
    [['read', 'a', 'b'], /too many arguments/],
    [['run', '--config'], /argument missing/],
    [['list', '--log-level', 'loud'], /Allowed choices are debug, info/],
    [['credentials', 'show'], /unknown command 'show'/],
    [[], /a command is needed/],
    [['credentials'], /a command is needed/, /mcp-proxy credentials --help/],
    [['help', 'lst'], /unknown command 'lst'/],
  ])('refuses %o', async (argv, message, hint) => {
    await expect(parsed(...argv)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) })
    const { code, out, err } = await ran('--json', ...argv)
    expect([code, out]).toEqual([2, ''])
    const { error } = JSON.parse(err.trim().split('\n').at(-1) as string)
    expect(error.code).toBe('USAGE')
    if (hint) expect(error.hint).toMatch(hint)
  })

  it('prints help on stdout and loads no command for it', async () => {
    const { code, out, err } = await ran('--help')
    expect([code, err]).toEqual([0, ''])
    // Long summaries go over several lines.
    for (const { name, summary } of commands) expect(out.replace(/\s+/g, ' ')).toMatch(new RegExp(` ${name} .*?${summary} `))
  })

  it.each([['help', 'call'], ['call', '--help'], ['call', '-h']])('%s %s shows what a command takes', async (...argv) => {
    const { code, out } = await ran(...argv)
    expect(code).toBe(0)
    expect(out).toContain('--arg <key=value>')
    expect(out).toContain('--config <file>')
  })

  it('prints its version', async () => {
    expect(await ran('--version')).toMatchObject({ code: 0, out: '0.0.0-test\n' })
    const { out } = await ran('version', '--json')
    expect(JSON.parse(out)).toEqual({
      name: 'mcp-proxy-server',
      version: '0.0.0-test',
      node: process.versions.node,
      installedBy: 'local',
      protocolRevisions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
    })
    expect((await ran('version')).out).toContain('installed by: local')
  })

  it('reports a failure once, in the form asked for', async () => {
    const plain = await ran('list')
    expect(plain).toMatchObject({ code: 2, out: '' })
    expect(plain.err).toMatch(/^error CONFIG_NOT_FOUND: .*\n  hint: .*\n$/)
    expect(JSON.parse((await ran('list', '--json')).err)).toMatchObject({ error: { code: 'CONFIG_NOT_FOUND' } })
    // After `--` a word is a word.
    expect((await ran('list', '--', '--json')).err).toMatch(/^error USAGE/)
  })

  it('says what nobody caught, and what renews this install', () => {
    const io = fakeIo()
    expect(commandLine(['run'], io).crashed(new TypeError('x of undefined'))).toBe(1)
    expect(io.err()).toMatch(/^error INTERNAL: unexpected failure: x of undefined\n  hint: .*npm install mcp-proxy-server@latest\n$/)
    const debugged = fakeIo()
    commandLine(['run', '--debug'], debugged).crashed(new TypeError('x of undefined'))
    expect(debugged.err()).toContain('command.test.ts')
    const odd = fakeIo()
    commandLine(['run', '--json'], odd).crashed('just words')
    expect(JSON.parse(odd.err())).toMatchObject({ error: { code: 'INTERNAL', message: 'unexpected failure: just words' } })
  })

  it('writes profiles of a command', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'profile-'))
    try {
      expect(await ran('version', '--profile', folder)).toMatchObject({ code: 0 })
      expect(readdirSync(folder).map(name => name.replace(/\d+/, 'N')).sort()).toEqual(['mcp-proxy-N.cpuprofile', 'mcp-proxy-N.heapprofile'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
