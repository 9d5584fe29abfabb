/** `uninstall`: takes our entry out of a client's config, and nothing else. */
import type { Client, Scope } from '../clients/client.ts'
import { planUninstall } from '../clients/install.ts'
import { scopesOf } from '../clients/list.ts'
import { perform } from '../clients/operation.ts'
import type { Context, Define } from './command.ts'
import { diffOf } from './install.ts'
import { clientNamed, consent, machineOf, scopeNamed, writeJson } from './machine.ts'
import { exitCodes } from './report.ts'

export interface UninstallOptions {
  /** undefined: wherever we are. */
  readonly scope: Scope | undefined
  readonly name: string | undefined
  readonly yes: boolean
  readonly dryRun: boolean
}

export const define: Define = (command, start) => {
  command
    .argument('<client>', 'such as cursor; "mcp-proxy clients" shows all')
    .option('--scope <scope>', 'user, project, local or workspace (default: all of them)', scopeNamed)
    .option('--name <name>', 'name of our entry (default: every entry that starts us)')
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'only show what would change')
    .action(
      (name: string, { scope, name: entry, yes, dryRun }: { scope?: Scope; name?: string; yes?: boolean; dryRun?: boolean }) =>
        start(context =>
          uninstall(clientNamed(name), { scope, name: entry, yes: yes === true, dryRun: dryRun === true }, context),
        ),
    )
}

const closings = {
  planned: () => 'nothing was changed',
  unchanged: () => 'nothing was changed',
  uninstalled: ({ title, afterwards }: Client) => `taken out of ${title}; next: ${afterwards}`,
}

export async function uninstall(
  client: Client,
  { scope, name, yes, dryRun }: UninstallOptions,
  context: Context,
): Promise<number> {
  const { io, globals } = context
  const { on, journal, store } = machineOf(context)
  const noted = journal.changesOf(client.id)
  const wanted = scope === undefined ? [...new Set(scopesOf(client, on))] : [scope]
  const removed: { scope: Scope; file: string; names: readonly string[] }[] = []
  // One after the other: two scopes may share a file.
  for (const one of wanted) {
    const plan = await planUninstall({ client, scope: one, on, noted }, name)
    if (!plan) continue
    const { edit, place, names } = plan
    const diff = await diffOf(edit.snapshot.bytes, edit.after, place, context)
    if (!globals.json) io.stdout.write(diff)
    if (!dryRun) {
      await consent(`Write this to ${place.file}?`, yes, context)
      await perform({ command: `uninstall ${client.id}`, edits: [edit], credentials: new Map() }, journal, store)
    }
    removed.push({ scope: place.scope, file: place.file, names })
  }
  const state = dryRun ? 'planned' : removed.length > 0 ? 'uninstalled' : 'unchanged'
  if (globals.json) writeJson({ client: client.id, state, removed }, context)
  else if (!globals.quiet)
    io.stderr.write(`${removed.length === 0 ? `${client.title} has no entry of ours` : closings[state](client)}\n`)
  return exitCodes.done
}
