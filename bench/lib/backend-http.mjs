// The same backend over HTTP, both eras, as lean as node:http allows: JSON in, JSON out. Prints its address when it listens.
import { createServer } from 'node:http'
import { answer, arg } from './answers.mjs'

let sessions = 0
const server = createServer((request, response) => {
  if (request.method !== 'POST') return response.writeHead(request.method === 'DELETE' ? 200 : 405).end()
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const { id, method, params } = JSON.parse(chunks.length === 1 ? chunks[0].toString() : Buffer.concat(chunks).toString())
    if (id === undefined) return response.writeHead(202).end()
    const result = answer(method, params)
    const body = Buffer.from(JSON.stringify(result ? { jsonrpc: '2.0', id, result } : { jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } }))
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    if (method === 'initialize') headers['mcp-session-id'] = `s${++sessions}`
    response.writeHead(result || request.headers['mcp-protocol-version'] !== '2026-07-28' ? 200 : 404, headers).end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(Number(arg('--port') ?? 0), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`))
process.stdin.resume().on('end', () => process.exit(0))
