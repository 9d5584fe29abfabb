// The floor over HTTP: parse, give the request an id of our own, print; and back. `null-http.mjs --port P (--url U | -- command args…)`
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { Pool } from 'undici'

const arg = name => process.argv[process.argv.indexOf(name) + 1]
const url = process.argv.includes('--url') ? new URL(arg('--url')) : undefined
let forward
if (url) {
  const pool = new Pool(url.origin, { connections: 256 })
  forward = async message => {
    const { body } = await pool.request({ path: url.pathname, method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body: JSON.stringify(message) })
    const text = await body.text()
    return text === '' ? undefined : JSON.parse(text)
  }
} else {
  const [command, ...args] = process.argv.slice(process.argv.indexOf('--') + 1)
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map()
  let chunks = []
  child.stdout.on('data', chunk => {
    let from = 0
    for (let at; (at = chunk.indexOf(10, from)) >= 0; from = at + 1) {
      const line = chunks.length > 0 ? Buffer.concat([...chunks.splice(0), chunk.subarray(from, at)]) : chunk.subarray(from, at)
      const message = JSON.parse(line.toString())
      waiting.get(message.id)?.(message)
      waiting.delete(message.id)
    }
    if (from < chunk.length) chunks.push(chunk.subarray(from))
  })
  forward = message =>
    new Promise(resolve => {
      if (message.id === undefined) resolve()
      else waiting.set(message.id, resolve)
      child.stdin.write(JSON.stringify(message) + '\n')
    })
}
let next = 0
let sessions = 0
const server = createServer((request, response) => {
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', async () => {
    const message = JSON.parse(Buffer.concat(chunks).toString())
    const { id } = message
    if (id !== undefined) message.id = ++next
    const answer = await forward(message)
    if (!answer || id === undefined) return response.writeHead(202).end()
    answer.id = id
    const body = Buffer.from(JSON.stringify(answer))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, ...(message.method === 'initialize' ? { 'mcp-session-id': `n${++sessions}` } : {}) }).end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(Number(arg('--port')), '127.0.0.1')
process.stdin.resume().on('end', () => process.exit(0))
