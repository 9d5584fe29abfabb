/**
 * Which config file: `--config`, then `$MCP_PROXY_CONFIG`, then the user's config folder. A file in the current folder is
 * never taken by itself, since it would let a cloned repository start programs; it is only mentioned.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import type { Environment } from './expand.ts'
import { places } from './places.ts'
import { resolvePath } from './paths.ts'

export interface FindOptions {
  /** The value of `--config`. */
  readonly config?: string | undefined
  /** Default: this process's. */
  readonly env?: Environment
  /** Default: the current folder. */
  readonly cwd?: string
}

export interface Found {
  /** Absolute. */
  readonly file: string
  readonly by: '--config' | 'MCP_PROXY_CONFIG' | 'user folder'
  /** One line for people each. */
  readonly notices: readonly string[]
}

/** In the user's config folder; the first that is there counts. */
export const usualNames = ['config.json', 'config.jsonc', 'config.yaml', 'config.yml'] as const

/** What projects carry around: our own names and those of clients. */
const projectNames = [
  'mcp-proxy.json',
  'mcp-proxy.jsonc',
  'mcp-proxy.yaml',
  'mcp-proxy.yml',
  '.mcp-proxy.json',
  '.mcp.json',
  'mcp.json',
  '.cursor/mcp.json',
  '.vscode/mcp.json',
] as const

/** Finds the file; rejects with CONFIG_NOT_FOUND. Says nothing of whether it can be read. */
export function findConfig({ config, env = process.env, cwd = process.cwd() }: FindOptions = {}): Found {
  if (config !== undefined) return { file: existing(resolvePath(config, cwd), 'the command line'), by: '--config', notices: [] }
  const named = env['MCP_PROXY_CONFIG']
  if (named) return { file: existing(resolvePath(named, cwd), 'MCP_PROXY_CONFIG'), by: 'MCP_PROXY_CONFIG', notices: [] }

  const folder = places(env).config
  const [file, ...others] = usualNames.map(name => join(folder, name)).filter(path => existsSync(path))
  const project = projectNames.find(name => existsSync(join(cwd, name)))
  const mention =
    project === undefined || resolve(cwd) === resolve(folder)
      ? []
      : [`./${project} is not used by itself; to run it: --config ${project}`]
  if (file === undefined)
    throw new McpError('CONFIG_NOT_FOUND', `there is no config file in ${folder}`, {
      hint:
        project === undefined
          ? 'name one with --config, or make one with "mcp-proxy init"'
          : `./${project} is not used by itself; to run it: --config ${project}`,
    })
  const ignored =
    others.length === 0 ? [] : [`${file} is used; ${others.join(' and ')} beside it ${others.length === 1 ? 'is' : 'are'} not`]
  return { file, by: 'user folder', notices: [...ignored, ...mention] }
}

function existing(file: string, by: string): string {
  if (!existsSync(file)) throw new McpError('CONFIG_NOT_FOUND', `there is no file ${file}`, { hint: `that is what ${by} names` })
  return file
}
