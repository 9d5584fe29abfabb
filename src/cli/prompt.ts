/** `prompt`: one prompt, filled in, from the terminal. */
import { readArguments, withPairs } from './arguments.ts'
import type { Context, Define } from './command.ts'
import { promptText } from './content.ts'
import { findItem } from './find.ts'
import { withHouse, type Opened } from './house.ts'
import { printable } from './io.ts'
import { exitCodes } from './report.ts'
import { callFromTerminal, type Terminal } from './terminal.ts'

export interface PromptOptions {
  readonly name: string
  readonly input: string | undefined
  readonly pairs: readonly string[]
}

export const define: Define = (command, start) => {
  command
    .argument('<name>', 'prompt name as `list prompts` shows it')
    .argument('[json]', 'arguments as a JSON object, or - to read them from stdin')
    .option('--arg <key=value>', 'one argument (repeatable)', (value: string, earlier: string[]) => [...earlier, value], [])
    .action((name: string, input: string | undefined, { arg }: { arg: string[] }) =>
      start(context =>
        withHouse(context, (opened, cancellation) =>
          prompt({ name, input, pairs: arg }, opened, context, { io: context.io, cancellation, quiet: context.globals.quiet }),
        ),
      ),
    )
}

export async function prompt(
  options: PromptOptions,
  { house }: Opened,
  { io, globals }: Context,
  terminal: Terminal,
): Promise<number> {
  // Prompt arguments are strings in every revision: no schema is needed.
  const args = withPairs(await readArguments(options.input, io.stdin), options.pairs, undefined)
  await findItem(house, 'prompt', options.name)
  const result = await callFromTerminal(
    house,
    { method: 'prompts/get', params: { name: options.name, arguments: args } },
    terminal,
  )
  io.stdout.write(`${globals.json ? JSON.stringify(result) : printable(promptText(result), io.stdout)}\n`)
  return exitCodes.done
}
