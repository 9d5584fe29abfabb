// From the start of a process to its answers: first byte, the opening answer, the list of tools. Milliseconds.
import { spawn } from 'node:child_process'

const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } }
const opened = { jsonrpc: '2.0', method: 'notifications/initialized' }
const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' }

/** Says all three at once, as a client that knows what it wants. `settleMs`: how long to let it finish what it began. */
export function timeStart({ command, args, env }, settleMs = 0) {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...env } })
    const marks = {}
    let text = ''
    const limit = setTimeout(() => child.kill('SIGKILL'), 30_000)
    child.stdout.setEncoding('utf8').on('data', chunk => {
      marks.firstByte ??= performance.now() - began
      text += chunk
      for (let at; (at = text.indexOf('\n')) >= 0; text = text.slice(at + 1)) {
        let message
        try {
          message = JSON.parse(text.slice(0, at))
        } catch {
          continue
        }
        if (message.id === 1) {
          marks.initialize = performance.now() - began
          child.stdin.write(JSON.stringify(opened) + '\n' + JSON.stringify(list) + '\n')
        }
        if (message.id === 2 && marks.list === undefined) {
          marks.list = performance.now() - began
          marks.tools = message.result?.tools?.length
          setTimeout(() => child.stdin.end(), settleMs)
        }
      }
    })
    child.on('error', reject)
    child.on('exit', () => {
      clearTimeout(limit)
      resolve(marks)
    })
    child.stdin.on('error', () => {})
    child.stdin.write(JSON.stringify(initialize) + '\n')
  })
}

/** How long a process takes that does nothing. */
export function timeNothing(args = ['-e', '']) {
  return new Promise(resolve => {
    const began = performance.now()
    spawn(process.execPath, args, { stdio: 'ignore' }).on('exit', () => resolve(performance.now() - began))
  })
}
