/** What the pages for people say of the command line is what the command line does. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { commands, parse } from '../../../src/cli/command.ts'
import { exitCodes } from '../../../src/cli/report.ts'
import { fakeIo } from './fake-io.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const page = (name: string): string => readFileSync(join(root, name), 'utf8')

describe('docs/cli.md', () => {
  it.each(commands.map(({ name }) => name))('has a row for %s', name =>
    expect(page('docs/cli.md').split('\n').some(line => new RegExp(`^\\| \`${name}[ \`]`).test(line)), `a row in its first table`).toBe(true),
  )

  it('lists the exit codes there are', () => {
    const listed = [...page('docs/cli.md').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))
    expect(listed).toEqual(Object.values(exitCodes))
  })

  it('names every flag that all commands take', async () => {
    const io = fakeIo()
    await parse(['--help'], io)
    const flags = [...io.out().matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag as string)
    expect(flags.length).toBeGreaterThan(8)
    for (const flag of flags.filter(one => one !== '--version' && one !== '--help')) expect(page('docs/cli.md')).toContain(`\`${flag}`)
  })
})

describe('README.md', () => {
  const readme = page('README.md')

  it('shows only commands that exist', async () => {
    const lines = [...readme.matchAll(/^(?:\$ npx )?mcp-proxy ([^#\n]+)/gm)].map(([, words]) => words as string)
    expect(lines.length).toBeGreaterThan(3)
    for (const line of lines) {
      const argv = [...line.trim().matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? (plain as string))
      expect((await parse(argv, fakeIo())).work, line).toBeTypeOf('function')
    }
  })

  it.each(['README.md', 'CONTRIBUTING.md', 'docs/cli.md', 'docs/dependencies.md', 'docs/decisions/0001-own-message-layer.md'])(
    '%s links to files that are there',
    name => {
      for (const [, target] of page(name).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
        expect(existsSync(join(root, dirname(name), target as string)), target).toBe(true)
      for (const [path] of page(name).matchAll(/\b(?:test|src|scripts|docs|examples)\/[\w./-]+\.\w+/g)) expect(existsSync(join(root, path)), path).toBe(true)
    },
  )
})
