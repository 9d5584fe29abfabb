/**
 * The rules of the house, checked on the source text: who may import whom, where era words may stand, how long a file
 * may be. Each failure says why the rule exists.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

interface Source {
  /** Path under src with forward slashes, e.g. `gateway/route.ts`. */
  readonly path: string
  readonly text: string
  /** The text with comments blanked out, line numbers kept. */
  readonly code: string
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .map(name => {
    const text = readFileSync(join(src, name), 'utf8')
    return { path: relative(src, join(src, name)).split(sep).join('/'), text, code: withoutComments(text) }
  })

/** Blanks comments, leaving strings, templates and regular expressions alone. */
function withoutComments(text: string): string {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*|return\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/g
  return text.replace(token, found => (found.startsWith('/*') || found.startsWith('//') ? found.replace(/[^\n]/g, ' ') : found))
}

interface Import {
  /** Target under src, e.g. `gateway/errors.ts`; undefined for packages and Node's own modules. */
  readonly target: string | undefined
  readonly specifier: string
  readonly line: number
}

function importsOf(source: Source): Import[] {
  // Not the word in quotes: a command is called import.
  const statement = /(?<!['"])(?:(?:\bimport|\bexport)\b[^'"`;]*?\bfrom\s*(['"])([^'"\n]+)\1|\bimport\s*\(?\s*(['"])([^'"\n]+)\3)/g
  return [...source.code.matchAll(statement)].map(match => {
    const specifier = (match[2] ?? match[4]) as string
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(source.path), specifier) : undefined
    return { target, specifier, line: lineOf(source.code, match.index) }
  })
}

const lineOf = (text: string, index: number): number => text.slice(0, index).split('\n').length

/** Folder (or file) → what it may import besides its own folder, and why no more. First match wins. */
const table: readonly { from: RegExp; own: RegExp; may: RegExp; why: string }[] = [
  {
    from: /^gateway\//,
    own: /^gateway\//,
    may: /^$/,
    why: 'the middle must run and be tested with no era, no bytes and no disk',
  },
  {
    from: /^(middleware|dashboard)\//,
    own: /^$/,
    may: /^gateway\/(contract|errors|cancellation|log)\.ts$/,
    why: 'a middleware is Handler → Handler; what else it needs is handed in by app/build.ts',
  },
  {
    from: /^(config|credentials|transports)\//,
    own: /^$/,
    may: /^gateway\/(errors|log|cancellation|raw)\.ts$/,
    why: 'a part knows nothing of the product; assembly is the only place with policy',
  },
  {
    from: /^eras\/legacy\//,
    own: /^eras\/(legacy\/.*|[^/]+)$/,
    may: /^(gateway\/(contract|errors|cancellation|log|slot-map|raw)|transports\/(channel|exchange))\.ts$/,
    why: 'the two protocol eras never import each other, so that one can be deleted whole',
  },
  {
    from: /^eras\/modern\//,
    own: /^eras\/(modern\/.*|[^/]+)$/,
    may: /^(gateway\/(contract|errors|cancellation|log|slot-map|raw)|transports\/(channel|exchange))\.ts$/,
    why: 'the two protocol eras never import each other, so that one can be deleted whole',
  },
  {
    from: /^eras\//,
    own: /^eras\//,
    may: /^(gateway\/(contract|errors|cancellation|log|slot-map|raw)|transports\/(channel|exchange))\.ts$/,
    why: 'an era turns a channel into calls and back; routing and bytes are others’ business',
  },
  {
    from: /^clients\//,
    own: /^clients\//,
    may: /^(config|credentials)\/|^gateway\/(errors|log)\.ts$/,
    why: 'other people’s config files are read and written here, with no server started and no protocol spoken',
  },
  {
    from: /^app\//,
    own: /^app\//,
    may: /^(gateway|middleware|dashboard|config|credentials|transports)\/|^eras\/era\.ts$/,
    why: 'assembly knows every part, but of the eras only their contract',
  },
  {
    from: /^daemon\//,
    own: /^daemon\//,
    may: /^app\/build\.ts$|^(config\/places|credentials\/rename)\.ts$|^transports\/(channel|peek|process-tree|run-file|stdio)\.ts$|^gateway\/(errors|log)\.ts$|^eras\/replay\.ts$/,
    why: 'what a relay loads must stay small: of the house only its type, of the eras only what a client must not say twice',
  },
  {
    from: /^cli\//,
    own: /^cli\//,
    may: /^(app|clients|daemon|config|credentials)\/|^gateway\/(errors|log|contract|cancellation)\.ts$/,
    why: 'a command parses, asks the house, and prints; it never reaches into parts',
  },
  { from: /^start\.ts$/, own: /^$/, may: /^config\/(own-file|places)\.ts$/, why: 'start.ts is all that runs before the program is there' },
  { from: /^main\.ts$/, own: /^cli\//, may: /^$/, why: 'main.ts turns argv into a command and its end into an exit code' },
]

const ownFolder = (path: string): string => path.slice(0, path.indexOf('/') + 1)

describe('who may import whom', () => {
  for (const source of sources)
    it(source.path, () => {
      const rule = table.find(row => row.from.test(source.path))
      // The reaper runs as a program of its own beside main.ts; it stands in transports/ and obeys that row.
      expect(rule, `src/${source.path} is in no folder of the import table: add a row with its reason`).toBeDefined()
      for (const { target, specifier, line } of importsOf(source)) {
        if (target === undefined) continue
        const own = ownFolder(source.path)
        const allowed = rule!.own.test(target) || rule!.may.test(target) || (own !== '' && own !== 'eras/' && target.startsWith(own))
        expect(allowed, `src/${source.path}:${line} imports ${specifier}: not allowed, because ${rule!.why}`).toBe(true)
        expect(specifier.endsWith('.ts'), `src/${source.path}:${line}: write the extension (${specifier}): the text is what runs`).toBe(true)
      }
    })

  it('main.ts is the only file that exits the process', () => {
    for (const { path, code } of sources) {
      if (path === 'main.ts' || path === 'transports/reaper.ts') continue
      const at = code.search(/\bprocess\s*\.\s*(exit\s*\(|exitCode\s*=|reallyExit|abort\s*\()/)
      expect(at, `src/${path}:${lineOf(code, at)} ends the process: throw an McpError or return an exit code, so that all is drained first`).toBe(-1)
    }
  })

  it('only the reader of our own stdin and the launcher touch the global streams', () => {
    for (const { path, code } of sources) {
      if (path === 'main.ts' || path === 'transports/reaper.ts') continue
      const at = code.search(/\bconsole\s*\.|\bprocess\s*\.\s*(stdout|stderr|stdin)\b/)
      expect(at, `src/${path}:${lineOf(code, at)} uses a global stream: in \`run\` stdout belongs to the protocol, so streams are handed in`).toBe(-1)
    }
  })

  it('nothing heavy is imported statically on the start path', () => {
    const heavy = /^(undici|yaml|pino|pino-pretty|cosmiconfig|@modelcontextprotocol\/.*|keyv|@keyv\/.*|dockerode)$/
    for (const source of sources)
      for (const match of source.code.matchAll(/^import\s+(?!type\b)[^'"]*?from\s*['"]([^'"]+)['"]/gm))
        expect(
          heavy.test(match[1]!) && !lazyOnly.test(source.path),
          `src/${source.path}:${lineOf(source.code, match.index)} imports ${match[1]} statically: \`await import()\` it, the first byte must not wait for it`,
        ).toBe(false)
  })
})

/** Files that are themselves only ever reached through `await import()`. */
const lazyOnly = /^(transports\/http-|app\/pino-log\.ts$|clients\/(?:toml|yaml)-text\.ts$)/

describe('vocabulary: the two protocols live in src/eras and nowhere else', () => {
  const words: readonly [RegExp, string][] = [
    [/\binitialize\b/g, 'initialize'],
    [/\bresultType\b/g, 'resultType'],
    [/\binput_required\b/g, 'input_required'],
    [/Mcp-Session-Id/gi, 'Mcp-Session-Id'],
    [/server\/discover/g, 'server/discover'],
    [/subscriptions\/listen/g, 'subscriptions/listen'],
    [/elicitation\//g, 'elicitation/'],
    [/sampling\//g, 'sampling/'],
    [/roots\//g, 'roots/'],
    [/legacy|Legacy|LEGACY/g, 'legacy'],
    [/modern|Modern|MODERN/g, 'modern'],
  ]
  for (const { path, code } of sources) {
    if (path.startsWith('eras/')) continue
    it(path, () => {
      for (const [pattern, word] of words)
        for (const match of code.matchAll(pattern))
          expect.fail(
            `src/${path}:${lineOf(code, match.index)} says “${word}”: era words outside src/eras are how an era leaks. Ask src/eras/era.ts for a neutral word`,
          )
    })
  }
})

describe('shape of a file', () => {
  for (const { path, text, code } of sources)
    it(path, () => {
      const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
      expect(lines, `src/${path} has ${lines} lines: the file nobody dares to split starts past 300`).toBeLessThanOrEqual(300)
      const longest = text.split('\n').findIndex(line => line.length > 180)
      expect(longest, `src/${path}:${longest + 1} is wider than 180 columns: nobody reads past the edge of a review`).toBe(-1)
      expect(code, `src/${path}: a default export has no name of its own; export by name`).not.toMatch(/^export\s+default\b/m)
      // The eras' contract is the one door to a folder whose files others must not name.
      const passesOn = path === 'eras/era.ts' ? /^export\s+\*/m : /^export\s+(\*|(type\s+)?\{[^}]*\})\s+from\b/m
      expect(code, `src/${path}: a barrel hides where things live and loads them all; import from the file itself`).not.toMatch(passesOn)
      expect(path.split('/').at(-1), `src/${path}: file names are kebab-case`).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/)
      expect(text, `src/${path}: unfinished work belongs in an issue, not in a comment`).not.toMatch(/\b(TODO|FIXME|XXX|HACK)\b/)
      expect(text, `src/${path}: a file starts by saying what it owns`).toMatch(/^(#!.*\n)?\s*(\/\*\*|\/\/)/)
    })
})

describe('the scanner itself', () => {
  const source = (text: string): Source => ({ path: 'cli/x.ts', text, code: withoutComments(text) })

  it('sees every form of import', () => {
    const text = [
      `import { a } from './a.ts'`,
      `import type { b } from '../app/b.ts'`,
      `import {\n  c,\n  d,\n} from './c.ts'`,
      `const e = await import('./e.ts')`,
      `export { f } from './f.ts'`,
      `import './g.ts'`,
      `type H = import('./h.ts').H`,
    ].join('\n')
    expect(importsOf(source(text)).map(found => found.target)).toEqual([
      'cli/a.ts', 'app/b.ts', 'cli/c.ts', 'cli/e.ts', 'cli/f.ts', 'cli/g.ts', 'cli/h.ts',
    ])
  })

  it('ignores comments but not strings', () => {
    expect(withoutComments(`// legacy\nconst a = 'legacy' /* modern */`).trim()).toBe(`const a = 'legacy'`)
    expect(withoutComments(`const url = 'http://x' // modern`)).toContain(`'http://x'`)
    expect(withoutComments('const r = /[/*]/ // modern')).not.toContain('modern')
  })
})

describe('dependencies', () => {
  const documented = readFileSync(join(root, 'docs/dependencies.md'), 'utf8').split('## For development')[0]!
  const packageOf = (specifier: string): string => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  for (const source of sources)
    it(source.path, () => {
      for (const { specifier, target, line } of importsOf(source)) {
        if (target !== undefined || specifier.startsWith('node:')) continue
        const name = packageOf(specifier)
        expect(documented, `src/${source.path}:${line} imports ${name}: say in docs/dependencies.md what it saves us and what it costs`).toMatch(
          new RegExp(`^\\| ${name.replaceAll('/', '\\/')} `, 'm'),
        )
      }
    })
})
