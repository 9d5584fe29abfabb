/**
 * Taking servers of clients over into our config, as `import` and `init` do it: every command line shown whole before it can
 * ever be run, then the diff, then the question, then the change.
 */
import { diffOf } from './install.ts'
import type { Found, Refused } from '../clients/convert.ts'
import { planImport, type ImportPlan } from '../clients/import.ts'
import { perform } from '../clients/operation.ts'
import { describeServer } from '../clients/show.ts'
import { styleFor, type Context } from './command.ts'
import { printable } from './io.ts'
import { consent, type Machine } from './machine.ts'
import { hidden, type Questioner } from './question.ts'

export interface AdoptOptions {
  /** As it was typed, for the journal. */
  readonly command: string
  readonly yes: boolean
  readonly dryRun: boolean
  /** Whom to ask, if anybody was asked before. */
  readonly person?: Questioner | undefined
}

export interface Adopted extends ImportPlan {
  readonly diff: string
  /** Whether something was written. */
  readonly isDone: boolean
  /** Credentials that clients ask their users for and we do not have. */
  readonly missing: readonly string[]
}

export async function adopt(
  found: readonly Found[],
  machine: Machine,
  { command, yes, dryRun, person }: AdoptOptions,
  context: Context,
): Promise<Adopted> {
  const { io, globals, redactor } = context
  const { on, store, journal, config } = machine
  const plan = await planImport(found, on, { file: config, env: io.env, store })
  redactor.add(plan.credentials.values())
  const missing = [...new Set(plan.additions.flatMap(({ from }) => from.inputs))].filter(name => !store.names().includes(name))
  const diff = plan.edit
    ? await diffOf(
        plan.edit.snapshot.bytes,
        plan.edit.after,
        { file: config, format: /\.ya?ml$/i.test(config) ? 'yaml' : 'json' },
        context,
      )
    : ''
  if (!globals.json) {
    io.stdout.write(summary(plan, missing, context))
    if (dryRun) io.stdout.write(diff)
  }
  if (dryRun || !plan.edit) return { ...plan, diff, isDone: false, missing }
  const many = plan.additions.length === 1 ? 'this server' : `these ${plan.additions.length} servers`
  await consent(`Add ${many} to ${config}?`, yes, context, person)
  const asked = yes ? new Map<string, string>() : await ask(missing, context)
  const credentials = new Map([...plan.credentials, ...asked])
  await perform({ command, edits: [plan.edit], credentials }, journal, store)
  return { ...plan, credentials, diff, isDone: true, missing: missing.filter(name => !asked.has(name)) }
}

/** What a client would ask its user for, asked once and stored. Empty = later. */
async function ask(names: readonly string[], { io, redactor }: Context): Promise<Map<string, string>> {
  const values = new Map<string, string>()
  for (const name of names) {
    const value = await hidden(`Value of ${name} (not shown; empty = later): `, io.stdin, io.stderr)
    if (!value) continue
    redactor.add([value])
    values.set(name, value)
  }
  return values
}

function summary(
  { additions, duplicates, refused, credentials }: ImportPlan,
  missing: readonly string[],
  context: Context,
): string {
  const { stdout } = context.io
  const style = styleFor(context, stdout)
  const clean = (text: string): string => printable(context.redactor.scrub(text), stdout)
  const lines: string[] = []
  for (const { alias, server, from, renamed } of additions) {
    const origin = `${from.client.id} (${from.place.scope})${from.name === alias ? '' : `, there ${JSON.stringify(from.name)}`}`
    lines.push(clean(`${style.bold(alias)}  ${style.dim(`from ${origin}`)}`))
    for (const line of describeServer(server)) lines.push(clean(`    ${line}`))
    if (server['enabled'] === false) lines.push('    switched off, as it was')
    if (renamed !== undefined) lines.push(clean(style.yellow(`    renamed: ${renamed}`)))
    for (const note of from.notes) lines.push(clean(style.yellow(`    note: ${note}`)))
  }
  for (const { from, alias } of duplicates)
    lines.push(clean(style.dim(`${from.name} of ${from.client.id} (${from.place.scope}) is there already, as ${alias}`)))
  for (const one of refused) lines.push(clean(style.yellow(refusalText(one))))
  if (credentials.size > 0) lines.push(`secrets that go into the credentials store: ${[...credentials.keys()].join(', ')}`)
  for (const name of missing) lines.push(style.yellow(`needed: mcp-proxy credentials set ${name}`))
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

const refusalText = ({ name, client, place, reason }: Refused): string =>
  `not taken: ${name} of ${client.id} (${place.scope}): ${reason}`

/** The JSON output of both commands. */
export const adoptedJson = (
  { additions, duplicates, refused, credentials, isDone, missing, diff }: Adopted,
  config: string,
): object => ({
  config,
  done: isDone,
  imported: additions.map(({ alias, server, from, renamed }) => ({
    alias,
    client: from.client.id,
    scope: from.place.scope,
    file: from.place.file,
    name: from.name,
    server,
    renamed: renamed ?? null,
    notes: from.notes,
  })),
  present: duplicates.map(({ from, alias }) => ({ alias, client: from.client.id, scope: from.place.scope, name: from.name })),
  skipped: refused.map(({ name, client, place, reason }) => ({ client: client.id, scope: place.scope, name, reason })),
  credentials: [...credentials.keys()],
  missingCredentials: missing,
  diff,
})
