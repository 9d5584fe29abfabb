/** The units as systemd itself reads and rates them; the property list as a property list. Booted in systemd.test.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../e2e/harness.ts'
import { need, ok, run } from './tools.ts'

const unit = (name: string): string => join(root, 'templates/systemd', name)
let folder: string
beforeAll(() => {
  need('systemd-analyze')
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-units-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('systemd', () => {
  it.each(['mcp-proxy.service', 'mcp-proxy.socket'])('%s has no mistake', name => {
    const { code, stdout, stderr } = run('systemd-analyze', ['verify', unit('mcp-proxy.service'), unit(name)])
    expect(`${stdout}${stderr}`).toBe('')
    expect(code).toBe(0)
  })

  it('mcp-proxy-user.service has no mistake', () => {
    const { code, stdout, stderr } = run('systemd-analyze', ['--user', 'verify', unit('mcp-proxy-user.service')], { env: { XDG_RUNTIME_DIR: folder } })
    expect(`${stdout}${stderr}`).toBe('')
    expect(code).toBe(0)
  })

  it('finds a mistake when there is one', () => {
    const path = join(folder, 'broken.service')
    writeFileSync(path, `${readFileSync(unit('mcp-proxy.service'), 'utf8').replace('WatchdogSec=60', 'WatchdogSecs=60')}`)
    chmodSync(path, 0o644)
    expect(run('systemd-analyze', ['verify', path]).stderr).toContain('WatchdogSecs')
  })

  it('rates the exposure of the system unit at 2.5 or less', () => {
    const rated = ok('systemd-analyze', ['security', '--offline=true', '--no-pager', unit('mcp-proxy.service')])
    expect(Number(/Overall exposure level for \S+: ([\d.]+)/.exec(rated)?.[1])).toBeLessThanOrEqual(2.5)
  })
})

describe('launchd', () => {
  it('the property list says what launchd needs', () => {
    need('python3')
    const read = 'import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1],"rb"))))'
    expect(JSON.parse(ok('python3', ['-c', read, join(root, 'templates/launchd/mcp-proxy.plist')]))).toMatchObject({
      Label: 'mcp-proxy', RunAtLoad: true, KeepAlive: { SuccessfulExit: false }, ProgramArguments: ['/usr/local/bin/mcp-proxy', 'serve', '--http', '--log-format', 'json'], Umask: 0o77,
    })
  })
})
