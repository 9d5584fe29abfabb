/**
 * The legacy revisions as they stand on the wire: names, negotiation, what each one lacks. Pure.
 * Knows no channel and no call.
 */
import { logLevels, type ClientProfile, type JsonObject, type ListKind, type LogLevel } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'

/** Oldest first; they compare as strings. */
export const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const
export const newestRevision = '2025-11-25'

/** Legacy codes that mean more than their number (2025-11-25 server/resources, client/elicitation). */
export const resourceNotFound = -32002
export const urlElicitationRequired = -32042

/** How a server that knows only newer revisions refuses a legacy request (2026-07-28 basic/versioning). */
export const isOfNewerServer = (error: unknown): boolean => error instanceof McpError && error.details.rpc?.code === -32022

export const lists: readonly ListKind[] = ['tools', 'prompts', 'resources']

export const isRevision = (value: unknown): value is string => revisions.includes(value as never)

/** What we answer a client that wants `requested` (2025-11-25 basic/lifecycle, version negotiation). */
export const negotiate = (requested: unknown): string => (isRevision(requested) ? requested : newestRevision)

/** Whether a client is of this era: it holds its request open while it is asked, and takes asks outside any call. */
export const holdsOpen = (client: ClientProfile): boolean => client.revision < '2026'

/** Calls during which a server's ask can become an outcome (2026-07-28 basic/patterns/mrtr). */
export const isInteractive = (method: string): boolean =>
  method === 'tools/call' || method === 'prompts/get' || method === 'resources/read'

/**
 * What a client of `revision` is told the gateway can. Lists may always change: backends come and go under them.
 */
export function capabilitiesFor(revision: string, capabilities: JsonObject): JsonObject {
  const fitted: JsonObject = { ...capabilities }
  for (const list of lists) {
    const own = capabilities[list]
    fitted[list] = isObject(own) ? { ...own, listChanged: true } : { listChanged: true }
  }
  if (revision < '2025-03-26') delete fitted['completions']
  if (revision < '2025-11-25') delete fitted['tasks']
  return fitted
}

const severities = new Map<unknown, number>(logLevels.map((level, index) => [level, index]))

export const isLogLevel = (value: unknown): value is LogLevel => severities.has(value)

/** Whether a log message is severe enough. Levels we do not know pass: only the server knows what they mean. */
export function passes(threshold: LogLevel | undefined, params: JsonObject): boolean {
  if (threshold === undefined) return true
  const severity = severities.get(params['level'])
  return severity === undefined || severity >= (severities.get(threshold) as number)
}

export function isMoreVerbose(a: LogLevel, b: LogLevel): boolean {
  return (severities.get(a) as number) < (severities.get(b) as number)
}
