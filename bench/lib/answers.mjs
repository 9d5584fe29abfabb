// What the bench's backends say, whatever the transport. `--tools N` sizes the list, `--legacy` leaves the newer era out, a
// call's `bytes` and `kind` shape its answer.
export const arg = name => {
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
const isLegacy = process.argv.includes('--legacy')
// What tools return most: text of lines, some of them quoted, some not English. `hostile` has an escape every other character.
const kinds = {
  text: 'const answer = await client.call("tools/list", { cursor })\n  // the rest of the items, naïvely\n  return answer.items.map(item => item.name)\n',
  hostile: 'x"é\n',
  ascii: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/',
}
const filler = new Map()
const fill = (bytes, kind = 'text') => {
  const key = `${kind} ${bytes}`
  let text = filler.get(key)
  if (!text) filler.set(key, (text = kinds[kind].repeat(Math.ceil(bytes / kinds[kind].length)).slice(0, bytes)))
  return text
}

export function answer(method, params) {
  const modern = params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined
  const kind = modern ? { resultType: 'complete' } : {}
  switch (method) {
    case 'initialize':
      return { protocolVersion: '2025-11-25', capabilities, serverInfo }
    case 'server/discover':
      return isLegacy ? undefined : { ...kind, supportedVersions: ['2026-07-28'], capabilities, ttlMs: 0, cacheScope: 'private', _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo } }
    case 'tools/list':
      return { ...kind, tools, ...(modern ? { ttlMs: 0, cacheScope: 'private' } : {}) }
    case 'tools/call': {
      const { message = '', bytes, kind: of } = params.arguments ?? {}
      return { ...kind, content: [{ type: 'text', text: bytes ? fill(bytes, of) : message }] }
    }
    case 'ping':
      return {}
    default:
      return undefined
  }
}
