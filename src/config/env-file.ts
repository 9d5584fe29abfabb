/** Files of NAME=value lines, as dotenv tools write them. */
import { readFileSync, statSync } from 'node:fs'
import { parseEnv } from 'node:util'

const maxBytes = 1024 * 1024

export interface EnvFiles {
  /** Later files win. */
  readonly values: Record<string, string>
  readonly missing: readonly { readonly file: string; readonly reason: string }[]
}

/** Reads absolute paths; each is added to `files`, found or not, for whoever waits for it to appear. */
export function readEnvFiles(paths: readonly string[], files: Set<string>): EnvFiles {
  const values: Record<string, string> = {}
  const missing: { file: string; reason: string }[] = []
  for (const file of paths) {
    files.add(file)
    try {
      const stat = statSync(file)
      if (!stat.isFile()) missing.push({ file, reason: 'this is no file:' })
      else if (stat.size > maxBytes) missing.push({ file, reason: 'larger than 1 MiB:' })
      else
        for (const [name, value] of Object.entries(parseEnv(readFileSync(file, 'utf8'))))
          if (value !== undefined) values[name] = value
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      missing.push({ file, reason: code === 'ENOENT' ? 'there is no file' : `cannot read (${code ?? 'unknown error'})` })
    }
  }
  return { values, missing }
}
