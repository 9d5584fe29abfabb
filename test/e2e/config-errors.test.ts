/** Malformed configs, as users write them: each stops the command with exit code 2 and says where the mistake is. */
import { basename } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createSandbox } from './harness.ts'

interface Malformed {
  readonly title: string
  /** `«` stands in front of what is at fault and is taken out. */
  readonly text: string
  readonly yaml?: boolean
  /** What the message or hint must mention. */
  readonly says?: RegExp
}

const server = (inside: string) => `{\n  "mcpServers": {\n    "files": {\n      ${inside}\n    }\n  }\n}\n`

const malformed: readonly Malformed[] = [
  { title: 'an empty file', text: '«' },
  { title: 'a list at the top', text: '«[]' },
  { title: 'a file that ends early', text: '{\n  "mcpServers": {\n    "a": { "command": "node" }\n«' },
  { title: 'a missing comma', text: server('"command": "node"\n      «"args": []') },
  { title: 'text after the end', text: '{ "mcpServers": { "a": { "command": "node" } } }\n«oops' },
  { title: 'an alias twice', text: '{\n  "mcpServers": {\n    "a": { "command": "x" },\n    «"a": { "command": "y" }\n  }\n}', says: /"?a"?/ },
  { title: 'a key of a server twice', text: server('"command": "x",\n      «"command": "y"'), says: /command/ },
  { title: 'a misspelt key of a server', text: server('«"comand": "node"'), says: /command/ },
  { title: 'a misspelt key at the top', text: '{\n  «"mcpServer": {}\n}', says: /mcpServers/ },
  { title: 'a misspelt nested key', text: server('"command": "node",\n      "timeouts": {\n        «"cal": "5s"\n      }'), says: /call/ },
  { title: 'a string where a list belongs', text: server('"command": "node",\n      «"args": "-y server"'), says: /args|array|list/ },
  { title: 'a list where an object belongs', text: server('"command": "node",\n      «"env": ["A=1"]'), says: /env|object/ },
  { title: 'servers as a list', text: '{\n  «"mcpServers": [{ "command": "node" }]\n}' },
  { title: 'a word that is no choice', text: server('"command": "node",\n      «"start": "sometimes"'), says: /lazy.*eager|eager.*lazy/s },
  { title: 'a duration nobody knows', text: server('"command": "node",\n      "timeouts": {\n        «"call": "5 parsecs"\n      }') },
  { title: 'a size nobody knows', text: server('"command": "node",\n      "limits": {\n        «"messageBytes": "lots"\n      }') },
  { title: 'a command and an address', text: server('"command": "node",\n      «"url": "https://example.com/mcp"') },
  { title: 'neither a command nor an address', text: '{\n  "mcpServers": {\n    «"files": { "args": [] }\n  }\n}' },
  { title: 'an address that is none', text: server('«"url": "not an address"') },
  { title: 'an alias with the separator in it', text: '{\n  "mcpServers": {\n    «"my__files": { "command": "node" }\n  }\n}', says: /my__files/ },
  { title: 'an alias with a space', text: '{\n  "mcpServers": {\n    «"my files": { "command": "node" }\n  }\n}', says: /my files/ },
  { title: 'a port out of range', text: '{\n  "mcpServers": { "a": { "command": "node" } },\n  "listen": { "http": {\n    «"port": 70000\n  } }\n}', says: /65535|port/ },
  { title: 'a prefix rule nobody knows', text: '{\n  "mcpServers": { "a": { "command": "node" } },\n  "names": {\n    «"prefix": "maybe"\n  }\n}', says: /always/ },
  { title: 'YAML: a tab for indentation', text: 'mcpServers:\n«\ta:\n\t\tcommand: node\n', yaml: true },
  { title: 'YAML: an alias twice', text: 'mcpServers:\n  a:\n    command: x\n  «a:\n    command: y\n', yaml: true },
  { title: 'YAML: a misspelt key', text: 'mcpServers:\n  a:\n    command: node\n    «argz: []\n', yaml: true, says: /args/ },
]

describe('a malformed config', () => {
  const sandbox = createSandbox()
  afterAll(() => sandbox.dispose())

  it.each(malformed.map((entry, index) => ({ ...entry, index })))('$title', async ({ text, yaml, says, index }) => {
    const lines = text.slice(0, text.indexOf('«')).split('\n')
    const line = lines.length
    const file = sandbox.write(`bad-${index}.${yaml ? 'yaml' : 'json'}`, text.replace('«', ''))

    const [run, checked] = await Promise.all([
      sandbox.run(['run', '--config', file]),
      index % 3 === 0 ? sandbox.run(['validate', file, '--json']) : undefined,
    ])
    expect(run.code, run.stderr).toBe(2)
    expect(run.stdout).toBe('')
    expect(run.stderr).toMatch(/^error CONFIG_INVALID: ./m)
    expect(run.stderr).toMatch(new RegExp(`at \\S*${basename(file)}:${line}:\\d+`))
    expect(run.stderr).not.toMatch(/^\s+at .*\(.*\.js:\d+/m)
    if (says) expect(run.stderr).toMatch(says)
    if (!checked) return

    expect(checked.code).toBe(2)
    const report = JSON.parse(checked.stdout)
    expect(report).toMatchObject({ ok: false })
    expect(report.problems.filter((problem: { severity: string; line: number }) => problem.severity === 'error').map((problem: { line: number }) => problem.line)).toContain(line)
    for (const problem of report.problems)
      expect(problem).toMatchObject({ code: expect.any(String), message: expect.any(String), line: expect.any(Number), column: expect.any(Number), path: expect.any(String) })
  })

  it('is reported whole, not mistake by mistake', async () => {
    const file = sandbox.write('three.json', '{\n  "mcpServers": {\n    "a": { "command": 1 },\n    "b": { "comand": "x" },\n    "c": { "url": "nowhere" }\n  }\n}')
    const { code, stdout } = await sandbox.run(['validate', file, '--json'])
    expect(code).toBe(2)
    const lines = JSON.parse(stdout).problems.map((problem: { line: number }) => problem.line)
    expect(lines).toEqual(expect.arrayContaining([3, 4, 5]))
  })

  it('is one line of JSON on request', async () => {
    const file = sandbox.write('json.json', '{ "mcpServers": 1 }')
    const { code, stderr, stdout } = await sandbox.run(['list', '--config', file, '--json'])
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'CONFIG_INVALID', problems: [{ line: 1, file }] } })
  })

  it('that is not there is named', async () => {
    const { code, stderr } = await sandbox.run(['run', '--config', 'no-such-file.json'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^error CONFIG_NOT_FOUND: .*no-such-file\.json/m)
  })
})
