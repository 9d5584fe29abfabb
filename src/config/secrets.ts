/** What looks like a secret, by its name or by its value. Errs on the side of hiding. */

const secretWords = new Set([
  'token',
  'tokens',
  'secret',
  'secrets',
  'password',
  'passwd',
  'passphrase',
  'pwd',
  'credential',
  'credentials',
  'authorization',
  'cookie',
  'apikey',
  'privatekey',
  'accesskey',
  'pat',
  'jwt',
  'bearer',
  'key',
  'auth',
  'dsn',
])

/** `GITHUB_TOKEN`, `x-api-key`, `clientSecret`, `Authorization`. */
export const looksSecret = (name: string): boolean =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .some(word => secretWords.has(word) || /(?:token|secret|password|apikey)$/.test(word))

/** Prefixes that issuers give their tokens so that they are recognised. */
const tokenShapes = [
  'gh[pousr]_[A-Za-z0-9]{20,}',
  'github_pat_\\w{20,}',
  'glpat-[\\w-]{16,}',
  'sk-[\\w-]{16,}',
  'sk_(?:live|test)_\\w{16,}',
  'xox[abeprs]-[\\w-]{10,}',
  'AKIA[A-Z0-9]{12,}',
  'AIza[\\w-]{30,}',
  'npm_\\w{30,}',
  'hf_\\w{20,}',
  'eyJ[\\w-]{10,}\\.eyJ[\\w-]{10,}\\.[\\w-]+',
]

const tokenShape = new RegExp(`\\b(?:${tokenShapes.join('|')})`)

/** A token as it stands, or a URL with a password in it. */
export const isTokenShaped = (value: string): boolean =>
  tokenShape.test(value) || /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i.test(value)

/** Values too short or too plain to be one, whatever their key is called: switches, numbers, paths, placeholders. */
export const isPlainValue = (value: string): boolean =>
  value.length < 8 ||
  /^(?:true|false|none|null|disabled|enabled)$/i.test(value) ||
  /^[\d.]+$/.test(value) ||
  /^(?:~|\.{0,2})\//.test(value) ||
  /^(?:your|my|<|xxx|\*\*\*|change)/i.test(value)

/** A secret within a text. */
export interface SecretPart {
  readonly before: string
  readonly value: string
  readonly after: string
  /** What it is called: the variable, the header, the flag. */
  readonly word: string
}

export const all = (value: string, word: string): SecretPart => ({ before: '', value, after: '', word })

/** The value of an Authorization field, scheme and rest. */
export const schemed = /^((?:Bearer|Basic|Token|ApiKey) +)(\S.*)$/is

/** That of an argument, by its flag or its shape. `args`: all of them. */
export function secretArgument(text: string, index: number, args: unknown): SecretPart | undefined {
  const [, flag, value] = /^(--?[\w-]+=|[A-Za-z_]\w*=)(.+)$/s.exec(text) ?? []
  if (flag !== undefined && value !== undefined && (isTokenShaped(value) || (looksSecret(flag) && !isPlainValue(value))))
    return { before: flag, value, after: '', word: flag.replace(/^-+|=$/g, '') }
  const [, header, rest] = /^([\w-]+: *(?:(?:Bearer|Basic|Token) +)?)(\S.*)$/is.exec(text) ?? []
  if (header !== undefined && rest !== undefined && looksSecret(header.split(':')[0] as string) && !isPlainValue(rest))
    return { before: header, value: rest, after: '', word: header.split(':')[0] as string }
  if (isTokenShaped(text))
    return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? (secretInUrl(text) ?? all(text, 'address')) : all(text, 'token')
  const before: unknown = Array.isArray(args) ? args[index - 1] : undefined
  return typeof before === 'string' &&
    /^--?[\w-]+$/.test(before) &&
    looksSecret(before) &&
    !text.startsWith('-') &&
    !isPlainValue(text)
    ? all(text, before.replace(/^-+/, ''))
    : undefined
}

/** That of an address: its password, else the first in its query, else a token in its path. */
export function secretInUrl(text: string): SecretPart | undefined {
  const [, head, password, tail] = /^([a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:)([^/\s@]+)(@.*)$/is.exec(text) ?? []
  if (head !== undefined) return { before: head, value: password as string, after: tail as string, word: 'password' }
  for (const match of text.matchAll(/([?&])([\w.-]+)=([^&#\s]+)/g)) {
    const [whole, , key, value] = match as unknown as [string, string, string, string]
    if (!(looksSecret(key) && !isPlainValue(value)) && !isTokenShaped(value)) continue
    const at = match.index + whole.length - value.length
    return { before: text.slice(0, at), value, after: text.slice(at + value.length), word: key }
  }
  // A token in the path, as some hosts hand them out.
  return isTokenShaped(text) ? all(text, 'address') : undefined
}

/** What a server is started or reached with. */
export interface Written {
  readonly args?: readonly string[] | undefined
  readonly url?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** The secrets in it, each also without what stands around it: a server that refuses one names it alone. */
export function* secretsOf({ args = [], url = '', env = {}, headers = {} }: Written): Generator<string> {
  for (const [name, value] of [...Object.entries(env), ...Object.entries(headers)]) {
    if (!isTokenShaped(value) && (!looksSecret(name) || isPlainValue(value))) continue
    yield value
    const alone = schemed.exec(value)?.[2]
    if (alone !== undefined) yield alone
    yield* spelt(secretInUrl(value))
  }
  if (isTokenShaped(url)) yield url
  for (let part = secretInUrl(url); part; part = secretInUrl(part.after)) yield* spelt(part)
  for (const [index, text] of args.entries()) {
    if (isTokenShaped(text)) yield text
    const part = secretArgument(text, index, args)
    yield* spelt(part)
    yield* spelt(part && secretInUrl(part.value))
  }
}

function* spelt(part: SecretPart | undefined): Generator<string> {
  // `postgres:postgres@` is on everybody's machine, and the word stands everywhere.
  if (!part || isPlainValue(part.value) || part.before.endsWith(`//${part.value}:`)) return
  yield part.value
  try {
    yield decodeURIComponent(part.value)
  } catch {
    // Then no address was meant.
  }
}
