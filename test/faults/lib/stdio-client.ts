/**
 * A client over stdio that trusts nobody: it times every request, counts how each ended, and looks at every line for a
 * marker that is not meant for it. Its pipe can be left unread.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import type { Target } from '../../fixtures/clients/client.ts'
import { envelope } from '../../fixtures/clients/raw.ts'
import { emptyLedger, markersIn, newMarker, type Ledger } from './oracles.ts'

export interface Reply {
  readonly ms: number
  /** When it came, by `performance.now`. */
  readonly at: number
  readonly result?: JsonObject
  readonly error?: { code: number; message: string; data?: { code?: string; backend?: string; retryAfterMs?: number; hint?: string } }
}

export interface Pending {
  readonly id: string | number
  /** The marker of this call alone. */
  readonly mark: string
  readonly reply: Promise<Reply>
  /** The first progress message of this call. */
  readonly progress: Promise<string>
  /** Takes the request back. */
  cancel(): void
}

export interface CallOptions {
  readonly id?: string | number
  readonly timeoutMs?: number
}

interface Entry {
  readonly mark: string
  readonly alias: string
  readonly startedAt: number
  readonly settle: (reply: Reply) => void
  readonly fail: (error: Error) => void
  readonly progressed: (text: string) => void
  cancelled: boolean
}

export interface ClientOptions {
  readonly era?: 'legacy' | 'modern'
  /** Markers of the backends it may hear of, by alias. */
  readonly backends: ReadonlyMap<string, string>
  /** What to give the child as stderr. */
  readonly stderr?: 'pipe' | number
  /** To run it as somebody else. */
  readonly user?: number
}

const kept = 4 * 1024 * 1024
/** Cut seldom: cutting copies all of it. */
const keep = (text: string): string => (text.length > 2 * kept ? text.slice(-kept) : text)

export class StdioClient {
  readonly mark = newMarker('c')
  readonly ledger: Ledger = emptyLedger()
  /** What must not have come. */
  readonly wrong: string[] = []
  readonly notifications = new Map<string, number>()
  readonly child: ChildProcess
  /** Resolves with the exit code, or the signal. */
  readonly ended: Promise<number | string | null>
  /** The last megabytes of what came, for the search for secrets. */
  received = ''
  stderr = ''
  readonly modern: boolean
  private readonly backends: ReadonlyMap<string, string>
  private readonly pending = new Map<string | number, Entry>()
  private readonly marks = new Map<string, Entry>()
  private readonly cancelledIds = new Set<string | number>()
  private readonly rest: Buffer[] = []
  private ids = 0
  private calls = 0

  constructor({ command, args = [], env, cwd }: Target, { era = 'legacy', backends, stderr = 'pipe', user }: ClientOptions) {
    this.modern = era === 'modern'
    this.backends = backends
    this.child = spawn(command as string, args, { env: { ...env }, cwd, stdio: ['pipe', 'pipe', stderr], ...(user === undefined ? {} : { uid: user, gid: user }) })
    this.child.on('error', () => {})
    this.child.stdin?.on('error', () => {})
    this.child.stdout?.on('data', (chunk: Buffer) => this.read(chunk))
    this.child.stderr?.on('data', chunk => {
      this.stderr = keep(this.stderr + chunk)
    })
    this.ended = new Promise(resolve => this.child.once('close', (code, signal) => {
      for (const [id, entry] of this.pending) entry.fail(new Error(`the proxy ended (${code ?? signal}) with ${id} open\n${this.stderr.slice(-1500)}`))
      resolve(code ?? signal)
    }))
  }

  get pid(): number {
    return this.child.pid as number
  }

  get open(): number {
    return this.pending.size
  }

  /** Says hello in the client's era; resolves with the milliseconds that took. */
  async hello(timeoutMs = 15_000): Promise<number> {
    if (this.modern) return (await this.request('server/discover', {}, { timeoutMs }).reply).ms
    const { ms } = await this.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'faults', version: '1' } }, { timeoutMs }).reply
    this.notify('notifications/initialized', {})
    return ms
  }

  async tools(timeoutMs?: number): Promise<string[]> {
    const { result, error } = await this.request('tools/list', {}, timeoutMs === undefined ? {} : { timeoutMs }).reply
    if (!result) throw new Error(`no tools: ${JSON.stringify(error)}`)
    return (result['tools'] as { name: string }[]).map(({ name }) => name)
  }

  /** Calls a tool of the rogue server `alias`; its marker and nobody else's may come back. */
  call(alias: string, tool: string, args: JsonObject = {}, options: CallOptions = {}): Pending {
    const mark = `${this.mark}.${++this.calls}`
    const id = options.id ?? ++this.ids
    const params = { name: `${alias}__${tool}`, arguments: { mark, ...args }, _meta: { progressToken: id } }
    return this.request('tools/call', params, { ...options, id }, mark, alias)
  }

  request(method: string, params: JsonObject, options: CallOptions = {}, mark = `${this.mark}.${++this.calls}`, alias = ''): Pending {
    const id = options.id ?? ++this.ids
    const meta = this.modern ? { _meta: { ...envelope(), ...(params['_meta'] as JsonObject) } } : {}
    let progressed!: (text: string) => void
    const progress = new Promise<string>(resolve => (progressed = resolve))
    const reply = new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method} ${String(params['name'] ?? '')}\n${this.stderr.slice(-1500)}`)), options.timeoutMs ?? 30_000)
      const entry: Entry = {
        mark, alias, cancelled: false, progressed, startedAt: performance.now(),
        settle: value => {
          clearTimeout(timer)
          resolve(value)
        },
        fail: error => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.pending.set(id, entry)
      this.marks.set(mark, entry)
    })
    reply.catch(() => {})
    this.ledger.sent++
    this.send({ jsonrpc: '2.0', id, method, params: { ...params, ...meta } })
    return { id, mark, reply, progress, cancel: () => this.cancel(id) }
  }

  notify(method: string, params: JsonObject): void {
    this.send({ jsonrpc: '2.0', method, params })
  }

  send(message: JsonObject): void {
    this.child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  /** Takes the stream apart without understanding it, as a client that was told to stop would. */
  stopReading(): void {
    this.child.stdout?.pause()
  }

  /** This client is about to break off: what it still has open is its own loss. */
  excuse(): void {
    for (const [id, entry] of this.pending) {
      this.ledger.cancelled++
      this.cancelledIds.add(id)
      entry.fail(new Error('the client broke off'))
    }
    this.pending.clear()
  }

  async close(timeoutMs = 10_000): Promise<number | string | null> {
    this.child.stdout?.resume()
    this.child.stdin?.end()
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs)
    const code = await this.ended
    clearTimeout(timer)
    return code
  }

  private cancel(id: string | number): void {
    const entry = this.pending.get(id)
    if (!entry || entry.cancelled) return
    entry.cancelled = true
    this.pending.delete(id)
    this.marks.delete(entry.mark)
    this.cancelledIds.add(id)
    this.ledger.cancelled++
    entry.settle({ ms: performance.now() - entry.startedAt, at: performance.now() })
    this.notify('notifications/cancelled', { requestId: id })
  }

  private read(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      this.rest.push(chunk.subarray(from, at))
      this.line(Buffer.concat(this.rest.splice(0)).toString('utf8'))
      from = at + 1
    }
    if (from < chunk.length) this.rest.push(chunk.subarray(from))
  }

  private line(text: string): void {
    const at = performance.now()
    this.received = keep(this.received + text.slice(0, 100_000))
    let message: JsonObject
    try {
      message = JSON.parse(text) as JsonObject
    } catch {
      return void this.wrong.push(`not JSON: ${text.slice(0, 200)}`)
    }
    if (text.includes('WRONG')) this.wrong.push(`misrouted: ${text.slice(0, 300)}`)
    if (/\n\s+at .+:\d+:\d+/.test(text.replaceAll('\\n', '\n'))) this.wrong.push(`a stack trace: ${text.slice(0, 300)}`)
    if (message['method'] !== undefined) return this.heard(message, text)
    const id = message['id'] as string | number
    const entry = this.pending.get(id)
    if (!entry) {
      // An answer may have been on its way when its request was taken back, but only one.
      if (!this.cancelledIds.delete(id)) this.wrong.push(`an answer to nothing: ${text.slice(0, 300)}`)
      return
    }
    this.pending.delete(id)
    this.marks.delete(entry.mark)
    this.checkMarkers(text, entry)
    if (message['error'] === undefined) this.ledger.answered++
    else this.ledger.refused++
    entry.settle({ ms: at - entry.startedAt, at, ...message } as unknown as Reply)
  }

  private heard(message: JsonObject, text: string): void {
    const method = message['method'] as string
    this.notifications.set(method, (this.notifications.get(method) ?? 0) + 1)
    if (message['id'] !== undefined) this.send({ jsonrpc: '2.0', id: message['id'], error: { code: -32601, message: 'not here' } })
    if (method !== 'notifications/progress') return this.checkMarkers(text, undefined)
    const { progressToken, message: words } = message['params'] as { progressToken: string | number; message?: string }
    const entry = this.pending.get(progressToken)
    if (!entry) {
      if (!this.cancelledIds.has(progressToken)) this.wrong.push(`progress of nothing: ${text.slice(0, 300)}`)
      return
    }
    this.checkMarkers(text, entry)
    entry.progressed(words ?? '')
  }

  /** An answer may name its own call and the server that was called; a notification, any server of ours. */
  private checkMarkers(text: string, entry: Entry | undefined): void {
    if (text.length > 1024 * 1024) return
    for (const marker of new Set(markersIn(text))) {
      const allowed = entry ? marker === entry.mark || marker === this.backends.get(entry.alias) : [...this.backends.values()].includes(marker)
      if (!allowed) this.wrong.push(`a foreign marker: ${text.slice(0, 300)}`)
    }
  }
}

/** The text of a rogue server's answer, parsed. */
export const said = (reply: Reply): { from: string; pid: number; mark: string; [key: string]: unknown } => {
  const text = (reply.result?.['content'] as { text: string }[] | undefined)?.[0]?.text
  if (text === undefined) throw new Error(`no text in ${JSON.stringify(reply).slice(0, 500)}`)
  return JSON.parse(text) as never
}
