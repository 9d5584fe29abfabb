/**
 * Every command on every page is run as it stands there, by a reader with a home of their own, page by page and from top to
 * bottom. What cannot be run here says so on the page: what shows it instead, or why nothing can.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bin, createSandbox, remoteBackend, root, type Sandbox, type Started } from '../e2e/harness.ts'
import { blocksOf, commandsOf, hasCommands, pages, type Block } from './pages.ts'
import { pack, reader, type Reader } from './reader.ts'

/** Run by .ci/run on a clean clone, before everything else; see there. */
const runByCi = ['npm ci && npm run demo', 'npm test']

/** Written by the benchmark itself, which runs for minutes on a quiet machine. */
const runByHand = ['docs/benchmarks.md']

let box: Sandbox
let remote: Started
let tarball: string
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-pack-'))
  tarball = pack(folder)
  box = createSandbox()
  // Stands for every address on the pages.
  remote = await remoteBackend(box, 'v1', 'remote', 'http')
})
afterAll(async () => {
  await remote?.stop()
  rmSync(folder, { recursive: true, force: true })
  await box.dispose()
})

const isElsewhere = ({ page, text }: Block): boolean => runByCi.includes(text) || runByHand.includes(page)
const isRunHere = (block: Block): boolean => !block.notes['not run'] && !block.notes['shown by'] && !isElsewhere(block)

/** The config that a page takes for granted. */
const ordinary = JSON.stringify({ mcpServers: { files: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', '/data'] } } })

/** Pages that start from nothing. */
const fromNothing = ['docs/getting-started.md']

describe.each(pages.filter(page => blocksOf(page).some(block => (hasCommands(block) || block.notes['file']) && isRunHere(block))))('%s', page => {
  const blocks = blocksOf(page)
  let typing: Reader
  beforeAll(async () => {
    typing = await reader(tarball, {
      installed: !fromNothing.includes(page),
      differs: {
        '/data': folder,
        'https://api.githubcopilot.com/mcp/': remote?.url,
        'https://example.com/mcp': remote?.url,
        'examples/quickstart/mcp-proxy.json': join(root, 'examples/quickstart/mcp-proxy.json'),
        // In a checkout npx finds the program of the checkout.
        'npx mcp-proxy ': `${process.execPath} ${bin} `,
      },
    })
    if (fromNothing.includes(page)) return
    typing.write('~/.config/mcp-proxy/config.json', ordinary)
    typing.write('mcp-proxy.json', ordinary)
  })
  afterAll(() => typing?.leave())

  it.each(blocks.filter(block => (hasCommands(block) || block.notes['file']) && isRunHere(block)).map(block => ({ ...block, first: block.text.split('\n')[0] })))(
    'line $line: $first',
    async block => {
      if (block.notes['file'] !== undefined) return typing.write(block.notes['file'], block.text)
      const commands = commandsOf(block)
      expect(commands.length).toBeGreaterThan(0)
      for (const [index, command] of commands.entries()) {
        const { code, stdout, stderr } = await typing.run(command)
        const expected = index === commands.length - 1 ? Number(block.notes['exit'] ?? 0) : 0
        expect(code, `${page}:${block.line}: ${typing.here(command.text)}\n${stdout}${stderr}`).toBe(expected)
        if (command.prints !== undefined) expect(`${withoutTails(`${stdout}${stderr}`)}\n`).toMatch(patternOf(typing.here(command.prints)))
      }
    },
    120_000,
  )
})

const withoutTails = (text: string): string => text.replace(/[ \t]+$/gm, '').trimEnd()

/** A line of `…` is any number of lines, `…` within one any text; gaps in tables are as wide as they are. */
function patternOf(printed: string): RegExp {
  const lines = printed.split('\n').map(line => {
    if (line.trim() === '…') return '(?:[^\\n]*\\n)*?'
    return `${line.trimEnd().split('…').map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/ +/g, ' +')).join('[^\\n]*')}\\n`
  })
  return new RegExp(`^${lines.join('')}$`)
}

describe('what is not run here', () => {
  const others = pages.flatMap(blocksOf).filter(block => hasCommands(block) && !isRunHere(block) && !isElsewhere(block))
  it.each(others.map(block => ({ ...block, at: `${block.page}:${block.line}` })))('$at says what shows it, or why nothing does', ({ notes }) => {
    if (notes['shown by'] !== undefined) expect(existsSync(join(root, notes['shown by'])), notes['shown by']).toBe(true)
    else expect((notes['not run'] as string).length).toBeGreaterThan(10)
  })

  it('no command hides in a block that does not say it is one', () => {
    for (const block of pages.flatMap(blocksOf).filter(one => one.language === ''))
      expect(block.text, `${block.page}:${block.line}: write sh or console behind the fence`).not.toMatch(/^(\$ |mcp-proxy |npx |npm |docker |sudo )/m)
  })
})
