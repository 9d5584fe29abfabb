// The fastest backend we can write, so that what a relay costs is not hidden behind it. Speaks both eras over stdio;
// `--tools N` sizes its list, a call's `bytes` argument sizes its answer.
const arg = name => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}
const tools = Array.from({ length: Number(arg('--tools') ?? 10) }, (_, i) => ({
  name: i === 0 ? 'echo' : `tool_${i}`,
  description: `Tool number ${i}, described at about the length people describe their tools with, so that lists weigh what they do.`,
  inputSchema: { type: 'object', properties: { message: { type: 'string', description: 'what to say' }, bytes: { type: 'integer' } } },
}))
const capabilities = { tools: { listChanged: true } }
const serverInfo = { name: 'bench', version: '1' }
const filler = new Map()
// What tools return most: text of lines, some of them quoted, some not English. `hostile` has an escape every other character.
const kinds = {
  text: 'const answer = await client.call("tools/list", { cursor })\n  // the rest of the items, naïvely\n  return answer.items.map(item => item.name)\n',
  hostile: 'x"é\n',
  ascii: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/',
}
const fill = (bytes, kind = 'text') => {
  const key = `${kind} ${bytes}`
  let text = filler.get(key)
  if (!text) filler.set(key, (text = kinds[kind].repeat(Math.ceil(bytes / kinds[kind].length)).slice(0, bytes)))
  return text
}

function answer(method, params) {
  const modern = params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined
  const kind = modern ? { resultType: 'complete' } : {}
  switch (method) {
    case 'initialize':
      return { protocolVersion: '2025-11-25', capabilities, serverInfo }
    case 'server/discover':
      return process.argv.includes('--legacy') ? undefined : { ...kind, supportedVersions: ['2026-07-28'], capabilities, ttlMs: 0, cacheScope: 'private', _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo } }
    case 'tools/list':
      return { ...kind, tools, ...(modern ? { ttlMs: 0, cacheScope: 'private' } : {}) }
    case 'tools/call': {
      const { message = '', bytes, kind } = params.arguments ?? {}
      return { ...kind, content: [{ type: 'text', text: bytes ? fill(bytes, kind) : message }] }
    }
    case 'ping':
      return {}
    default:
      return undefined
  }
}

let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', chunk => {
  const lines = (rest + chunk).split('\n')
  rest = lines.pop()
  let out = ''
  for (const line of lines) {
    const { id, method, params } = JSON.parse(line)
    if (id === undefined) continue
    const result = answer(method, params)
    out += JSON.stringify(result ? { jsonrpc: '2.0', id, result } : { jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } }) + '\n'
  }
  if (out) process.stdout.write(out)
})
process.stdin.on('end', () => process.exit(0))
