/** The bundle for Claude Desktop: unpacked and started as its manifest says, it serves; packed again, it is the same. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { unzipSync } from 'fflate'
import { afterAll, describe, expect, it } from 'vitest'
import { createSandbox, fixture, root } from './harness.ts'

interface Manifest {
  manifest_version: string
  name: string
  version: string
  server: { type: string; entry_point: string; mcp_config: { command: string; args: string[]; env: Record<string, string> } }
  user_config: Record<string, { required: boolean; default: unknown }>
}

describe('the bundle', () => {
  const sandbox = createSandbox()
  const unpacked = join(sandbox.dir, 'unpacked')
  afterAll(() => sandbox.dispose())

  const pack = (name: string): Buffer => {
    const file = join(sandbox.dir, name)
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/mcpb.mjs'), file], { encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    return readFileSync(file)
  }

  it('starts from its own folder, and is the same every time', () => {
    const bytes = pack('a.mcpb')
    expect(pack('b.mcpb').equals(bytes)).toBe(true)
    for (const [name, content] of Object.entries(unzipSync(bytes))) {
      mkdirSync(dirname(join(unpacked, name)), { recursive: true })
      writeFileSync(join(unpacked, name), content)
    }
    const manifest = JSON.parse(readFileSync(join(unpacked, 'manifest.json'), 'utf8')) as Manifest
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(manifest).toMatchObject({ manifest_version: '0.3', version, server: { type: 'node' }, user_config: { config: { required: false, default: '' } } })
    expect(readFileSync(join(unpacked, manifest.server.entry_point), 'utf8')).toContain('start.cjs')

    const config = sandbox.config({ mcpServers: { a: { command: process.execPath, args: [fixture('v1.mjs'), '--name', 'a'] } } })
    const filled = (text: string): string => text.replaceAll('${__dirname}', unpacked).replaceAll('${user_config.config}', config)
    const { args, env } = manifest.server.mcp_config
    const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'claude-ai', version: '1' } } }
    const { stdout, stderr } = spawnSync(process.execPath, args.map(filled), {
      env: { ...sandbox.env, ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, filled(value)])) },
      input: `${JSON.stringify(hello)}\n`, encoding: 'utf8', timeout: 20_000,
    })
    expect(JSON.parse(stdout.split('\n')[0] as string), stderr).toMatchObject({ id: 1, result: { serverInfo: { version } } })
  })
})
