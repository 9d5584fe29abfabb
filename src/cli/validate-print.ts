/** The findings of `validate` for people. */
import type { ClientView } from '../app/known.ts'
import type { Problem } from '../config/problems.ts'
import { styleFor, type Context } from './command.ts'
import type { Contacted } from './contact.ts'
import { printable } from './io.ts'
import { hintLines, problemLines } from './report.ts'
import { tableFor } from './table.ts'

export interface Found {
  readonly file: string
  readonly problems: readonly Problem[]
  readonly servers: readonly Contacted[] | undefined
  readonly views: readonly ClientView[]
  /** The views are of the client that was asked for; else of those that would be shown less. */
  readonly asked: boolean
  readonly failed: boolean
}

export function printFindings({ file, problems, servers, views, asked, failed }: Found, context: Context): void {
  const { stdout } = context.io
  const style = styleFor(context, stdout)
  const clean = (text: string): string => context.redactor.scrub(printable(text, stdout))
  const lines = problems.flatMap(problem => problemLines(problem, clean, style))
  const count = (severity: Problem['severity']): number => problems.filter(problem => problem.severity === severity).length
  const counts = `${count('error')} errors, ${count('warning')} warnings`
  lines.push(`${failed ? style.red('not valid') : style.green('valid')}: ${clean(file)} (${counts})`)
  if (servers) lines.push('', ...serverLines(servers, context))
  if (asked) for (const view of views) lines.push('', ...viewLines(view, context))
  else for (const view of views) lines.push(summaryOf(view))
  stdout.write(`${lines.join('\n')}\n`)
}

function serverLines(servers: readonly Contacted[], context: Context): string[] {
  const { stdout } = context.io
  const { bold, dim } = styleFor(context, stdout)
  const rows = servers.map(({ alias, state, era, revision, tools, resources, prompts, ms, tokens }) => [
    alias,
    state,
    !revision ? '-' : era ? `${revision} ${era}` : revision,
    String(tools),
    String(resources),
    String(prompts),
    `~${tokens}`,
    `${ms} ms`,
  ])
  const lines = [tableFor(stdout, ['SERVER', 'STATE', 'PROTOCOL', 'TOOLS', 'RESOURCES', 'PROMPTS', 'TOKENS', 'TIME'], rows, bold)]
  lines.push(dim('tokens: characters of the list of tools divided by four'))
  for (const { alias, lastFailure } of servers) {
    if (!lastFailure) continue
    const clean = (text: string): string => context.redactor.scrub(printable(text, stdout))
    const [first = '', ...more] = clean(lastFailure.message).split('\n')
    lines.push('', `${alias}: ${lastFailure.stage} failed: ${first}`, ...more.map(line => `  ${line}`), ...hintLines(lastFailure.hint, clean))
  }
  return lines
}

function viewLines({ title, fitted, tokens, searches }: ClientView, context: Context): string[] {
  const { stdout } = context.io
  const changes = new Map(fitted.changes.map(change => [change.shown ?? change.name, change]))
  const rows = fitted.tools.map(tool => {
    const name = String(tool['name'])
    const change = changes.get(name)
    return [name, change === undefined ? '' : change.shown === undefined ? change.kind : `${change.kind} from ${change.name}`]
  })
  const held = fitted.changes.filter(({ kind }) => kind === 'held').map(({ name, why }) => [name, `held back: ${why}`])
  const cost = `about ${tokens} tokens${searches ? ', most of which it does not read: it searches' : ''}`
  const head = `${title} sees ${fitted.tools.length} tools (${cost})`
  return [head, tableFor(stdout, ['TOOL', ''], [...rows, ...held], styleFor(context, stdout).bold)]
}

function summaryOf({ client, title, fitted }: ClientView): string {
  const held = fitted.changes.filter(({ kind }) => kind === 'held').length
  const changed = fitted.changes.length - held
  const parts = [...(changed > 0 ? [`${changed} tools changed`] : []), ...(held > 0 ? [`${held} held back`] : [])]
  return `for ${title}: ${parts.join(', ')} (mcp-proxy validate --client ${client})`
}
