/** Members that never run: a backend that is switched off, and one that its configuration holds back. */
import type { BackendState, Failure, Granted, Member, Watch, Watcher } from './contract.ts'
import { McpError } from './errors.ts'
import { counts } from './status.ts'

/** A backend with `enabled: false`. */
export const disabledMember = (alias: string, transport: string): Member =>
  standIn(alias, transport, 'disabled', null, new McpError('BACKEND_UNAVAILABLE', `${alias} is disabled`, { backend: alias }))

/** A backend that cannot be tried before its configuration is mended; `failure` says what is wrong with it. */
export const heldMember = (alias: string, transport: string, failure: Failure): Member =>
  standIn(
    alias,
    transport,
    'held',
    failure,
    new McpError('BACKEND_UNAVAILABLE', `${alias} is held back: ${failure.message}`, {
      backend: alias,
      hint: 'mend its configuration; `mcp-proxy validate` shows where',
    }),
  )

function standIn(alias: string, transport: string, state: BackendState, lastFailure: Failure | null, error: McpError): Member {
  const since = Date.now()
  return {
    name: alias,
    offer: undefined,
    handle: () => Promise.reject(error),
    describe: () => Promise.reject(error),
    offered: () => Promise.resolve(undefined),
    onOffer: () => () => {},
    watch: watcher => deafWatch(watcher, error),
    notify() {},
    status: () => ({
      alias, state, era: null, revision: null, transport, pid: null, since: new Date(since).toISOString(), lastFailure,
      ...counts(undefined), inFlight: 0, restarts: 0,
    }),
    close: () => Promise.resolve(),
  }
}

/** A watch that hears nothing, and says why. */
export function deafWatch({ interest }: Watcher, error: McpError): Watch {
  const refused = (uris: readonly string[]): Promise<Granted> =>
    Promise.resolve({ lists: [], resources: [], refused: new Map(uris.map(uri => [uri, error])) })
  return { granted: refused(interest.resources), update: ({ resources }) => refused(resources), close() {} }
}
