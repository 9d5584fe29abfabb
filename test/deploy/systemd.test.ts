/**
 * The system unit in a machine with a systemd of its own (systemd-nspawn), installed with the commands of docs/systemd.md: it
 * starts, comes back after `kill -9` and after standing still, lets calls finish on stop, and is started by its socket. The machine is built
 * once; `MCP_PROXY_TEST_ROOT` names a folder in which it is kept for the next time.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { blocksOf, commandsOf } from '../docs/pages.ts'
import { pack } from '../docs/reader.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { root } from '../e2e/harness.ts'
import { need, ok, run, start, type Done, type Running } from './tools.ts'

let folder: string
let machine: string
let boot: Running
let leader: number

/** Inside, as root. */
const inside = (command: string): Done =>
  run('nsenter', ['-t', String(leader), '-m', '-p', '-u', '-i', '-n', 'env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'bash', '-c', command])

function says(command: string): string {
  const { code, stdout, stderr } = inside(command)
  expect(code, `${command}\n${stdout}${stderr}\n${inside('journalctl -u mcp-proxy -n 30 --no-pager -o cat').stdout}`).toBe(0)
  return stdout.trim()
}
const property = (name: string): string => says(`systemctl show -p ${name} --value mcp-proxy`)

/** A request as node makes it, since the machine has no curl; prints status and body. */
function asked(method: string, params: object, more = ''): string {
  const body = JSON.stringify({
    jsonrpc: '2.0', id: 1, method,
    params: { ...params, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientInfo': { name: 'a', version: '0' }, 'io.modelcontextprotocol/clientCapabilities': {} } },
  })
  const named = (params as { name?: string }).name
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method, ...(named === undefined ? {} : { 'Mcp-Name': named }) }
  const script = `const token = require('fs').readFileSync('/var/lib/mcp-proxy/state/token', 'utf8').trim()
    fetch('http://127.0.0.1:3050/mcp', { method: 'POST', body: ${JSON.stringify(body)}, headers: { ...${JSON.stringify(headers)}, Authorization: 'Bearer ' + token } })
      .then(async answer => console.log(answer.status, await answer.text()), error => console.log(0, error.message))`
  writeFileSync(join(machine, 'root', `ask${more}.js`), script)
  return `node /root/ask${more}.js`
}

beforeAll(async () => {
  need('systemd-nspawn', 'mmdebstrap', 'nsenter')
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-systemd-'))
  const kept = process.env['MCP_PROXY_TEST_ROOT']
  machine = join(folder, 'machine')
  if (kept !== undefined && existsSync(join(kept, 'usr/lib/systemd/systemd'))) ok('cp', ['-a', kept, machine])
  else {
    ok('mmdebstrap', ['--variant=minbase', '--include=systemd,systemd-sysv,dbus', 'bookworm', machine], { timeout: 500_000 })
    if (kept !== undefined) ok('cp', ['-a', machine, kept])
  }
  cpSync(realpathSync(process.execPath), join(machine, 'usr/local/bin/node'))
  const home = join(machine, 'usr/local/lib/node_modules/mcp-proxy-server')
  mkdirSync(home, { recursive: true })
  ok('tar', ['-xzf', pack(folder), '--strip-components=1', '-C', home])
  symlinkSync('../lib/node_modules/mcp-proxy-server/bin/mcp-proxy.js', join(machine, 'usr/local/bin/mcp-proxy'))
  mkdirSync(join(machine, 'opt/server'))
  for (const name of ['plain.mjs', 'lib']) cpSync(join(root, 'test/fixtures/servers', name), join(machine, 'opt/server', name), { recursive: true })
  writeFileSync(join(machine, 'root/mcp-proxy.json'), JSON.stringify({ mcpServers: { plain: { command: 'node', args: ['/opt/server/plain.mjs', '--mark', '${cred:mark}'] } } }))
  boot = start('systemd-nspawn', ['--register=no', '--keep-unit', '--quiet', '--link-journal=no', '--private-network', '-b', '-D', machine])
  leader = await eventually(() => Number(run('pgrep', ['-P', String(boot.child.pid)]).stdout.split('\n')[0]) || undefined, 'the machine to start')
  await eventually(() => /running|degraded/.test(inside('systemctl is-system-running').stdout) || undefined, `the machine to be up\n${boot.words()}`, 60_000)
}, 600_000)

afterAll(async () => {
  if (boot) {
    inside('systemctl poweroff')
    await boot.stop()
  }
  if (folder) rmSync(folder, { recursive: true, force: true })
}, 120_000)

it('is installed with the commands of the page, and is up when it answers', () => {
  mkdirSync(join(machine, 'etc/mcp-proxy/secrets'), { recursive: true })
  writeFileSync(join(machine, 'etc/mcp-proxy/secrets/mark'), 'a-credential-of-systemd\n', { mode: 0o600 })
  const [first] = blocksOf('docs/systemd.md').filter(block => block.notes['shown by'])
  for (const { text } of commandsOf(first!)) {
    // Secrets are laid out as the comment in the unit says.
    if (text.startsWith('systemctl daemon-reload'))
      says(`sed -i 's|^#LoadCredential=.*|LoadCredential=mark:/etc/mcp-proxy/secrets/mark|' /etc/systemd/system/mcp-proxy.service`)
    says(`cd /root && ${text}`)
  }
  expect(property('ActiveState')).toBe('active')
  expect(property('StatusText')).toContain('listening http://127.0.0.1:3050/mcp')
  const list = says(asked('tools/list', {}))
  expect(list).toMatch(/^200 /)
  expect(list).toContain('plain__which')
  expect(says(asked('tools/call', { name: 'plain__which', arguments: {} }))).toContain('a-credential-of-systemd')
})

it('runs as nobody who exists otherwise, and shows nobody its files', () => {
  expect(says(`ps -o user= -p ${property('MainPID')} 2>/dev/null || stat -c %u /proc/${property('MainPID')}`)).not.toMatch(/^(root|0)$/)
  expect(says('stat -L -c %a /var/lib/mcp-proxy')).toBe('700')
  expect(says('stat -L -c %a /var/lib/mcp-proxy/state/token')).toBe('600')
})

it('comes back after kill -9, with nothing left of before', async () => {
  const before = property('MainPID')
  says(`kill -9 ${before}`)
  await eventually(() => (property('ActiveState') === 'active' && property('MainPID') !== before && property('MainPID') !== '0') || undefined, 'another process', 30_000)
  expect(property('NRestarts')).toBe('1')
  expect(says(asked('tools/call', { name: 'plain__which', arguments: {} }))).toMatch(/^200 /)
  expect(says('grep -lz server/[p]lain.mjs /proc/[0-9]*/cmdline 2>/dev/null | wc -l')).toBe('1')
})

it('is replaced when it stands still', async () => {
  says(`mkdir -p /etc/systemd/system/mcp-proxy.service.d && printf '[Service]\\nWatchdogSec=4\\n' > /etc/systemd/system/mcp-proxy.service.d/fast.conf`)
  says('systemctl daemon-reload && systemctl restart mcp-proxy')
  const before = property('MainPID')
  // The signs of life keep it up for longer than one of its terms.
  await new Promise(resolve => setTimeout(resolve, 9000))
  expect(property('MainPID')).toBe(before)
  says(`kill -STOP ${before}`)
  await eventually(() => (property('ActiveState') === 'active' && property('MainPID') !== before && property('MainPID') !== '0') || undefined, 'another process', 60_000)
  expect(says('journalctl -u mcp-proxy --no-pager -o cat')).toMatch(/[Ww]atchdog timeout/)
}, 120_000)

it('reads its config again on reload', async () => {
  const before = property('MainPID')
  const config = readFileSync(join(machine, 'root/mcp-proxy.json'), 'utf8').replace('"plain"', '"again"')
  says(`cat > /etc/mcp-proxy/config.json <<'END'\n${config}\nEND\nsystemctl reload mcp-proxy`)
  await eventually(() => inside(asked('tools/list', {})).stdout.includes('again__which') || undefined, 'the new name')
  expect(property('MainPID')).toBe(before)
})

it('lets a call finish when it is stopped', async () => {
  says(asked('tools/call', { name: 'again__which', arguments: {} }))
  const call = asked('tools/call', { name: 'again__slow', arguments: { ms: 4000 } }, '-slow')
  says(`(${call} > /root/answer 2>&1 &)`)
  await new Promise(resolve => setTimeout(resolve, 1500))
  const began = Date.now()
  says('systemctl stop mcp-proxy')
  expect(Date.now() - began).toBeGreaterThan(1000)
  expect(property('Result')).toBe('success')
  await eventually(() => /^200 /.test(inside('cat /root/answer').stdout) || undefined, 'the answer of the call')
  expect(says('cat /root/answer')).toContain('a-credential-of-systemd')
  expect(says('grep -lz server/[p]lain.mjs /proc/[0-9]*/cmdline 2>/dev/null | wc -l')).toBe('0')
})

it('does not go on trying with a config that cannot be used', async () => {
  says(`cp /etc/mcp-proxy/config.json /root/good.json && echo '{ "mcpServers": ' > /etc/mcp-proxy/config.json`)
  inside('systemctl start mcp-proxy')
  await new Promise(resolve => setTimeout(resolve, 2500))
  expect(property('ActiveState')).toBe('failed')
  expect(property('ExecMainStatus')).toBe('2')
  says('cp /root/good.json /etc/mcp-proxy/config.json && systemctl reset-failed mcp-proxy')
})

it('is started by its socket, and connections wait while it is away', async () => {
  const [, second] = blocksOf('docs/systemd.md').filter(block => block.notes['shown by'])
  for (const { text } of commandsOf(second!)) says(text)
  expect(property('ActiveState')).toBe('inactive')
  expect(says(asked('tools/list', {}))).toMatch(/^200 /)
  expect(property('ActiveState')).toBe('active')
  says(`kill -9 ${property('MainPID')}`)
  expect(says(asked('tools/list', {}))).toMatch(/^200 /)
})
