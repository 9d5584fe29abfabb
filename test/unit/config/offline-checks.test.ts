/** What can be told of a config without starting anything. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isExecutable, offlineChecks } from '../../../src/config/offline-checks.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { scratch } from './write-config.ts'

const { folder, write, load } = scratch()
write('bin/tool', '#!/bin/sh\n', 0o755)
write('bin/npx', '#!/bin/sh\n', 0o755)
write('bin/uvx', '#!/bin/sh\n', 0o755)
write('bin/docker', '#!/bin/sh\n', 0o755)
write('plain', 'no program')
const env = { PATH: join(folder, 'bin') }

const check = async (entry: object, rest: object = {}) =>
  (await offlineChecks(await load({ mcpServers: { a: entry }, ...rest }), { env })).map(
    ({ severity, code, path, message, hint }) => ({ severity, code, path, message, hint }),
  )

describe('commands', () => {
  it('that are there are fine', async () => {
    for (const command of ['tool', './bin/tool', join(folder, 'bin/tool')]) expect(await check({ command })).toEqual([])
  })

  it('that are not there are errors that say where was searched', async () => {
    expect(await check({ command: 'nowhere' })).toMatchObject([
      {
        severity: 'error',
        code: 'DEAD_COMMAND',
        path: 'mcpServers.a.command',
        message: expect.stringContaining('nowhere is not on the PATH') as string,
        hint: `searched ${env.PATH}`,
      },
    ])
    expect(await check({ command: './nowhere' })).toMatchObject([
      { code: 'DEAD_COMMAND', message: expect.stringContaining('there is no file') as string },
    ])
    expect(await check({ command: './plain' })).toMatchObject([
      { code: 'DEAD_COMMAND', hint: `chmod +x '${join(folder, 'plain')}'` },
    ])
    expect(await check({ command: 'tool', env: { PATH: '/none' } })).toMatchObject([{ code: 'DEAD_COMMAND' }])
  })

  // Written from documentation; no real Windows has run this.
  it('that are aliases of the store on Windows can be run and not be looked at', () => {
    const refused = (code: string, syscall: string) => ({
      accessSync: () => {},
      statSync: () => {
        throw Object.assign(new Error(code), { code, syscall })
      },
    })
    const on = (code: string, platform: NodeJS.Platform): boolean =>
      isExecutable('C:\\WindowsApps\\python.exe', refused(code, 'stat') as unknown as Parameters<typeof isExecutable>[1], platform)
    expect([on('EACCES', 'win32'), on('ENOENT', 'win32'), on('EACCES', 'linux')]).toEqual([true, false, false])
  })

  it('that run packages need one', async () => {
    expect(await check({ command: 'npx' })).toMatchObject([{ severity: 'error', code: 'DEAD_COMMAND' }])
    expect(await check({ command: 'npx', args: ['-y'] })).toMatchObject([{ severity: 'error', code: 'DEAD_COMMAND' }])
  })

  it.each([
    ['npx', ['-y', 'pkg@1.2.3'], undefined],
    ['npx', ['-y', '@scope/pkg@1.2.3', '--flag'], undefined],
    ['npx', ['-y', './local'], undefined],
    ['npx', ['--package=@scope/pkg@1.2.3', 'bin'], undefined],
    ['npx', ['-y', 'pkg'], 'pkg'],
    ['npx', ['-y', '@scope/pkg@latest'], '@scope/pkg@latest'],
    ['npx', ['-y', 'pkg@^1'], 'pkg@^1'],
    ['npx', ['-p', 'pkg', 'bin'], 'pkg'],
    ['uvx', ['tool==1.0'], undefined],
    ['uvx', ['tool@1.0'], undefined],
    ['uvx', ['--from', 'git+https://a.example/x', 'tool'], undefined],
    ['uvx', ['--python', '3.12', 'tool'], 'tool'],
    ['docker', ['run', '-i', '--rm', '-e', 'KEY', `mcp/x@sha256:${'a'.repeat(64)}`], undefined],
    ['docker', ['run', '-i', '--rm', '-e', 'KEY', 'mcp/x:latest', 'arg'], 'mcp/x:latest'],
    ['docker', ['run', '--name=x', 'mcp/x'], 'mcp/x'],
  ] as const)('%s %j: %s has no fixed version', async (command, args, name) => {
    const found = (await check({ command, args })).filter(({ code }) => code === 'UNPINNED_PACKAGE')
    if (name === undefined) expect(found).toEqual([])
    else expect(found).toMatchObject([{ severity: 'warning', message: `mcpServers.a.args: ${name} has no fixed version` }])
  })

  it('are not looked at while disabled', async () => {
    expect(await check({ command: 'nowhere', enabled: false })).toEqual([])
  })
})

describe('secrets', () => {
  it.each([
    [{ command: 'tool', env: { GITHUB_TOKEN: 'abcdefgh1234' } }, 'mcpServers.a.env.GITHUB_TOKEN'],
    [{ command: 'tool', env: { X: `ghp_${'a'.repeat(36)}` } }, 'mcpServers.a.env.X'],
    [{ command: 'tool', args: ['--key', `sk-${'a'.repeat(30)}`] }, 'mcpServers.a.args[1]'],
    [{ url: 'https://a.example', headers: { Authorization: 'Bearer abcdef' } }, 'mcpServers.a.headers.Authorization'],
    [{ url: 'https://user:password@a.example' }, 'mcpServers.a.url'],
  ])('written out are warned of: %j', async (entry, path) => {
    const [found, ...rest] = await check(entry)
    expect(found).toMatchObject({
      severity: 'warning',
      code: 'LITERAL_SECRET',
      path,
      hint: expect.stringContaining('mcp-proxy credentials set a_') as string,
    })
    expect(rest).toEqual([])
  })

  it.each([
    {
      command: 'tool',
      env: { GITHUB_TOKEN: '${GITHUB_TOKEN:-x}', LOG: 'abcdefgh1234', KEY_FILE: '/run/secrets/key', TOKEN: '' },
    },
    { url: 'https://a.example', headers: { 'X-Team': 'abcdefgh1234' } },
  ])('are not seen where there are none: %j', async entry => expect(await check(entry)).toEqual([]))

  it('over plain http are warned of, except to this machine', async () => {
    const headers = { Authorization: '${T:-Bearer x}' }
    expect(await check({ url: 'http://a.example/mcp', headers })).toMatchObject([{ code: 'INSECURE_URL' }])
    for (const url of ['http://127.0.0.1:9/mcp', 'http://localhost/mcp', 'http://[::1]/mcp', 'https://a.example/mcp'])
      expect(await check({ url, headers })).toEqual([])
  })
})

describe('files', () => {
  it('that are named must be there', async () => {
    expect(await check({ command: 'tool', cwd: 'none' })).toMatchObject([
      { severity: 'error', code: 'MISSING_FILE', path: 'mcpServers.a.cwd' },
    ])
    expect(await check({ url: 'https://a.example', caFile: 'none.pem' })).toMatchObject([
      { severity: 'error', code: 'MISSING_FILE', path: 'mcpServers.a.caFile' },
    ])
    expect(
      await check({ command: 'tool' }, { listen: { http: { tokenFile: 'none', tls: { cert: 'none', key: 'plain' } } } }),
    ).toMatchObject([
      { code: 'MISSING_FILE', path: 'listen.http.tokenFile' },
      { code: 'MISSING_FILE', path: 'listen.http.tls.cert' },
    ])
  })

  it.each(['/sse', '/status', '/servers/a/mcp'])('of the listener that are ours cannot be its path: %s', async path => {
    expect(await check({ command: 'tool' }, { listen: { http: { path } } })).toMatchObject([
      { severity: 'error', code: 'BAD_VALUE', path: 'listen.http.path', message: `listen.http.path: the path ${path} is taken` },
    ])
    expect(await check({ command: 'tool' }, { listen: { http: { path: `${path}/x` } } })).toEqual([])
  })

  it.runIf(process.platform !== 'win32')('that anybody can change, or read with secrets in them, are warned of', async () => {
    const codes = async (content: object, mode: number) =>
      (await offlineChecks(await loadConfig(write('modes.json', content, mode), { env: {} }), { env })).map(({ code, hint }) => [
        code,
        hint?.split(' ').slice(0, 2).join(' '),
      ])
    expect(await codes({ mcpServers: { a: { command: 'tool' } } }, 0o666)).toEqual([['UNSAFE_MODE', 'chmod o-w']])
    expect(await codes({ mcpServers: { a: { command: 'tool' } } }, 0o644)).toEqual([])
    expect(await codes({ mcpServers: { a: { command: 'tool', env: { TOKEN: 'abcdefgh1234' } } } }, 0o644)).toEqual([
      ['UNSAFE_MODE', 'chmod 600'],
      ['LITERAL_SECRET', 'store it'],
    ])
  })

  it('that make a program load other code are mentioned', async () => {
    expect(await check({ command: 'tool', env: { NODE_OPTIONS: '--require ./x' } })).toMatchObject([
      { severity: 'warning', code: 'LOADER_VARIABLE', path: 'mcpServers.a.env.NODE_OPTIONS' },
    ])
  })
})
