/**
 * One file as a value with positions: bytes, encoding, bounds and notation. Knows no key. Whatever is wrong with the text
 * comes back as findings; only a file that cannot be read at all is an error.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { extname } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { jsonLocator, maxDepth, maxValues, parseJson, survey } from './json.ts'
import { fault, type Finding, type Path, type Position } from './problems.ts'
import { tooDeepAt } from './yaml-depth.ts'

const maxJsonBytes = 8 * 1024 * 1024
/** The YAML parser is some fifty times slower. */
const maxYamlBytes = 256 * 1024

export interface Source {
  readonly file: string
  /** undefined when the text could not be parsed: then `findings` says why. */
  readonly value: unknown
  readonly findings: readonly Finding[]
  /** Where a finding points. */
  locate(finding: Finding, path: Path): Promise<Position>
}

type Locator = (path: Path, on: 'key' | 'value') => number

/** Reads and parses a file. Rejects with CONFIG_NOT_FOUND or CONFIG_INVALID when there is nothing to parse. */
export async function readSource(file: string): Promise<Source> {
  const extension = extname(file).toLowerCase()
  const namedYaml = extension === '.yaml' || extension === '.yml'
  const tooLarge = (limit: number) => broken(file, '', 'TOO_LARGE', `the file is larger than ${limit / 1024} KiB`)
  const bytes = readBytes(file, namedYaml ? maxYamlBytes : maxJsonBytes)
  if (!bytes) return tooLarge(namedYaml ? maxYamlBytes : maxJsonBytes)

  const decoded = decode(bytes)
  if ('message' in decoded)
    return broken(file, decoded.text, 'ENCODING', decoded.message, decoded.offset, 'save the file as UTF-8')
  const { text } = decoded

  if (namedYaml || (extension !== '.json' && extension !== '.jsonc' && !/^\s*(\{|\/[/*])/.test(text))) {
    if (bytes.length > maxYamlBytes) return tooLarge(maxYamlBytes)
    const deep = tooDeepAt(text)
    if (deep !== undefined) return broken(file, text, 'TOO_DEEP', `nested deeper than ${maxDepth} levels`, deep)
    const { parseYaml } = await import('./yaml.ts')
    const { value, findings, locate } = await parseYaml(text)
    return { file, value, findings, locate: locating(text, () => Promise.resolve(locate)) }
  }

  const look = survey(text)
  if (look.tooDeepAt !== undefined) return broken(file, text, 'TOO_DEEP', `nested deeper than ${maxDepth} levels`, look.tooDeepAt)
  if (look.tooManyAt !== undefined) return broken(file, text, 'TOO_LARGE', `more than ${maxValues} values`, look.tooManyAt)
  const { value, findings } = await parseJson(text, look)
  let locator: Promise<Locator> | undefined
  return { file, value, findings, locate: locating(text, () => (locator ??= jsonLocator(text))) }
}

const broken = (
  file: string,
  text: string,
  code: 'TOO_LARGE' | 'ENCODING' | 'TOO_DEEP',
  message: string,
  offset = 0,
  hint?: string,
): Source => ({
  file,
  value: undefined,
  findings: [fault(code, [], message, { offset, hint })],
  locate: locating(text, () => Promise.resolve(() => 0)),
})

/** Turns offsets into lines and columns; the lines are counted once, when somebody asks. */
function locating(text: string, locator: () => Promise<Locator>): Source['locate'] {
  let starts: number[] | undefined
  const lineStarts = (): number[] => {
    const found = [0]
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) found.push(at + 1)
    return found
  }
  return async ({ offset, on }, path) => {
    const at = offset ?? (await locator())(path, on)
    starts ??= lineStarts()
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] as number) <= at) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: at - (starts[low] as number) + 1 }
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
    for (let total = 0; ;) {
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
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new McpError('CONFIG_NOT_FOUND', `there is no file ${file}`, { cause: error })
    throw new McpError('CONFIG_INVALID', `${file} cannot be read (${code ?? 'unknown error'})`, { cause: error })
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** `offset` counts in `text`, which is what could be read of it. */
function decode(bytes: Buffer): { text: string } | { text: string; message: string; offset: number } {
  const [first, second] = bytes
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    return { text: '', message: 'the file is UTF-16', offset: 0 }
  let text: string
  try {
    // Drops a byte order mark, as editors expect.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    const lossy = new TextDecoder('utf-8').decode(bytes)
    return { text: lossy, message: 'the file is not UTF-8', offset: firstInvalid(bytes, lossy) }
  }
  const nul = text.indexOf('\0')
  return nul < 0 ? { text } : { text, message: 'NUL character', offset: nul }
}

/** Offset of the first replacement that does not stand for itself in the bytes. */
function firstInvalid(bytes: Buffer, lossy: string): number {
  let seen = 0
  let tries = 0
  for (let at = lossy.indexOf('\ufffd'); at >= 0; at = lossy.indexOf('\ufffd', at + 1)) {
    // Each look costs the length of the file; after so many, near enough is good enough.
    if (++tries > 50) return at
    const real = bytes.indexOf('\ufffd', seen)
    const before = Buffer.byteLength(lossy.slice(0, at))
    if (real !== before) return at
    seen = real + 3
  }
  return 0
}
