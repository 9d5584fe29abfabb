/**
 * `credentials`: the user's own store of secrets, for `${cred:NAME}` in configs. A value comes from stdin or a hidden prompt,
 * never from the command line, where every process of the machine could read it; and it is never shown again.
 */
import { findConfig } from '../config/find.ts'
import { inspectConfig } from '../config/load.ts'
import { places } from '../config/places.ts'
import { openCredentials, type Credentials } from '../credentials/store.ts'
import { McpError } from '../gateway/errors.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { readAll } from './io.ts'
import { nearest } from './nearest.ts'
import { hidden } from './question.ts'
import { exitCodes } from './report.ts'

export const define: Define = (command, start) => {
  const on = (work: (store: Credentials, context: Context) => Promise<number>) =>
    start(context => work(openCredentials(places(context.io.env).credentials), context))
  command
    .command('list')
    .description('Names of what is stored; values are never shown.')
    .action(() => on(listNames))
  command
    .command('set')
    .description('Store a value, read from stdin or asked without showing it.')
    .argument('<name>', 'name to use in ${cred:NAME}')
    .action((name: string) => on((store, context) => setValue(name, store, context)))
  command
    .command('remove')
    .description('Forget a value.')
    .argument('<name>')
    .action((name: string) => on((store, context) => removeValue(name, store, context)))
  command
    .command('check')
    .description('Check the file, and that it has every credential the config names.')
    .action(() => on(check))
}

async function listNames(store: Credentials, { io, globals }: Context): Promise<number> {
  const names = store.names()
  if (globals.json) io.stdout.write(`${JSON.stringify({ file: store.file, names })}\n`)
  else if (names.length > 0) io.stdout.write(`${names.join('\n')}\n`)
  else io.stderr.write(`nothing is stored in ${store.file}\n`)
  return exitCodes.done
}

async function setValue(name: string, store: Credentials, context: Context): Promise<number> {
  const { io, globals, redactor } = context
  const typed =
    io.stdin.isTTY === true ? await hidden(`Value of ${name} (not shown): `, io.stdin, io.stderr) : await readAll(io.stdin)
  if (typed === undefined) throw new McpError('CANCELLED', 'nothing was stored')
  // `echo value |` and files end in a line feed that is nobody's secret.
  const value = typed.replace(/\r?\n$/, '')
  redactor.add([value])
  const isNew = !store.names().includes(name)
  await store.set(name, value)
  if (globals.json) io.stdout.write(`${JSON.stringify({ file: store.file, name, created: isNew })}\n`)
  else if (!globals.quiet)
    io.stderr.write(`${isNew ? 'stored' : 'replaced'} ${name} in ${store.file}; use it as \${cred:${name}}\n`)
  return exitCodes.done
}

async function removeValue(name: string, store: Credentials, { io, globals }: Context): Promise<number> {
  if (!(await store.remove(name))) {
    const [close] = nearest(name, store.names())
    throw new McpError('UNKNOWN_NAME', `no credential is called ${name}`, {
      hint: close === undefined ? undefined : `did you mean ${close}?`,
    })
  }
  if (globals.json) io.stdout.write(`${JSON.stringify({ file: store.file, name, removed: true })}\n`)
  else if (!globals.quiet) io.stderr.write(`removed ${name} from ${store.file}\n`)
  return exitCodes.done
}

interface Finding {
  readonly message: string
  readonly hint: string | undefined
}

async function check(store: Credentials, context: Context): Promise<number> {
  const { io, globals } = context
  const findings: Finding[] = [...store.check()]
  if (findings.length === 0) findings.push(...(await missing(store, context)))
  const { red, green } = styleFor(context, io.stdout)
  const ok = findings.length === 0
  if (globals.json) io.stdout.write(`${JSON.stringify({ ok, file: store.file, problems: findings })}\n`)
  else if (ok) io.stdout.write(`${green('ok')}: ${store.file} (${store.names().length} stored)\n`)
  else
    for (const { message, hint } of findings)
      io.stdout.write(`${red('error')} ${message}\n${hint === undefined ? '' : `  hint: ${hint}\n`}`)
  return ok ? exitCodes.done : exitCodes.usage
}

/** What the config names and the store has not. Without a config there is nothing to miss. */
async function missing(store: Credentials, { io, globals }: Context): Promise<Finding[]> {
  let file: string
  try {
    file = findConfig({ config: globals.config, env: io.env, cwd: io.cwd }).file
  } catch (error) {
    if (globals.config !== undefined) throw error
    return []
  }
  const { problems } = await inspectConfig(file, { env: io.env, credential: name => store.get(name)?.reveal() })
  return problems
    .filter(({ code }) => code === 'UNKNOWN_CREDENTIAL')
    .map(({ message, file: at, line, column, hint }) => ({ message: `${message} (${at}:${line}:${column})`, hint }))
}
