#!/usr/bin/env node
// Shows on the installed SDKs what a relay built on their classes would lose. Each line of the output is one trial against
// a plain JSON-RPC server in this same file. Run: node scripts/sdk-limits.mjs
import { createServer, request } from 'node:http'
import { createInterface } from 'node:readline'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const self = fileURLToPath(import.meta.url)
/** The server: answers in the 2025-11-25 protocol, with things a schema written before them does not know. */
function serve() {
  const send = message => process.stdout.write(`${JSON.stringify(message)}\n`)
  const answers = {
    initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'plain', version: '1' } }),
    'tools/list': () => ({
      tools: [{ name: 't', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true, futureHint: 'kept?' }, execution: { taskSupport: 'optional' } }],
    }),
    'tools/call': ({ name }) =>
      name === 'video' ? { content: [{ type: 'video', uri: 'v:1' }] }
      : name === 'big' ? { content: [{ type: 'text', text: 'x'.repeat(11 * 1024 * 1024) }] }
      : { content: [{ type: 'text', text: 'ok' }] },
  }
  createInterface({ input: process.stdin }).on('line', line => {
    const { id, method, params } = JSON.parse(line)
    if (id === undefined) return
    const answer = { jsonrpc: '2.0', id, result: answers[method]?.(params) ?? {} }
    send(params?.name === 'extra' ? { ...answer, trace: 'unknown top-level key' } : answer)
  })
}

async function main() {
  const version = name => JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')).version
  console.log(`node ${process.version}`)
  const v1 = {
    label: `v1 @modelcontextprotocol/sdk ${version('@modelcontextprotocol/sdk')}`,
    Client: (await import('@modelcontextprotocol/sdk/client/index.js')).Client,
    Stdio: (await import('@modelcontextprotocol/sdk/client/stdio.js')).StdioClientTransport,
    Server: (await import('@modelcontextprotocol/sdk/server/index.js')).Server,
    Http: (await import('@modelcontextprotocol/sdk/server/streamableHttp.js')).StreamableHTTPServerTransport,
    callTool: (await import('@modelcontextprotocol/sdk/types.js')).CallToolRequestSchema,
    revisions: (await import('@modelcontextprotocol/sdk/types.js')).SUPPORTED_PROTOCOL_VERSIONS,
  }
  const client = await import('@modelcontextprotocol/client')
  const v2 = {
    label: `v2 @modelcontextprotocol/client ${version('@modelcontextprotocol/client')}, server ${version('@modelcontextprotocol/server')}`,
    Client: client.Client,
    Stdio: (await import('@modelcontextprotocol/client/stdio')).StdioClientTransport,
    Server: (await import('@modelcontextprotocol/server')).Server,
    Http: (await import('@modelcontextprotocol/node')).NodeStreamableHTTPServerTransport,
    callTool: 'tools/call',
    revisions: client.SUPPORTED_PROTOCOL_VERSIONS,
  }
  for (const sdk of [v1, v2]) {
    console.log(`\n${sdk.label}`)
    for (const [name, trial] of Object.entries(trials)) console.log(`  ${name.padEnd(38)} ${await trial(sdk)}`)
  }
  process.exit(0)
}

async function withClient({ Client, Stdio }, use) {
  const client = new Client({ name: 'trial', version: '1' }, { capabilities: {} })
  client.onerror = () => {}
  await client.connect(new Stdio({ command: process.execPath, args: [self, '--server'], stderr: 'ignore' }))
  try {
    return await use(client)
  } finally {
    await client.close().catch(() => {})
  }
}

const brief = error => String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 60)

const trials = {
  'protocol revisions of its initialize': async ({ revisions }) => revisions.join(' '),

  'unknown fields of a tool': sdk => withClient(sdk, async client => {
    const [tool] = (await client.listTools()).tools
    return tool.annotations?.futureHint === undefined ? `STRIPPED: annotations became ${JSON.stringify(tool.annotations)}` : 'kept'
  }),

  'content of an unknown type': sdk => withClient(sdk, client =>
    client.callTool({ name: 'video', arguments: {} }).then(() => 'kept', error => `REFUSED: ${brief(error)}`)),

  'answer with an unknown top-level key': sdk => withClient(sdk, client =>
    client.callTool({ name: 'extra', arguments: {} }, ...limit(sdk, 1500)).then(() => 'kept', error => `DROPPED: ${brief(error)}`)),

  'result of 11 MiB on one line': sdk => withClient(sdk, async client => {
    let closed = false
    client.onclose = () => (closed = true)
    const first = await client.callTool({ name: 'big', arguments: {} }, ...limit(sdk, 5000)).then(() => 'kept', brief)
    const next = await client.callTool({ name: 'ok', arguments: {} }, ...limit(sdk, 1500)).then(() => 'answers', () => 'fails')
    return first === 'kept' ? 'kept' : `LOST: ${first}; connection ${closed ? 'closed' : 'open'}, the next call ${next}`
  }),

  'two calls in flight with one id': async sdk => {
    const server = await listen(sdk)
    const port = server.address().port
    const open = await post(port, undefined, { id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } })
    const session = open.session
    await post(port, session, { method: 'notifications/initialized' })
    const call = who => post(port, session, { id: 1, method: 'tools/call', params: { name: 'whoami', arguments: { who } } })
    const alice = call('alice')
    await new Promise(resolve => setTimeout(resolve, 100))
    const [a, b] = await Promise.all([alice, call('bob')])
    server.closeAllConnections()
    server.close()
    const crossed = b.text.includes('alice') || a.text.includes('bob')
    return `${crossed ? 'CROSSED' : 'apart'}: alice got ${said(a)}, bob got ${said(b)}`
  },
}

const limit = (sdk, timeout) => (sdk.callTool === 'tools/call' ? [{ timeout }] : [undefined, { timeout }])
const said = ({ text }) => /secret of \w+/.exec(text)?.[0] ?? (text.trim() === '' ? 'nothing' : brief(text))

/** A session whose tool takes 0.4 s for alice and answers bob in 0.6 s, so that both are open together. */
async function listen({ Server, Http, callTool }) {
  const server = new Server({ name: 'http', version: '1' }, { capabilities: { tools: {} } })
  server.setRequestHandler(callTool, async ({ params }) => {
    const { who } = params.arguments
    await new Promise(resolve => setTimeout(resolve, who === 'alice' ? 400 : 600))
    return { content: [{ type: 'text', text: `secret of ${who}` }] }
  })
  const transport = new Http({ sessionIdGenerator: () => randomUUID() })
  await server.connect(transport)
  const listener = createServer((incoming, outgoing) => void transport.handleRequest(incoming, outgoing))
  await new Promise(resolve => listener.listen(0, '127.0.0.1', resolve))
  return listener
}

function post(port, session, message) {
  return new Promise(resolve => {
    let text = ''
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...(session ? { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' } : {}) }
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: '/mcp', headers }, answer => {
      const done = () => resolve({ text, session: answer.headers['mcp-session-id'] })
      answer.on('data', chunk => (text += chunk)).on('end', done).on('error', done)
    })
    sent.setTimeout(2500, () => sent.destroy()).on('error', () => resolve({ text }))
    sent.end(JSON.stringify({ jsonrpc: '2.0', ...message }))
  })
}

if (process.argv[2] === '--server') serve()
else await main()
