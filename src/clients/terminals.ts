/** The clients of the terminal, and LM Studio: Codex, Gemini CLI, Goose, OpenCode, as rows. */
import type { Path } from '../config/problems.ts'
import { isRaw, type Raw } from '../config/spellings.ts'
import type { Client, Place, Surroundings } from './client.ts'
import { firstExisting, inHome, inProject, join, named, roaming, xdgConfig } from './folders.ts'
import { gemini as geminiNotation, goose as gooseNotation, literal, opencode as opencodeNotation } from './notation.ts'
import { plainHttp, plainStdio, unlessEmpty } from './shapes.ts'

const mcpServers: Path = ['mcpServers']

const codexFolder = (on: Surroundings): string => named(on, 'CODEX_HOME') ?? inHome(on, '.codex')

export const codex: Client = {
  id: 'codex',
  title: 'Codex',
  traces: on => [codexFolder(on)],
  places: on => [
    { scope: 'user', file: join(on, codexFolder(on), 'config.toml'), format: 'toml', at: ['mcp_servers'] },
    { scope: 'project', file: inProject(on, '.codex', 'config.toml'), format: 'toml', at: ['mcp_servers'], folder: on.cwd },
  ],
  notation: literal,
  // Its own ten seconds are short for servers that are downloaded first.
  stdio: (launch, name) => ({ ...plainStdio(launch, name), startup_timeout_sec: 60 }),
  http: (url, headers) => ({ url, ...unlessEmpty('http_headers', headers) }),
  // Bare keys of TOML, and what its own command line takes.
  refuseName: name => (/^[A-Za-z0-9_-]+$/.test(name) ? undefined : 'Codex takes only A-Z a-z 0-9 _ - in a name'),
  afterwards: 'start a new session of Codex',
}

export const gemini: Client = {
  id: 'gemini',
  title: 'Gemini CLI',
  traces: on => [inHome(on, '.gemini', 'settings.json'), inHome(on, '.gemini')],
  places(on): Place[] {
    const system =
      named(on, 'GEMINI_CLI_SYSTEM_SETTINGS_PATH') ??
      (on.platform === 'win32'
        ? 'C:\\ProgramData\\gemini-cli\\settings.json'
        : on.platform === 'darwin'
          ? '/Library/Application Support/GeminiCli/settings.json'
          : '/etc/gemini-cli/settings.json')
    return [
      { scope: 'user', file: inHome(on, '.gemini', 'settings.json'), format: 'json', at: mcpServers },
      { scope: 'project', file: inProject(on, '.gemini', 'settings.json'), format: 'json', at: mcpServers, folder: on.cwd },
      { scope: 'user', file: system, format: 'json', at: mcpServers, readOnly: true },
    ]
  },
  notation: geminiNotation,
  stdio: plainStdio,
  http: plainHttp('httpUrl'),
  // Its `url` is an HTTP+SSE server, `httpUrl` a Streamable HTTP one.
  tidy: entry =>
    'url' in entry && !('httpUrl' in entry) && !('type' in entry) && !('command' in entry) ? { ...entry, type: 'sse' } : entry,
  // Its policy parser splits `mcp_<server>_<tool>` at the first one.
  refuseName: name => (name.includes('_') ? 'Gemini CLI cannot tell server and tool apart when the name has a _' : undefined),
  afterwards: 'start a new session of Gemini CLI',
}

export const lmstudio: Client = {
  id: 'lmstudio',
  title: 'LM Studio',
  traces: on => [inHome(on, '.lmstudio'), inHome(on, '.cache', 'lm-studio')],
  places(on) {
    const file = firstExisting(on, inHome(on, '.lmstudio', 'mcp.json'), inHome(on, '.cache', 'lm-studio', 'mcp.json'))
    return [{ scope: 'user', file, format: 'json', at: mcpServers }]
  },
  notation: literal,
  stdio: plainStdio,
  http: plainHttp('url'),
  afterwards: 'LM Studio notices by itself; switch the server on in the Program tab',
}

const gooseFile = (on: Surroundings): string => {
  const root = named(on, 'GOOSE_PATH_ROOT')
  if (root !== undefined) return join(on, root, 'config', 'config.yaml')
  return on.platform === 'win32'
    ? join(on, roaming(on), 'Block', 'goose', 'config', 'config.yaml')
    : join(on, xdgConfig(on), 'goose', 'config.yaml')
}

const gooseTypes = new Set(['stdio', 'sse', 'streamable_http'])

export const goose: Client = {
  id: 'goose',
  title: 'Goose',
  traces: on => [gooseFile(on), join(on, gooseFile(on), '..')],
  places: on => [{ scope: 'user', file: gooseFile(on), format: 'yaml', at: ['extensions'] }],
  notation: gooseNotation,
  stdio: ({ command, args, env }, name) => ({
    name,
    description: 'MCP servers of mcp-proxy',
    type: 'stdio',
    enabled: true,
    cmd: command,
    args: [...args],
    envs: { ...env },
    timeout: 300,
  }),
  http: (url, headers, name) => ({
    name,
    description: 'MCP servers of mcp-proxy',
    type: 'streamable_http',
    enabled: true,
    uri: url,
    headers: { ...headers },
    timeout: 300,
  }),
  tidy(entry) {
    // Older versions nest all but `enabled` under `config`.
    const { config, ...outer } = entry
    const flat: Raw = isRaw(config) ? { ...outer, ...config } : entry
    if (!gooseTypes.has(String(flat['type']))) return undefined
    const { timeout, env_keys: keys, envs, available_tools: tools, ...rest } = flat
    // Names whose values Goose keeps in the keyring, where we do not look.
    const kept = Array.isArray(keys)
      ? keys.filter(key => typeof key === 'string').map(key => [key, `\${keyring:${key}}`] as const)
      : []
    return {
      ...rest,
      envs: { ...Object.fromEntries(kept), ...(isRaw(envs) ? envs : {}) },
      ...(typeof timeout === 'number' ? { timeout: timeout * 1000 } : {}),
      ...(Array.isArray(tools) && tools.length > 0 ? { includeTools: tools } : {}),
    }
  },
  refuseName: name => (/^[a-z0-9-]+$/.test(name) ? undefined : 'Goose takes only a-z 0-9 - in a name'),
  afterwards: 'start a new session of Goose',
}

export const opencode: Client = {
  id: 'opencode',
  title: 'OpenCode',
  traces: on => [join(on, xdgConfig(on), 'opencode')],
  places(on): Place[] {
    const folder = named(on, 'OPENCODE_CONFIG_DIR') ?? join(on, xdgConfig(on), 'opencode')
    const global = firstExisting(
      on,
      ...(['opencode.json', 'opencode.jsonc', 'config.json'].map(name => join(on, folder, name)) as [string]),
    )
    const user = named(on, 'OPENCODE_CONFIG') ?? global
    const project = firstExisting(on, ...(['opencode.json', 'opencode.jsonc'].map(name => inProject(on, name)) as [string]))
    // The second layout keeps them one level deeper.
    const keys: Pick<Place, 'format' | 'at' | 'instead'> = { format: 'json', at: ['mcp'], instead: ['mcp', 'servers'] }
    return [
      { scope: 'user', file: user, ...keys },
      { scope: 'project', file: project, folder: on.cwd, ...keys },
    ]
  },
  notation: opencodeNotation,
  stdio: ({ command, args, env }) => ({
    type: 'local',
    command: [command, ...args],
    enabled: true,
    ...unlessEmpty('environment', env),
  }),
  http: (url, headers) => ({ type: 'remote', url, enabled: true, ...unlessEmpty('headers', headers) }),
  afterwards: 'start a new session of OpenCode',
}
