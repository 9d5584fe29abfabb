/** `undo`: files as they were before we changed them, to the byte; backups and whatever else we made removed. */
import { unifiedDiff } from '../clients/diff.ts'
import type { Client, Format } from '../clients/client.ts'
import type { FileChange, Operation } from '../clients/journal.ts'
import { planUndo, takeBack, type Undo, type UndoPlan } from '../clients/operation.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import { diffOf } from './install.ts'
import { clientNamed, consent, machineOf, writeJson } from './machine.ts'
import { exitCodes } from './report.ts'

export interface UndoOptions {
  readonly client: Client | undefined
  readonly all: boolean
  readonly force: boolean
  readonly yes: boolean
  readonly dryRun: boolean
}

export const define: Define = (command, start) => {
  command
    .argument('[client]', 'take back everything we did to this client’s files (default: the last thing we did)')
    .option('--all', 'take back everything we did to any client’s files, and what was imported')
    .option('--force', 'restore a file even if somebody else has changed it since')
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'only show what would change')
    .action(
      (
        name: string | undefined,
        { all, force, yes, dryRun }: { all?: boolean; force?: boolean; yes?: boolean; dryRun?: boolean },
      ) =>
        start(context => {
          if (name !== undefined && all === true) throw new McpError('USAGE', 'name a client, or say --all, not both')
          const client = name === undefined ? undefined : clientNamed(name)
          return undo({ client, all: all === true, force: force === true, yes: yes === true, dryRun: dryRun === true }, context)
        }),
    )
}

export async function undo({ client, all, force, yes, dryRun }: UndoOptions, context: Context): Promise<number> {
  const { io, globals } = context
  const { journal, store } = machineOf(context)
  const noted = journal.read()
  const isChosen = (change: FileChange): boolean => client === undefined || change.client === client.id
  const operations = client || all ? noted.filter(({ changes }) => all || changes.some(isChosen)) : noted.slice(-1)
  if (operations.length === 0) return nothing(client, noted, context)

  const plan = await planUndo(operations, isChosen)
  for (const file of plan.files) if (!globals.json) io.stdout.write(await show(file, context))
  if (!dryRun) {
    // It only puts back what was, so without a terminal it needs no leave; what others wrote needs --force.
    if (io.stdin.isTTY === true && !globals.json && plan.files.some(({ obstacle }) => obstacle === undefined || force))
      await consent('Take this back?', yes, context)
    await takeBack(plan, { journal, store, force })
  }
  say(plan, dryRun, context)
  return exitCodes.done
}

function nothing(client: Client | undefined, noted: readonly Operation[], context: Context): number {
  const { io, globals } = context
  const last = noted.at(-1)
  const where = client ? ` in ${client.title}` : ''
  const other = last && client ? `; the last thing done was "${last.command}", which "mcp-proxy undo" takes back` : ''
  if (globals.json) writeJson({ restored: [], removed: [], credentials: [], dryRun: false }, context)
  else if (!globals.quiet) io.stderr.write(`there is nothing to take back${where}${other}\n`)
  return exitCodes.done
}

async function show({ file, snapshot, before, obstacle }: Undo, context: Context): Promise<string> {
  const format: Format = /\.toml$/.test(file) ? 'toml' : /\.ya?ml$/.test(file) ? 'yaml' : 'json'
  const note = obstacle === undefined ? '' : `${obstacle}; restoring it would mean:\n`
  if (unifiedDiff(snapshot.bytes?.toString(), before?.toString(), file) === '') return ''
  return note + (await diffOf(snapshot.bytes, before, { file, format }, context))
}

function say({ files, credentials }: UndoPlan, dryRun: boolean, context: Context): void {
  const { io, globals } = context
  const restored = files.filter(({ before }) => before !== undefined).map(({ file }) => file)
  const removed = files.filter(({ before }) => before === undefined).map(({ file }) => file)
  if (globals.json) return writeJson({ restored, removed, credentials, dryRun }, context)
  if (globals.quiet) return
  if (dryRun) return void io.stderr.write('nothing was changed\n')
  for (const file of restored) io.stderr.write(`as it was: ${file}\n`)
  for (const file of removed) io.stderr.write(`removed: ${file}\n`)
  if (credentials.length > 0) io.stderr.write(`forgotten: ${credentials.join(', ')}\n`)
}
