/**
 * The user's folders: where the config, the catalogue, state and sockets live. Creates nothing.
 * `MCP_PROXY_HOME=DIR` moves all of them: DIR itself is the config folder, with cache/, state/ and run/ in it.
 */
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import type { Environment } from './expand.ts'

const name = 'mcp-proxy'

/** Absolute folders. */
export interface Places {
  readonly config: string
  readonly cache: string
  readonly state: string
  readonly runtime: string
  /** The file `credentials` reads and writes. */
  readonly credentials: string
}

/** Rejects with CONFIG_INVALID where neither the variables nor the system name a home folder. */
export function places(env: Environment = process.env): Places {
  const home = env['MCP_PROXY_HOME']
  if (home) {
    const root = resolve(home)
    return withCredentials({ config: root, cache: join(root, 'cache'), state: join(root, 'state'), runtime: join(root, 'run') })
  }
  // The XDG variables are honoured on every system; they must be absolute (XDG base directory specification).
  const xdg = (variable: string): string | undefined => {
    const value = env[variable]
    return value && isAbsolute(value) ? join(value, name) : undefined
  }
  const state = xdg('XDG_STATE_HOME') ?? usual(env).state
  return withCredentials({
    config: xdg('XDG_CONFIG_HOME') ?? usual(env).config,
    cache: xdg('XDG_CACHE_HOME') ?? usual(env).cache,
    state,
    // The temporary folder is everybody's, so never a fallback for a socket.
    runtime: xdg('XDG_RUNTIME_DIR') ?? join(state, 'run'),
  })
}

/** Where each system wants such things: XDG base directories, Apple's file system guide, known folders. */
function usual(env: Environment): { config: string; cache: string; state: string } {
  switch (process.platform) {
    case 'darwin': {
      const library = join(homeFolder(), 'Library')
      return {
        config: join(library, 'Preferences', name),
        cache: join(library, 'Caches', name),
        state: join(library, 'Application Support', name),
      }
    }
    case 'win32': {
      const local = join(env['LOCALAPPDATA'] || join(homeFolder(), 'AppData', 'Local'), name)
      const roaming = join(env['APPDATA'] || join(homeFolder(), 'AppData', 'Roaming'), name)
      return { config: join(roaming, 'Config'), cache: join(local, 'Cache'), state: join(local, 'Data') }
    }
    default: {
      const home = homeFolder()
      return { config: join(home, '.config', name), cache: join(home, '.cache', name), state: join(home, '.local', 'state', name) }
    }
  }
}

/** A user who is in no list of users has none (containers with any user id). */
function homeFolder(): string {
  try {
    return homedir()
  } catch (cause) {
    throw new McpError('CONFIG_INVALID', 'there is no home folder: the user has none, and HOME is not set', {
      cause,
      hint: 'set MCP_PROXY_HOME to a folder of your own, or HOME',
    })
  }
}

const withCredentials = (found: Omit<Places, 'credentials'>): Places => ({
  ...found,
  credentials: join(found.config, 'credentials.json'),
})
