/**
 * `validate`: everything wrong with a config file at once, each with its place. Offline by default; `--online` starts or
 * contacts every server. Exit code 2 for problems of the file, 3 for servers that do not work, 5 when they want a sign-in.
 */
import { Option } from 'commander'
import { clientNames, clientPath, type ClientPath } from '../app/client-path.ts'
import { affected, catalogOf, knownMembers, viewOf, type ClientView } from '../app/known.ts'
import { version } from '../app/version.ts'
import { offlineChecks, type Search } from '../config/offline-checks.ts'
import { findConfig } from '../config/find.ts'
import { inspectConfig, type Loaded } from '../config/load.ts'
import { places } from '../config/places.ts'
import { warning, type Finding, type Problem } from '../config/problems.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import type { Contacted } from './contact.ts'
import { credentialsOf } from './credential-lookup.ts'
import { nearest } from './nearest.ts'
import { exitCodes } from './report.ts'
import { printFindings, type Found } from './validate-print.ts'
import { junit, sarif, type Issue } from './validate-report.ts'

export interface ValidateOptions {
  readonly file: string | undefined
  /** Warnings count as errors. */
  readonly strict: boolean
  readonly online: boolean
  /** Which client's PATH and limits count. */
  readonly client: string | undefined
  readonly form: 'sarif' | 'junit' | undefined
}

export const define: Define = (command, start) => {
  command
    .argument('[file]', 'config file (default: the one `run` would use)')
    .option('--strict', 'let warnings fail too')
    .option('--online', 'also start or contact every server')
    .option('--client <name>', 'check with the PATH and the limits of this client, e.g. cursor')
    .addOption(new Option('--sarif', 'print SARIF 2.1.0').conflicts('junit'))
    .addOption(new Option('--junit', 'print JUnit XML').conflicts('sarif'))
    .action((file: string | undefined, given: Record<string, unknown>) =>
      start(context =>
        validate(
          {
            file,
            strict: given['strict'] === true,
            online: given['online'] === true,
            client: given['client'] as string | undefined,
            form: given['sarif'] === true ? 'sarif' : given['junit'] === true ? 'junit' : undefined,
          },
          context,
        ),
      ),
    )
}

export async function validate(options: ValidateOptions, context: Context): Promise<number> {
  const { io, globals, redactor } = context
  const { file, strict, online, client, form } = options
  const path = client === undefined ? undefined : clientPath(client, io.platform)
  if (client !== undefined && !path) throw unknownClient(client)
  const found = findConfig({ config: file ?? globals.config, env: io.env, cwd: io.cwd })
  const inspected = await inspectConfig(found.file, { env: io.env, credential: credentialsOf(io) })
  const { loaded } = inspected
  if (loaded) redactor.add(loaded.secrets)
  const views = loaded ? viewsOf(loaded, client, context) : []
  const problems = loaded
    ? [...inspected.problems, ...(await checked(loaded, path, context)), ...(await limitProblems(loaded, client === undefined ? [] : views))]
    : inspected.problems
  const quiet = { ...globals, config: inspected.file, json: globals.json || form !== undefined }
  const servers = online && loaded ? await (await import('./contact.ts')).contact({ ...context, globals: quiet }) : undefined
  const failed = problems.some(({ severity }) => severity === 'error' || strict)
  const broken = servers?.filter(isBroken) ?? []
  const ok = !failed && broken.length === 0

  const write = (text: string): void => void io.stdout.write(redactor.scrub(text))
  if (form !== undefined) {
    const issues = [...problems, ...(await Promise.all(broken.map(server => issueOf(server, loaded as Loaded))))]
    const aliases = loaded?.config.backends.map(({ alias }) => alias) ?? []
    const report = { file: inspected.file, issues, servers: servers ?? [], aliases, strict, version, cwd: io.cwd }
    write(form === 'sarif' ? `${JSON.stringify(sarif(report), null, 2)}\n` : junit(report))
  } else if (globals.json) {
    const clients = views.map(jsonView)
    write(`${JSON.stringify({ ok, file: inspected.file, problems, servers, ...(clients.length > 0 ? { clients } : {}) })}\n`)
  } else {
    const shown: Found = { file: inspected.file, problems, servers, views, asked: client !== undefined, failed }
    printFindings(shown, context)
  }
  if (failed) return exitCodes.usage
  if (broken.length === 0) return exitCodes.done
  return broken.every(({ state }) => state === 'needs-auth') ? exitCodes.signIn : exitCodes.degraded
}

export const isBroken = ({ state }: Pick<Contacted, 'state'>): boolean => state !== 'healthy' && state !== 'disabled' && state !== 'idle'

export function unknownClient(name: string): McpError {
  const known = clientNames()
  const [meant] = nearest(name, known)
  return new McpError('USAGE', `nobody knows a client called ${name}`, {
    hint: meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`,
  })
}

/** Twice only where the client's bare PATH has not everything: asking the login shell takes time. */
async function checked(loaded: Loaded, path: ClientPath | undefined, { io }: Context): Promise<readonly Problem[]> {
  if (path?.path === undefined) return offlineChecks(loaded, { env: io.env })
  const search: Search = { path: path.path, of: path.client.title }
  const first = await offlineChecks(loaded, { env: io.env, search })
  if (!first.some(({ code }) => code === 'DEAD_COMMAND')) return first
  return offlineChecks(loaded, { env: io.env, search: { ...search, more: await path.more() } })
}

function viewsOf(loaded: Loaded, client: string | undefined, { io }: Context): ClientView[] {
  const members = knownMembers(loaded.config, places(io.env))
  if (!members.some(({ offer }) => offer)) return []
  const catalog = catalogOf(members, loaded.config)
  if (client === undefined) return affected(catalog, loaded.config)
  const view = viewOf(client, catalog, loaded.config)
  return view ? [view] : []
}

/** One warning for each server that has tools held back, at its place in the file. */
function limitProblems({ config, trail }: Loaded, views: readonly ClientView[]): Promise<Problem[]> {
  const findings = views.flatMap(({ title, fitted }) => {
    const held = fitted.changes.filter(({ kind }) => kind === 'held')
    return config.backends.flatMap(({ alias }): Finding[] => {
      const own = held.filter(({ backend }) => backend === alias)
      const [first] = own
      if (!first) return []
      const names = own.slice(0, 3).map(({ name }) => name).join(', ')
      const more = own.length > 3 ? ` and ${own.length - 3} more` : ''
      return [
        warning('CLIENT_LIMIT', ['mcpServers', alias], `${title} is not shown ${names}${more}: ${first.why}`, {
          on: 'key',
          backend: alias,
          hint: 'exclude tools you do not need with tools.exclude',
        }),
      ]
    })
  })
  return Promise.all(findings.map(trail.problem))
}

/** A server that does not work as an issue of the file, at the place where it is configured. */
async function issueOf({ alias, state, lastFailure }: Contacted, { trail }: Loaded): Promise<Issue> {
  const said = `${alias} is ${state}${lastFailure ? `: ${lastFailure.message}` : ''}`
  const at = await trail.problem(warning('BAD_VALUE', ['mcpServers', alias], said, { on: 'key', backend: alias, hint: lastFailure?.hint }))
  return { ...at, severity: 'error', code: state === 'needs-auth' ? 'BACKEND_NEEDS_AUTH' : 'BACKEND_UNAVAILABLE' }
}

const jsonView = ({ client, fitted, tokens, searches }: ClientView): object => ({
  client,
  tokens,
  searches,
  tools: fitted.tools.map(({ name }) => name),
  changes: fitted.changes,
})
