/** `call`: one tool, from the terminal. Arguments come as JSON, from stdin, or as `--arg key=value`. */
import { McpError } from '../gateway/errors.ts'
import { readArguments, withPairs } from './arguments.ts'
import type { Context, Define } from './command.ts'
import { toolText } from './content.ts'
import { findItem, unknownName } from './find.ts'
import { withHouse, type Opened } from './house.ts'
import { printable } from './io.ts'
import { exitCodes } from './report.ts'
import { callFromTerminal, type Terminal } from './terminal.ts'

export interface CallOptions {
  readonly name: string
  /** JSON text, or `-` for stdin. */
  readonly input: string | undefined
  readonly pairs: readonly string[]
}

const examples = `
Examples:
  mcp-proxy call files__read_text_file '{"path":"notes.txt"}'
  mcp-proxy call files__read_text_file --arg path=notes.txt`

const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value]

export const define: Define = (command, start) => {
  command
    .argument('<name>', 'tool name as `list` shows it')
    .argument('[json]', 'arguments as a JSON object, or - to read them from stdin')
    .option('--arg <key=value>', 'one argument, read by the tool’s schema (repeatable)', collect, [])
    .addHelpText('after', examples)
    .action((name: string, input: string | undefined, { arg }: { arg: string[] }) =>
      start(context =>
        withHouse(context, (opened, cancellation) =>
          call({ name, input, pairs: arg }, opened, context, { io: context.io, cancellation, quiet: context.globals.quiet }),
        ),
      ),
    )
}

export async function call(
  { name, input, pairs }: CallOptions,
  { house }: Opened,
  context: Context,
  terminal: Terminal,
): Promise<number> {
  const { io, globals } = context
  const given = await readArguments(input, io.stdin)
  const tool = await findItem(house, 'tool', name)
  const params = { name, arguments: withPairs(given, pairs, tool?.['inputSchema']) }
  const result = await callFromTerminal(house, { method: 'tools/call', params }, terminal).catch((error: unknown) => {
    throw !tool && error instanceof McpError && error.code === 'UNKNOWN_NAME' ? unknownName(house, 'tool', name) : error
  })
  io.stdout.write(`${globals.json ? JSON.stringify(result) : printable(toolText(result), io.stdout)}\n`)
  return result['isError'] === true ? exitCodes.failure : exitCodes.done
}
