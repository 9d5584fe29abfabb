/** The editors: Cursor, VS Code and its Insiders, Windsurf, Zed, and Cline inside VS Code, as rows. */
import type { Path } from '../config/problems.ts'
import type { Client, Place, Surroundings } from './client.ts'
import { applicationSupport, firstExisting, inHome, inProject, join, named, roaming, xdgConfig } from './folders.ts'
import { editor, envOnly, literal, windsurf as windsurfNotation } from './notation.ts'
import { plainHttp, plainStdio, unlessEmpty } from './shapes.ts'

const mcpServers: Path = ['mcpServers']

export const cursor: Client = {
  id: 'cursor',
  title: 'Cursor',
  traces: on => [inHome(on, '.cursor')],
  places: on => [
    { scope: 'user', file: inHome(on, '.cursor', 'mcp.json'), format: 'json', at: mcpServers },
    { scope: 'project', file: inProject(on, '.cursor', 'mcp.json'), format: 'json', at: mcpServers, folder: on.cwd },
  ],
  notation: editor,
  stdio: plainStdio,
  http: plainHttp('url'),
  afterwards: 'Cursor asks whether to enable the server, under Settings › MCP',
}

/** `Code` or `Code - Insiders`; a portable install keeps everything beside itself. */
const codeUser = (on: Surroundings, product: string): string => {
  const portable = named(on, 'VSCODE_PORTABLE')
  return portable === undefined ? join(on, applicationSupport(on), product, 'User') : join(on, portable, 'user-data', 'User')
}

const vscodeRow = (id: 'vscode' | 'vscode-insiders', title: string, product: string): Client => ({
  id,
  title,
  traces: on => [codeUser(on, product)],
  places(on): Place[] {
    const user = codeUser(on, product)
    return [
      { scope: 'user', file: join(on, user, 'mcp.json'), format: 'json', at: ['servers'] },
      { scope: 'workspace', file: inProject(on, '.vscode', 'mcp.json'), format: 'json', at: ['servers'], folder: on.cwd },
      // Where earlier versions kept them, and what Copilot's other programs share.
      { scope: 'user', file: join(on, user, 'settings.json'), format: 'json', at: ['mcp', 'servers'], readOnly: true },
      {
        scope: 'user',
        format: 'json',
        at: mcpServers,
        readOnly: true,
        file: join(on, named(on, 'COPILOT_HOME') ?? inHome(on, '.copilot'), 'mcp-config.json'),
      },
    ]
  },
  notation: editor,
  stdio: (launch, name) => ({ type: 'stdio', ...plainStdio(launch, name) }),
  http: (url, headers) => ({ type: 'http', url, ...unlessEmpty('headers', headers) }),
  afterwards: `${title} asks whether to trust the server when it is first used`,
})

export const vscode = vscodeRow('vscode', 'VS Code', 'Code')
export const vscodeInsiders = vscodeRow('vscode-insiders', 'VS Code Insiders', 'Code - Insiders')

export const windsurf: Client = {
  id: 'windsurf',
  title: 'Windsurf',
  traces: on => [inHome(on, '.codeium', 'windsurf')],
  places: on => [
    { scope: 'user', file: inHome(on, '.codeium', 'windsurf', 'mcp_config.json'), format: 'json', at: mcpServers },
    { scope: 'user', file: inHome(on, '.codeium', 'mcp_config.json'), format: 'json', at: mcpServers, readOnly: true },
  ],
  notation: windsurfNotation,
  stdio: plainStdio,
  http: plainHttp('serverUrl'),
  afterwards: 'press Refresh in Windsurf’s MCP panel',
}

/** ~/.config on macOS too, unlike most applications there. */
const zedFolder = (on: Surroundings): string =>
  on.platform === 'win32'
    ? join(on, roaming(on), 'Zed')
    : on.platform === 'darwin'
      ? inHome(on, '.config', 'zed')
      : join(on, named(on, 'FLATPAK_XDG_CONFIG_HOME') ?? xdgConfig(on), 'zed')

export const zed: Client = {
  id: 'zed',
  title: 'Zed',
  traces: on => [zedFolder(on)],
  places: on => [
    { scope: 'user', file: join(on, zedFolder(on), 'settings.json'), format: 'json', at: ['context_servers'] },
    { scope: 'project', file: inProject(on, '.zed', 'settings.json'), format: 'json', at: ['context_servers'], folder: on.cwd },
  ],
  notation: literal,
  stdio: ({ command, args, env }) => ({ command, args: [...args], env: { ...env } }),
  http: plainHttp('url'),
  // Zed counts seconds; an extension's settings are no server of their own.
  tidy: ({ timeout, ...entry }) =>
    'command' in entry || 'url' in entry
      ? { ...entry, ...(typeof timeout === 'number' ? { timeout: timeout * 1000 } : {}) }
      : undefined,
  afterwards: 'Zed notices by itself',
}

const clineFolder = (on: Surroundings): string => join(on, codeUser(on, 'Code'), 'globalStorage', 'saoudrizwan.claude-dev')

const clineHome = (on: Surroundings): string => named(on, 'CLINE_DIR') ?? inHome(on, '.cline')

export const cline: Client = {
  id: 'cline',
  title: 'Cline',
  traces: on => [clineFolder(on), clineHome(on)],
  places(on) {
    const name = 'cline_mcp_settings.json'
    const extension = join(on, clineFolder(on), 'settings', name)
    const program = join(on, clineHome(on), 'data', 'settings', name)
    const written = firstExisting(on, extension, program)
    const used = on.exists(written) || !on.exists(clineHome(on)) ? written : program
    const other = used === extension ? program : extension
    return [
      { scope: 'user', file: used, format: 'json', at: mcpServers },
      { scope: 'user', file: other, format: 'json', at: mcpServers, readOnly: true },
    ]
  },
  notation: envOnly,
  stdio: plainStdio,
  http: (url, headers) => ({ type: 'streamableHttp', url, ...unlessEmpty('headers', headers) }),
  // Seconds again.
  tidy: ({ timeout, ...entry }) => ({ ...entry, ...(typeof timeout === 'number' ? { timeout: timeout * 1000 } : {}) }),
  afterwards: 'Cline notices by itself',
}
