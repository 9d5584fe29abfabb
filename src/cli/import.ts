/** `import`: takes the servers of one client over into our config, its secrets into the credentials store. */
import type { Client, Scope } from '../clients/client.ts'
import { serversOf } from '../clients/import.ts'
import { survey, type ClientState } from '../clients/survey.ts'
import { McpError } from '../gateway/errors.ts'
import { adopt, adoptedJson } from './adopt.ts'
import type { Context, Define } from './command.ts'
import { clientNamed, machineOf, requireTerminal, scopeNamed, writeJson } from './machine.ts'
import { exitCodes } from './report.ts'

export interface ImportOptions {
  readonly scope: Scope | undefined
  readonly yes: boolean
  readonly dryRun: boolean
}

export const define: Define = (command, start) => {
  command
    .argument('<client>', 'such as cursor; "mcp-proxy clients" shows all')
    .option('--scope <scope>', 'user, project, local or workspace (default: all of them)', scopeNamed)
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'only show what would change')
    .action((name: string, { scope, yes, dryRun }: { scope?: Scope; yes?: boolean; dryRun?: boolean }) =>
      start(context => importFrom(clientNamed(name), { scope, yes: yes === true, dryRun: dryRun === true }, context)),
    )
}

export async function importFrom(client: Client, { scope, yes, dryRun }: ImportOptions, context: Context): Promise<number> {
  const { io, globals } = context
  if (!yes && !dryRun) requireTerminal(io)
  const machine = machineOf(context)
  const state = await survey(client, machine.on)
  refuseBroken([state])
  const found = serversOf([state], scope, machine.journal.changesOf(client.id))
  const adopted = await adopt(found, machine, { command: `import ${client.id}`, yes, dryRun }, context)
  if (globals.json) writeJson(adoptedJson(adopted, machine.config), context)
  else if (!globals.quiet)
    io.stderr.write(`${closing(client, found.length, adopted.additions.length, adopted.isDone, machine.config)}\n`)
  return exitCodes.done
}

function closing({ id, title }: Client, found: number, added: number, isDone: boolean, config: string): string {
  if (found === 0) return `${title} has no servers to import`
  if (added === 0) return `nothing to add to ${config}`
  if (!isDone) return 'nothing was changed'
  return [
    `added ${added} to ${config}`,
    `next: mcp-proxy validate --online, then mcp-proxy install ${id} --replace`,
    'to take it back: mcp-proxy undo',
  ].join('\n')
}

/** One client was asked for, so a file of it that cannot be read is a failure. */
export function refuseBroken(states: readonly ClientState[]): void {
  for (const { places } of states)
    for (const { problem, place } of places)
      if (problem && place.readOnly !== true)
        throw new McpError(problem.code, problem.message, {
          ...problem.details,
          hint: 'nothing was changed; mend the file first',
        })
}
