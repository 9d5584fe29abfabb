/** What people see, and how an entry of ours is known again: diffs, command lines, launchers, drift. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { unifiedDiff } from '../../../src/clients/diff.ts'
import { driftOf } from '../../../src/clients/install.ts'
import { isOurs, lastingNode, launchOf } from '../../../src/clients/launch.ts'
import { describeServer, shellWord } from '../../../src/clients/show.ts'
import { numbersOf } from '../../../src/cli/init.ts'
import { linux } from './machine.ts'

describe('diff', () => {
  it('shows what changes with three lines around it', () => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`)
    const after = [...lines.slice(0, 9), 'new', ...lines.slice(10)]
    expect(unifiedDiff(`${lines.join('\n')}\n`, `${after.join('\n')}\n`, 'f')).toBe(
      '--- f\n+++ f\n@@ -7,7 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n+new\n line 11\n line 12\n line 13\n',
    )
  })

  it('shows a new file, a removed one, and a missing last line feed', () => {
    expect(unifiedDiff(undefined, 'a\n', 'f')).toBe('--- /dev/null\n+++ f\n@@ -0,0 +1,1 @@\n+a\n')
    expect(unifiedDiff('a', undefined, 'f')).toBe('--- f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n\\ No newline at end of file\n')
    expect(unifiedDiff('a', 'a', 'f')).toBe('')
  })

  it('can be applied', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 }).map(lines => lines.map(line => `${line}\n`).join(''))
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(applied(before, unifiedDiff(before, after, 'f'))).toBe(after)
      }),
    )
  })
})

/** What `patch` would make of it. */
function applied(before: string, diff: string): string {
  const old = before.split('\n').slice(0, -1)
  const out: string[] = []
  let at = 0
  for (const line of diff.split('\n').slice(2, -1)) {
    const start = /^@@ -(\d+),(\d+)/.exec(line)
    if (start) {
      const target = Number(start[2]) === 0 ? Number(start[1]) : Number(start[1]) - 1
      while (at < target) out.push(old[at++] as string)
    } else if (line.startsWith('+')) out.push(line.slice(1))
    else {
      expect(old[at]).toBe(line.slice(1))
      if (line.startsWith(' ')) out.push(old[at] as string)
      at++
    }
  }
  return [...out, ...old.slice(at)].map(line => `${line}\n`).join('')
}

describe('command lines', () => {
  it('are whole, and nothing hides in them', () => {
    const long = 'x'.repeat(5000)
    expect(describeServer({ command: 'npx', args: ['-y', 'a b', "it's", long], env: { NODE_OPTIONS: '--require /tmp/x' }, cwd: '/w' })).toEqual([
      `npx -y 'a b' 'it'\\''s' ${long}`,
      "env NODE_OPTIONS='--require /tmp/x'",
      'in /w',
    ])
    expect(shellWord('safe\u202eevil\r\x1b[2K')).toBe("$'safe\\u202eevil\\u000d\\u001b[2K'")
    expect(describeServer({ url: 'https://x/mcp', headers: { A: 'b c' } })).toEqual(['https://x/mcp', "header A: 'b c'"])
  })
})

describe('our entry', () => {
  it.each([
    [{ command: '/usr/bin/node', args: ['/x/bin/mcp-proxy.js', 'run', '--client', 'zed'] }, true],
    [{ command: 'C:\\nodejs\\mcp-proxy.cmd', args: ['run', '--client', 'zed'] }, true],
    [{ command: ['/n', '/x/mcp-proxy-server', 'run', '--client', 'opencode'] }, true],
    [{ cmd: '/n', args: ['/x/mcp-proxy.js', 'run', '--client', 'goose'] }, true],
    [{ command: { path: '/n', args: ['/x/mcp-proxy.js', 'run', '--client', 'zed'] } }, true],
    [{ command: 'npx', args: ['-y', 'mcp-proxy-server@1.2.3', 'run', '--client', 'x'] }, true],
    // Others of our name.
    [{ command: 'mcp-proxy', args: ['http://localhost:8080/sse'] }, false],
    [{ command: 'npx', args: ['mcp-proxy', '--port', '1', 'run'] }, false],
    [{ url: 'http://127.0.0.1/mcp' }, false],
    ['mcp-proxy run --client x', false],
  ])('%j is ours: %s', (entry, ours) => {
    expect(isOurs(entry)).toBe(ours)
  })

  it('carries what a client’s narrow environment loses, and the config when it is another', () => {
    const on = linux({ MCP_PROXY_HOME: '/m', PATH: '/bin', XDG_CONFIG_HOME: '' })
    expect(launchOf('zed', { on, node: '/usr/bin/node', script: '/s/mcp-proxy.js', config: '/c.json' })).toEqual({
      command: '/usr/bin/node',
      args: ['/s/mcp-proxy.js', 'run', '--client', 'zed', '--config', '/c.json'],
      env: { MCP_PROXY_HOME: '/m' },
    })
  })

  it('names a Node that outlives its update, if there is one', () => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-proxy-node-')))
    try {
      const cellar = join(dir, 'Cellar', 'node', '22.1.0', 'bin')
      mkdirSync(cellar, { recursive: true })
      writeFileSync(join(cellar, 'node'), '')
      const on = linux({ PATH: `/nowhere:${cellar}` })
      expect(lastingNode({ on, node: join(cellar, 'node') })).toBe(join(cellar, 'node'))
      expect(lastingNode({ on, node: '/home/ann/.nvm/versions/node/v20.20.2/bin/node' })).toBe('/home/ann/.nvm/versions/node/v20.20.2/bin/node')
      // A folder under /tmp is itself one that passes, so the lasting one stands elsewhere.
      const lasting = realpathSync(mkdtempSync(join(homedir(), '.mcp-proxy-node-')))
      try {
        symlinkSync(join(cellar, 'node'), join(lasting, 'node'))
        expect(lastingNode({ on: linux({ PATH: `${cellar}:${lasting}` }), node: join(cellar, 'node') })).toBe(join(lasting, 'node'))
        // As fnm has it on Windows: a link for each shell, which is all that is on the PATH.
        const shell = join(dir, 'fnm_multishells', '12_34')
        mkdirSync(shell, { recursive: true })
        writeFileSync(join(lasting, 'node.exe'), '')
        symlinkSync(join(lasting, 'node.exe'), join(shell, 'node.exe'))
        const on = { ...linux({ PATH: shell }), exists: () => true }
        expect(lastingNode({ on, node: join(shell, 'node.exe') })).toBe(join(lasting, 'node.exe'))
      } finally {
        rmSync(lasting, { recursive: true })
      }
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it('drifts by what we would write, not by what its user added', () => {
    const wanted = { command: '/n', args: ['a'], env: {} }
    expect(driftOf({ command: '/n', args: ['a'], disabled: true }, wanted)).toEqual([])
    expect(driftOf({ command: '/old', args: ['a'] }, wanted)).toEqual(['command is "/old", not "/n"'])
    expect(driftOf({ command: '/n' }, wanted)).toEqual(['args is missing, not ["a"]'])
  })
})

it.each([
  ['1,3-5', [1, 3, 4, 5]],
  ['2', [2]],
  ['1 2', [1, 2]],
  ['0', undefined],
  ['6', undefined],
  ['3-1', undefined],
  ['x', undefined],
  ['', undefined],
])('a choice of %j', (text, numbers) => {
  expect(numbersOf(text, 5)).toEqual(numbers && new Set(numbers))
})
