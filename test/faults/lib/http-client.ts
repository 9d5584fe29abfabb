/** A client over HTTP under the same oracles as the one over stdio: counted, timed, and suspicious of every marker. */
import { Agent, request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { modernRequest } from '../../fixtures/clients/raw-http.ts'
import { emptyLedger, markersIn, newMarker, type Ledger } from './oracles.ts'
import type { Reply } from './stdio-client.ts'

export class HttpClient {
  readonly mark = newMarker('c')
  readonly ledger: Ledger = emptyLedger()
  readonly wrong: string[] = []
  received = ''
  private readonly url: URL
  private readonly era: 'legacy' | 'modern'
  private readonly backends: ReadonlyMap<string, string>
  private readonly agent: Agent
  private session: Record<string, string> = {}
  private ids = 0

  /** All clients share `agent` where one process plays many of them. */
  constructor(url: string, era: 'legacy' | 'modern', backends: ReadonlyMap<string, string>, agent = new Agent({ keepAlive: true })) {
    this.url = new URL(url)
    this.era = era
    this.backends = backends
    this.agent = agent
  }

  async open(): Promise<void> {
    if (this.era === 'modern') return
    const { headers } = await this.post({
      jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'faults', version: '1' } },
    }, {})
    this.session = { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' }
    await this.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, this.session)
  }

  /** Ends its session and its connections, as a client that says goodbye. */
  async close(): Promise<void> {
    if (this.era === 'legacy') await this.post(undefined, this.session, undefined, 'DELETE').catch(() => {})
    this.agent.destroy()
  }

  /** Calls a rogue tool. Ids start at 1 in every client, so that they meet. `leaveAfter`: breaks off after so many ms. */
  async call(alias: string, tool: string, args: JsonObject = {}, { leaveAfter }: { leaveAfter?: number } = {}): Promise<Reply> {
    const id = ++this.ids
    const mark = `${this.mark}.${id}`
    const params = { name: `${alias}__${tool}`, arguments: { mark, ...args }, _meta: { progressToken: id } }
    const [message, headers] = this.era === 'modern' ? modernRequest(id, 'tools/call', params) : [{ jsonrpc: '2.0', id, method: 'tools/call', params }, this.session]
    this.ledger.sent++
    const startedAt = performance.now()
    try {
      const { text, status } = await this.post(message, headers, leaveAfter)
      const at = performance.now()
      this.received += text.slice(0, 20_000)
      if (this.received.length > 2 * 1024 * 1024) this.received = this.received.slice(-1024 * 1024)
      for (const marker of new Set(markersIn(text)))
        if (marker !== mark && marker !== this.backends.get(alias)) this.wrong.push(`a foreign marker: ${text.slice(0, 300)}`)
      if (text.includes('WRONG')) this.wrong.push(`misrouted: ${text.slice(0, 300)}`)
      const messages = text.startsWith('{') ? [JSON.parse(text) as JsonObject]
        : text.split('\n').filter(line => line.startsWith('data:') && line.length > 6).map(line => JSON.parse(line.slice(5)) as JsonObject)
      const answers = messages.filter(each => each['id'] === id && each['method'] === undefined)
      if (answers.length !== 1) this.wrong.push(`${answers.length} answers with status ${status}: ${text.slice(0, 300)}`)
      const answer = answers[0] ?? {}
      if (answer['error'] === undefined) this.ledger.answered++
      else this.ledger.refused++
      return { ms: at - startedAt, at, ...answer } as unknown as Reply
    } catch (error) {
      if (leaveAfter === undefined) throw error
      this.ledger.cancelled++
      return { ms: performance.now() - startedAt, at: performance.now() }
    }
  }

  /** Sends a call and never reads a byte of the answer; returns how to leave. */
  callUnread(alias: string, tool: string, args: JsonObject): () => void {
    const id = ++this.ids
    const [message, headers] = modernRequest(id, 'tools/call', { name: `${alias}__${tool}`, arguments: { mark: `${this.mark}.${id}`, ...args } })
    const body = JSON.stringify(message)
    const socket = connect(Number(this.url.port), this.url.hostname)
    socket.pause().on('error', () => {})
    const fields = { host: this.url.host, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'content-length': Buffer.byteLength(body), ...headers }
    socket.write(`POST ${this.url.pathname} HTTP/1.1\r\n${Object.entries(fields).map(([key, value]) => `${key}: ${value}\r\n`).join('')}\r\n${body}`)
    return () => void socket.destroy()
  }

  private post(message: object | undefined, headers: Record<string, string>, leaveAfter?: number, method = 'POST'): Promise<{ text: string; status: number | undefined; headers: IncomingMessage['headers'] }> {
    return new Promise((resolve, reject) => {
      const outgoing = request(this.url, {
        method, agent: this.agent, headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
        answer.on('error', reject)
        answer.on('end', () => resolve({ text, status: answer.statusCode, headers: answer.headers }))
      })
      outgoing.on('error', reject)
      outgoing.end(message === undefined ? undefined : JSON.stringify(message))
      if (leaveAfter !== undefined) setTimeout(() => outgoing.destroy(), leaveAfter)
    })
  }
}
