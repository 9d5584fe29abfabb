/**
 * `why`: what became of a tool. Answers from the stored catalogue where that knows enough; else asks the servers. Exit code 1
 * for a tool that no server has.
 */
import { explain, type Answer, type Explanation } from '../app/why.ts'
import { knownMembers } from '../app/known.ts'
import { limitsFor } from '../app/profiles.ts'
import { places } from '../config/places.ts'
import type { BackendStatus, Offer } from '../gateway/contract.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { contactAll } from './contact.ts'
import { findAndLoad, openHouse } from './house.ts'
import { printable, type Style } from './io.ts'
import { nearest } from './nearest.ts'
import { exitCodes } from './report.ts'
import { unknownClient } from './validate.ts'

export interface WhyOptions {
  readonly tool: string
  readonly client: string | undefined
}

export const define: Define = (command, start) => {
  command
    .argument('<tool>', 'name of a tool, as clients or as its server call it')
    .option('--client <name>', 'as this client sees it, e.g. cursor')
    .action((tool: string, { client }: { client?: string }) => start(context => why({ tool, client }, context)))
}

export async function why({ tool, client }: WhyOptions, context: Context): Promise<number> {
  const { io, globals } = context
  const { loaded } = await findAndLoad(context)
  const { config } = loaded
  if (client !== undefined && !limitsFor(client, config.clients)) throw unknownClient(client)
  const question = { tool, config, client }
  let found = explain({ ...question, members: knownMembers(config, places(io.env)) })
  if (isOpen(found)) {
    const told = await asked(found.unasked, { ...context, globals: { ...globals, config: loaded.file } })
    const members = knownMembers(config, places(io.env)).map(member => ({ ...member, offer: told.offers.get(member.alias) ?? member.offer }))
    found = explain({ ...question, members, statuses: told.statuses })
  }
  const meant = found.answers.length === 0 ? nearest(tool, found.names) : []
  if (globals.json) {
    const suggestions = meant.length > 0 ? { suggestions: meant } : {}
    io.stdout.write(`${JSON.stringify({ tool, ...(client === undefined ? {} : { client }), answers: found.answers, ...suggestions })}\n`)
  } else print(tool, found, meant, context)
  return found.answers.length > 0 ? exitCodes.done : exitCodes.failure
}

/** A server that has never run may have it. */
const isOpen = ({ answers, unasked }: Explanation): boolean =>
  unasked.length > 0 && answers.every(({ verdict }) => verdict === 'unavailable')

interface Told {
  readonly statuses: readonly BackendStatus[]
  readonly offers: ReadonlyMap<string, Offer | undefined>
}

/** Starts these servers and takes down what they offer. */
async function asked(aliases: readonly string[], context: Context): Promise<Told> {
  const opened = await openHouse(context, 'command')
  try {
    const members = opened.house.gateway.members.filter(({ name }) => aliases.includes(name))
    const statuses = await contactAll(members, context)
    return { statuses, offers: new Map(members.map(({ name, offer }) => [name, offer])) }
  } finally {
    await opened.close()
  }
}

function print(tool: string, { answers }: Explanation, meant: readonly string[], context: Context): void {
  const { stdout } = context.io
  const style = styleFor(context, stdout)
  const clean = (text: string): string => context.redactor.scrub(printable(text, stdout))
  const lines = answers.flatMap(answer => [headOf(answer, style, clean), ...answer.reasons.map(reason => `  ${clean(reason).replaceAll('\n', '\n  ')}`)])
  if (answers.length === 0) {
    lines.push(`${style.red('unknown')}: no server has a tool called ${clean(tool)}`)
    if (meant.length > 0) lines.push(`  did you mean ${meant.map(clean).join(' or ')}?`)
  }
  stdout.write(`${lines.join('\n')}\n`)
}

function headOf({ verdict, backend, originalName, name }: Answer, { green, yellow, red }: Style, clean: (text: string) => string): string {
  const what = originalName === undefined ? backend : `${clean(originalName)} of ${backend}`
  if (name === undefined) return `${(verdict === 'unavailable' ? yellow : red)(verdict)}: ${what}`
  return `${verdict === 'offered' ? green(verdict) : yellow(verdict)}: ${what} is shown as ${clean(name)}`
}
