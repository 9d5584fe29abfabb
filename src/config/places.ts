/**
 * The user's folders: where the config, the catalogue, state and sockets live. Creates nothing.
 * `MCP_PROXY_HOME=DIR` moves all of them: DIR itself is the config folder, with cache/, state/ and run/ in it.
 */
import { isAbsolute, join, resolve } from 'node:path'
import envPaths from 'env-paths'
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

export function places(env: Environment = process.env): Places {
  const home = env['MCP_PROXY_HOME']
  if (home) {
    const root = resolve(home)
    return withCredentials({ config: root, cache: join(root, 'cache'), state: join(root, 'state'), runtime: join(root, 'run') })
  }
  const usual = envPaths(name, { suffix: '' })
  // The XDG variables are honoured on every system; they must be absolute (XDG base directory specification).
  const xdg = (variable: string): string | undefined => {
    const value = env[variable]
    return value && isAbsolute(value) ? join(value, name) : undefined
  }
  // On Linux env-paths calls the state folder `log`; elsewhere there is no such thing, and data is what survives.
  const state = xdg('XDG_STATE_HOME') ?? (process.platform === 'linux' ? usual.log : usual.data)
  return withCredentials({
    config: xdg('XDG_CONFIG_HOME') ?? usual.config,
    cache: xdg('XDG_CACHE_HOME') ?? usual.cache,
    state,
    // The temporary folder is everybody's, so never a fallback for a socket.
    runtime: xdg('XDG_RUNTIME_DIR') ?? join(state, 'run'),
  })
}

const withCredentials = (found: Omit<Places, 'credentials'>): Places => ({
  ...found,
  credentials: join(found.config, 'credentials.json'),
})
