/**
 * The image, built and run by a Docker engine of this test's own with the commands of docs/docker.md. There is no registry to
 * take the base from: node, npm and busybox of this machine are the base, as they are of node:alpine.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf, commandsOf } from '../docs/pages.ts'
import { pack } from '../docs/reader.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { connectV1, connectV2 } from '../fixtures/clients/sdk.ts'
import { root } from '../e2e/harness.ts'
import { freePort, need, ok, run, start, type Done, type Running } from './tools.ts'

let folder: string
let engine: Running
let env: Record<string, string>
let port: number
let tarball: string

const docker = (...args: string[]): string => ok('docker', args, { env }).trim()
const inspected = (field: string, what = 'mcp-proxy'): string => docker('inspect', '--format', `{{${field}}}`, what)

/** A command of the page, as it must be typed here. */
function typed(command: string): Done {
  const here = command
    .replace(/\.\/mcp-proxy-server-[\d.]+\.tgz/, `./${tarball}`)
    .replace('docker build', 'docker build --build-arg NODE_IMAGE=base')
    .replace('127.0.0.1:3050', `127.0.0.1:${port}`)
  return run('bash', ['-c', here], { cwd: folder, env })
}
const onPage = (text: RegExp): string =>
  blocksOf('docs/docker.md').flatMap(commandsOf).map(command => command.text).find(command => text.test(command)) as string

function base(): void {
  const image = join(folder, 'base')
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(image, to)), { recursive: true })
    cpSync(realpathSync(from), join(image, to), { recursive: true })
  }
  put(process.execPath, '/usr/local/bin/node')
  for (const [, library] of ok('ldd', [process.execPath]).matchAll(/(\/\S+) \(0x/g)) put(library as string, library as string)
  const npm = dirname(dirname(realpathSync(ok('sh', ['-c', 'command -v npm']).trim())))
  put(npm, '/usr/local/lib/node_modules/npm')
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(image, 'usr/local/bin', name))
  put(ok('sh', ['-c', 'command -v busybox']).trim(), '/bin/busybox')
  for (const name of ['sh', 'mkdir', 'cat', 'id', 'touch', 'ls']) symlinkSync('busybox', join(image, 'bin', name))
  mkdirSync(join(image, 'usr/bin'), { recursive: true })
  symlinkSync('/bin/busybox', join(image, 'usr/bin/env'))
  for (const name of ['tmp', 'etc', 'root', 'run']) mkdirSync(join(image, name), { recursive: true })
  chmodSync(join(image, 'tmp'), 0o1777)
  writeFileSync(join(image, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/data:/bin/sh\n')
  ok('bash', ['-c', `tar -C "${image}" -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - base`], { env })
}

beforeAll(async () => {
  need('dockerd', 'busybox')
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-docker-'))
  const socket = `unix://${folder}/docker.sock`
  // Debian's own client stands before others, which may lack BuildKit.
  env = { DOCKER_HOST: socket, DOCKER_BUILDKIT: '1', DOCKER_CONFIG: join(folder, 'client'), PATH: `/usr/bin:/usr/sbin:${process.env['PATH']}` }
  engine = start('dockerd', ['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '-p', `${folder}/pid`, '-H', socket], { env })
  await eventually(() => run('docker', ['version'], { env }).code === 0 || undefined, `the engine to answer\n${engine.words()}`, 30_000)
  base()
  port = await freePort()
  for (const name of ['Dockerfile', '.dockerignore']) cpSync(join(root, name), join(folder, name))
  tarball = pack(folder).slice(folder.length + 1)
  const built = typed(onPage(/^docker build.*PACKAGE/))
  expect(built.code, built.stderr).toBe(0)
  // The whole server stands in the config: nothing else is mounted.
  const server = readFileSync(join(root, 'test/fixtures/servers/plain.mjs'), 'utf8')
    .replace(/^#!.*$/m, '')
    .replace(/^import \{ readArgs \}.*$/m, 'const readArgs = known => Object.fromEntries(Object.entries(known).map(([name, { fallback }]) => [name, fallback]))')
  writeFileSync(join(folder, 'mcp-proxy.json'), JSON.stringify({ mcpServers: { plain: { command: 'node', args: ['--input-type=module', '-e', server.replaceAll('${', () => '$${')] } } }))
  const started = typed(onPage(/^docker run/))
  expect(started.code, started.stderr).toBe(0)
})
afterAll(async () => {
  if (engine) {
    run('sh', ['-c', 'docker ps -aq | xargs -r docker rm -f'], { env })
    await engine.stop()
  }
  if (folder) rmSync(folder, { recursive: true, force: true })
})

describe('the image', () => {
  it('is smaller than 200 MB', () => expect(Number(docker('image', 'inspect', '--format', '{{.Size}}', 'mcp-proxy')) / 1e6).toBeLessThan(200))

  it('knows what it is, and how to renew it', () => {
    expect(JSON.parse(docker('run', '--rm', '--read-only', 'mcp-proxy', 'version', '--json'))).toMatchObject({ name: 'mcp-proxy-server', installedBy: 'container' })
  })

  it('serves HTTP with the mounted config, to both eras', async () => {
    const token = await eventually(() => {
      const { code, stdout } = typed(onPage(/^docker exec/))
      return code === 0 ? stdout.trim() : undefined
    }, 'a token', 20_000)
    for (const kind of ['v1', 'v2-modern'] as const) {
      const client = await (kind === 'v1' ? connectV1 : connectV2)({ kind, url: `http://127.0.0.1:${port}/mcp`, headers: { Authorization: `Bearer ${token}` } })
      try {
        expect((await client.tools()).length).toBeGreaterThan(0)
      } finally {
        await client.close()
      }
    }
    expect((await fetch(`http://127.0.0.1:${port}/status`)).status).toBe(401)
  })

  it('becomes healthy', () => eventually(() => inspected('.State.Health.Status') === 'healthy' || undefined, 'it to be healthy', 60_000).then(() => {}))

  it('runs as nobody in particular, and writes only where it may', () => {
    expect(docker('exec', 'mcp-proxy', 'id', '-u')).toBe('1000')
    for (const path of ['/config/x', '/opt/mcp-proxy/x', '/x']) expect(run('docker', ['exec', 'mcp-proxy', 'touch', path], { env }).code, path).not.toBe(0)
    for (const path of ['/data/x', '/tmp/x']) docker('exec', 'mcp-proxy', 'touch', path)
  })

  it('finds secrets where engines lay them out', () => {
    writeFileSync(join(folder, 'secret'), 'a-secret-of-a-container\n')
    writeFileSync(join(folder, 'secret.json'), JSON.stringify({ mcpServers: { remote: { url: 'http://127.0.0.1:9/mcp', headers: { Authorization: 'Bearer ${cred:github}' } } } }))
    const words = ['run', '--rm', '-v', `${folder}/secret.json:/config/mcp-proxy.json:ro`]
    const checked = (...more: string[]): Done => run('docker', [...words, ...more, 'mcp-proxy', 'validate', '--json'], { env })
    expect(checked().code).toBe(2)
    expect(checked('-v', `${folder}/secret:/run/secrets/github:ro`).code).toBe(0)
    expect(checked('-v', `${folder}/secret:/somewhere:ro`, '-e', 'github_FILE=/somewhere').code).toBe(0)
    expect(docker(...words, '-v', `${folder}/secret:/run/secrets/github:ro`, 'mcp-proxy', 'config', 'show')).not.toContain('a-secret-of-a-container')
  })

  it('ends well when it is stopped', () => {
    docker('stop', '--time', '30', 'mcp-proxy')
    expect(inspected('.State.ExitCode')).toBe('0')
    expect(inspected('.State.OOMKilled')).toBe('false')
  })

  it('keeps its token', () => {
    docker('start', 'mcp-proxy')
    expect(docker('logs', 'mcp-proxy')).not.toContain('error')
    expect(docker('exec', 'mcp-proxy', 'cat', '/data/state/token').length).toBeGreaterThan(30)
  })
})
