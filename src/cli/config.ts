/** `config`: which file counts, what it comes to (secrets masked, each value with its origin), and the schema editors use. */
import { findConfig } from '../config/find.ts'
import { configJsonSchema } from '../config/json-schema.ts'
import { showConfig, type ShownValue } from '../config/show.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { findAndLoad } from './house.ts'
import { exitCodes } from './report.ts'
import { tableFor } from './table.ts'

export const define: Define = (command, start) => {
  command
    .command('path')
    .description('The config file that `run` would use.')
    .action(() => start(showPath))
  command
    .command('show')
    .description('Every value in force, and where it comes from; secrets are masked.')
    .action(() => start(show))
  command
    .command('schema')
    .description('JSON Schema of the config file.')
    .action(() => start(showSchema))
}

async function showPath({ io, globals }: Context): Promise<number> {
  const { file, by, notices } = findConfig({ config: globals.config, env: io.env, cwd: io.cwd })
  io.stdout.write(`${globals.json ? JSON.stringify({ file, by }) : file}\n`)
  if (!globals.json && !globals.quiet) for (const notice of notices) io.stderr.write(`note: ${notice}\n`)
  return exitCodes.done
}

async function show(context: Context): Promise<number> {
  const { io, globals, redactor } = context
  const { loaded } = await findAndLoad(context)
  const values = await showConfig(loaded)
  if (globals.json) io.stdout.write(`${redactor.scrub(JSON.stringify({ file: loaded.file, values }))}\n`)
  else {
    const rows = values.map(({ path, value, origin }: ShownValue) => [
      path,
      typeof value === 'string' ? value : JSON.stringify(value),
      short(origin, loaded.file),
    ])
    const text = tableFor(io.stdout, ['KEY', 'VALUE', 'FROM'], rows, styleFor(context, io.stdout).bold)
    io.stdout.write(`${loaded.file}\n\n${redactor.scrub(text)}\n`)
  }
  return exitCodes.done
}

/** The file is named once, above. */
const short = (origin: string, file: string): string => origin.replace(`${file}:`, 'line ')

async function showSchema({ io }: Context): Promise<number> {
  io.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
  return exitCodes.done
}
