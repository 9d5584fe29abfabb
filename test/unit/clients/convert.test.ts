/** Servers of clients in our words: variables, secrets, paths, and the same server once. */
import { describe, expect, it } from 'vitest'
import type { ClientId, Place } from '../../../src/clients/client.ts'
import { convert, isRefused, type Converted } from '../../../src/clients/convert.ts'
import { clientOf } from '../../../src/clients/list.ts'
import { aliasOf, merge, type Present } from '../../../src/clients/merge.ts'
import type { Raw } from '../../../src/config/spellings.ts'
import { linux, windows } from './machine.ts'

const user: Place = { scope: 'user', file: '/f', format: 'json', at: [] }
const project: Place = { scope: 'project', file: '/work/shop/.x', format: 'json', at: [], folder: '/work/shop' }

const take = (client: ClientId, entry: Raw, place = user, name = 'a') => convert({ client: clientOf(client), place, name, entry }, linux())

function converted(client: ClientId, entry: Raw, place = user, name = 'a'): Converted {
  const one = take(client, entry, place, name)
  if (!one || isRefused(one)) throw new Error(`not converted: ${one?.reason ?? 'no server'}`)
  return one
}

const none: Present = { servers: new Map(), separator: '__', credential: () => undefined, credentialNames: [] }

/** One server as it would stand in the config, and what would be stored. */
function added(client: ClientId, entry: Raw, place = user): { server: Raw; credentials: Record<string, string> } {
  const { additions, credentials } = merge([converted(client, entry, place)], none)
  return { server: additions[0]!.server, credentials: Object.fromEntries(credentials) }
}

const arg = (client: ClientId, text: string, place = user): unknown => (added(client, { command: 'c', args: [text] }, place).server['args'] as string[])[0]

describe('variables', () => {
  it.each<[ClientId, string, string]>([
    ['claude-desktop', '${X} $X', '$${X} $X'],
    ['claude-code', '${X} ${Y:-d} $X ${env:X}', '${X} ${Y:-d} $X $${env:X}'],
    ['cursor', '${env:X} ${userHome}/a${/}b ${X}', '${X} /home/ann/a/b $${X}'],
    ['vscode', '${env:A.B} ${pathSeparator}', '${env:A.B} /'],
    ['windsurf', '${env:X} ${file:/run/t} ${X}', '${X} ${file:/run/t} $${X}'],
    ['zed', '${X}', '$${X}'],
    ['codex', '${X}', '$${X}'],
    ['gemini', '$X ${Y} ${Z:-d} %P%', '${X:-} ${Y:-} ${Z:-d} %P%'],
    ['cline', '${env:X} ${X}', '${X} $${X}'],
    ['opencode', '{env:X} {file:~/t} ${X}', '${X:-} ${file:~/t} $${X}'],
  ])('of %s: %s', (client, text, ours) => {
    expect(arg(client, text)).toBe(ours)
  })

  it('of Gemini on Windows', () => {
    const one = convert({ client: clientOf('gemini'), place: user, name: 'a', entry: { command: 'c', args: ['%P%'] } }, windows())
    expect(one).toMatchObject({ server: { args: ['${P:-}'] } })
  })

  it('a workspace is its folder, and nothing outside of one', () => {
    expect(arg('cursor', '${workspaceFolder}/${workspaceFolderBasename}', project)).toBe('/work/shop/shop')
    expect(take('cursor', { command: 'c', args: ['${workspaceFolder}'] })).toMatchObject({ reason: expect.stringContaining('workspace') })
    expect(take('vscode', { command: 'c', args: ['${command:pick}'] })).toMatchObject({ reason: expect.any(String) })
  })

  it('inputs become credentials to be stored', () => {
    const one = converted('vscode', { command: 'c', env: { KEY: '${input:api key}' } })
    expect(one.server['env']).toEqual({ KEY: '${cred:api_key}' })
    expect(one.inputs).toEqual(['api_key'])
  })
})

describe('secrets that are written out', () => {
  const token = 'ghp_0123456789abcdefghijABCDEFGHIJ012345'

  it.each<[string, Raw, Raw, Record<string, string>]>([
    ['in the environment', { command: 'c', env: { API_KEY: 'abcdefgh1234', LEVEL: 'info' } }, { command: 'c', env: { API_KEY: '${cred:a_API_KEY}', LEVEL: 'info' } }, { a_API_KEY: 'abcdefgh1234' }],
    ['in a header', { url: 'https://x/mcp', headers: { Authorization: `Bearer ${token}` } }, { url: 'https://x/mcp', headers: { Authorization: 'Bearer ${cred:a_Authorization}' } }, { a_Authorization: token }],
    ['behind a flag', { command: 'c', args: ['--api-key', 'abcdefgh1234', '--level', 'info'] }, { command: 'c', args: ['--api-key', '${cred:a_api-key}', '--level', 'info'] }, { 'a_api-key': 'abcdefgh1234' }],
    ['in a flag', { command: 'c', args: [`--token=${token}`] }, { command: 'c', args: ['--token=${cred:a_token}'] }, { a_token: token }],
    ['in a variable of docker', { command: 'docker', args: ['run', '-e', 'API_TOKEN=abcdefgh1234', 'i'] }, { command: 'docker', args: ['run', '-e', 'API_TOKEN=${cred:a_API_TOKEN}', 'i'] }, { a_API_TOKEN: 'abcdefgh1234' }],
    ['in a header argument', { command: 'c', args: ['--header', 'Authorization: Bearer abcdefgh1234'] }, { command: 'c', args: ['--header', 'Authorization: Bearer ${cred:a_Authorization}'] }, { a_Authorization: 'abcdefgh1234' }],
    ['by its shape', { command: 'c', args: [token] }, { command: 'c', args: ['${cred:a_token}'] }, { a_token: token }],
    ['in an address of a database', { command: 'c', args: ['postgres://u:pa55word@h/db'] }, { command: 'c', args: ['postgres://u:${cred:a_password}@h/db'] }, { a_password: 'pa55word' }],
    ['in a query', { url: 'https://x/mcp?team=a&api_key=abcdefgh1234#f' }, { url: 'https://x/mcp?team=a&api_key=${cred:a_api_key}#f' }, { a_api_key: 'abcdefgh1234' }],
  ])('%s', (_, entry, server, credentials) => {
    expect(added('cursor', entry)).toEqual({ server, credentials })
  })

  it('stay where they are when they are references or placeholders', () => {
    for (const value of ['${env:TOKEN}', '<your key here>', '/run/secrets/token', 'true'])
      expect(added('cursor', { command: 'c', env: { API_TOKEN: value } }).credentials, value).toEqual({})
  })

  it('are stored as they are, not as we would escape them', () => {
    expect(added('cursor', { command: 'c', env: { PASSWORD: 'a${b}c!defg' } }).credentials).toEqual({ a_PASSWORD: 'a${b}c!defg' })
  })
})

describe('what clients call things', () => {
  it('Codex', () => {
    expect(added('codex', { url: 'https://x/mcp', bearer_token_env_var: 'T', http_headers: { A: 'b' }, startup_timeout_sec: 20, enabled_tools: ['r'] }).server).toEqual({
      url: 'https://x/mcp', headers: { A: 'b', Authorization: 'Bearer ${T}' }, timeouts: { start: 20_000 }, tools: { include: ['r'] },
    })
  })

  it('Gemini means HTTP+SSE by url', () => {
    expect(added('gemini', { url: 'https://x/sse' }).server).toEqual({ url: 'https://x/sse', type: 'sse' })
    expect(added('gemini', { httpUrl: 'https://x/mcp' }).server).toEqual({ url: 'https://x/mcp', type: 'http' })
  })

  it('Goose, whose built-in extensions are no servers', () => {
    expect(take('goose', { type: 'builtin', name: 'developer', enabled: true })).toBeUndefined()
    expect(added('goose', { type: 'stdio', name: 'x', cmd: 'c', args: ['a'], envs: { A: '1' }, env_keys: ['B'], timeout: 300, enabled: true }).server).toEqual({
      command: 'c', args: ['a'], env: { A: '1', B: '${cred:B}' }, timeouts: { call: 300_000 },
    })
    expect(converted('goose', { type: 'stdio', cmd: 'c', env_keys: ['B'] }).inputs).toEqual(['B'])
    expect(added('goose', { enabled: false, config: { type: 'streamable_http', uri: 'https://x/mcp' } }).server).toEqual({ url: 'https://x/mcp', type: 'http', enabled: false })
  })

  it('OpenCode', () => {
    expect(added('opencode', { type: 'local', command: ['npx', '-y', 'p'], environment: { A: '{env:A}' } }).server).toEqual({ command: 'npx', args: ['-y', 'p'], env: { A: '${A:-}' } })
  })

  it('Zed and Cline count seconds', () => {
    for (const client of ['zed', 'cline'] as const) expect(added(client, { command: 'c', timeout: 1200 }).server).toEqual({ command: 'c', timeouts: { call: 1_200_000 } })
    expect(take('zed', { settings: {} })).toBeUndefined()
  })

  it('what cannot be taken says why', () => {
    expect(take('claude-code', { type: 'ws', url: 'wss://x' })).toMatchObject({ reason: expect.stringContaining('WebSocket') })
    expect(take('cursor', { args: [] })).toMatchObject({ reason: expect.any(String) })
    expect(converted('cursor', { command: 'c', frobnicate: 1 }).notes).toEqual([expect.stringContaining('frobnicate')])
  })
})

it('a project’s server starts in its project', () => {
  expect(added('cursor', { command: './serve', args: ['x'], envFile: '.env' }, project).server).toEqual({
    command: '/work/shop/serve', args: ['x'], cwd: '/work/shop', envFile: '/work/shop/.env',
  })
  expect(added('cursor', { command: 'npx', cwd: 'sub' }, project).server).toEqual({ command: 'npx', cwd: '/work/shop/sub' })
  expect(added('cursor', { url: 'https://x' }, project).server).toEqual({ url: 'https://x' })
})

describe('many into one', () => {
  it('takes the same server once, whatever it is called and however its secret is', () => {
    const one = converted('cursor', { url: 'https://x/mcp', headers: { Authorization: 'Bearer abcdefgh1234' } }, user, 'x')
    const two = converted('claude-code', { type: 'http', url: 'https://x/mcp', headers: { Authorization: 'Bearer abcdefgh1234' } }, user, 'ex')
    const other = converted('zed', { url: 'https://x/mcp', headers: { Authorization: 'Bearer zyxwvuts9876' } }, user, 'x')
    const { additions, duplicates, credentials } = merge([one, two, other], none)
    expect(additions.map(({ alias }) => alias)).toEqual(['x', 'x-2'])
    expect(duplicates).toMatchObject([{ alias: 'x' }])
    expect([...credentials]).toEqual([['x_Authorization', 'abcdefgh1234'], ['x-2_Authorization', 'zyxwvuts9876']])
  })

  it('gives no two aliases that cannot stand together', () => {
    const found = ['my.files', 'my_files', 'My.Files'].map((name, at) => converted('cursor', { command: `c${at}` }, user, name))
    expect(merge(found, none).additions.map(({ alias }) => alias)).toEqual(['my.files', 'my_files-2', 'My.Files-3'])
  })

  it('sees what is configured already, by the value of its credential', () => {
    const present: Present = {
      servers: new Map([['mine', { url: 'https://x/mcp', headers: { Authorization: 'Bearer ${cred:old}' } }]]),
      separator: '__', credential: name => (name === 'old' ? 'abcdefgh1234' : undefined), credentialNames: ['old'],
    }
    const one = converted('cursor', { url: 'https://x/mcp', headers: { Authorization: 'Bearer abcdefgh1234' } })
    expect(merge([one], present)).toMatchObject({ additions: [], duplicates: [{ alias: 'mine' }] })
  })

  it('never overwrites a credential of another value', () => {
    const present: Present = { ...none, credential: () => 'another', credentialNames: ['a_API_KEY'] }
    const { credentials } = merge([converted('cursor', { command: 'c', env: { API_KEY: 'abcdefgh1234' } })], present)
    expect([...credentials]).toEqual([['a_API_KEY_2', 'abcdefgh1234']])
  })

  it('a server that is off in one client and on in another is on', () => {
    const off = converted('cursor', { command: 'c', disabled: true })
    const on = converted('zed', { command: 'c' })
    expect(merge([off, on], none).additions).toMatchObject([{ server: { command: 'c' } }])
    expect(merge([off, on], none).additions[0]!.server).not.toHaveProperty('enabled')
  })

  it.each([
    ['my server', 'my-server'],
    ['a__b___c', 'a_b_c'],
    ['@scope/pkg', 'scope-pkg'],
    ['Größe', 'Große'],
    ['日本', 'server'],
    ['x'.repeat(50), 'x'.repeat(32)],
    ['..', 'server'],
  ])('%s gets the alias %s', (name, alias) => {
    expect(aliasOf(name, '__')).toBe(alias.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').replace(/ß/g, '-'))
  })
})
