/** Changing a client's file: only our lines change, whatever the notation and its habits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Format } from '../../../src/clients/client.ts'
import { changeDocument, readDocument } from '../../../src/clients/document.ts'
import type { McpError } from '../../../src/gateway/errors.ts'

const hub = { command: '/usr/bin/node', args: ['/x y/mcp-proxy.js', 'run', '--client', 'codex'] }

async function change(text: string, format: Format, at: string[], value?: unknown): Promise<string> {
  return (await changeDocument(Buffer.from(text), format, '/f', [value === undefined ? { at } : { at, value }])).toString()
}

const say = (text: string, format: Format): Promise<unknown> => readDocument(Buffer.from(text), format, '/f')

const at = ['mcpServers', 'hub']

describe('JSON with comments', () => {
  it('adds an entry behind the last one, its comment kept with it', async () => {
    const text = '{\n  // mine\n  "b": 1, /* odd */ "a": 2,\n  "mcpServers": {\n    "files": { "command": "npx" } // about files\n  }\n}\n'
    expect(await change(text, 'json', at, hub)).toBe(
      '{\n  // mine\n  "b": 1, /* odd */ "a": 2,\n  "mcpServers": {\n    "files": { "command": "npx" }, // about files\n' +
        '    "hub": {\n      "command": "/usr/bin/node",\n      "args": [\n        "/x y/mcp-proxy.js",\n        "run",\n        "--client",\n        "codex"\n      ]\n    }\n  }\n}\n',
    )
  })

  it.each([
    ['an empty file', ''],
    ['an empty object', '{}'],
    ['nothing but comments', '{ /* none yet */ }'],
    ['nothing but comments on lines', '{\n  // none yet\n}'],
    ['one line', '{"mcpServers":{"a":{"command":"x"}},"z":[1,2]}'],
    ['a trailing comma', '{\n\t"mcpServers": {\n\t\t"a": {}, // c\n\t},\n}'],
    ['CRLF', '{\r\n  "mcpServers": {\r\n    "a": {}\r\n  }\r\n}'],
    ['a mark and no last line feed', '\ufeff{\n    "z": 1,\n    "mcpServers": {}\n}'],
    ['comment markers in strings', '{"a": "// no /* comment", "mcpServers": {"u": {"url": "http://x//"}}}'],
  ])('adds to and takes from %s', async (_, text) => {
    const before = text.trim() === '' ? {} : await say(text, 'json')
    const added = await change(text, 'json', at, hub)
    expect(await say(added, 'json')).toMatchObject({ mcpServers: { hub } })
    if (text.includes('\r\n')) expect(added.replaceAll('\r\n', '')).not.toContain('\n')
    expect(added.startsWith('\ufeff')).toBe(text.startsWith('\ufeff'))
    const { mcpServers, ...rest } = (await say(await change(added, 'json', at), 'json')) as Record<string, unknown>
    expect({ ...rest, mcpServers: mcpServers ?? {} }).toEqual({ mcpServers: {}, ...(before as object) })
  })

  it.each([
    '{\n  "mcpServers": {\n    "a": {} // about a\n  }\n}\n',
    '{\n  "mcpServers": {\n    "a": {}, // about a\n    // dangling\n  },\n}\n',
    '{"mcpServers": {"a": {}}}',
    '{\r\n\t"mcpServers": {\r\n\t\t"a": {}\r\n\t}\r\n}\r\n',
  ])('taking out what was added gives the text of before: %j', async text => {
    expect(await change(await change(text, 'json', at, hub), 'json', at)).toBe(text)
  })

  it('keeps the comment of the one before when the last entry goes', async () => {
    expect(await change('{\n  "a": 1, // about a\n  "hub": 2 // ours\n}', 'json', ['hub'])).toBe('{\n  "a": 1 // about a\n}')
  })

  it.each([
    ['{"a": }', 1, 7],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
    ['{"a":1,\n "a":2}', 2, 2],
    ['[]', 1, 1],
  ])('refuses %s with its place', async (text, line, column) => {
    await expect(change(text, 'json', at, hub)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID', details: { problems: [{ line, column }] } })
  })

  it('refuses a container that is none', async () => {
    for (const container of ['[]', '"x"', 'null'])
      await expect(change(`{"mcpServers": ${container}}`, 'json', at, hub)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
  })

  it('refuses what is not UTF-8', async () => {
    await expect(changeDocument(Buffer.from([0xff, 0xfe, 0x7b, 0]), 'json', '/f', [{ at, value: hub }])).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
    await expect(changeDocument(Buffer.from([0x7b, 0xe9, 0x7d]), 'json', '/f', [{ at, value: hub }])).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
  })

  it('means what it meant, whatever the document', async () => {
    const key = fc.string({ minLength: 1, maxLength: 8 }).filter(text => text !== '__proto__' && text !== 'mcpServers')
    const servers = fc.dictionary(key.filter(text => text !== 'hub'), fc.record({ command: fc.string() }), { maxKeys: 3, noNullPrototype: true })
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3, noNullPrototype: true }), servers, fc.constantFrom(0, 2, '\t'), async (rest, mcpServers, unit) => {
        const text = JSON.stringify({ ...rest, mcpServers }, null, unit)
        const added = await change(text, 'json', at, hub)
        expect(JSON.parse(added)).toEqual(JSON.parse(JSON.stringify({ ...rest, mcpServers: { ...mcpServers, hub } })))
        expect(JSON.parse(await change(added, 'json', at))).toEqual(JSON.parse(text))
      }),
      { numRuns: 150 },
    )
  })
})

describe('TOML', () => {
  const at = ['mcp_servers', 'hub']
  const text = '# mine\nmodel = "o3"   # keep\n\n[mcp_servers.files] # files\ncommand = "npx"\nargs = [ "-y",\n   "files", # two\n]\n\n  [mcp_servers.files.env]\n  A = \'1\'\n\n[projects."/home/a b"]\nwhen = 1979-05-27T07:32:00Z\nbig = 9007199254740993\n# the end\n'

  it('adds a table at the end and leaves every other byte alone', async () => {
    const added = await change(text, 'toml', at, { ...hub, startup_timeout_sec: 60, env: { 'a b': 'x"y' } })
    expect(added).toBe(
      `${text}\n[mcp_servers.hub]\ncommand = "/usr/bin/node"\nargs = ["/x y/mcp-proxy.js", "run", "--client", "codex"]\nstartup_timeout_sec = 60\n\n[mcp_servers.hub.env]\n"a b" = "x\\"y"\n`,
    )
  })

  it.each([
    ['nothing', ''],
    ['only a comment', '# c'],
    ['CRLF', text.replaceAll('\n', '\r\n')],
    ['a mark', `\ufeff${text}`],
    ['no last line feed', text.trimEnd()],
    ['an inline table', 'mcp_servers = { a = { command = "x" } }\n'],
    ['a table of inline tables', '[mcp_servers]\na = { command = "x" } # c\n\n[other]\nb=1\n'],
    ['dotted keys', 'mcp_servers.a.command = "x"\n[other]\nb=1'],
  ])('adds to and takes from %s', async (_, source) => {
    const before = (await say(source, 'toml')) as { mcp_servers?: object }
    const added = await change(source, 'toml', at, hub)
    expect(await say(added, 'toml')).toEqual({ ...before, mcp_servers: { ...before.mcp_servers, hub } })
    expect(added).not.toMatch(/,\s*\}/)
    if (source.includes('\r\n')) expect(added.replaceAll('\r\n', '')).not.toContain('\n')
    const left = (await say(await change(added, 'toml', at), 'toml')) as { mcp_servers?: object }
    expect({ ...left, mcp_servers: left.mcp_servers ?? {} }).toEqual({ mcp_servers: {}, ...before })
  })

  it('changes our table and nothing else', async () => {
    const added = await change(text, 'toml', at, hub)
    const changed = await change(added, 'toml', at, { ...hub, command: '/opt/node' })
    expect(changed).toBe(added.replace('/usr/bin/node', '/opt/node'))
  })

  it('refuses what is no TOML, with the place', async () => {
    await expect(change('a = 1\nb = \n', 'toml', at, hub)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID', details: { problems: [{ line: 2 }] } })
  })
})

describe('YAML', () => {
  const at = ['extensions', 'hub']
  const text = '# goose\nGOOSE_MODEL:   gpt  # spaces kept\nextensions:\n    developer:   # built in\n        enabled: true\n        type: builtin\n\n    files:\n        cmd: npx\n        args: [ -y,   files ]\n# after\nGOOSE_MODE: auto\n'

  it('adds lines behind the last entry and leaves every other byte alone', async () => {
    const added = await change(text, 'yaml', at, { cmd: '/n', args: ['a'] })
    expect(added).toBe(text.replace('# after', '    hub:\n      cmd: /n\n      args:\n        - a\n# after'))
    expect(await change(added, 'yaml', at)).toBe(text)
  })

  it.each([
    ['nothing', ''],
    ['only a comment', '# c'],
    ['no extensions', 'a: 1\n'],
    ['no extensions and no last line feed', 'a: 1'],
    ['an empty value', 'a: 1\nextensions:\nb: 2\n'],
    ['an empty map', 'extensions: {}\nb: 2\n'],
    ['a flow map', 'extensions: { a: { type: builtin } } # c\n'],
    ['CRLF', text.replaceAll('\n', '\r\n')],
    ['a mark', `\ufeff${text}`],
    ['a block text at the end', 'extensions:\n  a:\n    description: |\n      one\n\n      two\n'],
  ])('adds to and takes from %s', async (_, source) => {
    const before = (await say(source, 'yaml')) as { extensions?: object | null }
    const added = await change(source, 'yaml', at, hub)
    expect(await say(added, 'yaml')).toEqual({ ...before, extensions: { ...before.extensions, hub } })
    if (source.includes('\r\n')) expect(added.replaceAll('\r\n', '')).not.toContain('\n')
    if (source.includes('#')) expect(added).toContain(/#.*/.exec(source)![0].trim())
    const left = (await say(await change(added, 'yaml', at), 'yaml')) as { extensions?: object | null }
    expect({ ...left, extensions: left.extensions ?? {} }).toEqual({ ...before, extensions: before.extensions ?? {} })
  })

  it('refuses what is no YAML, with the place', async () => {
    await expect(change('a: 1\nb: [\n', 'yaml', at, hub)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
    await expect(change('a: 1\na: 2\n', 'yaml', at, hub)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID', details: { problems: [{ line: 2 }] } })
  })
})

it.each([
  ['yaml', 'a:\n  T: |hunter22\n'],
  ['yaml', 'a:\n  T: *hunter22\n'],
  ['yaml', 'a:\n  T: ]hunter22\n'],
  ['toml', 'a = hunter22\n'],
  ['toml', 'a = "x" hunter22\n'],
  ['json', '{"a": "x" hunter22}'],
] as const)('a mistake in %s is said without what may be a secret: %j', async (format, text) => {
  const error: unknown = await say(text, format).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
  const { message, details } = error as McpError
  expect(JSON.stringify([message, details])).not.toContain('hunter22')
})
