/**
 * The snippets for clients, taken from the pages and used as the client would: the entry is found where that client looks,
 * its variables are filled in as that client fills them, and the official SDKs' clients of both eras connect to what it says.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse as parseToml } from '@decimalturn/toml-patch'
import { parse as parseJson, type ParseError } from 'jsonc-parser'
import { parse as parseYaml } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectConfig } from '../../src/config/load.ts'
import type { Target } from '../fixtures/clients/client.ts'
import { connectV1, connectV2 } from '../fixtures/clients/sdk.ts'
import { blocksOf, pages, type Block } from './pages.ts'
import { pack, place, reader, type Reader } from './reader.ts'

type Entry = Readonly<Record<string, unknown>>

const structured = ['json', 'jsonc', 'yaml', 'toml']

function parsed({ language, text, page, line }: Block): Entry {
  if (language === 'toml') return parseToml(text) as Entry
  if (language === 'yaml') return parseYaml(text) as Entry
  const errors: ParseError[] = []
  const value = parseJson(text, errors, { allowTrailingComma: true }) as Entry
  expect(errors, `${page}:${line}`).toEqual([])
  return value
}

/** Where clients look for their servers. */
const holders = ['mcpServers', 'servers', 'context_servers', 'mcp_servers', 'mcp', 'extensions']
const hubIn = (value: Entry): Entry | undefined => holders.map(key => (value[key] as Entry | undefined)?.['hub'] as Entry | undefined).find(Boolean)

const candidates = pages.flatMap(blocksOf).filter(block => structured.includes(block.language) && !block.notes['not run'])
const snippets = candidates.filter(block => /\bhub\b/.test(block.text) && hubIn(parsed(block)))
const configs = candidates.filter(block => !snippets.includes(block) && ['mcpServers', 'listen', 'defaults'].some(key => key in parsed(block)))

let tarball: string
let folder: string
let typing: Reader
let token: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-pack-'))
  tarball = pack(folder)
  typing = await reader(tarball, { installed: true, differs: { '/…/bin/mcp-proxy.js': '' } })
  const config = JSON.stringify({ mcpServers: { memory: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-memory'] } } })
  for (const path of ['~/.config/mcp-proxy/config.json', '~/../to/mcp-proxy.json']) typing.write(path, config)
  place(typing.dir, tarball)
  const { code, stderr } = await typing.run({ text: 'mcp-proxy serve --http' })
  expect(code, stderr).toBe(0)
  token = (await typing.run({ text: 'cat ~/.local/state/mcp-proxy/token' })).stdout.trim()
}, 120_000)
afterAll(async () => {
  await typing?.leave()
  rmSync(folder, { recursive: true, force: true })
})

/** A text of a snippet as the client would send or start it. */
const filled = (text: string): string =>
  typing.here(text).replace(/\$\{(?:env:|input:)?(?:MCP_PROXY_TOKEN|mcp-proxy-token)\}|\$MCP_PROXY_TOKEN|\{env:MCP_PROXY_TOKEN\}|THE-TOKEN/g, () => token)

function targetOf(entry: Entry): Target {
  const { command, args = [], url, serverUrl, httpUrl, uri, headers, http_headers: httpHeaders } = entry as Record<string, string | readonly string[] | object | undefined>
  if (command !== undefined) {
    // Programs get their arguments as they stand; variables in them are ours to fill.
    const env = Object.fromEntries(Object.entries((entry['env'] ?? {}) as Record<string, string>).map(([name, value]) => [name, filled(value)]))
    return { command: command as string, args: (args as string[]).map(typing.here), env: { ...typing.env, ...env }, cwd: typing.dir }
  }
  const sent = Object.fromEntries(Object.entries((headers ?? httpHeaders ?? {}) as Record<string, string>).map(([name, value]) => [name, filled(value)]))
  if (entry['bearer_token_env_var'] === 'MCP_PROXY_TOKEN') sent['Authorization'] = `Bearer ${token}`
  return { url: typing.here((url ?? serverUrl ?? httpUrl ?? uri) as string), headers: sent }
}

async function reaches(target: Target): Promise<void> {
  for (const kind of ['v1', 'v2-modern'] as const) {
    const client = await (kind === 'v1' ? connectV1 : connectV2)({ kind, ...target })
    try {
      expect((await client.tools()).map(({ name }) => name), kind).toContain('memory__read_graph')
    } finally {
      await client.close()
    }
  }
}

describe('snippets for clients', () => {
  it('are there', () => expect(snippets.length).toBeGreaterThan(10))

  it.each(snippets.map(block => ({ ...block, at: `${block.page}:${block.line}` })).filter(({ text }) => !text.includes('/usr/bin/node')))(
    '$at connects', block => reaches(targetOf(hubIn(parsed(block)) as Entry)), 60_000)

  const byCommand = pages.flatMap(blocksOf).filter(({ text }) => /^claude mcp add /.test(text))
  it.each(byCommand.map(block => ({ ...block, at: `${block.page}:${block.line}` })))('$at connects', ({ text }) => {
    const [, line] = / -- (.*)$/.exec(text) ?? []
    if (line !== undefined) {
      const [command, ...args] = line.split(' ')
      return reaches(targetOf({ command, args }))
    }
    const [, url, name, value] = /(http\S+) --header "([\w-]+): (.*)"$/.exec(text) ?? []
    return reaches(targetOf({ url, headers: { [name as string]: value } }))
  }, 60_000)
})

describe('configs on the pages', () => {
  it.each(configs.map(block => ({ ...block, at: `${block.page}:${block.line}` })))('$at has no mistake', async block => {
    const file = join(folder, `config.${block.language}`)
    writeFileSync(file, block.text)
    const { problems } = await inspectConfig(file, { env: { PATH: process.env['PATH'] }, credential: () => 'a-value-of-some-kind' })
    // What they name is on the reader's machine, not on this one.
    const elsewhere = ['UNSET_VARIABLE', 'UNKNOWN_CREDENTIAL', 'MISSING_FILE', 'DEAD_COMMAND']
    expect(problems.filter(({ severity, code }) => severity === 'error' && !elsewhere.includes(code))).toEqual([])
  })
})
