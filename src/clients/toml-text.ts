/**
 * TOML, changed in place. toml-patch keeps every other line as it is; a new table is written by us at the end of the file,
 * where people and tools put it, because the library would make it an inline table above the first one.
 */
import { parse, patch, TomlFormat } from '@decimalturn/toml-patch'
import { isRaw, type Raw } from '../config/spellings.ts'
import { unquoted } from '../config/yaml.ts'
import { eolOf, TextFault, type Change, type Notated } from './document.ts'

export const tomlText: Notated = {
  nullIsEmpty: false,
  read,
  change(text, change) {
    const value = read(text)
    const exists = at(value, change) !== undefined
    if (change.value === undefined) return exists ? patched(text, value, change) : text
    if (!exists && isRaw(change.value)) {
      const added = text + table(change, text)
      // A table that is written inline, or by dotted keys, cannot be continued further down.
      if (reads(added)) return added
    }
    return patched(text, value, change)
  },
}

function read(text: string): Raw {
  try {
    return parse(text) as Raw
  } catch (error) {
    const { message, line, column } = error as Error & { line?: number; column?: number }
    const starts = text.split('\n').slice(0, Math.max(0, (line ?? 1) - 1))
    const offset = starts.reduce((sum, one) => sum + one.length + 1, 0) + (column ?? 0)
    throw new TextFault('SYNTAX', `no valid TOML: ${unquoted(message.split('\n').at(-1) ?? '')}`, Math.min(offset, text.length))
  }
}

function reads(text: string): boolean {
  try {
    read(text)
    return true
  } catch {
    return false
  }
}

const at = (value: unknown, change: Change): unknown =>
  change.at.reduce<unknown>((node, step) => (isRaw(node) ? node[step] : undefined), value)

function patched(text: string, value: Raw, { at: path, value: put }: Change): string {
  let node = value
  for (const step of path.slice(0, -1)) node = (node[step] ??= {}) as Raw
  const last = path.at(-1) as string
  if (put === undefined) delete node[last]
  else node[last] = put
  const format = TomlFormat.autoDetectFormat(text)
  // Only TOML 1.1 allows a comma there in an inline table.
  format.trailingComma = false
  return patch(text, value, format)
}

/** `[mcp_servers.hub]` and its lines; tables in it get a header of their own. */
function table({ at: path, value }: Change, text: string): string {
  const eol = eolOf(text)
  const gap = text === '' ? '' : text.endsWith('\n') ? eol : eol + eol
  const lines = (keys: readonly (string | number)[], map: Raw): string[] => {
    const entries = Object.entries(map)
    const tables = entries.filter(([, item]) => isRaw(item))
    return [
      `[${keys.map(word).join('.')}]`,
      ...entries.filter(([, item]) => !isRaw(item)).map(([key, item]) => `${word(key)} = ${scalar(item)}`),
      ...tables.flatMap(([key, item]) => ['', ...lines([...keys, key], item as Raw)]),
    ]
  }
  return `${gap}${lines(path, value as Raw).join(eol)}${eol}`
}

const word = (key: string | number): string => (/^[A-Za-z0-9_-]+$/.test(String(key)) ? String(key) : scalar(String(key)))

/** A JSON string is a TOML basic string, but for DEL, which TOML wants escaped. */
const scalar = (value: unknown): string =>
  Array.isArray(value) ? `[${value.map(scalar).join(', ')}]` : JSON.stringify(value).replaceAll('\x7f', '\\u007f')
