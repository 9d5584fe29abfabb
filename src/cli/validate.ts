/**
 * `validate`: everything wrong with a config file at once, each with its place. Offline by default; `--online` starts or
 * contacts every server. Exit code 2 for problems of the file, 3 for servers that do not work.
 */
import { offlineChecks } from '../config/offline-checks.ts'
import { findConfig } from '../config/find.ts'
import { inspectConfig } from '../config/load.ts'
import type { Problem } from '../config/problems.ts'
import type { BackendStatus } from '../gateway/contract.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { credentialsOf, probe, withHouse } from './house.ts'
import { printable } from './io.ts'
import { exitCodes, problemLines } from './report.ts'

export interface ValidateOptions {
  readonly file: string | undefined
  /** Warnings count as errors. */
  readonly strict: boolean
  readonly online: boolean
}

export const define: Define = (command, start) => {
  command
    .argument('[file]', 'config file (default: the one `run` would use)')
    .option('--strict', 'let warnings fail too')
    .option('--online', 'also start or contact every server')
    .action((file: string | undefined, { strict, online }: { strict?: boolean; online?: boolean }) =>
      start(context => validate({ file, strict: strict === true, online: online === true }, context)),
    )
}

export async function validate({ file, strict, online }: ValidateOptions, context: Context): Promise<number> {
  const { io, globals, redactor } = context
  const found = findConfig({ config: file ?? globals.config, env: io.env, cwd: io.cwd })
  const inspected = await inspectConfig(found.file, { env: io.env, credential: credentialsOf(io) })
  if (inspected.loaded) redactor.add(inspected.loaded.secrets)
  const problems = inspected.loaded
    ? [...inspected.problems, ...(await offlineChecks(inspected.loaded, { env: io.env }))]
    : inspected.problems
  const failed = problems.some(({ severity }) => severity === 'error' || strict)
  const servers =
    online && inspected.loaded ? await contact({ ...context, globals: { ...globals, config: inspected.file } }) : undefined

  if (globals.json)
    io.stdout.write(
      `${redactor.scrub(JSON.stringify({ ok: !failed && !servers?.some(isBroken), file: inspected.file, problems, servers }))}\n`,
    )
  else print(inspected.file, problems, servers, failed, context)
  if (failed) return exitCodes.usage
  return servers?.some(isBroken) ? exitCodes.degraded : exitCodes.done
}

const isBroken = ({ state }: BackendStatus): boolean => state !== 'healthy' && state !== 'disabled'

function contact(context: Context): Promise<readonly BackendStatus[]> {
  return new Promise((resolve, reject) => {
    withHouse(context, async ({ house }) => {
      await probe(house)
      resolve(house.status().backends)
      return exitCodes.done
    }).catch(reject)
  })
}

function print(
  file: string,
  problems: readonly Problem[],
  servers: readonly BackendStatus[] | undefined,
  failed: boolean,
  context: Context,
): void {
  const { stdout } = context.io
  const style = styleFor(context, stdout)
  const clean = (text: string): string => context.redactor.scrub(printable(text, stdout))
  const lines = problems.flatMap(problem => problemLines(problem, clean, style))
  const count = (severity: Problem['severity']): number => problems.filter(problem => problem.severity === severity).length
  const counts = `${count('error')} errors, ${count('warning')} warnings`
  lines.push(`${failed ? style.red('not valid') : style.green('valid')}: ${clean(file)} (${counts})`)
  for (const { alias, state, revision, tools, lastFailure } of servers ?? []) {
    const found = revision === undefined ? '' : `, ${revision}, ${tools} tools`
    lines.push(`  ${alias}: ${state}${found}${lastFailure ? `: ${clean(lastFailure.message)}` : ''}`)
  }
  stdout.write(`${lines.join('\n')}\n`)
}
