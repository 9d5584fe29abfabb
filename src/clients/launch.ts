/**
 * How a client starts us: absolute paths that are still there tomorrow, and what its narrow environment would lose. Also how
 * an entry of ours is known again. Reads names on disk; starts nothing.
 */
import { realpathSync } from 'node:fs'
import { isRaw, type Raw } from '../config/spellings.ts'
import type { ClientId, Launch, Surroundings } from './client.ts'
import { join } from './folders.ts'

export interface LaunchOptions {
  readonly on: Surroundings
  /** The running Node, `process.execPath`. */
  readonly node: string
  /** The running script, absolute. */
  readonly script: string
  /** Absolute; undefined = the default, which needs no word. */
  readonly config: string | undefined
}

/** Folders that package tools replace on every update, or that live as long as a shell. */
const passing = /[/\\](?:Cellar|fnm_multishells|\.cache|tmp|temp)[/\\]|^\/nix\/store\//i

const real = (path: string): string | undefined => {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** The path of this Node that survives its update, if the PATH has one (Homebrew, fnm, Nix); else its own. */
export function lastingNode({ on, node }: Pick<LaunchOptions, 'on' | 'node'>): string {
  if (!passing.test(node)) return node
  const own = real(node)
  const names = (on.env['PATH'] ?? '').split(on.platform === 'win32' ? ';' : ':').filter(Boolean)
  const other = names
    .map(folder => join(on, folder, on.platform === 'win32' ? 'node.exe' : 'node'))
    .find(path => !passing.test(path) && real(path) === own)
  // Windows does not say where a link of fnm leads: what it leads to stays when its shell is gone.
  return other ?? (own !== undefined && !passing.test(own) ? own : node)
}

/** Without these, the program that a client starts would look for its config and state elsewhere. */
const carried = ['MCP_PROXY_HOME', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'XDG_STATE_HOME'] as const

export function launchOf(client: ClientId, { on, node, script, config }: LaunchOptions): Launch {
  const env = carried.flatMap(name => (on.env[name] ? [[name, on.env[name] as string] as const] : []))
  return {
    command: lastingNode({ on, node }),
    args: [script, 'run', '--client', client, ...(config === undefined ? [] : ['--config', config])],
    env: Object.fromEntries(env),
  }
}

const program = /(?:^|[/\\])mcp-proxy(?:-server)?(?:@[^/\\]*)?(?:\.\w+)?$/

/** The words of an entry's command line, whatever the client calls them. */
export function wordsOf(entry: Raw): string[] {
  const { command, cmd, args } = entry
  const nested = isRaw(command) ? [command['path'], ...(Array.isArray(command['args']) ? command['args'] : [])] : [command]
  const words = [...(Array.isArray(command) ? command : nested), cmd, ...(Array.isArray(args) ? args : [])]
  return words.filter(word => typeof word === 'string')
}

/** Whether an entry starts us. Other programs of our name know no `run --client`. */
export function isOurs(entry: unknown): boolean {
  if (!isRaw(entry)) return false
  const words = wordsOf(entry)
  const at = words.findIndex(word => program.test(word))
  return at >= 0 && words.indexOf('run', at) > at && words.includes('--client')
}
