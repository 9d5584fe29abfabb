// Between the suite and a proxy that prefixes names: adds the prefix to what the suite asks for and takes it off the
// lists, so that the suite finds the names it knows. Everything else passes as bytes: status, headers, streams.
import { createServer, request } from 'node:http'

const listed = { tools: 'name', prompts: 'name' }

/** @param {string} target @param {string} prefix @returns {Promise<{ url: string, close(): void }>} */
export function startShim(target, prefix) {
  const to = new URL(target)

  const inbound = message => {
    const params = message?.params
    if (message?.method === 'tools/call' || message?.method === 'prompts/get') {
      if (typeof params?.name === 'string') params.name = prefix + params.name
    } else if (message?.method === 'completion/complete' && params?.ref?.type === 'ref/prompt') params.ref.name = prefix + params.ref.name
    return message
  }
  const outbound = message => {
    for (const [list, key] of Object.entries(listed))
      for (const item of message?.result?.[list] ?? [])
        if (item[key].startsWith(prefix)) item[key] = item[key].slice(prefix.length)
    return message
  }
  const mapped = (text, map) => {
    try {
      const message = JSON.parse(text)
      return JSON.stringify(Array.isArray(message) ? message.map(map) : map(message))
    } catch {
      return text
    }
  }

  const server = createServer(async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const body = mapped(Buffer.concat(chunks).toString('utf8'), inbound)
    const headers = { ...req.headers }
    // Our own address stands for the proxy's; any other Host or Origin is part of a test.
    if (headers.host === `127.0.0.1:${port}`) headers.host = to.host
    if (headers.origin === `http://127.0.0.1:${port}`) headers.origin = to.origin
    const named = ['tools/call', 'prompts/get'].includes(headers['mcp-method']) && headers['mcp-name'] !== undefined
    if (named) headers['mcp-name'] = headers['mcp-name'].replace(/^(\s*)/, `$1${prefix}`)
    delete headers['transfer-encoding']
    delete headers['content-length']
    if (chunks.length > 0) headers['content-length'] = String(Buffer.byteLength(body))

    const onward = request({ host: to.hostname, port: to.port, path: req.url, method: req.method, headers }, answer => {
      const answered = { ...answer.headers }
      delete answered['content-length']
      delete answered['transfer-encoding']
      res.writeHead(answer.statusCode, answered)
      res.flushHeaders()
      answer.setEncoding('utf8')
      const stream = String(answer.headers['content-type']).startsWith('text/event-stream')
      let rest = ''
      answer.on('data', chunk => {
        rest += chunk
        if (!stream) return
        const lines = rest.split('\n')
        rest = lines.pop()
        for (const line of lines) res.write(`${line.startsWith('data: ') ? `data: ${mapped(line.slice(6), outbound)}` : line}\n`)
      })
      answer.on('end', () => res.end(stream ? rest : mapped(rest, outbound)))
      answer.on('error', () => res.destroy())
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    onward.end(chunks.length > 0 ? body : undefined)
  })
  let port
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => {
    port = server.address().port
    resolve({
      url: `http://127.0.0.1:${port}${to.pathname}`,
      close: () => {
        server.close()
        server.closeAllConnections()
      },
    })
  }))
}
