import { describe, expect, it } from 'vitest'
import { instanceSpecs, type DialContext } from '../../../src/app/dial.ts'
import type { BackendConfig } from '../../../src/config/config.ts'

const installs = (command: string, args: readonly string[], wasUp = false): boolean | undefined => {
  const endpoint = { kind: 'command', command, args, env: {}, cwd: '/', backup: false }
  const [spec] = instanceSpecs({ endpoints: [endpoint] } as unknown as BackendConfig, { wasUp: () => wasUp } as DialContext)
  return spec?.installs?.()
}

describe('a server that may have to be downloaded first is given the time for it', () => {
  it.each([
    ['npx', ['-y', 'x'], true],
    ['C:\\Program Files\\nodejs\\npx.cmd', ['-y', 'x'], true],
    ['/opt/homebrew/bin/uvx', ['x'], true],
    // As every guide for Windows has it.
    ['cmd', ['/c', 'npx', '-y', 'x'], true],
    ['C:\\Windows\\System32\\cmd.exe', ['/C', 'npx.cmd', '-y', 'x'], true],
    ['cmd', ['/c', 'node', 'npx'], false],
    ['node', ['npx'], false],
  ])('%s %j: %s', (command, args, expected) => {
    expect(installs(command, args)).toBe(expected)
  })

  it('but not when it has been up', () => {
    expect(installs('npx', ['-y', 'x'], true)).toBe(false)
  })
})
