/**
 * What `JSON.parse` does not tell of a JSON-RPC text: how deep it nests, and whether a key of the envelope stands there
 * twice, so that two readers could see two messages. Looks at structure only; the text need not even be valid JSON.
 */

export type ScanFault = 'depth' | 'duplicate'

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const openBracket = 0x5b
const closeBrace = 0x7d
const closeBracket = 0x5d
const colon = 0x3a

/** Objects whose keys must be unique: the message, its params and their `_meta`; in a batch, of each element. */
const chain = ['params', '_meta']

/** Undefined = nothing found. `maxDepth`: levels of nesting; the outermost value is level one. */
export function scanJson(text: string, maxDepth: number): ScanFault | undefined {
  /** Keys of the watched objects that are open, outermost first, and the depth of the first of them. */
  const watched: Set<string>[] = []
  let first = 1
  let depth = 0
  /** The last string, which is a key if a colon follows; -1 = none since the last structural character. */
  let from = -1
  let to = -1
  let lastKey: string | undefined
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote: {
        from = at + 1
        at = endOfString(text, from)
        to = at
        break
      }
      case openBracket:
      case openBrace: {
        depth++
        if (depth > maxDepth) return 'depth'
        const isObject = text.charCodeAt(at) === openBrace
        if (depth === 1 && !isObject) first = 2
        const level = depth - first
        if (isObject && level === watched.length && (level === 0 || lastKey === chain[level - 1])) watched.push(new Set())
        lastKey = undefined
        break
      }
      case closeBracket:
      case closeBrace:
        if (watched.length > 0 && depth === first + watched.length - 1) watched.pop()
        depth--
        lastKey = undefined
        break
      case colon: {
        const level = depth - first
        if (level >= 0 && level === watched.length - 1 && from >= 0) {
          const raw = text.slice(from, to)
          lastKey = raw.includes('\\') ? unescaped(raw) : raw
          const keys = watched[level] as Set<string>
          if (keys.has(lastKey)) return 'duplicate'
          keys.add(lastKey)
        }
        from = -1
        break
      }
    }
  }
  return undefined
}

/** Index of the closing quote; the end of the text if there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}

function unescaped(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return raw
  }
}
