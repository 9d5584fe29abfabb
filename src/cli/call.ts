/** `call`: one tool, from the terminal. Arguments come as JSON, from stdin, or as `--arg key=value`. */
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { readArguments, withPairs } from './arguments.ts'
import { nearest } from './nearest.ts'
import type { Context, Define } from './command.ts'
import { toolText } from './content.ts'
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

const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value]

export const define: Define = (command, start) => {
  command
    .argument('<name>', 'tool name as `list` shows it')
    .argument('[json]', 'arguments as a JSON object, or - to read them from stdin')
    .option('--arg <key=value>', 'one argument, read by the tool’s schema (repeatable)', collect, [])
    .addHelpText('after', `\nExamples:\n  mcp-proxy call files__read_text_file '{"path":"notes.txt"}'\n  mcp-proxy call files__read_text_file --arg path=notes.txt`)
    .action((name: string, input: string | undefined, { arg }: { arg: string[] }) =>
      start(context =>
        withHouse(context, (opened, cancellation) =>
          call({ name, input, pairs: arg }, opened, context, { io: context.io, cancellation, quiet: context.globals.quiet }),
        ),
      ),
    )
}

export async function call({ name, input, pairs }: CallOptions, { house }: Opened, context: Context, terminal: Terminal): Promise<number> {
  const { io, globals } = context
  const given = await readArguments(input, io.stdin)
  // A name that is known already needs no other server to have answered.
  const tool = house.gateway.known.tool(name) ?? (await house.gateway.catalog()).tool(name)
  if (!tool && !house.gateway.members.some(member => !member.offer)) throw unknownTool(name, house.gateway.known.tools)
  const args = withPairs(given, pairs, tool?.item['inputSchema'])
  let result: JsonObject
  try {
    result = await callFromTerminal(house, { method: 'tools/call', params: { name, arguments: args } }, terminal)
  } catch (error) {
    throw error instanceof McpError && error.code === 'UNKNOWN_NAME' ? unknownTool(name, house.gateway.known.tools) : error
  }
  io.stdout.write(`${globals.json ? JSON.stringify(result) : printable(toolText(result), io.stdout)}\n`)
  return result['isError'] === true ? exitCodes.failure : exitCodes.done
}

function unknownTool(name: string, tools: readonly JsonObject[]): McpError {
  const close = nearest(name, tools.map(tool => String(tool['name'])))
  const hint = close.length > 0 ? `did you mean ${close.join(' or ')}?` : 'mcp-proxy list tools shows all names'
  return new McpError('UNKNOWN_NAME', `no tool is called ${name}`, { hint })
}
