/**
 * How this copy of the program got here, told from where its files lie, and what to do about it: the remedy for an old
 * or broken install differs per way. Reads paths and environment only; spawns nothing.
 */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

export const installKinds = ['npx', 'global', 'local', 'source', 'container'] as const
export type InstallKind = (typeof installKinds)[number]

export interface Surroundings {
  /** The running script, `process.argv[1]`. */
  readonly script: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether a path exists; tests give their own disk. */
  readonly exists?: ((path: string) => boolean) | undefined
  readonly realpath?: ((path: string) => string) | undefined
}

export function installedBy({ script, env, exists = existsSync, realpath = realpathSync }: Surroundings): InstallKind {
  const named = installKinds.find(kind => kind === env['MCP_PROXY__INSTALLED_BY'])
  if (named) return named
  const path = resolved(script, realpath)
  if (path.includes(`${sep}_npx${sep}`)) return 'npx'
  const modules = path.lastIndexOf(`${sep}node_modules${sep}`)
  // A linked checkout resolves to its own folder, which no node_modules contains.
  if (modules < 0) return isContainer(env, exists) && !exists(join(packageRoot(path), 'src')) ? 'container' : 'source'
  return isGlobal(path.slice(0, modules), env) ? 'global' : 'local'
}

function resolved(script: string, realpath: (path: string) => string): string {
  try {
    return realpath(script)
  } catch {
    return script
  }
}

/** bin/mcp-proxy.js lies one folder below the root. */
const packageRoot = (path: string): string => dirname(dirname(path))

const isContainer = (env: Surroundings['env'], exists: (path: string) => boolean): boolean =>
  exists('/.dockerenv') ||
  exists('/run/.containerenv') ||
  env['container'] !== undefined ||
  env['KUBERNETES_SERVICE_HOST'] !== undefined

/** npm keeps global packages in `<prefix>/lib/node_modules`, on Windows in `<prefix>/node_modules` beside npm's own shims. */
function isGlobal(holder: string, env: Surroundings['env']): boolean {
  const prefixes = [env['npm_config_prefix'], env['PREFIX'], env['APPDATA'] && join(env['APPDATA'], 'npm')]
  if (prefixes.some(prefix => prefix !== undefined && prefix !== '' && (holder === prefix || holder === join(prefix, 'lib'))))
    return true
  if (holder.endsWith(`${sep}lib`)) return true
  return (
    /[\\/](?:pnpm[\\/]global|\.bun[\\/]install[\\/]global|yarn[\\/]global)(?:[\\/]|$)/.test(holder) ||
    /[\\/]nodejs$/i.test(holder)
  )
}

const remedies: Record<InstallKind, { update: string; reinstall: string }> = {
  npx: {
    update: 'npx -y mcp-proxy-server@latest',
    reinstall: 'npx -y mcp-proxy-server@latest (add --prefer-online if it stays old)',
  },
  global: {
    update: 'npm install -g mcp-proxy-server@latest',
    reinstall: 'npm uninstall -g mcp-proxy-server && npm install -g mcp-proxy-server',
  },
  local: { update: 'npm install mcp-proxy-server@latest', reinstall: 'rm -rf node_modules/mcp-proxy-server && npm install' },
  source: { update: 'git pull && npm ci && npm run build', reinstall: 'npm ci && npm run build' },
  container: { update: 'pull or rebuild the image', reinstall: 'rebuild the image without its cache' },
}

/** The command that mends or renews this install. */
export const remedy = (kind: InstallKind, need: 'update' | 'reinstall'): string => remedies[kind][need]
