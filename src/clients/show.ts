/** What a server would do, in full, for people who decide whether it may: nothing is cut, nothing can hide. Pure text. */
import { isRaw, type Raw } from '../config/spellings.ts'

/** Characters that are not seen, or that turn the line around. */
const hidden = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

/** A word as a shell would take it; control and bidirectional characters are spelled out. */
export function shellWord(word: string): string {
  if (hidden.test(word)) return `$'${word.replace(/[\\']/g, '\\$&').replace(new RegExp(hidden, 'g'), spelled)}'`
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

const spelled = (symbol: string): string => `\\u${symbol.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Lines: the command line or address, then environment, headers and folder. */
export function describeServer(server: Raw): string[] {
  const { command, args, url, env, headers, cwd, envFile } = server
  const pairs = (map: unknown, sign: string): string[] =>
    isRaw(map) ? Object.entries(map).map(([name, value]) => `${shellWord(name)}${sign}${shellWord(String(value))}`) : []
  const words = [command, ...(Array.isArray(args) ? args : [])].map(word => shellWord(String(word)))
  return [
    command === undefined ? String(url) : words.join(' '),
    ...pairs(env, '=').map(pair => `env ${pair}`),
    ...pairs(headers, ': ').map(pair => `header ${pair}`),
    ...(cwd === undefined ? [] : [`in ${shellWord(String(cwd))}`]),
    ...(envFile === undefined
      ? []
      : [
          `env from ${[envFile]
            .flat()
            .map(file => shellWord(String(file)))
            .join(' ')}`,
        ]),
  ]
}
