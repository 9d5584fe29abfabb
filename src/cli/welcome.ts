/** What `run` says to a person who started it by hand: what is ready, how to try it, how a client would start it. */
import { styleFor, type Context } from './command.ts'
import type { Opened } from './house.ts'
import { printable } from './io.ts'
import { tableFor } from './table.ts'

/** `words`: how it was started, where there is no config file that other commands could be given. */
export async function welcome({ house, file }: Opened, context: Context, words?: readonly string[]): Promise<void> {
  const { stderr, script } = context.io
  const { bold, dim, green, yellow } = styleFor(context, stderr)
  await house.gateway.warm()
  const catalog = await house.gateway.catalog()
  const { backends } = house.status()
  const rows = backends.map(({ alias, state, tools, resources, prompts }) => [
    alias,
    state,
    ...[tools, resources, prompts].map(String),
  ])
  const first = catalog.tools[0]
  const flag = `--config ${shown(file)}`
  const call = first && `${printable(String(first['name']), stderr)} ${shown(sampleOf(first['inputSchema']))} ${flag}`
  const count = `${catalog.tools.length} tools of ${backends.length} servers`
  const entry = { mcpServers: { hub: { command: script, args: words ?? ['run', '--config', file] } } }
  const tries = words ? '' : `Try it in another terminal:\n  mcp-proxy list ${flag}\n${call ? `  mcp-proxy call ${call}\n` : ''}\n`
  const isReady = backends.every(({ state }) => state === 'healthy' || state === 'idle' || state === 'disabled')
  stderr.write(
    `\n${isReady ? green('ready') : yellow('partly ready')}: ${count}, speaking MCP on stdin and stdout\n\n` +
      `${tableFor(stderr, ['SERVER', 'STATE', 'TOOLS', 'RESOURCES', 'PROMPTS'], rows, bold)}\n\n` +
      `${tries}In a client’s config:\n  ${context.redactor.scrub(JSON.stringify(entry))}\n\n${dim('Ctrl-C stops it.')}\n`,
  )
}

/** Arguments that satisfy a simple schema: what is required, each by its type. */
function sampleOf(schema: unknown): string {
  const { properties, required } = (schema ?? {}) as { properties?: Record<string, { type?: unknown }>; required?: unknown }
  const values: Record<string, unknown> = { integer: 1, number: 1, boolean: true, array: [], object: {} }
  const keys = Array.isArray(required) ? required.map(String) : []
  return JSON.stringify(Object.fromEntries(keys.map(key => [key, values[String(properties?.[key]?.type)] ?? 'text'])))
}

/** A word as it can be pasted into a shell. */
const shown = (word: string): string => (/^[\w./@:~+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
