/**
 * A home with the config files of every client, in all their habits: taken over, installed into, and given back. What
 * counts in the end is that every file is what it was, to the byte, and nothing lies beside it.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clientIds, type ClientId } from '../../src/clients/client.ts'
import { bin, createSandbox, fixture, root, type Finished, type Sandbox } from './harness.ts'

let sandbox: Sandbox
let home: string
let project: string
let own: string

/** Every file below, with its bytes and mode. */
function tree(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (path.startsWith(own)) continue
    const { mode } = lstatSync(path)
    found[relative(folder, path)] = entry.isFile() ? `${(mode & 0o7777).toString(8)} ${readFileSync(path).toString('base64')}` : `${(mode & 0o7777).toString(8)} folder`
  }
  return found
}

const run = (...args: string[]): Promise<Finished> => sandbox.run(args, { cwd: project, env: { MCP_PROXY_HOME: own } })

async function ok(...args: string[]): Promise<Finished> {
  const finished = await run(...args)
  expect(finished.code, `${args.join(' ')}\n${finished.stdout}\n${finished.stderr}`).toBe(0)
  return finished
}

const read = (path: string): string => readFileSync(join(home, path), 'utf8')

beforeEach(() => {
  sandbox = createSandbox()
  home = sandbox.env['HOME'] as string
  project = join(sandbox.dir, 'project')
  own = join(home, 'mcp-proxy')
  cpSync(join(root, 'test/fixtures/clients-homes/linux/home'), home, { recursive: true })
  cpSync(join(root, 'test/fixtures/clients-homes/linux/project'), project, { recursive: true })
  for (const folder of [home, project])
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const text = readFileSync(path, 'utf8').replaceAll('__NODE__', process.execPath).replaceAll('__SERVER__', fixture('v1.mjs')).replaceAll('__PROJECT__', project)
      writeFileSync(path, text)
    }
  chmodSync(join(home, '.codex/config.toml'), 0o640)
})

afterEach(() => sandbox.dispose())

const scopesOf: Partial<Record<ClientId, string[]>> = {
  'claude-code': ['user', 'local', 'project'],
  cursor: ['user', 'project'],
  vscode: ['user', 'workspace'],
  codex: ['user', 'project'],
  zed: ['user', 'project'],
}

describe('init, install everywhere, undo everywhere', () => {
  it('leaves every file as it was, and nothing beside it', async () => {
    const before = tree(sandbox.dir)
    const { stdout } = await run('init', '--yes', '--json')
    const report = JSON.parse(stdout)
    expect(report.imported.map(({ alias }: { alias: string }) => alias).sort()).toEqual([
      'docs', 'elsewhere', 'files', 'files-2', 'github', 'lint', 'notes', 'remote', 'search', 'tasks', 'tracker', 'weather',
    ])
    expect(tree(sandbox.dir)).toEqual(before)

    for (const client of clientIds)
      for (const scope of scopesOf[client] ?? ['user']) {
        const { stdout: said } = await ok('install', client, '--scope', scope, '--yes', '--json')
        expect(JSON.parse(said)).toMatchObject({ client, scope, name: 'hub', state: 'installed' })
      }
    expect(tree(sandbox.dir)).not.toEqual(before)

    const { clients } = JSON.parse((await ok('clients', '--json')).stdout)
    for (const client of clientIds) {
      const shown = clients.find((one: { client: string }) => one.client === client)
      expect(shown.installed, client).toBe(true)
      // The Insiders read the workspace file of VS Code.
      const scopes = scopesOf[client === 'vscode-insiders' ? 'vscode' : client] ?? ['user']
      expect(shown.places.filter((place: { hub: unknown }) => place.hub).length, client).toBe(scopes.length)
      for (const { hub, problem } of shown.places) {
        expect(problem).toBeNull()
        if (hub) expect(hub, client).toEqual({ name: 'hub', drift: [] })
      }
    }

    for (const client of clientIds) await ok('undo', client)
    expect(tree(sandbox.dir)).toEqual(before)

    // And what was imported: the config, the credentials, the journal.
    await ok('undo', '--all')
    expect(existsSync(own) ? readdirSync(own, { recursive: true }).filter(name => !String(name).startsWith('cache') && !String(name).startsWith('run')) : []).toEqual([])
  })

  it('restores after several changes of one file, and takes back the last one alone', async () => {
    const before = tree(sandbox.dir)
    await ok('install', 'cursor', '--yes')
    const once = tree(sandbox.dir)
    await ok('install', 'cursor', '--yes', '--name', 'proxy')
    expect(JSON.parse(read('.cursor/mcp.json').replace(/\/\/.*servers|\/\/ the same.*/g, '').replace(/,(\s*[}\]])/g, '$1')).mcpServers).not.toHaveProperty('hub')
    await ok('undo')
    expect(tree(sandbox.dir)).toEqual(once)
    await ok('uninstall', 'cursor', '--yes')
    expect(read('.cursor/mcp.json')).not.toContain('"hub"')
    await ok('undo', 'cursor')
    expect(tree(sandbox.dir)).toEqual(before)
    expect((await ok('undo')).stderr).toContain('nothing to take back')
  })

  it('makes what is not there, and removes it again, folders too', async () => {
    const bare = join(sandbox.dir, 'bare')
    mkdirSync(bare)
    for (const client of clientIds) {
      const env = { HOME: bare, MCP_PROXY_HOME: own }
      const installed = await sandbox.run(['install', client, '--yes', '--json'], { cwd: project, env })
      expect(installed.code, installed.stderr).toBe(0)
      const { file } = JSON.parse(installed.stdout)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      expect((await sandbox.run(['undo', client], { cwd: project, env })).code).toBe(0)
      expect(readdirSync(bare), client).toEqual([])
    }
  })
})

describe('what is written', () => {
  it('starts us by absolute paths, and works when a client starts it', async () => {
    await ok('init', '--yes', '--no-check', '--from', 'claude-desktop')
    await ok('install', 'claude-desktop', '--yes')
    const { mcpServers } = JSON.parse(read('.config/Claude/claude_desktop_config.json'))
    expect(mcpServers.hub).toEqual({ command: process.execPath, args: [bin, 'run', '--client', 'claude-desktop'], env: { MCP_PROXY_HOME: own } })
    const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'claude-ai', version: '1' } } }
    const { command, args, env } = mcpServers.hub
    const { stdout } = spawnSync(command, args, { env: { ...env, HOME: home, MCP_PROXY_NO_DAEMON: '1' }, input: `${JSON.stringify(hello)}\n`, encoding: 'utf8', timeout: 20_000 })
    expect(JSON.parse(stdout.split('\n')[0] as string)).toMatchObject({ id: 1, result: { protocolVersion: '2025-06-18' } })
  })

  it('names the config only when it is not the usual one', async () => {
    await ok('install', 'zed', '--yes', '--config', 'other.yaml')
    expect(read('.config/zed/settings.json')).toContain(JSON.stringify(join(project, 'other.yaml')))
  })

  it('has the form each client wants', async () => {
    const address = 'http://127.0.0.1:3050/mcp'
    for (const client of ['claude-code', 'cursor', 'vscode', 'windsurf', 'zed', 'codex', 'gemini', 'goose', 'opencode', 'cline', 'lmstudio'])
      await ok('install', client, '--http', address, '--header', 'X-Team: blue', '--yes')
    const header = { 'X-Team': 'blue' }
    expect(JSON.parse(read('.claude.json')).mcpServers.hub).toEqual({ type: 'http', url: address, headers: header })
    expect(JSON.parse(read('.codeium/windsurf/mcp_config.json')).mcpServers.hub).toEqual({ serverUrl: address, headers: header })
    expect(JSON.parse(read('.gemini/settings.json')).mcpServers.hub).toEqual({ httpUrl: address, headers: header })
    expect(read('.codex/config.toml')).toContain(`[mcp_servers.hub]\nurl = "${address}"\n\n[mcp_servers.hub.http_headers]\nX-Team = "blue"\n`)
    expect(read('.config/goose/config.yaml')).toContain(`type: streamable_http`)
    const desktop = await run('install', 'claude-desktop', '--http', address, '--yes')
    expect(desktop).toMatchObject({ code: 2 })
    await ok('undo', '--all')
  })

  it('refuses a name that the client cannot have, or that is somebody else’s', async () => {
    const before = tree(sandbox.dir)
    expect(await run('install', 'gemini', '--name', 'my_hub', '--yes')).toMatchObject({ code: 2 })
    const taken = await run('install', 'cursor', '--name', 'github', '--yes', '--json')
    expect(taken.code).toBe(2)
    expect(JSON.parse(taken.stderr).error).toMatchObject({ code: 'USAGE', message: expect.stringContaining('github') })
    expect(await run('install', 'cursr', '--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('cursor') })
    expect(tree(sandbox.dir)).toEqual(before)
  })

  it('with --replace takes out what is reached through us, and gives it back', async () => {
    const before = tree(sandbox.dir)
    await ok('init', '--yes', '--no-check')
    const { stdout } = await ok('install', 'cursor', '--replace', '--yes', '--json')
    expect(JSON.parse(stdout).removed).toEqual(['files', 'github'])
    expect(read('.cursor/mcp.json')).toContain('// my servers')
    expect(read('.cursor/mcp.json')).not.toContain('github')
    await ok('undo', 'cursor')
    expect(tree(sandbox.dir)).toEqual(before)
  })

  it('shows a diff without secrets, and changes nothing in a dry run', async () => {
    const before = tree(sandbox.dir)
    const { stdout } = await ok('install', 'cursor', '--dry-run')
    expect(stdout).toMatch(/^--- .*mcp\.json\n\+\+\+ .*mcp\.json\n@@ /)
    expect(stdout).toContain('+\t\t"hub": {')
    expect(stdout).not.toContain('ghp_')
    expect(tree(sandbox.dir)).toEqual(before)
  })
})

describe('files that are not to be touched', () => {
  it('an invalid one, with the place of its fault', async () => {
    writeFileSync(join(home, '.cursor/mcp.json'), '{\n  "mcpServers": {\n    "a": }\n}')
    const before = tree(sandbox.dir)
    for (const args of [['install', 'cursor', '--yes'], ['import', 'cursor', '--yes'], ['uninstall', 'cursor', '--yes']]) {
      const { code, stderr } = await run(...args, '--json')
      expect(code).toBe(2)
      expect(JSON.parse(stderr).error).toMatchObject({ code: 'CLIENT_CONFIG_INVALID', problems: [{ line: 3, column: 10 }] })
    }
    expect(tree(sandbox.dir)).toEqual(before)
    // The others are still imported.
    await ok('init', '--yes', '--no-check')
  })

  it('a link that leads out of the home, or out of the project', async () => {
    const outside = sandbox.write('outside.json', '{}')
    rmSync(join(home, '.lmstudio/mcp.json'))
    symlinkSync(outside, join(home, '.lmstudio/mcp.json'))
    rmSync(join(project, '.cursor/mcp.json'))
    symlinkSync(join(home, '.cursor/mcp.json'), join(project, '.cursor/mcp.json'))
    for (const args of [['lmstudio'], ['cursor', '--scope', 'project']]) {
      const { code, stderr } = await run('install', ...args, '--yes', '--json')
      expect(code).toBe(2)
      expect(JSON.parse(stderr).error).toMatchObject({ code: 'CLIENT_CONFIG_UNSAFE' })
    }
    expect(readFileSync(outside, 'utf8')).toBe('{}')
  })

  it('but a link inside the home stays a link', async () => {
    mkdirSync(join(home, 'dotfiles'))
    renameSync(join(home, '.gemini/settings.json'), join(home, 'dotfiles/gemini.json'))
    symlinkSync('../dotfiles/gemini.json', join(home, '.gemini/settings.json'))
    const before = read('dotfiles/gemini.json')
    await ok('install', 'gemini', '--yes')
    expect(lstatSync(join(home, '.gemini/settings.json')).isSymbolicLink()).toBe(true)
    expect(realpathSync(join(home, '.gemini/settings.json'))).toBe(join(home, 'dotfiles/gemini.json'))
    expect(read('dotfiles/gemini.json')).toContain('"hub"')
    await ok('undo', 'gemini')
    expect(read('dotfiles/gemini.json')).toBe(before)
    expect(readdirSync(join(home, 'dotfiles'))).toEqual(['gemini.json'])
  })

  it('one that somebody else has changed since, unless forced', async () => {
    const before = read('.claude.json')
    await ok('install', 'claude-code', '--yes')
    writeFileSync(join(home, '.claude.json'), read('.claude.json').replace('"numStartups": 41', '"numStartups": 42'))
    const changed = read('.claude.json')
    const { code, stdout, stderr } = await run('undo', 'claude-code')
    expect(code).toBe(1)
    expect(stderr).toContain('CLIENT_CONFIG_CHANGED')
    expect(stdout).toContain('-  "numStartups": 42')
    expect(read('.claude.json')).toBe(changed)
    await ok('uninstall', 'claude-code', '--yes')
    expect(read('.claude.json')).toBe(before.replace('"numStartups": 41', '"numStartups": 42'))
    await ok('undo')
    await ok('undo', 'claude-code', '--force')
    expect(read('.claude.json')).toBe(before)
  })
})

describe('import', () => {
  it('needs a terminal, or --yes', async () => {
    for (const args of [['import', 'cursor'], ['init'], ['install', 'cursor']]) expect((await run(...args)).code, args.join(' ')).toBe(2)
    expect(existsSync(join(own, 'config.json'))).toBe(false)
  })

  it('moves secrets into the store, and shows command lines whole', async () => {
    const { stdout } = await ok('import', 'codex', '--yes')
    expect(stdout).toContain(`${process.execPath} ${fixture('v1.mjs')} --name docs`)
    expect(stdout).toContain("env DOCS_API_KEY='${cred:docs_DOCS_API_KEY}'")
    const text = readFileSync(join(own, 'config.json'), 'utf8')
    expect(JSON.parse(text).mcpServers.docs.env).toEqual({ DOCS_API_KEY: '${cred:docs_DOCS_API_KEY}', LANG: '${LANG:-}' })
    expect(stdout + text).not.toContain('k3y-')
    const credentials = join(own, 'credentials.json')
    expect(JSON.parse(readFileSync(credentials, 'utf8'))).toEqual({ docs_DOCS_API_KEY: 'k3y-0123456789abcdef' })
    for (const file of [credentials, join(own, 'config.json'), join(own, 'state/clients.json')]) expect(statSync(file).mode & 0o777).toBe(0o600)
    await ok('undo')
    expect(existsSync(credentials)).toBe(false)
    expect(existsSync(join(own, 'config.json'))).toBe(false)
  })

  it('adds to a config with comments, keeps what is there, and says what it renamed', async () => {
    mkdirSync(own)
    const text = '// mine\n{\n  "log": { "level": "warn" }, // quiet\n  "mcpServers": {\n    "files": { "command": "node", "args": ["mine.mjs"] } // my own\n  }\n}\n'
    writeFileSync(join(own, 'config.jsonc'), text)
    const { stdout } = await ok('import', 'cursor', '--yes', '--json')
    const { imported } = JSON.parse(stdout)
    expect(imported).toMatchObject([{ alias: 'files-2', name: 'files', renamed: expect.stringContaining('files') }, { alias: 'github' }, { alias: 'here', server: { cwd: project } }])
    const after = readFileSync(join(own, 'config.jsonc'), 'utf8')
    for (const line of text.split('\n').slice(0, 4)) expect(after).toContain(line)
    expect(after).toContain('"args": ["mine.mjs"] }, // my own')
    expect(JSON.parse((await ok('import', 'cursor', '--yes', '--json')).stdout).imported).toEqual([])
    await ok('undo')
    expect(readFileSync(join(own, 'config.jsonc'), 'utf8')).toBe(text)
  })

  it('never takes a project’s servers over unasked in init', async () => {
    const { stdout, stderr } = await ok('init', '--yes', '--no-check')
    expect(stdout).not.toContain('repo-tools')
    expect(stderr).toContain('mcp-proxy import claude-code --scope project')
    await ok('import', 'claude-code', '--scope', 'project', '--yes')
    const { mcpServers } = JSON.parse(readFileSync(join(own, 'config.json'), 'utf8'))
    expect(mcpServers['repo-tools']).toMatchObject({ cwd: project, args: ['tools.mjs', '--root', project] })
  })

  it('init starts each server and says which do not work', async () => {
    const { code, stdout, stderr } = await run('init', '--yes', '--from', 'claude-desktop,windsurf', '--json')
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout).servers).toMatchObject([{ alias: 'files', state: 'healthy' }, { alias: 'search', state: 'disabled' }])
    writeFileSync(join(home, '.lmstudio/mcp.json'), JSON.stringify({ mcpServers: { broken: { command: process.execPath, args: ['-e', 'process.exit(3)'] } } }))
    const broken = await run('init', '--yes', '--from', 'lmstudio')
    expect(broken.code).toBe(3)
    expect(broken.stdout).toMatch(/fails {2}broken: /)
  })

  it('init starts servers too that are known from earlier', async () => {
    for (let round = 0; round < 2; round++) {
      const { stdout } = await ok('init', '--yes', '--from', 'claude-desktop')
      expect(stdout).toMatch(/works {2}files: \d+ tools/)
      await ok('undo', '--yes')
    }
  })
})
