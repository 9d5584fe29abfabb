/** Files of NAME=value lines, as dotenv tools write them. */
import { readFileSync, statSync } from 'node:fs'
import { parseEnv } from 'node:util'

const maxBytes = 1024 * 1024

export interface EnvFiles {
  /** Later files win. */
  readonly values: Record<string, string>
  readonly missing: readonly { readonly file: string; readonly reason: string }[]
  /** Lines that give no variable a value, counted from 1; they are left out. */
  readonly odd: readonly { readonly file: string; readonly lines: readonly number[] }[]
}

/** Reads absolute paths; each is added to `files`, found or not, for whoever waits for it to appear. */
export function readEnvFiles(paths: readonly string[], files: Set<string>): EnvFiles {
  const values: Record<string, string> = {}
  const missing: { file: string; reason: string }[] = []
  const odd: { file: string; lines: number[] }[] = []
  for (const file of paths) {
    files.add(file)
    try {
      const stat = statSync(file)
      if (!stat.isFile()) missing.push({ file, reason: 'this is no file:' })
      else if (stat.size > maxBytes) missing.push({ file, reason: 'larger than 1 MiB:' })
      else {
        const { text, left } = assignments(readFileSync(file, 'utf8').replace(/^\ufeff/, ''))
        if (left.length > 0) odd.push({ file, lines: left })
        for (const [name, value] of Object.entries(parseEnv(text))) if (value !== undefined) values[name] = value
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      missing.push({ file, reason: code === 'ENOENT' ? 'there is no file' : `cannot read (${code ?? 'unknown error'})` })
    }
  }
  return { values, missing, odd }
}

/**
 * The lines that are NAME=value, with those a quoted value goes on over; and the numbers of those that are not, blank ones and
 * comments aside. The parser of Node 20 takes what follows such a line for a part of it, or stops there.
 */
function assignments(text: string): { text: string; left: number[] } {
  const lines = text.split('\n')
  const kept: string[] = []
  const left: number[] = []
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string
    if (/^\s*(#|$)/.test(line)) continue
    const [start, quote] = /^\s*[^\s=][^=]*=[ \t]*(["'`]?)/.exec(line) ?? []
    if (start === undefined) {
      left.push(index + 1)
      continue
    }
    let end = index
    // A quote that is never closed is a part of the value.
    if (quote && !line.includes(quote, start.length)) {
      const closing = lines.findIndex((other, at) => at > index && other.includes(quote))
      if (closing > 0) end = closing
    }
    kept.push(...lines.slice(index, end + 1))
    index = end
  }
  return { text: kept.join('\n'), left }
}
