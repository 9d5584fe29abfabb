/** Templates can be had, and say what the rest of the project says. What they do is tried in test/deploy. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse as parseToml } from '@decimalturn/toml-patch'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml, parseAllDocuments } from 'yaml'
import { commandLine } from '../../../src/cli/command.ts'
import { templates } from '../../../src/cli/template.ts'
import { clientIds } from '../../../src/clients/client.ts'
import { fakeIo } from './fake-io.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }

const ran = (...argv: string[]) => ranOn('linux', ...argv)

async function ranOn(platform: NodeJS.Platform, ...argv: string[]) {
  const io = { ...fakeIo({ env: { HOME: '/home/ann', USERPROFILE: 'C:\\Users\\ann' }, cwd: '/tmp' }), platform }
  const code = await commandLine(argv, io).run()
  return { code, out: io.out(), err: io.err() }
}
const shown = async (name: string, ...more: string[]): Promise<string> => {
  const { code, out, err } = await ran('template', 'show', name, ...more)
  expect(err).toBe('')
  expect(code).toBe(0)
  return out
}

describe('template', () => {
  it('lists every template, for scripts too', async () => {
    const { out } = await ran('template', 'list')
    const { templates: listed } = JSON.parse((await ran('template', 'list', '--json')).out) as { templates: { name: string }[] }
    expect(listed.map(({ name }) => name)).toEqual([...templates.map(({ name }) => name), ...clientIds.map(id => `client-${id}`)])
    for (const { name } of listed) expect(out).toContain(name)
  })

  it.each(templates)('shows $name as it is in the package', async ({ name, file }) => {
    expect(await shown(name)).toBe(readFileSync(join(root, file), 'utf8'))
    expect(files.some(one => file === one || file.startsWith(`${one}/`)), `${file} is in the package`).toBe(true)
  })

  it.each(clientIds)('shows an entry for %s', async id => {
    const text = await shown(`client-${id}`)
    expect(text).toContain('hub')
    expect(text).toContain(id)
    const value: unknown = id === 'codex' ? parseToml(text) : id === 'goose' ? parseYaml(text) : JSON.parse(text)
    expect(JSON.stringify(value)).toContain('"mcp-proxy-server","run"')
    if (id === 'claude-desktop') return
    expect(await shown(`client-${id}`, '--http', 'http://127.0.0.1:3050/mcp')).toContain('Bearer THE-TOKEN')
  })

  // Written from documentation; no real Windows has run this.
  it('starts npx on Windows in the way that every client there can', async () => {
    const { out } = await ranOn('win32', 'template', 'show', 'client-claude-code')
    const { mcpServers } = JSON.parse(out) as { mcpServers: { hub: object } }
    expect(mcpServers.hub).toMatchObject({ command: 'cmd', args: ['/c', 'npx', '-y', 'mcp-proxy-server', 'run', '--client', 'claude-code'] })
  })

  it.each([
    [['template', 'show', 'systmd'], /did you mean "systemd"/],
    [['template', 'show', 'zzzzzzzz'], /template list/],
    [['template', 'show', 'nginx', '--http', 'http://x'], /belongs to the templates for clients/],
    [['template', 'show', 'client-claude-desktop', '--http', 'http://x'], /connect http:\/\/x/],
    [['template'], /a command is needed/],
  ])('refuses %o', async (argv, text) => {
    const { code, err } = await ran(...argv)
    expect(code).toBe(2)
    expect(err).toMatch(text)
  })
})

describe('what templates say', () => {
  const text = (name: string): string => readFileSync(join(root, templates.find(one => one.name === name)!.file), 'utf8')
  const seconds = (value: string): number => Number(/(\d+)/.exec(value)?.[1])

  it('each leaves us more than the 30 seconds that our end may take', () => {
    expect(seconds(/^TimeoutStopSec=(.*)$/m.exec(text('systemd'))![1]!)).toBeGreaterThan(30)
    expect(seconds(/^TimeoutStopSec=(.*)$/m.exec(text('systemd-user'))![1]!)).toBeGreaterThan(30)
    expect(seconds(/<key>ExitTimeOut<\/key>\s*<integer>(.*)</.exec(text('launchd'))![1]!)).toBeGreaterThan(30)
    expect(seconds(/stop_grace_period: (.*)/.exec(text('compose'))![1]!)).toBeGreaterThan(30)
    expect(seconds(/terminationGracePeriodSeconds: (.*)/.exec(text('kubernetes'))![1]!)).toBeGreaterThan(30)
  })

  it('the unit has room for a hundred servers that npx starts: npm, a shell and Node are 23 threads', () => {
    expect(Number(/^TasksMax=(\d+)$/m.exec(text('systemd'))![1])).toBeGreaterThan(2300)
  })

  it('the manifests give the container nothing it does not need', () => {
    const documents = parseAllDocuments(text('kubernetes')).map(document => document.toJS() as { kind: string; spec?: unknown })
    expect(documents.map(({ kind }) => kind)).toEqual(['ConfigMap', 'Deployment', 'Service'])
    const pod = (documents[1] as unknown as { spec: { template: { spec: { containers: Record<string, unknown>[]; securityContext: object; shareProcessNamespace?: boolean } } } }).spec.template.spec
    // As process 1 we would be given what servers leave behind, and Node asks for no exit code but its own children's.
    expect(pod.shareProcessNamespace).toBe(true)
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(pod.containers[0]).toMatchObject({
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      resources: { limits: { memory: expect.any(String) }, requests: { memory: expect.any(String) } },
      livenessProbe: { httpGet: { path: '/healthz' } }, readinessProbe: expect.any(Object), startupProbe: expect.any(Object),
    })
    const compose = parseYaml(text('compose')) as { services: { 'mcp-proxy': object } }
    expect(compose.services['mcp-proxy']).toMatchObject({ read_only: true, init: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(existsSync(join(root, '.dockerignore'))).toBe(true)
  })
})
