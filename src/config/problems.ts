/** What can be wrong with a config file, and how it is said. Findings carry a key path; problems carry a position. */

export const problemCodes = [
  // The file as text.
  'ENCODING',
  'SYNTAX',
  'TOO_LARGE',
  'TOO_DEEP',
  'DUPLICATE_KEY',
  'FORBIDDEN_KEY',
  // The file as a config.
  'UNKNOWN_KEY',
  'WRONG_TYPE',
  'BAD_VALUE',
  'MISSING_KEY',
  'CONFLICT',
  'BAD_ALIAS',
  'NO_SERVERS',
  'UNKNOWN_OVERRIDE',
  // What it refers to; these hold one backend back.
  'UNSET_VARIABLE',
  'BAD_REFERENCE',
  'UNKNOWN_CREDENTIAL',
  'MISSING_FILE',
  'CREDENTIALS_UNSAFE',
  'CREDENTIALS_INVALID',
  // What `validate` looks at besides.
  'DEAD_COMMAND',
  'LITERAL_SECRET',
  'UNSAFE_MODE',
  'UNPINNED_PACKAGE',
  'LOADER_VARIABLE',
  'INSECURE_URL',
  // What the client will make of it.
  'OFF_PATH',
  'CLIENT_LIMIT',
] as const

export type ProblemCode = (typeof problemCodes)[number]

export type Severity = 'error' | 'warning'

/** Keys and indexes from the top of the document, as the file spells them. */
export type Path = readonly (string | number)[]

/** `line` and `column` count from 1; columns count UTF-16 units, as editors do. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface Finding {
  readonly severity: Severity
  readonly code: ProblemCode
  readonly message: string
  readonly at: Path
  /** Where to point: at the key, or at its value. */
  readonly on: 'key' | 'value'
  /** Where in the text, when the text itself is at fault and no path leads there. */
  readonly offset?: number | undefined
  readonly hint?: string | undefined
  /** Alias of the one backend concerned. */
  readonly backend?: string | undefined
  /** It holds that backend back instead of stopping everything. */
  readonly holds?: boolean | undefined
  /** The environment variable at fault, when the value came from there and not from the file. */
  readonly variable?: string | undefined
}

/** The outputs' shape: `validate --json` and the `problems` of a CONFIG_INVALID error. */
export interface Problem {
  readonly severity: Severity
  readonly code: ProblemCode
  readonly message: string
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly hint?: string | undefined
  readonly backend?: string | undefined
}

export interface FindingExtras {
  readonly on?: 'key' | 'value'
  readonly hint?: string | undefined
  readonly backend?: string | undefined
  readonly offset?: number | undefined
  readonly holds?: boolean | undefined
  readonly variable?: string | undefined
}

const finding =
  (severity: Severity) =>
  (code: ProblemCode, at: Path, message: string, { on = 'value', ...rest }: FindingExtras = {}): Finding => ({
    severity,
    code,
    message,
    at,
    on,
    ...rest,
  })

export const fault = finding('error')
export const warning = finding('warning')

/** `mcpServers.files.args[2]`; keys that are no plain words stand in brackets and quotes. */
export const pathText = (path: Path): string =>
  path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[\w$-]+$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
