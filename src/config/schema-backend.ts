/**
 * One backend in the config: the keys of `mcpServers.<alias>`, of its instances, and of `defaults`. Validation, defaults,
 * JSON Schema and reference all come from here; rules between keys stand in backend.ts.
 */
import * as z from 'zod/mini'
import {
  choice,
  defaulted,
  duration,
  flag,
  group,
  integer,
  list,
  map,
  oneOrMore,
  optional,
  root,
  ruled,
  size,
  text,
} from './fields.ts'

const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** RFC 9110, 5.5: visible characters, spaces and tabs; nothing that could start another header. */
const headerValue = ruled(value => !/[^\t\x20-\x7e\x80-\xff]/.test(value), 'a header value on one line', { kind: 'text' })

const headers = z.record(
  ruled(value => headerName.test(value), 'a header name'),
  headerValue,
)

const isHttpUrl = (value: string): boolean => /^https?:\/\/[^\s/]/i.test(value) && URL.canParse(value)

const where = {
  cwd: optional(text(), 'Working directory of the process. Left out: the folder of this file.'),
  envFile: optional(
    oneOrMore(),
    'File(s) of NAME=value lines for the process; `env` wins over them, a later file over an earlier one. ' +
      '`export NAME=value` and comments (`#`) will do; any other line is left out, with a warning.',
  ),
  env: optional(
    map(text()),
    'Environment of the process, besides a few harmless inherited variables. Nothing else of our own reaches it.',
  ),
  caFile: optional(text(), 'PEM file of certificate authorities to trust for this server, besides the usual ones.'),
}

const endpoint = {
  command: optional(
    ruled(value => value.trim() !== '' && !value.includes('\0'), 'a command'),
    'Program to start; spoken to over stdin and stdout. A bare name is looked up on the PATH, a relative path starts here.',
  ),
  args: optional(list(text()), 'Arguments of the command. Never seen by a shell.'),
  ...where,
  url: optional(ruled(isHttpUrl, 'an http:// or https:// URL'), 'Address of a remote server, instead of `command`.'),
  type: optional(
    choice('http', 'sse'),
    'Transport of a remote server: Streamable HTTP or the older HTTP+SSE. Left out: detected.',
    {
      // Editors must not complain of what clients write into the same key; it is taken too.
      enum: ['http', 'sse', 'streamable-http', 'stdio'],
      kind: '`http` `sse`',
    },
  ),
  headers: optional(headers, 'Headers sent with every request to a remote server.'),
}

const instance = z.object({
  ...endpoint,
  backup: defaulted(flag(), false, 'Used only while every other instance fails.'),
})

const globs = list(z.string())

const rules = (what: string) => ({
  include: optional(globs, `Globs: only ${what} that match one of these are shown.`),
  exclude: defaulted(globs, [], `Globs: ${what} that match one of these are not shown.`),
})

const offer = (what: string) =>
  z.object({
    ...rules(what),
    rename: defaulted(
      map(z.string().check(z.minLength(1))),
      {},
      "The server's own name → the name to show (the alias prefix is still added).",
    ),
    describe: defaulted(map(z.string()), {}, "The server's own name → the description to show."),
  })

const behaviour = {
  enabled: defaulted(flag(), true, 'A backend that is not enabled is neither resolved nor started.'),
  start: defaulted(choice('lazy', 'eager'), 'lazy', 'When to start it: at the first need, or with the proxy.'),
  share: defaulted(
    choice('auto', 'global', 'session'),
    'auto',
    "One connection for whom: `global` all clients, `session` each client, `auto` all of one user, apart by what they can be asked once a server asks too much.",
  ),
  idleTimeout: defaulted(duration(), '10m', 'Stopped when unused for so long; 0 = never.'),
  restart: group(
    z.object({
      backoff: defaulted(duration(), '1s', 'Wait before the first restart; doubled each time, with jitter. 0 = at once.'),
      maxBackoff: defaulted(duration(), '60s', 'Longest wait.'),
      resetAfter: defaulted(duration(), '60s', 'Healthy for so long: the next wait is the first again.'),
      holdAfter: defaulted(integer(0, 1000), 5, 'Crashes within a minute after which it is held back; 0 = never.'),
    }),
    'What happens after it died.',
  ),
  breaker: group(
    z.object({
      failures: defaulted(integer(0, 10_000), 5, 'Transport failures or timeouts in a row that open the breaker; 0 = off.'),
      openFor: defaulted(duration(1), '30s', 'Calls are refused for so long; longer each time it opens again, up to 300s.'),
    }),
    'Circuit breaker: a backend that keeps failing is left alone for a while.',
  ),
  timeouts: group(
    z.object({
      connect: defaulted(duration(1), '5s', 'Opening a connection to a remote server.'),
      start: defaulted(duration(1), '30s', 'From start to the end of the handshake.'),
      install: defaulted(duration(1), '120s', 'The same for commands that may download first (npx, uvx, …).'),
      call: defaulted(duration(1), '60s', 'Silence during one call; progress starts it anew.'),
      max: defaulted(duration(1), '10m', 'One call altogether.'),
    }),
    'Deadlines.',
  ),
  limits: group(
    z.object({
      concurrency: defaulted(integer(1, 100_000), 64, 'Calls in flight.'),
      queue: defaulted(integer(0, 1_000_000), 256, 'Calls waiting beyond that; more are refused at once.'),
      messageBytes: defaulted(size(1024), '16MiB', 'Largest message; a larger one fails its call, not the backend.'),
    }),
    'Bounds.',
  ),
  roots: optional(list(root()), 'Folders the server is told about: `file://` URLs, or paths. Left out: those of the client.'),
  tools: group(offer('tools'), "Which tools are shown, by the server's own names, and how."),
  prompts: group(offer('prompts'), "Which prompts are shown, by the server's own names, and how."),
  resources: group(z.object(rules('resources')), "Which resources and templates are shown, by the server's own URIs."),
  idempotent: defaulted(globs, [], 'Globs of tools that may be called again when their server died before answering.'),
  balance: defaulted(choice('least-loaded', 'round-robin'), 'least-loaded', 'How calls are spread over `instances`.'),
}

export const backendSchema = z.object({
  ...endpoint,
  instances: optional(
    list(instance).check(z.minLength(1)),
    'Equal servers behind one alias. `env`, `cwd`, `envFile`, `headers`, `caFile` beside this key hold for all of them.',
  ),
  ...behaviour,
})

/** What may stand in `defaults`: everything but the way to one particular server. */
export const defaultsSchema = z.object({ ...where, ...behaviour })

/** Keys that say which server; they cannot be shared and do not go beside `instances`. */
export const endpointKeys = ['command', 'args', 'url', 'type'] as const

/** Keys whose values an instance takes from its backend. */
export const sharedKeys = ['cwd', 'envFile', 'env', 'headers', 'caFile'] as const

export type ParsedBackend = z.output<typeof backendSchema>
export type ParsedInstance = z.output<typeof instance>
