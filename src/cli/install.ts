/**
 * `install`: puts our entry into a client's config, shown as a diff first, with a backup beside the file. Owns the flags and
 * the words; what is written and how stands in clients/.
 */
import { installedBy } from '../app/installed-by.ts'
import type { Client, Scope } from '../clients/client.ts'
import { unifiedDiff } from '../clients/diff.ts'
import { readDocument } from '../clients/document.ts'
import { planImport, serversOf } from '../clients/import.ts'
import { defaultName, placeOf, planInstall, type Installation } from '../clients/install.ts'
import { perform } from '../clients/operation.ts'
import { survey } from '../clients/survey.ts'
import type { Raw } from '../config/spellings.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import { clientNamed, consent, hideSecrets, launchFor, machineOf, scopeNamed, writeJson, type Machine } from './machine.ts'
import { exitCodes } from './report.ts'

export interface InstallOptions {
  readonly http: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly scope: Scope
  readonly name: string
  readonly replace: boolean
  readonly yes: boolean
  readonly dryRun: boolean
}

export const define: Define = (command, start) => {
  command
    .argument('<client>', 'such as cursor; "mcp-proxy clients" shows all')
    .option('--http <url>', 'let it reach a running "mcp-proxy serve --http" at this address')
    .option(
      '--header <header>',
      'header for --http, as "Name: value", in the client’s own notation; may be repeated',
      headerOf,
      {},
    )
    .option('--scope <scope>', 'user, project, local or workspace', scopeNamed, 'user')
    .option('--name <name>', 'name of our entry', defaultName)
    .option('--replace', 'also take out the servers that are in our config now')
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'only show what would change')
    .action((name: string, given: Record<string, unknown>) =>
      start(context =>
        install(
          clientNamed(name),
          {
            http: given['http'] as string | undefined,
            headers: given['header'] as Record<string, string>,
            scope: given['scope'] as Scope,
            name: given['name'] as string,
            replace: given['replace'] === true,
            yes: given['yes'] === true,
            dryRun: given['dryRun'] === true,
          },
          context,
        ),
      ),
    )
}

function headerOf(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.*)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) throw new McpError('USAGE', '--header must be "Name: value"')
  return { ...before, [name]: value }
}

export async function install(client: Client, options: InstallOptions, context: Context): Promise<number> {
  const { io, globals } = context
  const machine = machineOf(context)
  const installation = await plan(client, options, machine, context)
  const { edit, place, removed, replaces } = installation
  const { bytes } = edit.snapshot
  const isChanged = !bytes?.equals(edit.after)
  const diff = await diffOf(edit.snapshot.bytes, edit.after, place, context)
  if (!globals.json && isChanged) io.stdout.write(diff)
  if (isChanged && !options.dryRun) {
    await consent(`Write this to ${place.file}?`, options.yes, context)
    await perform({ command: `install ${client.id}`, edits: [edit], credentials: new Map() }, machine.journal, machine.store)
  }
  const state = options.dryRun ? 'planned' : isChanged ? 'installed' : 'unchanged'
  if (globals.json) {
    const { scope, file } = place
    const { name } = options
    writeJson({ client: client.id, scope, file, name, state, replaced: replaces && isChanged, removed, diff }, context)
  } else if (!globals.quiet) say(client, installation, state, context, machine)
  return exitCodes.done
}

async function plan(client: Client, options: InstallOptions, machine: Machine, context: Context): Promise<Installation> {
  const target = { client, scope: options.scope, on: machine.on, noted: machine.journal.changesOf(client.id) }
  const place = placeOf(target)
  const known = options.replace ? await inOurConfig(client, place.file, machine, context) : new Set<string>()
  return planInstall(target, {
    name: options.name,
    entry: entryOf(client, options, machine, context),
    url: options.http,
    take: name => known.has(name),
  })
}

function entryOf(client: Client, { http, headers, name }: InstallOptions, machine: Machine, context: Context): Raw {
  if (http === undefined) {
    if (Object.keys(headers).length > 0) throw new McpError('USAGE', '--header belongs to --http')
    return client.stdio(launchFor(client.id, machine, context), name)
  }
  if (!/^https?:\/\/[^\s/]/i.test(http) || !URL.canParse(http))
    throw new McpError('USAGE', `--http ${http}: an http:// or https:// address is needed`)
  if (!client.http)
    throw new McpError('USAGE', `${client.title} reaches no remote server through its file`, {
      hint: 'leave --http out: it starts us itself',
    })
  context.redactor.add(Object.values(headers))
  return client.http(http, headers, name)
}

/** Names of servers of this file that our config has too. */
async function inOurConfig(
  client: Client,
  file: string,
  { on, config, store, journal }: Machine,
  { io }: Context,
): Promise<Set<string>> {
  const found = serversOf([await survey(client, on)], undefined, journal.changesOf(client.id)).filter(
    ({ place }) => place.file === file,
  )
  const { duplicates } = await planImport(found, on, { file: config, env: io.env, store })
  return new Set(duplicates.map(({ from }) => from.name))
}

/** The diff for people, without the secrets of the lines around. */
export async function diffOf(
  before: Buffer | undefined,
  after: Buffer | undefined,
  place: { file: string; format: 'json' | 'toml' | 'yaml' },
  context: Context,
): Promise<string> {
  for (const bytes of [before, after])
    // What is being thrown away may be broken; then only the shapes of secrets are known.
    hideSecrets(await readDocument(bytes, place.format, place.file).catch(() => undefined), context)
  return context.redactor.scrub(unifiedDiff(before?.toString(), after?.toString(), place.file))
}

function say(client: Client, { edit, place, removed }: Installation, state: string, context: Context, machine: Machine): void {
  const { stderr, script, env } = context.io
  const lines = [
    state === 'unchanged'
      ? `${client.title} has our entry already, in ${place.file}`
      : state === 'planned'
        ? 'nothing was changed'
        : `installed in ${client.title}: ${place.file}`,
  ]
  if (state === 'installed') {
    if (removed.length > 0) lines.push(`taken out, because they are reached through us now: ${removed.join(', ')}`)
    lines.push(`next: ${client.afterwards}`, `to take it back: mcp-proxy undo ${client.id}`)
  }
  if (!machine.on.exists(machine.config)) lines.push(`note: there is no ${machine.config} yet; "mcp-proxy init" makes it`)
  if (edit.url === undefined && installedBy({ script, env }) === 'npx')
    lines.push(
      'note: this runs from npm’s cache, which may be emptied',
      '  for an entry that lasts: npm install -g mcp-proxy-server, then mcp-proxy install again',
    )
  stderr.write(`${lines.join('\n')}\n`)
}
