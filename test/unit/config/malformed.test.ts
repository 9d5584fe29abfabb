/** Files that are no config: each gets its code, its line and column, and its key path, at once and without a stack trace. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectConfig, loadConfig } from '../../../src/config/load.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { processorMs } from '../timing.ts'

const folder = fileURLToPath(new URL('../../fixtures/configs/bad/', import.meta.url))

/** File, code, line, column, path of the first error. */
const expected: readonly (readonly [string, string, number, number, string])[] = [
  ['args-text.json', 'WRONG_TYPE', 3, 40, 'mcpServers.files.args'],
  ['array.json', 'WRONG_TYPE', 1, 1, ''],
  ['bad-alias.json', 'BAD_ALIAS', 3, 5, 'mcpServers["my files"]'],
  ['bad-escape.json', 'SYNTAX', 2, 41, ''],
  ['bare-word.json', 'SYNTAX', 2, 41, ''],
  ['both-spellings.json', 'CONFLICT', 2, 58, 'mcpServers.files.serverUrl'],
  ['case-twins.json', 'BAD_ALIAS', 4, 5, 'mcpServers.files'],
  ['choice.json', 'BAD_VALUE', 2, 55, 'mcpServers.files.share'],
  ['cycle.yaml', 'SYNTAX', 4, 10, 'mcpServers.files.env'],
  ['defaults-way.json', 'BAD_VALUE', 3, 39, 'defaults.timeouts.call'],
  ['dot-twins.json', 'BAD_ALIAS', 4, 5, 'mcpServers.my_files'],
  ['duplicate-alias.json', 'DUPLICATE_KEY', 4, 5, 'mcpServers.files'],
  ['duplicate-key.json', 'DUPLICATE_KEY', 3, 44, 'mcpServers.files.command'],
  ['duplicate.yaml', 'DUPLICATE_KEY', 4, 3, 'mcpServers.files'],
  ['duration.json', 'BAD_VALUE', 2, 68, 'mcpServers.files.timeouts.call'],
  ['empty.json', 'SYNTAX', 1, 1, ''],
  ['empty.yaml', 'SYNTAX', 1, 1, ''],
  ['enabled-disabled.json', 'CONFLICT', 2, 63, 'mcpServers.files.disabled'],
  ['enabled.json', 'BAD_VALUE', 2, 57, 'mcpServers.files.enabled'],
  ['env-object.json', 'WRONG_TYPE', 3, 50, 'mcpServers.files.env.TOKEN'],
  ['fraction.json', 'BAD_VALUE', 2, 73, 'mcpServers.files.limits.concurrency'],
  ['ftp-url.json', 'BAD_VALUE', 3, 23, 'mcpServers.files.url'],
  ['header-name.json', 'BAD_VALUE', 3, 59, 'mcpServers.files.headers["X Token"]'],
  ['header-newline.json', 'BAD_VALUE', 3, 76, 'mcpServers.files.headers.Authorization'],
  ['huge-duration.json', 'BAD_VALUE', 2, 61, 'mcpServers.files.idleTimeout'],
  ['huge-size.json', 'BAD_VALUE', 2, 74, 'mcpServers.files.limits.messageBytes'],
  ['instance-without-way.json', 'MISSING_KEY', 3, 51, 'mcpServers.search.instances[1]'],
  ['instances-and-command.json', 'CONFLICT', 5, 7, 'mcpServers.search.command'],
  ['missing-comma.json', 'SYNTAX', 3, 33, ''],
  ['misspelt-key.json', 'UNKNOWN_KEY', 3, 16, 'mcpServers.files.comand'],
  ['misspelt-section.json', 'UNKNOWN_KEY', 3, 3, 'default'],
  ['misspelt-setting.json', 'UNKNOWN_KEY', 3, 12, 'log.levle'],
  ['misspelt.yaml', 'UNKNOWN_KEY', 3, 5, 'mcpServers.files.comand'],
  ['negative-duration.json', 'BAD_VALUE', 3, 16, 'startWait'],
  ['neither.json', 'MISSING_KEY', 3, 5, 'mcpServers.files'],
  ['no-anchor.yaml', 'SYNTAX', 2, 10, 'mcpServers.files'],
  ['no-instances.json', 'BAD_VALUE', 3, 30, 'mcpServers.search.instances'],
  ['no-servers.json', 'NO_SERVERS', 1, 1, ''],
  ['null-server.json', 'WRONG_TYPE', 2, 28, 'mcpServers.files'],
  ['only-comment.jsonc', 'SYNTAX', 1, 1, ''],
  ['own-separator-in-alias.json', 'BAD_ALIAS', 4, 5, 'mcpServers["my.files"]'],
  ['port.json', 'BAD_VALUE', 3, 33, 'listen.http.port'],
  ['proto-escaped.json', 'FORBIDDEN_KEY', 3, 5, 'mcpServers.__proto__'],
  ['proto.json', 'FORBIDDEN_KEY', 3, 41, 'mcpServers.files.env.__proto__'],
  ['proto.yaml', 'FORBIDDEN_KEY', 4, 12, 'mcpServers.files.env.__proto__'],
  ['separator-in-alias.json', 'BAD_ALIAS', 3, 5, 'mcpServers.my__files'],
  ['servers-list.json', 'WRONG_TYPE', 2, 17, 'mcpServers'],
  ['single-quotes.json', 'SYNTAX', 2, 3, ''],
  ['tab.yaml', 'SYNTAX', 3, 1, ''],
  ['tag.yaml', 'SYNTAX', 3, 14, ''],
  ['tls-half.json', 'MISSING_KEY', 3, 32, 'listen.http.tls.key'],
  ['trailing.json', 'SYNTAX', 2, 1, ''],
  ['two-containers.json', 'DUPLICATE_KEY', 3, 16, 'servers.files'],
  ['two-documents.yaml', 'SYNTAX', 2, 1, ''],
  ['type-of-command.json', 'CONFLICT', 3, 32, 'mcpServers.files.type'],
  ['unclosed-text.json', 'SYNTAX', 3, 27, ''],
  ['unclosed.json', 'SYNTAX', 4, 1, ''],
  ['unclosed.yaml', 'SYNTAX', 3, 1, ''],
  ['unknown-type.json', 'BAD_VALUE', 3, 58, 'mcpServers.files.type'],
  ['unset-setting.json', 'UNSET_VARIABLE', 3, 20, 'log.file'],
  ['url-and-command.json', 'CONFLICT', 3, 32, 'mcpServers.files.url'],
  ['websocket.json', 'BAD_VALUE', 3, 16, 'mcpServers.files.type'],
]

describe('a malformed file', () => {
  it.each(expected)('%s: %s at %i:%i', async (name, code, line, column, path) => {
    const { problems, loaded, file } = await inspectConfig(join(folder, name), { env: {} })
    const first = problems.find(({ severity }) => severity === 'error')
    expect(first).toMatchObject({ severity: 'error', code, line, column, path, file })
    expect(loaded).toBeUndefined()
  })

  it('stops the load with exit code 2 and all problems', async () => {
    const failure: unknown = await loadConfig(join(folder, 'misspelt.yaml'), { env: {} }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(McpError)
    const { code, exitCode, details } = failure as McpError
    expect({ code, exitCode }).toEqual({ code: 'CONFIG_INVALID', exitCode: 2 })
    expect(details.problems).toHaveLength(2)
  })

  it('says what it expected and what was probably meant', async () => {
    const read = async (name: string) => (await inspectConfig(join(folder, name), { env: {} })).problems[0]
    expect(await read('misspelt-key.json')).toMatchObject({
      message: 'unknown key mcpServers.files.comand',
      hint: 'did you mean "command"?',
    })
    expect(await read('choice.json')).toMatchObject({
      message: 'mcpServers.files.share: expected "auto" or "global" or "session", got "sesion"',
      hint: 'did you mean "session"?',
    })
  })

  it('never repeats what may be a secret', async () => {
    for (const name of ['env-object.json', 'header-newline.json', 'unclosed-text.json']) {
      const { problems } = await inspectConfig(join(folder, name), { env: {} })
      expect(JSON.stringify(problems)).not.toMatch(/hunter22|X-Evil|npx/)
    }
  })

  const server = (value: string): string => `mcpServers:\n  a:\n    command: x\n    env:\n      TOKEN: ${value}\n`
  it.each([
    ['a star', server('*hunter22')],
    ['a bracket', server(']hunter22')],
    ['a pipe', server('|hunter22')],
    ['a greater-than sign', server('>hunter22')],
    ['text after the end', '{mcpServers: {a: {command: x}}}} hunter22\n'],
    ['a directive', '%hunter22\nmcpServers: {}\n'],
    ['arguments in one text', 'mcpServers: {a: {command: x, args: "--token hunter22"}}\n'],
    ['an address', 'mcpServers: {a: {url: "ftp://me:hunter22@h/"}}\n'],
  ])('never repeats what may be a secret: %s in YAML', async (_, text) => {
    const file = join(mkdtempSync(join(tmpdir(), 'config-')), 'config.yaml')
    writeFileSync(file, text)
    const { problems } = await inspectConfig(file, { env: {} })
    rmSync(dirname(file), { recursive: true })
    expect(problems.some(({ severity }) => severity === 'error')).toBe(true)
    expect(JSON.stringify(problems)).not.toContain('hunter22')
  })
})

describe('a hostile file', () => {
  let scratch: string
  beforeAll(() => void (scratch = mkdtempSync(join(tmpdir(), 'config-'))))
  afterAll(() => rmSync(scratch, { recursive: true }))

  const many = (count: number, item: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => item(index)).join(',\n')
  const cases: readonly (readonly [string, string | Buffer, string, number, number])[] = [
    ['fifty-megabytes.json', Buffer.alloc(50_000_000, 32), 'TOO_LARGE', 1, 1],
    ['large.yaml', `a: ${'x'.repeat(300_000)}`, 'TOO_LARGE', 1, 1],
    ['deep-lists.json', '['.repeat(100_000), 'TOO_DEEP', 1, 65],
    ['deep-objects.json', '{"a":'.repeat(100_000), 'TOO_DEEP', 1, 321],
    ['deep-flow.yaml', '['.repeat(100_000), 'TOO_DEEP', 1, 257],
    ['deep-blocks.yaml', '- '.repeat(100_000), 'TOO_DEEP', 1, 1025],
    ['many-aliases.yaml', `l: [${'b, '.repeat(2000)}b]\na: &a v\nm: [${'*a, '.repeat(20_000)}b]`, 'TOO_LARGE', 2, 7],
    ['deep-keys.yaml', '? '.repeat(100_000), 'TOO_DEEP', 1, 1025],
    ['many-keys.json', `{${many(100_000, index => `"k${index}":1`)}}`, 'TOO_LARGE', 20_000, 11],
    ['one-key.json', `{${many(100_000, () => '"k":1')}}`, 'TOO_LARGE', 20_000, 6],
    ['many-servers.json', `{"mcpServers":{${many(5000, index => `"s${index}":{"command":"\${NO}"}`)}}}`, 'TOO_LARGE', 1, 15],
    ['nul.json', '{"mcpServers": {"a": {"command": "x\0y"}}}', 'ENCODING', 1, 36],
    ['utf-16.json', Buffer.from('\ufeff{"mcpServers": {}}', 'utf16le'), 'ENCODING', 1, 1],
    ['latin-1.json', Buffer.from('{\n  "mcpServers": { "é": {} }\n}', 'latin1'), 'ENCODING', 2, 20],
    ['gzip.json', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0]), 'ENCODING', 1, 2],
  ]

  it.each(cases)('%s is refused with a position', async (name, content, code, line, column) => {
    const file = join(scratch, name)
    writeFileSync(file, content)
    const before = processorMs()
    const { problems, loaded } = await inspectConfig(file, { env: {} })
    // The promise is 100 ms; the rest is for slower machines.
    expect(processorMs() - before).toBeLessThan(1000)
    expect(loaded).toBeUndefined()
    expect(problems[0]).toMatchObject({ severity: 'error', code, line, column })
  })

  it('unfolds aliases within bounds', async () => {
    const { problems, loaded } = await inspectConfig(join(folder, 'bomb.yaml'), { env: {} })
    expect(loaded).toBeUndefined()
    expect(problems[0]).toMatchObject({ code: 'TOO_LARGE' })
  })

  it('takes a byte order mark', async () => {
    const file = join(scratch, 'bom.json')
    writeFileSync(file, '\ufeff{"mcpServers": {"a": {"command": "x"}}}')
    expect((await loadConfig(file, { env: {} })).config.backends).toHaveLength(1)
  })

  it('does not wait for a device or take a folder', async () => {
    await expect(inspectConfig('/dev/zero', { env: {} })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(inspectConfig(scratch, { env: {} })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(inspectConfig(join(scratch, 'none.json'), { env: {} })).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' })
  })
})
