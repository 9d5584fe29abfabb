/** What a person meets who types commands, and types them wrong or changes their mind. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { bin, createSandbox, remoteBackend, stdioBackend, type Finished, type Sandbox } from './harness.ts'

let sandbox: Sandbox
beforeEach(() => void (sandbox = createSandbox()))
afterEach(() => sandbox.dispose())

/** Runs a command and interrupts it once it has started this server. */
async function interrupted(alias: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [bin, ...args], { cwd: sandbox.dir, env: { ...sandbox.env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', chunk => void (stdout += chunk))
  child.stderr.on('data', chunk => void (stderr += chunk))
  const code = new Promise<number | null>(resolve => child.once('close', resolve))
  await eventually(() => (sandbox.readJournal(alias).length > 0 ? true : undefined), `${alias} to start`)
  child.kill('SIGINT')
  return { code: await code, stdout, stderr }
}

describe('an interrupted command', () => {
  it.each(['list', 'status'])('%s prints nothing of what it had found', async command => {
    const silent = { command: process.execPath, args: ['-e', 'process.stdin.resume()'] }
    const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), silent } })
    const { code, stdout, stderr } = await interrupted('one', [command, '--config', config])
    expect([code, stdout, stderr]).toEqual([130, '', 'error CANCELLED: stopped by SIGINT\n'])
  })
})

describe('validate', () => {
  it('does not put a file that is not there down to --config', async () => {
    const { code, stderr } = await sandbox.run(['validate', 'none.json'])
    expect([code, stderr]).toEqual([2, `error CONFIG_NOT_FOUND: there is no file ${join(sandbox.dir, 'none.json')}\n  hint: that is what the command line names\n`])
  })
})

describe('a reader that leaves', () => {
  it('ends a status that would be shown for ever', async () => {
    const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') } })
    const child = spawn(process.execPath, [bin, 'status', '--watch', '--config', config], { cwd: sandbox.dir, env: { ...sandbox.env } })
    const code = new Promise<number | null>(resolve => child.once('exit', resolve))
    child.stdout.once('data', () => child.stdout.destroy())
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
    expect(await code).toBe(0)
    clearTimeout(timer)
  })
})

describe('list', () => {
  it('starts a server that never answers once, and waits for it once', async () => {
    const trace = 'require("fs").appendFileSync("starts", "x"); process.stdin.resume()'
    const silent = { command: process.execPath, args: ['-e', trace], timeouts: { start: 1500 } }
    const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one'), silent } })
    const { code, stdout, stderr } = await sandbox.run(['list', 'tools', '--config', config])
    expect([code, stderr]).toEqual([0, 'warning silent is stopped: silent was not ready within 1500 ms\n'])
    expect(stdout).toContain('one__echo')
    expect(readFileSync(join(sandbox.dir, 'starts'), 'utf8')).toBe('x')
  })
})

describe('a command that is not there', () => {
  it.each([
    [['daemon'], 'error USAGE: a command is needed\n  hint: mcp-proxy daemon --help lists them\n'],
    [['help', 'demon'], "error USAGE: unknown command 'demon'\n  hint: mcp-proxy --help lists all\n"],
  ])('%j is told what there is', async (args, stderr) => {
    expect(await sandbox.run(args)).toEqual({ code: 2, stdout: '', stderr })
  })

  it('is one line of JSON on request, without any word too', async () => {
    const { code, stderr } = await sandbox.run(['--json'])
    expect([code, JSON.parse(stderr)]).toMatchObject([2, { error: { code: 'USAGE' } }])
  })
})

describe.skipIf(process.platform === 'win32')('a folder that is gone', () => {
  it('is no reason to fail for a command that needs none', async () => {
    const config = sandbox.config({ mcpServers: { one: stdioBackend(sandbox, 'v1', 'one') } })
    const words = `mkdir gone && cd gone && rmdir ../gone && exec '${process.execPath}' '${bin}' list tools --config '${config}'`
    const child = spawn('/bin/sh', ['-c', words], { cwd: sandbox.dir, env: { ...sandbox.env } })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => void (said += chunk))
    expect(await new Promise(resolve => child.once('close', resolve)), said).toBe(0)
    expect(said).toContain('one__echo')
  })
})

describe('connect', () => {
  const terminal = '/usr/bin/script'
  it.skipIf(!existsSync(terminal))('names no config file on a terminal: there is none', async () => {
    const remote = await remoteBackend(sandbox, 'v1', 'one', 'http')
    const words = [process.execPath, bin, 'connect', remote.url, '--header', 'X-Key: t0p-s3cret-value']
    const child = spawn(terminal, ['-qec', words.map(word => `'${word}'`).join(' '), '/dev/null'], { cwd: sandbox.dir, env: { ...sandbox.env } })
    let said = ''
    child.stdout.on('data', chunk => void (said += chunk))
    await eventually(() => (said.includes('Ctrl-C stops it') ? true : undefined), 'its welcome')
    child.stdin.write('\x03')
    await new Promise(resolve => child.once('close', resolve))
    await remote.stop()
    expect(said).toContain(`"args":["connect","${remote.url}","--header","X-Key: ***"]`)
    expect(said).not.toMatch(/--config|the command line|s3cret/)
  })
})
