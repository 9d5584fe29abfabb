/** A server that several principals share, and what each learns of its last words when it dies. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize } from '../fixtures/clients/raw.ts'
import { modernRequest, rawHttp } from '../fixtures/clients/raw-http.ts'
import { call, share } from './daemon-kit.ts'
import type { Sandbox } from './harness.ts'

/** Writes what it is told on stderr; dies when it is told to. */
const confiding = (sandbox: Sandbox, sharing: string): JsonObject => ({
  command: process.execPath,
  args: [sandbox.write('confiding.mjs', `
    import { createInterface } from 'node:readline'
    const say = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
    const tool = name => ({ name, inputSchema: { type: 'object' } })
    createInterface({ input: process.stdin }).on('line', line => {
      const { id, method, params } = JSON.parse(line)
      if (id === undefined) return
      if (method === 'initialize') return say(id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'c', version: '1' } })
      if (method === 'tools/list') return say(id, { tools: [tool('tell'), tool('die')] })
      if (method !== 'tools/call') return console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }))
      if (params.name === 'die') return process.exit(7)
      console.error('was told ' + params.arguments.what)
      say(id, { content: [] })
    })`)],
  share: sharing, restart: { backoff: 10, maxBackoff: 20 },
})

async function opened(sharing: string) {
  const shared = share(sandbox => ({ mcpServers: { c: confiding(sandbox, sharing) }, listen: { http: { port: 0 } } }))
  expect((await shared.run('daemon', 'start')).code).toBe(0)
  const logs = async () => (await shared.run('daemon', 'logs')).stdout
  const url = await eventually(async () => /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(await logs())?.[0], 'its address')
  const token = readFileSync(join(shared.sandbox.env['MCP_PROXY_HOME'] as string, 'state', 'token'), 'utf8').trim()
  const http = rawHttp(url)
  shared.closing(async () => http.close())
  const byHttp = async (name: string, args: JsonObject = {}) => {
    const [message, headers] = modernRequest(1, 'tools/call', call(name, args))
    return (await http.post(message, { ...headers, authorization: `Bearer ${token}` })).messages.at(-1) as JsonObject
  }
  const local = shared.raw()
  await initialize(local)
  return { byHttp, byPipe: (name: string, args: JsonObject = {}) => local.request('tools/call', call(name, args)), logs }
}

describe('the last words of a server', () => {
  it('that two principals share are told to neither, and are in the log', async () => {
    const { byHttp, byPipe, logs } = await opened('global')
    expect((await byHttp('c__tell', { what: 'the-secret-of-one' }))['result']).toBeDefined()
    const { error } = await byPipe('c__die')
    expect(error).toMatchObject({ data: { code: 'BACKEND_DIED', hint: 'what it last wrote is in the log' } })
    expect(JSON.stringify(error)).not.toContain('the-secret-of-one')
    await eventually(async () => ((await logs()).includes('the-secret-of-one') ? true : undefined), 'the words in the log')
  })

  it('that each principal has of its own are told to its caller', async () => {
    const { byHttp, byPipe } = await opened('auto')
    await byPipe('c__tell', { what: 'its own' })
    await byHttp('c__tell', { what: 'another’s' })
    expect((await byPipe('c__die'))['error']).toMatchObject({ data: { code: 'BACKEND_DIED', hint: 'it last wrote: was told its own' } })
  })
})
