/**
 * Where secrets could show: commands that print, errors, command lines, files. Every world of the other files is searched as
 * well; here are the places that need a way of their own.
 */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { childrenOf, commandLine, pause } from './lib/processes.ts'
import { filesBelow, leaks, newSecret, tracesOf } from './lib/oracles.ts'
import { record } from './lib/record.ts'
import { World } from './lib/world.ts'

describe('secrets', () => {
  const world = new World()
  afterAll(() => world.end())
  const stored = newSecret()
  const literal = newSecret()
  world.secrets.push(stored, literal)

  it('are found by the search in every spelling, or it would prove nothing', () => {
    const secret = newSecret()
    const bytes = Buffer.from(secret)
    const spellings = [
      secret, encodeURIComponent(secret), JSON.stringify(JSON.stringify(secret)), bytes.toString('base64'), bytes.toString('base64url'),
      Buffer.from(`u:${secret}`).toString('base64'), Buffer.from(`us:${secret}`).toString('base64'), secret.slice(0, 26),
    ]
    for (const spelling of spellings) expect(leaks([secret], { here: `before ${spelling} after` }), spelling).not.toEqual([])
    expect(leaks([secret], { here: `nothing of ${newSecret()}` })).toEqual([])
    expect(tracesOf(secret)).toHaveLength(8)
  })

  it('show in no command, no error, no file of ours and no command line', async () => {
    const { sandbox } = world
    const home = sandbox.env['MCP_PROXY_HOME'] as string
    const set = await sandbox.run(['credentials', 'set', 'token'], { input: stored })
    expect(set.code, set.stderr).toBe(0)
    const config = {
      mcpServers: {
        good: { ...world.rogue('good'), env: { API_TOKEN: '${cred:token}' } },
        literal: { ...world.rogue('literal', { flags: ['--die'] }), env: { API_TOKEN: literal } },
        refusing: { ...world.rogue('refusing', { flags: ['--refuse', 'API_TOKEN'] }), env: { API_TOKEN: '${cred:token}' } },
        far: { url: 'http://127.0.0.1:9/mcp', headers: { 'X-Key': literal.replace(/[^ -~]/g, '') } },
      },
      log: { level: 'debug', file: 'proxy.log' },
      startWait: '3s',
    }
    const file = sandbox.config(config)
    const places: Record<string, string> = {}
    const commands = [
      ['list', '--json'], ['status'], ['status', '--json'], ['call', 'literal__echo', '{}'], ['call', 'refusing__echo', '{}', '--json'], ['call', 'good__exit', '{"words":"bye"}', '--debug'],
      ['config', 'show'], ['config', 'show', '--json'], ['validate', '--json'], ['credentials', 'list'], ['credentials', 'check'],
    ]
    for (const command of commands) {
      const { stdout, stderr } = await sandbox.run([...command, '--config', file])
      places[`stdout of ${command.join(' ')}`] = stdout
      places[`stderr of ${command.join(' ')}`] = stderr
    }
    const client = world.run(config)
    await client.hello()
    await client.tools()
    places['command lines'] = [client.pid, ...childrenOf(client.pid)].map(commandLine).join('\n')
    const errors = await Promise.all(['literal', 'refusing', 'far'].map(async alias => (await client.request('tools/call', { name: `${alias}__echo`, arguments: {} }).reply).error))
    places['errors'] = JSON.stringify(errors)
    await pause(300)
    Object.assign(places, filesBelow(home))
    delete places[join(home, 'credentials.json')]
    places['the log file'] = filesBelow(sandbox.dir)[join(sandbox.dir, 'proxy.log')] ?? ''
    expect(places['the log file']).toContain('my secret is')
    expect(errors.every(error => error !== undefined)).toBe(true)
    const shown = leaks([stored, literal], places)
    record({
      fault: '-', id: 'secrets', what: 'servers that know secrets tell them on stderr, on stdout between messages and in refusals, in eight spellings, some cut in half; searched in the output of eleven commands, errors, debug logs, the log file, command lines, and every file we write',
      promise: '0 hits', measured: `${shown.length} hits in ${Object.keys(places).length} places; every other test of this table is searched as well`, met: shown.length === 0,
    })
    expect(statSync(join(home, 'credentials.json')).mode & 0o077).toBe(0)
    // The file that holds it is the one place where it may stand; the search at the end must not stumble over it.
    writeFileSync(join(home, 'credentials.json'), '{}')
    expect(shown).toEqual([])
  })
})
