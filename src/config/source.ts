/**
 * One file as a value with positions: bytes, encoding, bounds and notation. Knows no key. Whatever is wrong with the text
 * comes back as findings; only a file that cannot be read at all is an error.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { extname } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { jsonLocator, maxDepth, parseJson, survey } from './json.ts'
import { fault, type Finding, type Path, type Position } from './problems.ts'

const maxJsonBytes = 8 * 1024 * 1024
/** The YAML parser is some fifty times slower. */
const maxYamlBytes = 1024 * 1024

export interface Source {
  readonly file: string
  /** undefined when the text could not be parsed: then `findings` says why. */
  readonly value: unknown
  readonly findings: readonly Finding[]
  locate(path: Path, on: 'key' | 'value'): Promise<Position>
}

const start: Position = { line: 1, column: 1 }

const positionAt = (text: string, offset: number): Position => {
  let line = 1
  let from = 0
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', from)) {
    line++
    from = at + 1
  }
  return { line, column: offset - from + 1 }
}

/** Reads and parses a file. Rejects with CONFIG_NOT_FOUND or CONFIG_INVALID when there is nothing to parse. */
export async function readSource(file: string): Promise<Source> {
  const extension = extname(file).toLowerCase()
  const limit = extension === '.yaml' || extension === '.yml' ? maxYamlBytes : maxJsonBytes
  const bytes = readBytes(file, limit)
  const broken = (code: 'TOO_LARGE' | 'ENCODING' | 'TOO_DEEP', message: string, position: Position, hint?: string): Source => ({
    file,
    value: undefined,
    findings: [fault(code, [], message, { position, hint })],
    locate: () => Promise.resolve(position),
  })
  if (!bytes) return broken('TOO_LARGE', `the file is larger than ${limit / 1024 / 1024} MiB`, start)

  const decoded = decode(bytes)
  if ('message' in decoded) return broken('ENCODING', decoded.message, decoded.position, 'save the file as UTF-8')
  const { text } = decoded

  if (limit === maxYamlBytes || (extension !== '.json' && extension !== '.jsonc' && !/^\s*(\{|\/[/*])/.test(text))) {
    const { parseYaml, tooDeepAt } = await import('./yaml.ts')
    const deep = text.length > maxYamlBytes ? 0 : tooDeepAt(text)
    if (deep !== undefined) return broken('TOO_DEEP', `nested deeper than ${maxDepth} levels`, positionAt(text, deep))
    const { value, findings, locate } = parseYaml(text)
    return finish(file, text, value, findings, () => Promise.resolve(locate))
  }

  const look = survey(text)
  if (look.tooDeepAt !== undefined) return broken('TOO_DEEP', `nested deeper than ${maxDepth} levels`, positionAt(text, look.tooDeepAt))
  const { value, findings } = await parseJson(text, look)
  let locator: ReturnType<typeof jsonLocator> | undefined
  return finish(file, text, value, findings, () => (locator ??= jsonLocator(text)))
}

function finish(
  file: string,
  text: string,
  value: unknown,
  findings: readonly (Finding & { offset?: number })[],
  locator: () => Promise<(path: Path, on: 'key' | 'value') => number>,
): Source {
  return {
    file,
    value,
    findings: findings.map(({ offset, ...rest }) => (offset === undefined ? rest : { ...rest, position: positionAt(text, offset) })),
    locate: async (path, on) => positionAt(text, (await locator())(path, on)),
  }
}

/** The bytes, or undefined when there are more than `limit`. A pipe (`<(…)`) will do; a device would never end. */
function readBytes(file: string, limit: number): Buffer | undefined {
  let handle: number | undefined
  try {
    handle = openSync(file, 'r')
    const stat = fstatSync(handle)
    if (stat.isDirectory()) throw new McpError('CONFIG_INVALID', `${file} is a folder`, { hint: 'name the config file in it' })
    if (stat.isFile()) return stat.size > limit ? undefined : readFileSync(handle)
    if (!stat.isFIFO() && !stat.isSocket()) throw new McpError('CONFIG_INVALID', `${file} is no file`)
    const chunks: Buffer[] = []
    for (let total = 0; ; ) {
      const chunk = Buffer.allocUnsafe(64 * 1024)
      const count = readSync(handle, chunk)
      if (count === 0) return Buffer.concat(chunks)
      total += count
      if (total > limit) return undefined
      chunks.push(chunk.subarray(0, count))
    }
  } catch (error) {
    if (error instanceof McpError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new McpError('CONFIG_NOT_FOUND', `there is no file ${file}`, { cause: error })
    throw new McpError('CONFIG_INVALID', `${file} cannot be read (${code ?? 'unknown error'})`, { cause: error })
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

function decode(bytes: Buffer): { text: string } | { message: string; position: Position } {
  const [first, second] = bytes
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return { message: 'the file is UTF-16', position: start }
  let text: string
  try {
    // Drops a byte order mark, as editors expect.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { message: 'the file is not UTF-8', position: firstInvalid(bytes) }
  }
  const nul = text.indexOf('\0')
  return nul < 0 ? { text } : { message: 'NUL character', position: positionAt(text, nul) }
}

/** Where UTF-8 decoding first fails: what decodes up to there is the longest prefix without a replacement. */
function firstInvalid(bytes: Buffer): Position {
  const strict = new TextDecoder('utf-8', { fatal: true })
  let from = 0
  for (let line = 1; ; line++) {
    const next = bytes.indexOf(10, from)
    const slice = bytes.subarray(from, next < 0 ? bytes.length : next)
    try {
      strict.decode(slice)
    } catch {
      const lossy = new TextDecoder('utf-8').decode(slice)
      return { line, column: lossy.indexOf('\ufffd') + 1 }
    }
    if (next < 0) return start
    from = next + 1
  }
}
