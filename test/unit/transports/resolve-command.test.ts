import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { McpError } from '../../../src/gateway/errors.ts'
import { childEnvironment } from '../../../src/transports/environment.ts'
import { askShell } from '../../../src/transports/login-path.ts'
import { isExecutableFile, resolveCommand } from '../../../src/transports/resolve-command.ts'
import { behindBatch, refuseMetacharacters, windowsSpawn } from '../../../src/transports/spawn.ts'
import { isRunning, until } from './processes.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const failure = (promise: Promise<unknown>): Promise<McpError> =>
  promise.then(
    () => expect.unreachable(),
    (thrown: unknown) => thrown as McpError,
  )

describe('a command on POSIX', () => {
  const found =
    (...programs: string[]) =>
    (path: string): Promise<boolean> =>
      Promise.resolve(programs.includes(path))
  const options = {
    cwd: '/home/me/project',
    environment: { PATH: '/usr/local/bin::bin:./x:/usr/bin' },
    platform: 'linux' as const,
    loginPath: async () => undefined,
  }

  it('is the first program of that name on the PATH of the child, never one of where we stand', async () => {
    const resolved = await resolveCommand('npx', {
      ...options,
      isProgram: found('/usr/bin/npx', '/home/me/project/npx', '/home/me/project/bin/npx', 'bin/npx'),
    })
    expect(resolved).toEqual({ file: '/usr/bin/npx', environment: options.environment, batch: false })
  })

  it('with a slash counts from the folder of the child', async () => {
    const resolved = await resolveCommand('./run', { ...options, isProgram: found('/home/me/project/run') })
    expect(resolved.file).toBe('/home/me/project/run')
  })

  it('finds the interpreter that stands beside it', async () => {
    const resolved = await resolveCommand('/opt/node/bin/npx', { ...options, isProgram: found('/opt/node/bin/npx') })
    expect(resolved.environment['PATH']).toBe(`${options.environment.PATH}:/opt/node/bin`)
  })

  it('is looked for where the login shell would, and runs with that PATH behind its own', async () => {
    const loginPath = async () => ({ shell: '/bin/zsh', folders: ['/usr/bin', '/home/me/.nvm/bin', '/opt/homebrew/bin'] })
    const resolved = await resolveCommand('npx', { ...options, loginPath, isProgram: found('/home/me/.nvm/bin/npx') })
    expect(resolved.file).toBe('/home/me/.nvm/bin/npx')
    expect(resolved.environment['PATH']).toBe(`${options.environment.PATH}:/home/me/.nvm/bin:/opt/homebrew/bin`)
  })

  it('that is nowhere says where it was looked for', async () => {
    const loginPath = async () => ({ shell: '/bin/zsh', folders: ['/opt/homebrew/bin'] })
    const error = await failure(resolveCommand('nix', { ...options, loginPath, isProgram: found() }))
    expect(error).toMatchObject({ code: 'BACKEND_START_FAILED', message: 'the command nix was not found' })
    expect(error.details.hint).toBe(
      'searched /usr/local/bin, /usr/bin, and what /bin/zsh adds: /opt/homebrew/bin. Install it, or give its absolute path',
    )
    const many = {
      ...options,
      environment: { PATH: Array.from({ length: 30 }, (_, n) => `/p${n}`).join(':') },
      isProgram: found(),
    }
    expect((await failure(resolveCommand('nix', many))).details.hint).toMatch(/\/p19 and 10 more\./)
    expect((await failure(resolveCommand('nix', { ...options, environment: {}, isProgram: found() }))).details.hint).toMatch(
      /^PATH is empty/,
    )
  })

  it.each(['', 'a\0b'])('that cannot be one is refused: %j', async command => {
    expect(await failure(resolveCommand(command, options))).toMatchObject({ code: 'BACKEND_START_FAILED' })
  })

  it('must be a file that can be run', async () => {
    const [first, second, third] = ['first', 'second', 'third'].map(name => join(folder, name)) as [string, string, string]
    for (const path of [first, second, third]) mkdirSync(path)
    mkdirSync(join(first, 'tool'))
    writeFileSync(join(second, 'tool'), '')
    writeFileSync(join(third, 'tool'), '')
    chmodSync(join(third, 'tool'), 0o755)
    const environment = { PATH: [first, second, third].join(':') }
    expect((await resolveCommand('tool', { cwd: folder, environment })).file).toBe(join(third, 'tool'))
  })
})

// Written from documentation; no real Windows has run this.
describe('a command on Windows', () => {
  const programs = ['c:\\tools\\npx.cmd', 'c:\\tools\\tool.exe', 'd:\\work\\run.bat', 'c:\\tools\\bare']
  const options = {
    cwd: 'D:\\work',
    environment: { Path: 'C:\\Windows;C:\\Tools', PATHEXT: '.COM;.EXE;.BAT;.CMD' },
    platform: 'win32' as const,
    isProgram: (path: string) => Promise.resolve(programs.includes(path.toLowerCase())),
  }
  it.each([
    ['npx', 'C:\\Tools\\npx.cmd', true],
    ['tool', 'C:\\Tools\\tool.exe', false],
    ['tool.exe', 'C:\\Tools\\tool.exe', false],
    ['.\\run', 'D:\\work\\run.bat', true],
    ['C:\\Tools\\tool.exe', 'C:\\Tools\\tool.exe', false],
  ])('%s is %s', async (command, file, batch) => {
    expect(await resolveCommand(command, options)).toMatchObject({ file, batch })
  })

  it('is found in a folder that stands in quotes on the PATH', async () => {
    const environment = { ...options.environment, Path: 'C:\\Windows;"C:\\Tools"' }
    expect((await resolveCommand('npx', { ...options, environment })).file).toBe('C:\\Tools\\npx.cmd')
  })

  it('may be an alias of the store, which can be run and not be looked at', async () => {
    // https://github.com/nodejs/node/issues/36790, https://github.com/npm/node-which/issues/157
    const refused = (code: string) => ({ stat: () => Promise.reject(Object.assign(new Error(code), { code })), access: () => Promise.resolve() })
    expect(await isExecutableFile('C:\\WindowsApps\\python.exe', refused('EACCES'), 'win32')).toBe(true)
    expect(await isExecutableFile('C:\\WindowsApps\\python.exe', refused('ENOENT'), 'win32')).toBe(false)
    expect(await isExecutableFile('/usr/bin/python', refused('EACCES'), 'linux')).toBe(false)
    expect(await windowsSpawn({ file: 'C:\\WindowsApps\\python.EXE', batch: false }, ['a&b'])).toBe(spawn)
    expect(await windowsSpawn({ file: 'C:\\Tools\\npx.cmd', batch: true }, ['-y'])).not.toBe(spawn)
  })

  it('without an extension Windows can run is none', async () => {
    expect(await failure(resolveCommand('bare', options))).toMatchObject({ code: 'BACKEND_START_FAILED' })
  })

  it('that is a batch file gets no argument cmd.exe would interpret', () => {
    for (const arg of ['a&b', '%PATH%', 'a|b', '"', '^', '!x!', '<', '>', 'a\nb'])
      expect(() => refuseMetacharacters('npx.cmd', ['-y', arg]), arg).toThrow(
        expect.objectContaining({ code: 'BACKEND_START_FAILED' }) as Error,
      )
    refuseMetacharacters('npx.cmd', ['-y', '@scope/pkg@1.0.0', 'C:\\a b', 'k=v', 'a,b;c(d)'])
  })
})

describe('the batch files of Node itself on Windows', () => {
  const folder = 'C:\\Program Files\\nodejs'
  const node = { node: `${folder}\\node.exe`, script: `${folder}\\node_modules\\npm\\bin\\npx-cli.js` }
  const there = (...paths: string[]) => (path: string) => Promise.resolve(paths.includes(path))
  const quoting = `${folder}\\node_modules\\npm\\node_modules\\@npmcli\\promise-spawn\\lib\\escape.js`
  const address = ['-y', 'mcp-remote', 'https://example.com/mcp?a=1&b=%20']

  it('are left out where an argument is nothing for cmd.exe', async () => {
    expect(await behindBatch(`${folder}\\npx.CMD`, there(node.node, node.script, quoting))).toEqual(node)
    const run = await windowsSpawn({ file: `${folder}\\npx.cmd`, batch: true }, address, there(node.node, node.script, quoting))
    const child = run('', address, { stdio: 'pipe' })
    // There is no such Node here; what matters is what would have been started.
    const error = await new Promise<NodeJS.ErrnoException & { spawnargs: string[] }>(resolve => child.once('error', resolve as (error: Error) => void))
    expect([error.path, ...error.spawnargs]).toEqual([node.node, node.script, ...address])
  })

  it('take nothing that npm cannot quote: it leaves the end of a line as it is, and cmd.exe drops what follows it', async () => {
    for (const argument of ['a\nb', 'a\r\nb', 'a\0b', 'https://example.com/?a=1&b=2\n'])
      await expect(windowsSpawn({ file: `${folder}\\npx.cmd`, batch: true }, ['-y', argument], there(node.node, node.script, quoting))).rejects.toMatchObject({
        code: 'BACKEND_START_FAILED',
      })
  })

  it('are not left out where npm is so old that it quotes for no cmd.exe, which would run what is behind a quote and a &', async () => {
    expect(await behindBatch(`${folder}\\npx.cmd`, there(node.node, node.script))).toBeUndefined()
    const old = windowsSpawn({ file: `${folder}\\npx.cmd`, batch: true }, ['-y', '" & calc & "'], there(node.node, node.script))
    await expect(old).rejects.toMatchObject({ code: 'BACKEND_START_FAILED' })
  })

  it('and of anybody else take no such argument, as before', async () => {
    for (const file of [`${folder}\\npx.cmd`, 'C:\\Tools\\other.cmd'])
      await expect(windowsSpawn({ file, batch: true }, address, there(node.script))).rejects.toMatchObject({ code: 'BACKEND_START_FAILED' })
  })
})

describe('the environment of a child', () => {
  it('is what programs need, what was configured, and nothing else', () => {
    const base = {
      PATH: '/bin',
      HOME: '/h',
      LC_ALL: 'C',
      XDG_RUNTIME_DIR: '/run',
      https_proxy: 'p',
      NODE_EXTRA_CA_CERTS: 'c',
      DOCKER_HOST: 'd',
      GITHUB_TOKEN: 'secret',
      NODE_OPTIONS: '--require x',
      LD_PRELOAD: 'x',
      TERM: '() { :; }; x',
    }
    const { GITHUB_TOKEN, NODE_OPTIONS, LD_PRELOAD, TERM, ...passed } = base
    expect(childEnvironment(base, { PATH: '/mine', A: '1' }, 'linux')).toEqual({ ...passed, PATH: '/mine', A: '1' })
  })

  it('has each name once on Windows, in whatever case', () => {
    expect(childEnvironment({ Path: 'C:\\', SystemRoot: 'C:\\Windows', SECRET: 'x' }, { PATH: 'D:\\' }, 'win32')).toEqual({
      PATH: 'D:\\',
      SystemRoot: 'C:\\Windows',
    })
  })
})

describe('the PATH of the login shell', () => {
  const shell = (name: string, text: string): string => {
    const path = join(mkdtempSync(join(folder, 'shell-')), name)
    writeFileSync(path, `#!/bin/sh\n${text}\n`)
    chmodSync(path, 0o755)
    return path
  }

  it('is asked for as the user has it, whatever the start-up files print', async () => {
    const path = shell('bash', 'echo Welcome; PATH=/opt/bin:relative:/usr/bin; shift; eval "$1"; echo bye')
    expect(await askShell(path, 3000)).toEqual({ shell: path, folders: ['/opt/bin', '/usr/bin'] })
  })

  it('is not waited for longer than it may take, and what hangs is ended', async () => {
    const before = performance.now()
    const pid = join(folder, 'pid')
    const path = shell('zsh', `echo $$ > ${pid}; sleep 60`)
    expect(await askShell(path, 200)).toEqual({ shell: path, folders: [] })
    expect(performance.now() - before).toBeLessThan(2000)
    const { readFileSync } = await import('node:fs')
    await until(() => !isRunning(Number(readFileSync(pid, 'utf8'))))
  })

  it.each([undefined, 'bash', '/bin/false', '/usr/bin/env', '/no/such/bash'])('is not asked of %s', async path => {
    expect((await askShell(path, 500))?.folders ?? []).toEqual([])
  })
})
