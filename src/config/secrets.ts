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
