/** What is said of a backend as a whole when its instances differ. */
import type { BackendState, BackendStatus, CallLoad, Failure, Offer } from './contract.ts'
import type { Instance } from './instance.ts'
import { Meter } from './meter.ts'

/** Where nothing works, what says most about why, or comes nearest to working. */
const telling: readonly BackendState[] = ['degraded', 'installing', 'starting', 'needs-auth', 'held', 'stopped']

export function joinedStatus(alias: string, instances: readonly Instance[], offer: Offer | undefined): BackendStatus {
  const lives = instances.map(({ life }) => life)
  const decisive =
    instances.find(({ life }) => life.state === 'healthy') ??
    telling.flatMap(state => instances.filter(({ life }) => life.state === state))[0] ??
    (instances[0] as Instance)
  const { state, since } = decisive.life
  const ailing = state === 'healthy' && lives.some(life => life.state === 'degraded' || failed.has(life.state))
  return {
    alias,
    state: ailing ? 'degraded' : state,
    era: offer?.description.era ?? null,
    revision: offer?.description.revision ?? null,
    transport: decisive.spec.transport,
    pid: decisive.life.connection?.pid ?? null,
    since: new Date(since).toISOString(),
    lastFailure: latest(lives.map(({ lastFailure }) => lastFailure)),
    ...counts(offer),
    inFlight: instances.reduce((sum, { lane }) => sum + lane.load, 0),
    restarts: lives.reduce((sum, { restarts }) => sum + restarts, 0),
    calls: loadOf(instances),
  }
}

const maxNamed = 20

function loadOf(instances: readonly Instance[]): CallLoad {
  const now = performance.now()
  const flights = instances.flatMap(({ lane }) => [...lane.flights])
  flights.sort((a, b) => a.arrivedAt - b.arrivedAt)
  return {
    ...Meter.pace(instances.map(({ lane }) => lane.meter), now),
    now: flights.slice(0, maxNamed).map(({ call: { client, method, params }, arrivedAt }) => {
      const said = client.info?.['name']
      const { name, uri } = params
      return {
        client: typeof said === 'string' ? said.slice(0, 100) : client.id,
        method,
        name: typeof name === 'string' ? name : typeof uri === 'string' ? uri.replace(/[?#].*$/s, '') : undefined,
        ms: Math.round(now - arrivedAt),
      }
    }),
  }
}

export const counts = (offer: Offer | undefined): Pick<BackendStatus, 'tools' | 'prompts' | 'resources'> => ({
  tools: offer?.tools.length ?? 0,
  prompts: offer?.prompts.length ?? 0,
  resources: offer?.resources.length ?? 0,
})

const failed: ReadonlySet<BackendState> = new Set<BackendState>(['stopped', 'held', 'needs-auth'])

function latest(failures: readonly (Failure | null)[]): Failure | null {
  let last: Failure | null = null
  for (const failure of failures) if (failure && (!last || failure.at > last.at)) last = failure
  return last
}
