import { describe, expect, it } from 'vitest'
import { installedBy, installKinds, remedy, type InstallKind } from '../../../src/app/installed-by.ts'

const at = (script: string, env: Record<string, string> = {}, files: string[] = []): InstallKind =>
  installedBy({ script, env, exists: path => files.includes(path), realpath: path => path })

describe('installedBy', () => {
  it.each<[InstallKind, string, Record<string, string>, string[]]>([
    ['npx', '/home/a/.npm/_npx/1f2e/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, []],
    ['npx', '/home/a/.npm/_npx/1f2e/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, ['/.dockerenv']],
    ['global', '/usr/local/lib/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, []],
    ['global', '/home/a/.nvm/versions/node/v22.1.0/lib/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, []],
    ['global', '/opt/p/lib/node_modules/mcp-proxy-server/bin/mcp-proxy.js', { npm_config_prefix: '/opt/p' }, []],
    ['global', '/home/a/.local/share/pnpm/global/5/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, []],
    ['global', '/usr/local/lib/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, ['/.dockerenv']],
    ['local', '/home/a/app/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, []],
    ['local', '/workspaces/app/node_modules/mcp-proxy-server/bin/mcp-proxy.js', {}, ['/.dockerenv']],
    ['source', '/home/a/mcp-proxy/bin/mcp-proxy.js', {}, ['/home/a/mcp-proxy/src']],
    ['source', '/workspaces/mcp-proxy/bin/mcp-proxy.js', {}, ['/.dockerenv', '/workspaces/mcp-proxy/src']],
    ['container', '/app/bin/mcp-proxy.js', {}, ['/.dockerenv']],
    ['container', '/app/bin/mcp-proxy.js', { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, []],
    ['container', '/app/node_modules/mcp-proxy-server/bin/mcp-proxy.js', { MCP_PROXY__INSTALLED_BY: 'container' }, []],
  ])('%s: %s %o %o', (kind, script, env, files) => expect(at(script, env, files)).toBe(kind))

  it('an unreadable script path is judged as it stands', () => {
    const gone = (): string => {
      throw new Error('ENOENT')
    }
    expect(installedBy({ script: '/x/_npx/1/y.js', env: {}, exists: () => false, realpath: gone })).toBe('npx')
  })

  it('every kind has a remedy of its own', () => {
    expect(new Set(installKinds.map(kind => remedy(kind, 'update'))).size).toBe(installKinds.length)
    expect(remedy('global', 'reinstall')).toContain('-g')
  })
})
