/**
 * `connect`: one remote server over stdio, under its own names and with no config file, for clients that can only start
 * programs. Owns the flags and what they mean as a config; the rest is `run`.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { loadValue } from '../config/load.ts'
import { McpError, toMcpError, type ErrorCode } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import { credentialsOf } from './credential-lookup.ts'
import { openHouse, type Opened } from './house.ts'
import { run } from './run.ts'

interface ConnectOptions {
  readonly header: readonly string[]
  readonly headerFile?: string | undefined
  readonly type?: string | undefined
  readonly caFile?: string | undefined
}

export const define: Define = (command, start) => {
  const collect = (value: string, before: readonly string[]): string[] => [...before, value]
  command
    .argument('<url>', 'address of the server')
    .option('--header <header>', "a header field, 'Name: value'; may be repeated, and may use ${VAR}, ${file:path} and ${cred:NAME}", collect, [])
    .option('--header-file <file>', 'file with a header field on each line: unlike arguments, other users cannot see it')
    .option('--type <type>', 'transport of the server: http or sse (default: found out)')
    .option('--ca-file <file>', 'PEM file of a certificate authority to trust')
    .addHelpText('after', "\nThe server's errors are told on stderr. Exit code 5: it wants credentials.")
    .action((url: string, options: ConnectOptions) => start(context => connect(url, options, context)))
}

async function connect(url: string, options: ConnectOptions, context: Context): Promise<number> {
  const { io, redactor } = context
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new McpError('USAGE', 'the address of a server begins with http:// or https://', { hint: "mcp-proxy connect https://example.com/mcp --header 'Authorization: Bearer …'" })
  if (options.type !== undefined && options.type !== 'http' && options.type !== 'sse')
    throw new McpError('USAGE', `--type ${options.type}: it is http or sse`)
  const lines = options.headerFile === undefined ? [] : linesOf(resolve(io.cwd, options.headerFile))
  const headers = headersOf([...lines, ...options.header])
  const server = {
    // On a command line nothing but a header is a template.
    url: url.replaceAll('${', '$${'),
    headers,
    start: 'eager',
    ...(options.type !== undefined && { type: options.type }),
    ...(options.caFile !== undefined && { caFile: options.caFile }),
  }
  const document = {
    mcpServers: { [aliasOf(url)]: server },
    names: { prefix: 'never' },
    daemon: { enabled: false },
    catalog: { cache: false },
  }
  const loaded = await loadValue(document, 'the command line', io.cwd, { env: io.env, credential: credentialsOf(io) })
  redactor.add(loaded.secrets)
  for (const { endpoints, problems } of loaded.config.backends) {
    const [problem] = problems
    if (problem) throw new McpError('USAGE', problem.message, { hint: problem.hint })
    for (const endpoint of endpoints) if (endpoint.kind === 'url') redactor.add(Object.values(endpoint.headers).flatMap(secretsIn))
  }
  const opened = await openHouse(context, 'server', loaded)
  return run({ client: undefined, failed: failureOf(opened), words: wordsOf(url, options, io.cwd) }, opened, context)
}

/** The same from any folder. */
function wordsOf(url: string, { header, headerFile, type, caFile }: ConnectOptions, cwd: string): string[] {
  return [
    'connect', url,
    ...(type === undefined ? [] : ['--type', type]),
    ...(caFile === undefined ? [] : ['--ca-file', resolve(cwd, caFile)]),
    ...(headerFile === undefined ? [] : ['--header-file', resolve(cwd, headerFile)]),
    ...header.flatMap(line => ['--header', line]),
  ]
}

/** A header the user typed is a secret, whatever its name; so is what follows its scheme. */
const secretsIn = (value: string): string[] => [value, ...value.split(/\s+/).slice(1)].filter(part => part.length >= 8)

function linesOf(file: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new McpError('USAGE', `the header file ${file} cannot be read`, { cause })
  }
  return text.split(/\r?\n/).filter(line => line.trim() !== '' && !line.startsWith('#'))
}

/** `Name: value`, also without the space: some clients split arguments at spaces. */
function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const [, name, value] = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*?)\s*$/s.exec(line) ?? []
    // The text itself may be a secret that was misplaced.
    if (name === undefined || value === undefined) throw new McpError('USAGE', "a header is 'Name: value'")
    headers[name] = value
  }
  return headers
}

/** What the server is called in errors and logs: its host. */
function aliasOf(url: string): string {
  const name = new URL(url).hostname.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '')
  return name.slice(0, 32) || 'server'
}

/** Failures that waiting does not mend. */
const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BACKEND_NEEDS_AUTH', 'BACKEND_PROTOCOL', 'BACKEND_START_FAILED'])

/** A server alone that cannot be served is better told than shown empty. One that is away may come back. */
function failureOf({ house, log }: Opened): Promise<Error> {
  return new Promise(fail => {
    for (const member of house.gateway.members)
      member.describe().catch((thrown: unknown) => {
        const error = toMcpError(thrown)
        if (lasting.has(error.code)) fail(error)
        else log.warn({ code: error.code }, error.message)
      })
  })
}
