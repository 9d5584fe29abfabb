// The floor: parse, give the request an id of our own, print; and back. Nothing else. `null-relay.mjs -- command args…`
import { spawn } from 'node:child_process'

const [command, ...args] = process.argv.slice(process.argv.indexOf('--') + 1)
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
const ids = new Map()
let next = 0

const relay = (input, output, change) => {
  let chunks = []
  input.on('data', chunk => {
    let out = ''
    let from = 0
    for (let at; (at = chunk.indexOf(10, from)) >= 0; from = at + 1) {
      const line = chunks.length > 0 ? Buffer.concat([...chunks.splice(0), chunk.subarray(from, at)]) : chunk.subarray(from, at)
      const message = JSON.parse(line.toString())
      change(message)
      out += JSON.stringify(message) + '\n'
    }
    if (from < chunk.length) chunks.push(chunk.subarray(from))
    if (out) output.write(out)
  })
}
relay(process.stdin, child.stdin, message => {
  if (message.id === undefined) return
  ids.set(++next, message.id)
  message.id = next
})
relay(child.stdout, process.stdout, message => {
  if (message.method) return
  const id = ids.get(message.id)
  ids.delete(message.id)
  message.id = id
})
process.stdin.on('end', () => child.stdin.end())
child.on('exit', () => process.exit(0))
