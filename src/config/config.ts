/**
 * The shapes the config becomes: defaults filled in, references resolved, durations in milliseconds, sizes in bytes,
 * paths absolute. Plain values throughout, so two configs compare as JSON. No behaviour.
 */
import type { Problem } from './problems.ts'

export interface Config {
  /** In the order of the file, disabled and held ones included. */
  readonly backends: readonly BackendConfig[]
  readonly names: {
    readonly separator: string
    readonly prefix: 'always' | 'onClash' | 'never'
    readonly maxLength: number
  }
  /** Milliseconds. */
  readonly startWait: number
  readonly listen: ListenConfig
  readonly log: {
    readonly level: LogLevelName
    /** Left out: pretty on a terminal, JSON elsewhere. */
    readonly format: 'pretty' | 'json' | undefined
    readonly file: string | undefined
  }
  readonly daemon: { readonly enabled: boolean; /** Milliseconds; 0 = never. */ readonly idleTimeout: number }
  readonly catalog: { readonly cache: boolean; /** Milliseconds. */ readonly maxAge: number }
  /** By the client's id or by what it calls itself, over what is known of it. */
  readonly clients: Readonly<Record<string, ClientOverrides>>
}

/** Left out: as it is known; 0 = no limit. */
export interface ClientOverrides {
  /** What the client calls us. */
  readonly server?: string | undefined
  readonly nameLength?: number | undefined
  readonly tools?: number | undefined
  readonly description?: number | undefined
  readonly messageBytes?: number | undefined
  readonly plainSchemas?: boolean | undefined
}

export type LogLevelName = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface ListenConfig {
  readonly http: HttpListenConfig | undefined
  /** Absolute path of a unix socket (on Windows a pipe name). */
  readonly socket: string | undefined
}

export interface HttpListenConfig {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly tokenFile: string | undefined
  readonly allowedHosts: readonly string[]
  readonly allowedOrigins: readonly string[]
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

export interface BackendConfig {
  readonly alias: string
  readonly enabled: boolean
  /** Not empty: the backend is held back, and its endpoints must not be used. */
  readonly problems: readonly Problem[]
  /** For status; `http` also where the server will be asked which of the two HTTP transports it speaks. */
  readonly transport: 'stdio' | 'http' | 'sse'
  /** One, or the instances in the order of the file. Empty while disabled or held. */
  readonly endpoints: readonly Endpoint[]
  readonly balance: 'least-loaded' | 'round-robin'
  readonly start: 'lazy' | 'eager'
  readonly share: 'auto' | 'global' | 'session'
  /** Milliseconds; 0 = never. */
  readonly idleTimeout: number
  /** `backoff` 0 = at once; `holdAfter` 0 = never held. */
  readonly restart: {
    readonly backoff: number
    readonly maxBackoff: number
    readonly resetAfter: number
    readonly holdAfter: number
  }
  /** `failures` 0 = off. */
  readonly breaker: { readonly failures: number; readonly openFor: number }
  readonly timeouts: {
    readonly connect: number
    readonly start: number
    readonly install: number
    readonly call: number
    readonly max: number
  }
  readonly limits: { readonly concurrency: number; readonly queue: number; readonly messageBytes: number }
  /** Root objects as servers are told them; undefined = whatever the clients have. */
  readonly roots: readonly { readonly uri: string; readonly name?: string }[] | undefined
  readonly tools: OfferRules
  readonly prompts: OfferRules
  readonly resources: FilterRules
  /** Globs over the backend's own tool names: these may be called twice. */
  readonly idempotent: readonly string[]
}

export interface FilterRules {
  /** Globs; undefined = everything. */
  readonly include: readonly string[] | undefined
  readonly exclude: readonly string[]
}

export interface OfferRules extends FilterRules {
  /** The backend's own name → the name shown. */
  readonly rename: Readonly<Record<string, string>>
  /** The backend's own name → the description shown. */
  readonly describe: Readonly<Record<string, string>>
}

export type Endpoint = CommandEndpoint | UrlEndpoint

export interface CommandEndpoint {
  readonly kind: 'command'
  /** An absolute path, or a bare name to be found on the PATH. */
  readonly command: string
  readonly args: readonly string[]
  /** What the file names (envFile first, env over it), not what the process inherits. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Only used while the instances that are no backups fail. */
  readonly backup: boolean
}

export interface UrlEndpoint {
  readonly kind: 'url'
  readonly url: string
  /** undefined = to be found out. */
  readonly type: 'http' | 'sse' | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly caFile: string | undefined
  readonly backup: boolean
}
