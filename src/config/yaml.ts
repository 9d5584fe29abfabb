/**
 * YAML 1.2 as far as a config needs it: plain values, anchors and merges within bounds, no tags. The library is large
 * and loaded only when a YAML file is read. Knows nothing of what the values mean.
 */
import type { Alias, Document, Node as YamlNode, Pair, Scalar } from 'yaml'
import { forbiddenKey, maxDepth, maxValues } from './json.ts'
import { fault, pathText, type Finding, type Path } from './problems.ts'

/** Parents whose values are texts, whatever they look like: `1.10` must not become `1.1`. */
const textual = new Set(['env', 'environment', 'headers', 'http_headers', 'args'])

export interface YamlReading {
  readonly value: unknown
  readonly findings: readonly Finding[]
  locate(path: Path, on: 'key' | 'value'): number
}

type Yaml = typeof import('yaml')

export async function parseYaml(text: string): Promise<YamlReading> {
  const loaded: Yaml & { default?: Yaml } = await import('yaml')
  // Bundled, a CommonJS module has nothing but a default.
  const yaml = loaded.default ?? loaded
  const findings: Finding[] = []
  let document: Document.Parsed
  try {
    document = yaml.parseDocument(text, {
      prettyErrors: false,
      uniqueKeys: false,
      merge: false,
      version: '1.2',
      keepSourceTokens: false,
    })
  } catch (error) {
    // The stack was used up; anything else is not the file's fault.
    if (!(error instanceof RangeError)) throw error
    return {
      value: undefined,
      findings: [fault('TOO_DEEP', [], 'the file is nested too deep to be read', { offset: 0 })],
      locate: () => 0,
    }
  }
  // Unknown tags and directives are only warnings there; a config has no use for either.
  for (const { message, pos, code } of [...document.errors, ...document.warnings].slice(0, 10))
    findings.push(fault('SYNTAX', [], ownWords[code] ?? unquoted(message), { offset: pos[0] }))
  const targetOf = targets(document, yaml)
  const locate = locator(document, yaml, targetOf)
  if (findings.length > 0) return { value: undefined, findings, locate }

  let values = 0
  const stop = new Error('stop')
  const offsetOf = (node: unknown): number => (node as YamlNode | null)?.range?.[0] ?? 0
  const refuse = (code: 'TOO_DEEP' | 'TOO_LARGE' | 'SYNTAX', path: Path, message: string, node: unknown): never => {
    findings.push(fault(code, path, message, { offset: offsetOf(node) }))
    throw stop
  }

  const walk = (node: unknown, path: Path, within: readonly unknown[]): unknown => {
    if (++values > maxValues) refuse('TOO_LARGE', path, `more than ${maxValues} values, aliases unfolded`, node)
    if (path.length > maxDepth) refuse('TOO_DEEP', path, `nested deeper than ${maxDepth} levels`, node)
    if (yaml.isAlias(node)) {
      const target = targetOf(node)
      // Its name may be a secret that begins with a star.
      if (!target) return refuse('SYNTAX', path, 'there is no anchor of this name before this; a text that begins with * stands in quotes', node)
      if (within.includes(target)) return refuse('SYNTAX', path, `the alias *${node.source} contains itself`, node)
      return walk(target, path, within)
    }
    if (yaml.isScalar(node)) return scalar(node, path)
    if (yaml.isSeq(node)) return node.items.map((item, index) => walk(item, [...path, index], [...within, node]))
    if (!yaml.isMap(node)) return null
    const object: Record<string, unknown> = {}
    const merged: Record<string, unknown> = {}
    for (const pair of node.items) {
      const key = keyOf(pair)
      const at = [...path, key]
      const offset = offsetOf(pair.key)
      if (key === forbiddenKey) findings.push(fault('FORBIDDEN_KEY', at, `the key ${forbiddenKey} is not allowed`, { offset }))
      else if (key === '<<') mergeInto(merged, walk(pair.value, at, [...within, node]))
      else if (Object.hasOwn(object, key))
        findings.push(fault('DUPLICATE_KEY', at, `${pathText(at)} is there twice`, { hint: 'keep one of them', offset }))
      else object[key] = walk(pair.value, at, [...within, node])
    }
    // `<<` gives what the mapping itself does not say.
    for (const [key, value] of Object.entries(merged)) if (!Object.hasOwn(object, key)) object[key] = value
    return object
  }

  try {
    return { value: walk(document.contents, [], []), findings, locate }
  } catch (error) {
    if (error !== stop && !(error instanceof RangeError)) throw error
    return { value: undefined, findings, locate }
  }
}

const ownWords: Readonly<Record<string, string>> = {
  TAG_RESOLVE_FAILED: 'YAML tags are not supported',
  MULTIPLE_DOCS: 'a second document begins here; a config is one document',
  BAD_DIRECTIVE: 'a directive that is not supported',
}

/** A parser's words without what it quotes of the file, after a colon or in quotes: that may be a secret. */
export const unquoted = (message: string): string => message.split(/:\s|\s["'`]|\n/, 1)[0] as string

/** What each alias stands for, found in one walk: the library walks the document for every one of them. */
function targets(document: Document.Parsed, yaml: Yaml): (alias: Alias) => YamlNode | undefined {
  let found: Map<Alias, YamlNode | undefined> | undefined
  const look = (): Map<Alias, YamlNode | undefined> => {
    const all = new Map<Alias, YamlNode | undefined>()
    const anchored = new Map<string, YamlNode>()
    yaml.visit(document, {
      Node(_, node) {
        if (yaml.isAlias(node)) all.set(node, anchored.get(node.source))
        else if (node.anchor !== undefined) anchored.set(node.anchor, node)
      },
    })
    return all
  }
  return alias => (found ??= look()).get(alias)
}

function scalar(node: Scalar, path: Path): unknown {
  const { value, source } = node
  const parent = path.at(-2)
  const spelled = (typeof value === 'number' || typeof value === 'boolean') && typeof source === 'string'
  return spelled && typeof parent === 'string' && textual.has(parent) ? source : value
}

const keyOf = ({ key }: Pair): string => {
  const { value, source } = (key ?? {}) as Scalar
  return typeof value === 'string' ? value : String(source ?? value ?? '')
}

/** The first of several merged mappings wins. */
function mergeInto(target: Record<string, unknown>, from: unknown): void {
  for (const part of Array.isArray(from) ? (from as unknown[]) : [from])
    if (typeof part === 'object' && part !== null && !Array.isArray(part))
      for (const [key, value] of Object.entries(part)) if (!Object.hasOwn(target, key)) target[key] = value
}

function locator(document: Document.Parsed, yaml: Yaml, targetOf: (alias: Alias) => YamlNode | undefined): YamlReading['locate'] {
  const resolve = (node: unknown): unknown => (yaml.isAlias(node) ? targetOf(node) : node)
  return (path, on) => {
    let node: unknown = document.contents
    let key: unknown
    let last: unknown = node
    for (const step of path) {
      const around = resolve(node)
      if (yaml.isSeq(around) && typeof step === 'number' && around.items[step]) {
        key = undefined
        node = around.items[step]
      } else if (yaml.isMap(around)) {
        const pair = around.items.find(item => keyOf(item) === step)
        if (!pair) break
        ;({ key, value: node } = pair)
      } else break
      last = node ?? key
    }
    return ((on === 'key' ? (key ?? last) : last) as YamlNode | null)?.range?.[0] ?? 0
  }
}
