/** Where each client's files are, on each system, and what variables move them. */
import { describe, expect, it } from 'vitest'
import { clientIds, type ClientId, type Surroundings } from '../../../src/clients/client.ts'
import { clientOf, clients, writtenPlace } from '../../../src/clients/list.ts'
import { linux, mac, windows } from './machine.ts'

const userFile = (id: ClientId, on: Surroundings): string | undefined => writtenPlace(clientOf(id), 'user', on)?.file

it('has a row for every id', () => {
  expect(clients.map(({ id }) => id)).toEqual([...clientIds])
})

describe('the user’s file', () => {
  it.each<[ClientId, string, string, string]>([
    ['claude-desktop', '/home/ann/.config/Claude/claude_desktop_config.json', '/Users/ann/Library/Application Support/Claude/claude_desktop_config.json', 'C:\\Users\\ann\\AppData\\Roaming\\Claude\\claude_desktop_config.json'],
    ['claude-code', '/home/ann/.claude.json', '/Users/ann/.claude.json', 'C:\\Users\\ann\\.claude.json'],
    ['cursor', '/home/ann/.cursor/mcp.json', '/Users/ann/.cursor/mcp.json', 'C:\\Users\\ann\\.cursor\\mcp.json'],
    ['vscode', '/home/ann/.config/Code/User/mcp.json', '/Users/ann/Library/Application Support/Code/User/mcp.json', 'C:\\Users\\ann\\AppData\\Roaming\\Code\\User\\mcp.json'],
    ['vscode-insiders', '/home/ann/.config/Code - Insiders/User/mcp.json', '/Users/ann/Library/Application Support/Code - Insiders/User/mcp.json', 'C:\\Users\\ann\\AppData\\Roaming\\Code - Insiders\\User\\mcp.json'],
    ['windsurf', '/home/ann/.codeium/windsurf/mcp_config.json', '/Users/ann/.codeium/windsurf/mcp_config.json', 'C:\\Users\\ann\\.codeium\\windsurf\\mcp_config.json'],
    ['zed', '/home/ann/.config/zed/settings.json', '/Users/ann/.config/zed/settings.json', 'C:\\Users\\ann\\AppData\\Roaming\\Zed\\settings.json'],
    ['codex', '/home/ann/.codex/config.toml', '/Users/ann/.codex/config.toml', 'C:\\Users\\ann\\.codex\\config.toml'],
    ['gemini', '/home/ann/.gemini/settings.json', '/Users/ann/.gemini/settings.json', 'C:\\Users\\ann\\.gemini\\settings.json'],
    ['lmstudio', '/home/ann/.lmstudio/mcp.json', '/Users/ann/.lmstudio/mcp.json', 'C:\\Users\\ann\\.lmstudio\\mcp.json'],
    ['goose', '/home/ann/.config/goose/config.yaml', '/Users/ann/.config/goose/config.yaml', 'C:\\Users\\ann\\AppData\\Roaming\\Block\\goose\\config\\config.yaml'],
    ['opencode', '/home/ann/.config/opencode/opencode.json', '/Users/ann/.config/opencode/opencode.json', 'C:\\Users\\ann\\.config\\opencode\\opencode.json'],
  ])('%s', (id, onLinux, onMac, onWindows) => {
    expect([userFile(id, linux()), userFile(id, mac()), userFile(id, windows())]).toEqual([onLinux, onMac, onWindows])
  })

  it('of Cline is the extension’s, or the program’s when only that is here', () => {
    const extension = '/home/ann/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json'
    const program = '/home/ann/.cline/data/settings/cline_mcp_settings.json'
    expect(userFile('cline', linux())).toBe(extension)
    expect(userFile('cline', linux({}, ['/home/ann/.cline']))).toBe(program)
    expect(userFile('cline', linux({}, ['/home/ann/.cline', extension]))).toBe(extension)
  })

  it('of Claude Desktop as a package of Windows is the package’s own, unless it still reads the common one', () => {
    const folder = 'C:\\Users\\ann\\AppData\\Local\\Packages\\Claude_pzs8sxrjxfjjc'
    const own = `${folder}\\LocalCache\\Roaming\\Claude\\claude_desktop_config.json`
    const common = 'C:\\Users\\ann\\AppData\\Roaming\\Claude\\claude_desktop_config.json'
    const of = (...exists: string[]) => userFile('claude-desktop', windows({}, exists))
    expect([of(), of(common), of(folder), of(folder, common), of(folder, common, own)]).toEqual([common, common, own, common, own])
    // What stands in the other is still found by import.
    expect(clientOf('claude-desktop').places(windows({}, [folder, common, own])).map(({ file, readOnly }) => [file, readOnly])).toEqual([[own, false], [common, true]])
  })

  it('is the one OpenCode has, whatever its ending', () => {
    expect(userFile('opencode', linux({}, ['/home/ann/.config/opencode/opencode.jsonc']))).toBe('/home/ann/.config/opencode/opencode.jsonc')
  })
})

describe('variables move it', () => {
  it.each<[ClientId, Record<string, string>, string]>([
    ['codex', { CODEX_HOME: '/opt/codex' }, '/opt/codex/config.toml'],
    ['claude-code', { CLAUDE_CONFIG_DIR: '/opt/claude' }, '/opt/claude/.claude.json'],
    ['claude-desktop', { XDG_CONFIG_HOME: '/cfg' }, '/cfg/Claude/claude_desktop_config.json'],
    ['zed', { XDG_CONFIG_HOME: '/cfg' }, '/cfg/zed/settings.json'],
    ['vscode', { VSCODE_PORTABLE: '/stick/data' }, '/stick/data/user-data/User/mcp.json'],
    ['goose', { GOOSE_PATH_ROOT: '/g' }, '/g/config/config.yaml'],
    ['opencode', { OPENCODE_CONFIG: '/o/my.json' }, '/o/my.json'],
    ['cline', { CLINE_DIR: '/c' }, '/home/ann/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json'],
    // What is not absolute would be another folder to each program.
    ['codex', { CODEX_HOME: 'here' }, '/home/ann/.codex/config.toml'],
  ])('%s by %j', (id, env, file) => {
    expect(userFile(id, linux(env))).toBe(file)
  })

  it('on Windows too', () => {
    expect(userFile('claude-desktop', windows({ APPDATA: 'E:\\Roaming' }))).toBe('E:\\Roaming\\Claude\\claude_desktop_config.json')
  })

  it('and Copilot’s own file is read with VS Code', () => {
    const files = clientOf('vscode').places(linux({ COPILOT_HOME: '/cp' })).map(({ file }) => file)
    expect(files).toContain('/cp/mcp-config.json')
    expect(clientOf('vscode').places(linux()).map(({ file }) => file)).toContain('/home/ann/.copilot/mcp-config.json')
  })
})

it('a project is a workspace to VS Code, and the other way round to Cursor', () => {
  expect(writtenPlace(clientOf('vscode'), 'project', linux())?.file).toBe('/work/shop/.vscode/mcp.json')
  expect(writtenPlace(clientOf('cursor'), 'workspace', linux())?.file).toBe('/work/shop/.cursor/mcp.json')
  expect(writtenPlace(clientOf('windsurf'), 'project', linux())).toBeUndefined()
  expect(writtenPlace(clientOf('claude-code'), 'local', linux())?.at).toEqual(['projects', '/work/shop', 'mcpServers'])
  // Claude Code reads no other key there (https://github.com/PrefectHQ/fastmcp/issues/5094).
  expect(writtenPlace(clientOf('claude-code'), 'local', windows())).toMatchObject({ at: ['projects', 'D:/shop', 'mcpServers'], folder: 'D:\\shop' })
})

describe('what we write', () => {
  const launch = { command: '/usr/bin/node', args: ['/m/bin/mcp-proxy.js', 'run', '--client', 'x'], env: {} }
  const base = { command: launch.command, args: launch.args }

  it.each<[ClientId, object]>([
    ['claude-desktop', base],
    ['claude-code', { type: 'stdio', ...base }],
    ['cursor', base],
    ['vscode', { type: 'stdio', ...base }],
    ['windsurf', base],
    ['zed', { ...base, env: {} }],
    ['codex', { ...base, startup_timeout_sec: 60 }],
    ['gemini', base],
    ['lmstudio', base],
    ['cline', base],
    ['opencode', { type: 'local', command: [launch.command, ...launch.args], enabled: true }],
  ])('%s', (id, entry) => {
    expect(clientOf(id).stdio(launch, 'hub')).toEqual(entry)
  })

  it('Goose', () => {
    expect(clientOf('goose').stdio(launch, 'hub')).toMatchObject({ name: 'hub', type: 'stdio', cmd: launch.command, args: launch.args, enabled: true })
  })
})
