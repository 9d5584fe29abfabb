/** Paths as people write them in a file: `~/…` is home, anything relative starts at the folder of that file. */
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

export const resolvePath = (path: string, base: string): string => {
  if (path === '~') return homedir()
  if (/^~[/\\]/.test(path)) return join(homedir(), path.slice(2))
  return isAbsolute(path) ? path : resolve(base, path)
}

/** A command with a separator in it is a path; a bare name is left for the PATH. */
export const resolveCommand = (command: string, base: string): string =>
  /[/\\]/.test(command) ? resolvePath(command, base) : command
