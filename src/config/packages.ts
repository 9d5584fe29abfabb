/** Packages that runners download: whether their version is fixed. Pure. */

export interface Unpinned {
  readonly name: string
  readonly hint: string
}

/** The package or image of this command line if it may be another one tomorrow. `command` is a bare name such as `npx`. */
export function unpinned(command: string, args: readonly string[]): Unpinned | undefined {
  switch (command) {
    case 'npx':
    case 'bunx':
    case 'pnpx':
      return npmPackage(packageOf(args, ['-p', '--package'], ['-c', '--call']))
    case 'pnpm':
    case 'yarn':
      return args[0] === 'dlx' ? npmPackage(packageOf(args.slice(1), ['--package'], [])) : undefined
    case 'npm':
      return args[0] === 'exec' || args[0] === 'x' ? npmPackage(packageOf(args.slice(1), ['-p', '--package'], [])) : undefined
    case 'uvx':
      return pythonPackage(packageOf(args, ['--from'], ['--python', '--with', '-p', '--index', '--index-url']))
    case 'uv':
      return args[0] === 'tool' && args[1] === 'run'
        ? pythonPackage(packageOf(args.slice(2), ['--from'], ['--python', '--with']))
        : undefined
    case 'pipx':
      return args[0] === 'run' ? pythonPackage(packageOf(args.slice(1), ['--spec'], ['--python'])) : undefined
    case 'docker':
    case 'podman':
      return args[0] === 'run' ? image(args.slice(1)) : undefined
    default:
      return undefined
  }
}

/** What a flag names, else the first word that is neither a flag nor a flag's value. */
function packageOf(args: readonly string[], naming: readonly string[], valued: readonly string[]): string | undefined {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string
    const [flag, value] = arg.split('=', 2) as [string, string?]
    if (naming.includes(flag)) return value ?? args[index + 1]
    if (valued.includes(flag)) index += value === undefined ? 1 : 0
    else if (!arg.startsWith('-')) return arg
  }
  return undefined
}

const isPath = (name: string): boolean => /^[./~]|^[A-Za-z]:[\\/]|:\/\//.test(name)

function npmPackage(name: string | undefined): Unpinned | undefined {
  if (name === undefined || isPath(name)) return undefined
  const version = /^@?[^@]+@(.+)$/.exec(name)?.[1]
  const bare = version === undefined ? name : name.slice(0, -version.length - 1)
  return version !== undefined && /^\d+\.\d+\.\d+/.test(version)
    ? undefined
    : { name, hint: `write ${bare}@1.2.3 with the version you trust` }
}

function pythonPackage(name: string | undefined): Unpinned | undefined {
  if (name === undefined || isPath(name) || /==|@\d/.test(name)) return undefined
  return { name, hint: `write ${name.replace(/@.*$/, '')}==1.2.3 with the version you trust` }
}

/** Flags of `docker run` that stand alone; every other one takes the next word. */
const lone =
  /^(?:-[itdP]+|--(?:rm|init|interactive|tty|detach|privileged|read-only|publish-all|sig-proxy|no-healthcheck|oom-kill-disable))$/

function image(args: readonly string[]): Unpinned | undefined {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string
    if (!arg.startsWith('-'))
      return /@sha256:[0-9a-f]{64}$/.test(arg)
        ? undefined
        : { name: arg, hint: `write ${arg.replace(/:[^:/]*$/, '')}@sha256:… with the digest you trust` }
    if (!arg.includes('=') && !lone.test(arg)) index++
  }
  return undefined
}
