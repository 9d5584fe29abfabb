/** Machines of each system, in memory. */
import type { Surroundings } from '../../../src/clients/client.ts'

export const linux = (env: Record<string, string> = {}, exists: readonly string[] = []): Surroundings => ({
  platform: 'linux', env, home: '/home/ann', cwd: '/work/shop', exists: path => exists.includes(path),
})

export const mac = (env: Record<string, string> = {}): Surroundings => ({
  platform: 'darwin', env, home: '/Users/ann', cwd: '/Users/ann/shop', exists: () => false,
})

export const windows = (env: Record<string, string> = {}, exists: readonly string[] = []): Surroundings => ({
  platform: 'win32', env, home: 'C:\\Users\\ann', cwd: 'D:\\shop', exists: path => exists.includes(path),
})
