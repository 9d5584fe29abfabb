/** Memory that a load took is given back (docs/decisions/0008). */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { share } from './daemon-kit.ts'
import { createSandbox, fixture } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const backend = { command: process.execPath, args: [fixture('plain.mjs'), '--name', 'a'] }

async function load(client: RawClient, tool: string, calls: number): Promise<void> {
  const text = 'x'.repeat(20_000)
  let left = calls
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (left-- > 0) await client.request('tools/call', { name: tool, arguments: { text } })
  }))
}

describe('memory', () => {
  it('the room for young objects stays small under load', async () => {
    const sandbox = createSandbox()
    closing.push(() => sandbox.dispose())
    const file = join(sandbox.dir, 'young.json')
    const look = join(sandbox.dir, 'look.mjs')
    writeFileSync(look, `
      import { renameSync, writeFileSync } from 'node:fs'
      import { getHeapSpaceStatistics } from 'node:v8'
      process.on('SIGUSR2', () => {
        const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
        writeFileSync(${JSON.stringify(`${file}.new`)}, String(space_size))
        renameSync(${JSON.stringify(`${file}.new`)}, ${JSON.stringify(file)})
      })`)
    const target = sandbox.runTarget({ mcpServers: { a: backend } })
    const client = startRaw({ ...target, args: ['--import', look, ...(target.args ?? [])] })
    closing.push(() => client.close())
    await initialize(client)
    const { result } = await client.request('tools/list', {})
    const tool = (result as { tools: { name: string }[] }).tools[0]!.name
    await new Promise(resolve => setTimeout(resolve, 1500))
    await load(client, tool, 6000)
    process.kill(client.pid as number, 'SIGUSR2')
    const bytes = await vi.waitFor(() => Number(readFileSync(file, 'utf8')), { timeout: 5000 })
    // Two halves of 1 MB, and what the first second made of them. Without the setting this load makes it 32 MB.
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(8 * 2 ** 20)
  })
})

describe.runIf(process.platform === 'linux')('what glibc is told', () => {
  const settings = (text: string): string[] => [...text.matchAll(/\bMALLOC_\w+=\d+/g)].map(([word]) => word).sort()

  it('the daemon gets it, its servers do not, and the units say the same', async () => {
    const shared = share(() => ({ mcpServers: { a: backend } }))
    const client = shared.raw()
    shared.closing(() => client.close())
    await initialize(client)
    await client.request('tools/list', {})
    const [daemon] = await vi.waitFor(() => {
      const found = shared.daemons()
      expect(found).toHaveLength(1)
      return found
    }, { timeout: 5000 })
    const environment = (pid: number): string => readFileSync(`/proc/${pid}/environ`, 'utf8')
    const told = settings(environment(daemon as number))
    expect(told.map(word => word.split('=')[0])).toEqual(['MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_'])
    const servers = shared.processes('plain.mjs')
    expect(servers.length).toBeGreaterThan(0)
    for (const pid of servers) expect(settings(environment(pid))).toEqual([])
    for (const unit of ['mcp-proxy.service', 'mcp-proxy-user.service'])
      expect(settings(readFileSync(new URL(`../../templates/systemd/${unit}`, import.meta.url), 'utf8')), unit).toEqual(told)
  })
})
