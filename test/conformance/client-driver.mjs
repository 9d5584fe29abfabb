#!/usr/bin/env node
// What the suite starts as "the client": the person and the host behind the proxy. It connects an SDK client over stdio
// to `mcp-proxy run` in front of the suite's server and does what the scenario is about. With CONFORMANCE_DIRECT=1 the
// SDK client goes to the server itself: the control of this driver. Called with the server's address.
import { createServer, request } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import * as z from 'zod/v4'

const scenario = process.env.MCP_CONFORMANCE_SCENARIO
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}')
const direct = process.env.CONFORMANCE_DIRECT === '1'
const prefix = direct || process.env.CONFORMANCE_PREFIX !== 'always' ? '' : 'suite__'
const modern = revision === '2026-07-28'
// These servers of the suite speak the modern era but know no way to find that out.
const mute = ['http-standard-headers', 'http-custom-headers', 'http-invalid-tool-headers', 'sep-2322-client-request-state']
// These speak the older one even in the modern set.
const legacyOnly = ['json-schema-ref-no-deref']

/** In the SDK itself a probe runs in a second process; a subclass makes it probe the one that is tested. */
class ProbeInPlace extends StdioClientTransport {}

/** Answers `server/discover` in the server's place and passes everything else on as bytes. */
async function discoverable(address) {
  const to = new URL(address)
  const server = createServer(async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const message = body.length > 0 ? JSON.parse(body.toString('utf8')) : undefined
    if (message?.method === 'server/discover') {
      res.writeHead(200, { 'content-type': 'application/json' })
      return res.end(JSON.stringify({
        jsonrpc: '2.0',
        id: message.id,
        result: {
          resultType: 'complete', supportedVersions: ['2026-07-28'], ttlMs: 0, cacheScope: 'private',
          capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} },
          _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'suite', version: '0' } },
        },
      }))
    }
    const onward = request(to, { method: req.method, headers: { ...req.headers, host: to.host } }, answer => {
      res.writeHead(answer.statusCode, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    onward.end(body)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}${to.pathname}`, close: () => server.closeAllConnections() || server.close() }
}

const address = mute.includes(scenario) ? await discoverable(process.argv[2]) : { url: process.argv[2], close: () => {} }
const home = mkdtempSync(join(tmpdir(), 'mcp-proxy-conformance-'))

async function connect(capabilities = {}) {
  const client = new Client({ name: 'test-client', version: '1.0.0' }, {
    capabilities,
    versionNegotiation: { mode: modern && !legacyOnly.includes(scenario) ? { pin: '2026-07-28' } : 'legacy' },
  })
  if (capabilities.elicitation)
    client.setRequestHandler('elicitation/create', () =>
      ({ action: 'accept', content: scenario === 'sep-2322-client-request-state' ? { confirmed: true } : {} }))
  if (capabilities.sampling) client.setRequestHandler('sampling/createMessage', () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'x' } }))
  if (capabilities.roots) client.setRequestHandler('roots/list', () => ({ roots: [] }))
  if (direct) {
    await client.connect(new StreamableHTTPClientTransport(new URL(address.url)))
    return client
  }
  const config = join(home, 'config.json')
  writeFileSync(config, JSON.stringify({ mcpServers: { suite: { url: address.url } }, names: { prefix: prefix ? 'always' : 'never' } }))
  const bin = process.env.MCP_PROXY_BIN ?? fileURLToPath(new URL('../../bin/mcp-proxy.js', import.meta.url))
  await client.connect(new ProbeInPlace({
    command: process.execPath, args: [bin, 'run', '--config', config],
    env: { PATH: process.env.PATH, HOME: home, MCP_PROXY_HOME: join(home, 'proxy'), MCP_PROXY_NO_DAEMON: '1' },
  }))
  return client
}

const call = (client, name, args = {}) => client.callTool({ name: prefix + name, arguments: args })
/** A call whose failure is the scenario's business and not the driver's. */
const attempt = (client, name, args) => call(client, name, args).catch(error => console.error(String(error)))
const list = async client => (await client.listTools()).tools

const scenarios = {
  initialize: async () => {
    const client = await connect()
    await list(client)
    return client
  },
  tools_call: async () => {
    const client = await connect()
    await list(client)
    await call(client, 'add_numbers', { a: 5, b: 3 })
    return client
  },
  'elicitation-sep1034-client-defaults': async () => {
    const client = await connect({ elicitation: { form: { applyDefaults: true } } })
    await list(client)
    await call(client, 'test_client_elicitation_defaults')
    return client
  },
  'sse-retry': async () => {
    const client = await connect()
    await list(client)
    await call(client, 'test_reconnection')
    return client
  },
  'request-metadata': async () => {
    const client = await connect({ roots: { listChanged: true }, sampling: {}, elicitation: {} })
    await client.listTools().catch(error => console.error(String(error)))
    // That server offers nothing to call. What a proxy asks in its own name declares what the proxy can do; this request
    // is the client's own.
    await client.request({ method: 'com.example/probe', params: {} }, z.looseObject({})).catch(error => console.error(String(error)))
    return client
  },
  'http-standard-headers': async () => {
    const client = await connect()
    const [tool] = await list(client)
    await client.callTool({ name: tool.name, arguments: {} })
    const [resource] = (await client.listResources()).resources
    await client.readResource({ uri: resource.uri })
    const [prompt] = (await client.listPrompts()).prompts
    await client.getPrompt({ name: prompt.name, arguments: {} })
    return client
  },
  'http-custom-headers': async () => {
    const client = await connect()
    await list(client)
    for (const { name, arguments: args } of context.toolCalls) await call(client, name, args)
    return client
  },
  'http-invalid-tool-headers': async () => {
    const client = await connect()
    for (const { name } of await list(client))
      await client.callTool({ name, arguments: { region: 'us-west1' } }).catch(error => console.error(String(error)))
    return client
  },
  'sep-2322-client-request-state': async () => {
    const client = await connect({ elicitation: {} })
    await call(client, 'test_mrtr_echo_state')
    await call(client, 'test_mrtr_no_state')
    await call(client, 'test_mrtr_unrelated')
    await attempt(client, 'test_mrtr_no_result_type')
    return client
  },
  'json-schema-ref-no-deref': async () => {
    const client = await connect()
    await list(client)
    return client
  },
  'json-schema-2020-12-preservation': async () => {
    const client = await connect()
    const focal = (await list(client)).find(tool => tool.name === `${prefix}json_schema_2020_12_tool`)
    await call(client, 'json_schema_echo', { schema: focal.inputSchema })
    return client
  },
}

try {
  const client = await scenarios[scenario]()
  await client.close()
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  address.close()
  rmSync(home, { recursive: true, force: true })
}
