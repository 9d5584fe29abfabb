/** The user's folders, by what the environment says. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { places } from '../../../src/config/places.ts'

vi.mock('node:os', async original => ({ ...(await original<typeof import('node:os')>()), homedir: vi.fn(() => '/home/a') }))
const onPlatform = (platform: NodeJS.Platform): void => void vi.spyOn(process, 'platform', 'get').mockReturnValue(platform)
afterEach(() => {
  vi.mocked(homedir).mockReset()
  vi.mocked(homedir).mockReturnValue('/home/a')
  vi.restoreAllMocks()
})

describe('places', () => {
  it.each<[NodeJS.Platform, Record<string, string>, object]>([
    ['linux', {}, {
      config: '/home/a/.config/mcp-proxy', cache: '/home/a/.cache/mcp-proxy', state: '/home/a/.local/state/mcp-proxy',
      runtime: '/home/a/.local/state/mcp-proxy/run', credentials: '/home/a/.config/mcp-proxy/credentials.json',
    }],
    ['linux', { XDG_CONFIG_HOME: '/x/c', XDG_CACHE_HOME: '/x/k', XDG_STATE_HOME: '/x/s', XDG_RUNTIME_DIR: '/run/user/1' }, {
      config: '/x/c/mcp-proxy', cache: '/x/k/mcp-proxy', state: '/x/s/mcp-proxy', runtime: '/run/user/1/mcp-proxy',
    }],
    ['linux', { XDG_CACHE_HOME: 'not/absolute' }, { cache: '/home/a/.cache/mcp-proxy' }],
    ['darwin', {}, {
      config: '/home/a/Library/Preferences/mcp-proxy', cache: '/home/a/Library/Caches/mcp-proxy', state: '/home/a/Library/Application Support/mcp-proxy',
    }],
    ['darwin', { XDG_CONFIG_HOME: '/x/c' }, { config: '/x/c/mcp-proxy', cache: '/home/a/Library/Caches/mcp-proxy' }],
    ['win32', {}, {
      config: join('/home/a', 'AppData', 'Roaming', 'mcp-proxy', 'Config'), cache: join('/home/a', 'AppData', 'Local', 'mcp-proxy', 'Cache'),
      state: join('/home/a', 'AppData', 'Local', 'mcp-proxy', 'Data'),
    }],
    ['win32', { APPDATA: '/r', LOCALAPPDATA: '/l' }, { config: '/r/mcp-proxy/Config', cache: '/l/mcp-proxy/Cache', state: '/l/mcp-proxy/Data' }],
    ['linux', { MCP_PROXY_HOME: '/m', XDG_CONFIG_HOME: '/x/c' }, { config: '/m', cache: '/m/cache', state: '/m/state', runtime: '/m/run' }],
  ])('on %s with %j', (platform, env, expected) => {
    onPlatform(platform)
    expect(places(env)).toMatchObject(expected)
  })

  it('needs no home folder where the variables say enough, and says what to do where they do not', () => {
    onPlatform('linux')
    vi.mocked(homedir).mockImplementation(() => {
      throw Object.assign(new Error('uv_os_homedir returned ENOENT'), { code: 'ERR_SYSTEM_ERROR' })
    })
    expect(places({ MCP_PROXY_HOME: '/m' }).config).toBe('/m')
    expect(places({ XDG_CONFIG_HOME: '/c', XDG_CACHE_HOME: '/k', XDG_STATE_HOME: '/s' }).config).toBe('/c/mcp-proxy')
    expect(() => places({})).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
