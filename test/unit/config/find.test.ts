/** Which config file is taken, and where the user's folders are. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findConfig } from '../../../src/config/find.ts'
import { places } from '../../../src/config/places.ts'
import { scratch } from './write-config.ts'

const { folder, write } = scratch()
const project = join(folder, 'project')
mkdirSync(project)
const home = (name: string): Record<string, string> => ({ MCP_PROXY_HOME: join(folder, name) })

describe('the config file', () => {
  const named = write('named.json', '{}')
  const other = write('other.json', '{}')
  const user = write('home/config.yaml', '')

  it('is what --config names, relative to the current folder', () => {
    expect(findConfig({ config: '../named.json', env: { MCP_PROXY_CONFIG: other, ...home('home') }, cwd: project })).toEqual({
      file: named,
      by: '--config',
      notices: [],
    })
  })

  it('else what MCP_PROXY_CONFIG names', () => {
    expect(findConfig({ env: { MCP_PROXY_CONFIG: other, ...home('home') }, cwd: project })).toMatchObject({
      file: other,
      by: 'MCP_PROXY_CONFIG',
    })
  })

  it('else the one in the user folder', () => {
    expect(findConfig({ env: home('home'), cwd: project })).toEqual({ file: user, by: 'user folder', notices: [] })
    expect(findConfig({ env: { MCP_PROXY_CONFIG: '', ...home('home') }, cwd: project }).file).toBe(user)
  })

  it('is looked for in a fixed order, and the others are mentioned', () => {
    const first = write('several/config.json', '{}')
    const second = write('several/config.yml', '')
    expect(findConfig({ env: home('several'), cwd: project })).toMatchObject({
      file: first,
      notices: [expect.stringContaining(second)],
    })
  })

  it.each(['mcp-proxy.json', '.mcp.json', 'mcp-proxy.yaml'])('is never %s of the current folder by itself', name => {
    const here = join(folder, `with-${name}`)
    write(`with-${name}/${name}`, '{"mcpServers": {}}')
    expect(findConfig({ env: home('home'), cwd: here })).toEqual({
      file: user,
      by: 'user folder',
      notices: [`./${name} is not used by itself; to run it: --config ${name}`],
    })
    expect(() => findConfig({ env: home('none'), cwd: here })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_NOT_FOUND',
        details: expect.objectContaining({ hint: expect.stringContaining(`--config ${name}`) as string }) as object,
      }) as Error,
    )
  })

  it('that is named must be there', () => {
    for (const options of [{ config: 'none.json' }, { env: { MCP_PROXY_CONFIG: 'none.json' } }])
      expect(() => findConfig({ env: {}, cwd: project, ...options })).toThrow(
        expect.objectContaining({ code: 'CONFIG_NOT_FOUND' }) as Error,
      )
  })
})

describe('the folders', () => {
  it('are all under MCP_PROXY_HOME', () => {
    expect(places({ MCP_PROXY_HOME: '/h' })).toEqual({
      config: '/h',
      cache: '/h/cache',
      state: '/h/state',
      runtime: '/h/run',
      credentials: '/h/credentials.json',
    })
  })

  it('follow the XDG variables where they are absolute', () => {
    const xdg = { XDG_CONFIG_HOME: '/c', XDG_CACHE_HOME: '/k', XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/r' }
    expect(places(xdg)).toEqual({
      config: '/c/mcp-proxy',
      cache: '/k/mcp-proxy',
      state: '/s/mcp-proxy',
      runtime: '/r/mcp-proxy',
      credentials: '/c/mcp-proxy/credentials.json',
    })
    expect(places({ XDG_CONFIG_HOME: 'relative' }).config).not.toContain('relative')
  })

  it('put sockets beside the state where there is no runtime folder', () => {
    expect(places({ XDG_STATE_HOME: '/s' }).runtime).toBe('/s/mcp-proxy/run')
  })
})
