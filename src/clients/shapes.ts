/** Shapes of a server's entry that several clients share. Pure. */
import type { Raw } from '../config/spellings.ts'
import type { Launch } from './client.ts'

/** The key with its map, or nothing when the map is empty. */
export const unlessEmpty = (key: string, map: Readonly<Record<string, string>>): Raw =>
  Object.keys(map).length > 0 ? { [key]: { ...map } } : {}

export const plainStdio = ({ command, args, env }: Launch, _name: string): Raw => ({
  command,
  args: [...args],
  ...unlessEmpty('env', env),
})

/** `{url, headers}` under the client's own word for the url. */
export const plainHttp =
  (word: string) =>
  (url: string, headers: Readonly<Record<string, string>>): Raw => ({ [word]: url, ...unlessEmpty('headers', headers) })
