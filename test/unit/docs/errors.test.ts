/** Every code has its page and every page a code. `npm run docs` writes the index with `--update`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { causeOf, errorsIndex } from '../../../scripts/errors-index.ts'
import { problemCodes as configCodes } from '../../../src/config/problems.ts'
import { errorCodes, McpError, type ErrorCode } from '../../../src/gateway/errors.ts'
import { problemCodes as offerCodes } from '../../../src/gateway/problems.ts'

const folder = fileURLToPath(new URL('../../../docs/errors/', import.meta.url))
const pages = readdirSync(folder)
  .filter(name => name !== 'README.md')
  .map(name => ({ code: name.replace(/\.md$/, ''), text: readFileSync(join(folder, name), 'utf8') }))
const all = [...new Set<string>([...errorCodes, ...configCodes, ...offerCodes])]

it('has a page for every code, and no other', () => {
  expect(pages.map(({ code }) => code).sort()).toEqual([...all].sort())
})

describe.each(pages)('$code', ({ code, text }) => {
  it('says what it is, why, and what to do next', () => {
    const [title, , cause] = text.split('\n')
    expect(title).toBe(`# ${code}`)
    expect(cause).toMatch(/^\S.*\.$/)
    expect(causeOf({ code, text })).toBe(cause)
    expect(text).toMatch(/\n## Cause\n\n\S.+\n\n## Next step\n\n\S.+\n$/)
  })

  if (errorCodes.includes(code as ErrorCode))
    it('names the numbers it becomes', () => {
      const error = new McpError(code as ErrorCode, '')
      expect(text).toContain(`\nJSON-RPC ${error.toRpc().code} · exit code ${error.exitCode}\n`)
    })
})

it('is indexed', async () => {
  const index = errorsIndex(pages, [
    { title: 'Of calls and commands', codes: errorCodes },
    { title: 'Of a config file', codes: configCodes },
    { title: 'Of what servers offer', codes: offerCodes },
  ])
  await expect(index, 'run "npm run docs"').toMatchFileSnapshot('../../../docs/errors/README.md')
})
