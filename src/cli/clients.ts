/** `clients`: which MCP clients are here, which servers they have, and whether their way to us is as we would write it. */
import type { Client, ClientId, Place, Scope } from '../clients/client.ts'
import { driftOf, isOursIn } from '../clients/install.ts'
import { wordsOf } from '../clients/launch.ts'
import { clients } from '../clients/list.ts'
import { survey, type ClientState } from '../clients/survey.ts'
import type { Raw } from '../config/spellings.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { launchFor, machineOf, writeJson, type Machine } from './machine.ts'
import { exitCodes } from './report.ts'
import { tableFor } from './table.ts'

export const define: Define = (command, start) => {
  command.action(() => start(showClients))
}

interface ShownHub {
  readonly name: string
  /** What differs from what we would write; empty = nothing. */
  readonly drift: readonly string[]
}

interface ShownPlace {
  readonly scope: Scope
  readonly file: string
  /** The project these servers are for; null = none in particular. */
  readonly folder: string | null
  readonly exists: boolean
  readonly problem: { readonly code: string; readonly message: string } | null
  /** Servers of its own. */
  readonly servers: readonly string[]
  readonly hub: ShownHub | null
}

interface ShownClient {
  readonly client: ClientId
  readonly title: string
  readonly installed: boolean
  readonly places: readonly ShownPlace[]
}

async function showClients(context: Context): Promise<number> {
  const { globals } = context
  const machine = machineOf(context)
  const shown: ShownClient[] = []
  for (const client of clients) shown.push(shownOf(await survey(client, machine.on), machine, context))
  if (globals.json) writeJson({ config: machine.config, clients: shown }, context)
  else print(shown, context)
  return exitCodes.done
}

function shownOf({ client, isInstalled, places }: ClientState, machine: Machine, context: Context): ShownClient {
  const noted = machine.journal.changesOf(client.id)
  return {
    client: client.id,
    title: client.title,
    installed: isInstalled,
    places: places.map(({ place, exists, problem, servers }) => {
      const ours = [...servers].find(([name, entry]) => isOursIn(name, entry, place.file, noted))
      const isRemote =
        ours !== undefined && noted.some(({ url, name, file }) => url !== undefined && name === ours[0] && file === place.file)
      return {
        scope: place.scope,
        file: place.file,
        folder: place.folder ?? null,
        exists,
        problem: problem ? { code: problem.code, message: problem.message } : null,
        servers: [...servers.keys()].filter(name => name !== ours?.[0]),
        // The address was the person's choice: there is nothing to compare it with.
        hub: ours
          ? {
              name: ours[0],
              drift: isRemote
                ? []
                : driftOf(
                    ours[1],
                    client.stdio(launchFor(addressee(ours[1], client, place, machine), machine, context), ours[0]),
                  ),
            }
          : null,
      }
    }),
  }
}

/** Whom an entry was written for: two clients may read one file of a project. */
function addressee(entry: Raw, client: Client, { file }: Place, { on }: Machine): ClientId {
  const words = wordsOf(entry)
  const named = clients.find(({ id }) => id === words[words.indexOf('--client') + 1])
  return named?.places(on).some(place => place.file === file) ? named.id : client.id
}

function print(shown: readonly ShownClient[], context: Context): void {
  const { stdout } = context.io
  const { bold, dim } = styleFor(context, stdout)
  const rows = shown.flatMap(({ client, installed, places }) => {
    const [first] = places
    // Every project has its part of one file; those without servers are nothing to show.
    const isWorthARow = ({ scope, exists, hub, servers }: ShownPlace): boolean =>
      hub !== null || (scope === 'local' ? servers.length > 0 : exists)
    const there = places.filter((place, index) => isWorthARow(place) || (index === 0 && installed))
    if (there.length === 0) return [[client, 'no', first?.scope ?? '', '-', '', first?.file ?? '']]
    return there.map(({ scope, file, folder, exists, problem, servers, hub }) => [
      client,
      installed ? 'yes' : 'no',
      scope,
      hubText(hub),
      problem ? 'cannot be read' : exists ? String(servers.length) : '-',
      scope === 'local' && folder !== null ? `${file}, for ${folder}` : file,
    ])
  })
  const head = ['CLIENT', 'INSTALLED', 'SCOPE', 'HUB', 'OTHER SERVERS', 'FILE']
  stdout.write(`${tableFor(stdout, head, rows, bold)}\n`)
  for (const { client, places } of shown)
    for (const { scope, hub, problem } of places) {
      const remedy = dim(`  mcp-proxy install ${client}${scope === 'user' ? '' : ` --scope ${scope}`} writes it anew`)
      for (const line of hub?.drift ?? []) stdout.write(`\n${client} (${scope}): ${context.redactor.scrub(line)}\n${remedy}\n`)
      if (problem) stdout.write(`\n${client} (${scope}): ${problem.message}\n`)
    }
}

function hubText(hub: ShownHub | null): string {
  if (!hub) return '-'
  return hub.drift.length === 0 ? hub.name : `${hub.name}, differs`
}
