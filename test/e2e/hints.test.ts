/** What to do about it: told wherever the owner of the config is told what is wrong, and to nobody else. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { createSandbox, serve, stdioBackend, type Sandbox } from './harness.ts'

let sandbox: Sandbox
beforeEach(() => void (sandbox = createSandbox()))
afterEach(() => sandbox.dispose())

describe('the hint of a server that cannot be started', () => {
  const searched = /searched .*\. Install it, or give its absolute path/
  const broken = { mcpServers: { gone: { command: 'no-such-command-x' } } }

  it('stands below what is wrong in list, status, validate --online and why', async () => {
    const config = sandbox.config({ mcpServers: { ...broken.mcpServers, one: stdioBackend(sandbox, 'v1', 'one') } })
    const run = async (...args: string[]): Promise<string> => {
      const { stdout, stderr } = await sandbox.run([...args, '--config', config])
      return stdout + stderr
    }
    const below = new RegExp(`gone.*the command no-such-command-x was not found\n  hint: ${searched.source}\n`)
    expect(await run('list', 'tools')).toMatch(below)
    expect(await run('status')).toMatch(below)
    expect(await run('validate', '--online')).toMatch(below)
    expect(await run('why', 'gone__tool')).toMatch(new RegExp(`was not found\n  hint: ${searched.source}\n`))
    const failureOf = (text: string): object => JSON.parse(text).find(({ alias }: { alias: string }) => alias === 'gone').lastFailure
    const hint = expect.stringMatching(searched)
    expect(failureOf(JSON.stringify(JSON.parse(await run('status', '--json')).backends))).toMatchObject({ stage: 'start', hint })
    expect(failureOf(JSON.stringify(JSON.parse(await run('validate', '--online', '--json')).servers))).toMatchObject({ hint })
    expect(JSON.parse(await run('validate', '--online', '--sarif')).runs[0].results).toContainEqual(
      expect.objectContaining({ ruleId: 'BACKEND_UNAVAILABLE', message: { text: expect.stringMatching(searched) } }),
    )
  })

  it('is in the log of a listener, not in its /status', async () => {
    const listener = await serve(sandbox, broken, ['--log-format', 'json'])
    const look = async () => (await (await fetch(new URL('/status', listener.url))).json()) as { backends: { lastFailure: object | null }[] }
    await fetch(listener.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } } }),
    }).then(response => response.text())
    const failure = await eventually(async () => (await look()).backends[0]?.lastFailure ?? undefined, 'the start to fail')
    expect(failure).toEqual({ stage: 'start', message: 'gone: the command no-such-command-x was not found', at: expect.any(String) })
    await listener.stop()
    const told = listener.stderr().split('\n').filter(line => line.includes('was not found')).map(line => JSON.parse(line))
    expect(told[0]).toMatchObject({ level: 'warn', hint: expect.stringMatching(searched) })
  })

  it('has no secret in it', async () => {
    const command = join(sandbox.dir, 'sk-t0p-s3cret', 'folder', 'tool')
    const config = sandbox.config({ mcpServers: { gone: { command: 'no-such-command-x', env: { PATH: join(command, '..'), API_KEY: 'sk-t0p-s3cret' } } } })
    const { stdout } = await sandbox.run(['status', '--json', '--config', config])
    expect(JSON.parse(stdout).backends[0].lastFailure.hint).toContain(join(sandbox.dir, '***', 'folder'))
    expect(stdout).not.toContain('s3cret')
  })

  it('of one that its entry holds back is that of the entry', async () => {
    const config = sandbox.config({ mcpServers: { held: { command: 'node', args: ['${HINTS_NEVER_SET}'] }, one: stdioBackend(sandbox, 'v1', 'one') } })
    const { problems } = JSON.parse((await sandbox.run(['validate', config, '--json'])).stdout)
    const hint: string = problems[0].hint
    expect(hint).toBeTruthy()
    expect((await sandbox.run(['list', 'tools', '--config', config])).stderr).toContain(`\n  hint: ${hint}\n`)
    expect(JSON.parse((await sandbox.run(['status', '--json', '--config', config])).stdout).backends[0].lastFailure).toMatchObject({ stage: 'resolve', hint })
  })
})

describe('a command that is no program', () => {
  it.each([
    ['./nope.sh', 'there is no file DIR/nope.sh', undefined],
    ['./plain.sh', 'DIR/plain.sh is not executable', "chmod +x 'DIR/plain.sh'"],
    ['./folder', 'DIR/folder is a folder', 'name the program in it'],
    ['./tool --port 1', 'there is no file DIR/tool --port 1', '"command" is only the program: write DIR/tool there and put the rest into "args"'],
    ['node ./a.js', 'there is no file DIR/node ./a.js', '"command" is only the program: write node there and put the rest into "args"'],
    ['node a.js', 'the command node a.js ', '"command" is only the program: write node there and put the rest into "args"'],
    ['nowhere a.js', 'the command nowhere a.js ', expect.stringMatching(/^searched /)],
  ])('%s: is told what is there, by validate and by a start alike', async (command, message, hint) => {
    const here = (text: string): string => text.replaceAll('DIR', sandbox.dir)
    sandbox.write('plain.sh', '#!/bin/sh\n')
    chmodSync(sandbox.write('tool', '#!/bin/sh\n'), 0o755)
    mkdirSync(join(sandbox.dir, 'folder'))
    const config = sandbox.config({ mcpServers: { one: { command } } })
    const [checked, started] = await Promise.all([sandbox.run(['validate', config, '--json']), sandbox.run(['status', '--json', '--config', config])])
    const problem = JSON.parse(checked.stdout).problems[0]
    const { lastFailure } = JSON.parse(started.stdout).backends[0]
    expect(problem).toMatchObject({ code: 'DEAD_COMMAND', path: 'mcpServers.one.command' })
    expect(problem.message).toContain(`mcpServers.one.command: ${here(message)}`)
    expect(lastFailure.message).toContain(`one: ${here(message)}`)
    for (const told of [problem.hint, lastFailure.hint]) expect(told).toEqual(typeof hint === 'string' ? here(hint) : hint)
  })
})

describe('serve', () => {
  it.each([
    ['192.0.2.1', 'EADDRNOTAVAIL'],
    ['no-such-host.invalid', '(ENOTFOUND|EAI_AGAIN)'],
  ])('on %s says that it is no address of this machine', async (host, code) => {
    const { code: exit, stderr } = await sandbox.run(['serve', '--http', '--host', host, '--port', '0', '--config', sandbox.config({ mcpServers: {} })])
    const hint = 'the host must be an address of this machine; left out, it is 127.0.0.1'
    expect([exit, stderr]).toEqual([1, expect.stringMatching(new RegExp(`error LISTEN_FAILED: cannot listen on ${host}:0: ${code}\n  hint: ${hint}\n$`))])
  })
})

it('the status of a server that is not there has the keys of one that is', async () => {
  const one = stdioBackend(sandbox, 'v1', 'one')
  const servers = { one, off: { ...one, enabled: false }, gone: { command: 'no-such-command-x' }, held: { command: 'node', args: ['${HINTS_NEVER_SET}'] } }
  const { stdout } = await sandbox.run(['status', '--json', '--config', sandbox.config({ mcpServers: servers })])
  const [there, ...others] = JSON.parse(stdout).backends
  expect(there).toMatchObject({ era: 'legacy', revision: '2025-11-25', pid: expect.any(Number), lastFailure: null })
  for (const other of others) {
    expect(other).toMatchObject({ era: null, revision: null, pid: null })
    expect(Object.keys(there)).toEqual(expect.arrayContaining(Object.keys(other)))
  }
})

it('a line of an envFile that is not NAME=value is named, not quoted, and costs no other line its effect', async () => {
  const lines = ['# of ours', 'export A=1', 't0p-s3cret', 'B=2', '', '=x', 'C="first', 'no = sign of its own', 'last" # rest', '  # D=4', "E='5'", 'F: 6', 'G=7', '']
  const file = sandbox.write('own.env', lines.join('\n'))
  const trace = "require('fs').writeFileSync('seen', JSON.stringify(process.env)); process.stdin.resume()"
  const instance = { command: process.execPath, args: ['-e', trace] }
  const config = sandbox.config({ mcpServers: { one: { instances: [instance, instance], envFile: 'own.env', timeouts: { start: 1000 } } } })
  const checked = await sandbox.run(['validate', config, '--json'])
  expect(JSON.parse(checked.stdout)).toMatchObject({
    ok: true,
    problems: [{
      severity: 'warning', code: 'BAD_VALUE', file: config, line: 20, path: 'mcpServers.one.envFile', backend: 'one',
      message: `mcpServers.one.envFile: ${file}:3 is not NAME=value and is left out; so are lines 6, 12`,
    }],
  })
  expect((await sandbox.run(['validate', config, '--strict'])).code).toBe(2)
  const served = await sandbox.run(['run', '--config', config], { hold: 2000 })
  expect(served.stderr).toContain(`${file}:3 is not NAME=value`)
  expect(checked.stdout + served.stderr).not.toContain('s3cret')
  const { A, B, C, E, F, G } = JSON.parse(readFileSync(join(sandbox.dir, 'seen'), 'utf8'))
  expect({ A, B, C, E, F, G }).toEqual({ A: '1', B: '2', C: 'first\nno = sign of its own\nlast', E: '5', F: undefined, G: '7' })
})
