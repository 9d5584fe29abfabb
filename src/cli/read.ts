/** `read`: one resource, from the terminal. A single binary one goes to a pipe as its bytes. */
import type { Context, Define } from './command.ts'
import { onlyBlob, readText } from './content.ts'
import { withHouse, type Opened } from './house.ts'
import { printable } from './io.ts'
import { exitCodes } from './report.ts'
import { callFromTerminal, type Terminal } from './terminal.ts'

export const define: Define = (command, start) => {
  command
    .argument('<uri>', 'resource as `list resources` shows it')
    .action((uri: string) =>
      start(context =>
        withHouse(context, (opened, cancellation) =>
          read(uri, opened, context, { io: context.io, cancellation, quiet: context.globals.quiet }),
        ),
      ),
    )
}

export async function read(uri: string, { house }: Opened, { io, globals }: Context, terminal: Terminal): Promise<number> {
  const result = await callFromTerminal(house, { method: 'resources/read', params: { uri } }, terminal)
  const blob = onlyBlob(result)
  if (globals.json) io.stdout.write(`${JSON.stringify(result)}\n`)
  else if (blob && io.stdout.isTTY !== true) io.stdout.write(blob)
  else io.stdout.write(`${printable(readText(result), io.stdout)}\n`)
  return exitCodes.done
}
