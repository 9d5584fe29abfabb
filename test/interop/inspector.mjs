#!/usr/bin/env node
// `npm run inspector`: the command line of MCP Inspector lists and calls through `run` and through `serve --http`, in both
// eras, and ends with the exit code that its documentation gives for what happened.
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareTool, root } from '../conformance/tools.mjs'

const version = '2.12.0'
const atOnce = 2
const exits = { done: 0, error: 1, authRequired: 3, unreachable: 4, toolFailed: 5 }

const { node, script } = await prepareTool(`inspector/${version}`, `@modelcontextprotocol/inspector@${version}`, 'clients/launcher/build/index.js')
const bin = process.env.MCP_PROXY_BIN ?? join(root, 'bin/mcp-proxy.js')
const work = mkdtempSync(join(tmpdir(), 'mcp-proxy-inspector-'))
const env = { PATH: process.env.PATH, HOME: work, MCP_PROXY_HOME: join(work, 'proxy'), MCP_PROXY_NO_DAEMON: '1' }
const fixture = name => join(root, 'test/fixtures/servers', name)
const token = 'a token for this run only, and long enough'.replaceAll(/[ ,]+/g, '-')

const config = join(work, 'config.json')
writeFileSync(config, JSON.stringify({
  mcpServers: {
    older: { command: process.execPath, args: [fixture('v1.mjs')] },
    newer: { command: process.execPath, args: [fixture('everything-v2.mjs'), '--era', 'modern'] },
  },
}))
writeFileSync(join(work, 'token'), token, { mode: 0o600 })

/** Runs Inspector; its answer and its complaint are one JSON object each. */
const inspect = args => new Promise(resolve => {
  execFile(node, [script, '--cli', ...args], { env, cwd: work, timeout: 60_000, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
    const parse = text => {
      try {
        return JSON.parse(text)
      } catch {
        return undefined
      }
    }
    resolve({
      exit: error ? (error.code ?? error.signal) : 0, result: parse(stdout)?.result,
      complaint: parse(stderr.trim().split('\n').at(-1))?.error?.code, stderr,
    })
  })
})

const listener = spawn(process.execPath, [bin, 'serve', '--http', '--port', '0', '--token-file', join(work, 'token'), '--config', config],
  { env, cwd: work, stdio: ['ignore', 'ignore', 'pipe'] })
const address = await new Promise((resolve, reject) => {
  let words = ''
  listener.once('close', code => reject(new Error(`serve ended with ${code}\n${words}`)))
  listener.stderr.on('data', chunk => {
    const url = /listening (http\S+)/.exec(words += chunk)?.[1]
    if (url) resolve(url)
  })
})

const signedIn = ['--header', `Authorization: Bearer ${token}`]
const http = [address, '--transport', 'http', '--stored-auth-only']
const text = result => result?.content?.[0]?.text

/** @type {Array<{ title: string, args: string[], exit: number, complaint?: string, holds?: (result: any) => boolean }>} */
const cases = []
for (const [way, era] of [['run', 'legacy'], ['run', 'modern'], ['serve', 'legacy'], ['serve', 'modern'], ['serve', 'auto'], ['serve, SSE', 'legacy']]) {
  // What stands before `--` is the server, what follows is for Inspector.
  const target = way === 'run' ? [process.execPath, bin, 'run', '--config', config, '--']
    : way === 'serve' ? [...http, ...signedIn] : [address.replace(/\/mcp$/, '/sse'), '--transport', 'sse', ...signedIn]
  const add = (title, args, exit, more) =>
    cases.push({ title: `${way}, ${era}: ${title}`, args: [...target, '--protocol-era', era, '--format', 'json', '--method', ...args], exit, ...more })
  add('lists tools of both servers', ['tools/list', '--strict'], exits.done, {
    holds: ({ tools }) => ['older__echo', 'newer__echo'].every(name => tools.some(tool => tool.name === name)),
  })
  for (const alias of ['older', 'newer'])
    add(`calls a tool of the ${alias} server`, ['tools/call', '--tool-name', `${alias}__echo`, '--tool-arg', 'message=hi'], exits.done, { holds: result => text(result) === 'hi' })
  add('says that a tool failed', ['tools/call', '--tool-name', 'newer__fail'], exits.toolFailed, {
    complaint: 'tool_is_error', holds: result => result.isError === true && text(result) === 'failed as asked',
  })
  if (way === 'serve, SSE' || era === 'auto') continue
  add('says that there is no such tool', ['tools/call', '--tool-name', 'older__no_such_tool'], exits.toolFailed, { complaint: 'tool_not_found' })
  add('gets a prompt', ['prompts/get', '--prompt-name', 'newer__greet', '--prompt-args', 'name=Ada'], exits.done, {
    holds: ({ messages }) => messages[0].content.text === 'Hello, Ada!',
  })
  add('reads a resource', ['resources/read', '--uri', 'test://note'], exits.done, { holds: ({ contents }) => contents[0].text === 'a note that never changes' })
  add('says that there is no such resource', ['resources/read', '--uri', 'test://nothing'], exits.error, { complaint: 'error' })
  if (way !== 'serve') continue
  add('calls a tool 500 times, ten at once', ['tools/call', '--tool-name', 'older__echo', '--tool-arg', 'message=hi', '--load', '--load-requests', '500'], exits.done, {
    holds: ({ ok, errors, toolErrors }) => ok === 500 && errors === 0 && toolErrors === 0,
  })
}
for (const era of ['legacy', 'modern'])
  for (const [title, header] of [['without a token', []], ['with a wrong token', ['--header', 'Authorization: Bearer wrong']]])
    cases.push({
      title: `serve, ${era}: is not let in ${title}`, args: [...http, ...header, '--protocol-era', era, '--format', 'json', '--method', 'tools/list'],
      exit: exits.authRequired, complaint: 'auth_required',
    })

let failed = 0
async function check({ title, args, exit, complaint, holds }) {
  const seen = await inspect(args)
  const holdsTrue = () => {
    try {
      return holds(seen.result)
    } catch {
      return false
    }
  }
  const problems = [
    ...(seen.exit === exit ? [] : [`exit code ${seen.exit} instead of ${exit}`]),
    ...(complaint === seen.complaint ? [] : [`complaint ${seen.complaint} instead of ${complaint}`]),
    ...(!holds || holdsTrue() ? [] : [`result ${JSON.stringify(seen.result)?.slice(0, 300)}`]),
  ]
  if (problems.length > 0) failed++
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${title}${problems.map(problem => `\n       ${problem}`).join('')}`)
  if (problems.length > 0) console.log(seen.stderr.slice(-1000))
}

try {
  const waiting = [...cases]
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await check(next)
  }))
  listener.removeAllListeners('close')
  listener.kill('SIGTERM')
  await new Promise(resolve => listener.once('close', resolve))
} finally {
  rmSync(work, { recursive: true, force: true })
}
console.log(`MCP Inspector ${version}: ${cases.length - failed} of ${cases.length} as they should be`)
process.exitCode = failed > 0 ? 1 : 0
