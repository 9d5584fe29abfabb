/**
 * From a dial to a Connection: finds out which era a server speaks, in place, and remembers it. The era is the server's,
 * so one answer settles it (2026-07-28 basic/transports/stdio and streamable-http, "Backward Compatibility").
 */
import { CancelSource } from '../gateway/cancellation.ts'
import type { Connection, JsonObject } from '../gateway/contract.ts'
import { McpError, toMcpError, type ErrorCode } from '../gateway/errors.ts'
import { readProbe } from './detect.ts'
import { openLegacyConnection } from './legacy/backend-side.ts'
import { ChannelLink } from './link.ts'
import { discoverRequest, openModernConnection } from './modern/backend-side.ts'
import { revision } from './modern/wire.ts'
import type { ConnectOptions, OpeningMemory } from './options.ts'

/** How long a legacy verdict is believed: a server that was upgraded still answers in the old way, so nobody notices. */
const legacyVerdictMs = 24 * 60 * 60 * 1000
/** An assumption may fail, and then a probe may end the process. */
const maxDials = 3
const maxQuoted = 1000

type Plan =
  /** `silenceMs`: no answer for so long means legacy. `only`: no other opening is tried when the process ends. */
  | { readonly kind: 'probe'; readonly silenceMs: number; readonly only?: boolean }
  /** `assumed`: from an earlier run, and open to doubt. */
  | { readonly kind: 'legacy'; readonly assumed: boolean }

type Step = { readonly connection: Connection } | { readonly next: Plan; readonly because: unknown }

type Probed =
  | { readonly kind: 'answer'; readonly answer: JsonObject | McpError }
  | { readonly kind: 'silence'; readonly late: () => JsonObject | McpError | undefined; readonly forget: () => void }

export class Opening {
  private readonly options: ConnectOptions
  private link: ChannelLink | undefined
  private over = false
  /** How processes of this opening ended. */
  private readonly ends: string[] = []

  constructor(options: ConnectOptions) {
    this.options = options
  }

  /** Rejects with the McpError that says why there is no connection; the channel is closed then. */
  async run(): Promise<Connection> {
    const { name, timeouts, cancellation, remember, memory } = this.options
    const { deadEnd } = memory ?? {}
    const started = Date.now()
    let giveUp = (_error: McpError): void => {}
    const given = new Promise<never>((_, reject) => (giveUp = reject))
    const timer = setTimeout(() => giveUp(this.late(`${name} was not ready within ${timeouts.start} ms`)), timeouts.start)
    const stop = cancellation?.subscribe(reason => giveUp(new McpError('CANCELLED', reason ?? 'cancelled')))
    try {
      const connection = await Promise.race([this.attempts(), given])
      if (memory) memory.deadEnd = undefined
      const { era, revision: spoken } = await connection.describe()
      // What was not asked whether it is modern may be that.
      if (deadEnd !== 'handshake' || era === 'modern') remember?.({ era: era === 'modern' ? 'modern' : 'legacy', revision: spoken ?? '', at: started })
      return connection
    } catch (error) {
      const explained = this.explained(toMcpError(error))
      if (memory) memory.deadEnd = this.deadEnd(deadEnd)
      this.over = true
      void this.link?.channel.close()
      throw explained
    } finally {
      clearTimeout(timer)
      stop?.()
    }
  }

  private async attempts(): Promise<Connection> {
    let plan = this.firstPlan()
    for (let dials = 1; ; dials++) {
      const step = await this.attempt(await this.dial(), plan)
      if ('connection' in step) return step.connection
      if (dials === maxDials) throw step.because
      plan = step.next
    }
  }

  /**
   * What to try next time. A server that ends in the same way at either opening is not to be started twice for each crash; but
   * which opening it will bear once it is mended nobody knows, so they take turns.
   */
  private deadEnd(before: OpeningMemory['deadEnd']): OpeningMemory['deadEnd'] {
    const { died } = this.link ?? {}
    if (died?.code !== 'BACKEND_DIED') return undefined
    if (before !== undefined) return before === 'probe' ? 'handshake' : 'probe'
    return this.ends.length > 0 && this.ends.every(end => end === died.message) ? 'probe' : undefined
  }

  private firstPlan(): Plan {
    const { remembered, timeouts, memory } = this.options
    if (memory?.deadEnd === 'probe') return { kind: 'probe', silenceMs: timeouts.probe, only: true }
    if (memory?.deadEnd === 'handshake') return { kind: 'legacy', assumed: true }
    if (remembered?.era === 'legacy' && Date.now() - remembered.at < legacyVerdictMs) return { kind: 'legacy', assumed: true }
    // A server known to answer may need its time to start; half of ours is left to be wrong in.
    const patience = remembered?.era === 'modern' ? timeouts.start / 2 : 0
    return { kind: 'probe', silenceMs: Math.max(timeouts.probe, patience) }
  }

  private async dial(): Promise<ChannelLink> {
    const before = this.link
    // Two of one server at a time may fight over a port or a lock file.
    await before?.channel.close()
    const channel = this.over ? undefined : await this.options.dial()
    if (!channel || this.over) {
      void channel?.close()
      throw new McpError('CANCELLED', 'the opening was given up')
    }
    if (before?.died) this.ends.push(before.died.message)
    return (this.link = new ChannelLink(channel, this.options.log))
  }

  private async attempt(link: ChannelLink, plan: Plan): Promise<Step> {
    if (plan.kind === 'legacy' || link.channel.transport === 'sse') return this.assumeLegacy(link, plan)
    const probed = await this.probe(link, revision, plan.silenceMs)
    if (probed.kind === 'silence') return this.legacyAfterSilence(link, probed, plan)
    const { answer } = probed
    const verdict = readProbe(answer)
    switch (verdict.kind) {
      case 'modern':
        return { connection: openModernConnection(link, this.options, verdict.discovered, verdict.version) }
      case 'legacy':
        return { connection: await openLegacyConnection(link, this.options) }
      case 'again':
        throw this.foreign(`it offers ${verdict.version} and refuses it`)
      case 'foreign':
        throw this.foreign(`it offers ${verdict.supported.slice(0, 8).join(', ').slice(0, 200)}`)
      case 'none':
        // Some servers end themselves at any word before `initialize`; over HTTP a broken connection says nothing.
        if (link.died && !link.channel.wantsHeaders && !plan.only) return { next: { kind: 'legacy', assumed: false }, because: answer }
        throw answer
    }
  }

  private async assumeLegacy(link: ChannelLink, plan: Plan): Promise<Step> {
    try {
      return { connection: await openLegacyConnection(link, this.options) }
    } catch (error) {
      const { code } = toMcpError(error)
      const refused = code === 'BACKEND_ERROR' || code === 'BACKEND_PROTOCOL'
      if (plan.kind !== 'legacy' || !plan.assumed || !refused) throw error
      return { next: { kind: 'probe', silenceMs: this.options.timeouts.probe }, because: error }
    }
  }

  /** Silence means legacy, or a server still starting: if `initialize` fails, what became of the probe decides. */
  private async legacyAfterSilence(link: ChannelLink, { late, forget }: Probed & { kind: 'silence' }, { only }: Plan & { kind: 'probe' }): Promise<Step> {
    try {
      const connection = await openLegacyConnection(link, this.options)
      forget()
      return { connection }
    } catch (error) {
      // The refusal may name the newer revisions itself, before the late answer comes.
      const words = [late(), toMcpError(error)].flatMap(answer => (answer ? [readProbe(answer).kind] : []))
      if (words.includes('modern') || words.includes('again'))
        return { next: { kind: 'probe', silenceMs: this.options.timeouts.start }, because: error }
      if (link.died && !only) return { next: { kind: 'legacy', assumed: false }, because: error }
      throw error
    }
  }

  /** Asks what the server is. HTTP servers answer or are broken, so there only the limit of the whole opening ends the wait. */
  private async probe(link: ChannelLink, version: string, silenceMs: number, retried = false): Promise<Probed> {
    const { peer, channel } = link
    const { method, params, headers } = discoverRequest(this.options, version, channel.wantsHeaders === true)
    const cancellation = new CancelSource()
    let known: JsonObject | McpError | undefined
    const answered = peer
      .request(method, params, { headers, cancellation, silentCancel: true })
      .then(({ result }) => result, toMcpError)
      .then(answer => (known = answer))
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<undefined>(resolve => {
      if (!channel.wantsHeaders) timer = setTimeout(() => resolve(undefined), silenceMs)
    })
    const answer = await Promise.race([answered, silence])
    clearTimeout(timer)
    if (!answer) return { kind: 'silence', late: () => known, forget: () => cancellation.cancel() }
    const verdict = readProbe(answer)
    // Once: a server that names a version and then refuses it would keep us here.
    if (verdict.kind === 'again' && !retried) return this.probe(link, verdict.version, silenceMs, true)
    return { kind: 'answer', answer }
  }

  private foreign(why: string): McpError {
    const { name } = this.options
    return new McpError('BACKEND_PROTOCOL', `${name} speaks no protocol revision that we speak: ${why}`, {
      backend: name,
      hint: 'update mcp-proxy, or the server',
    })
  }

  private late(message: string): McpError {
    return new McpError('BACKEND_TIMEOUT', `${message}${this.lastWords()}`, { backend: this.options.name })
  }

  /** Errors of the wire, in terms of starting a server. Those that already say what to do stay as they are. */
  private explained(error: McpError): McpError {
    const { name } = this.options
    const told = (code: ErrorCode, what: string) =>
      new McpError(code, `${what}${this.lastWords()}`, { backend: name, hint: error.details.hint, cause: error })
    switch (error.code) {
      case 'BACKEND_DIED':
        return told('BACKEND_START_FAILED', `${name} ended before it was ready: ${error.message.slice(0, maxQuoted)}`)
      case 'BACKEND_ERROR':
        return told('BACKEND_PROTOCOL', `${name} refused to be opened: ${error.message.slice(0, maxQuoted)}`)
      default:
        return error
    }
  }

  /** The end of what the server wrote for people: where the reason usually stands. */
  private lastWords(): string {
    const words = this.link?.channel.lastWords?.().trim()
    return words ? `\nIt last wrote:\n${words.slice(-maxQuoted)}` : ''
  }
}
