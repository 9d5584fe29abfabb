/** The examples we hand out are configs without a mistake. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from '../../../src/cli/command.ts'
import { inspectConfig } from '../../../src/config/load.ts'
import { fakeIo } from './fake-io.ts'

const folder = fileURLToPath(new URL('../../../examples/', import.meta.url))
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => /\.(json|ya?ml)$/.test(name) && !name.startsWith('ci/'))

describe('examples', () => {
  it('are the ones the README names', () =>
    expect(files.sort()).toEqual(['python-uvx.json', 'quickstart/mcp-proxy.json', 'remote.yaml', 'team.yaml']))

  it('run commands that exist', async () => {
    const workflow = readFileSync(`${folder}ci/github-actions.yml`, 'utf8')
    const lines = [...workflow.matchAll(/npx -y mcp-proxy-server ([^>\n]+)/g)].map(([, words]) => (words as string).trim())
    expect(lines).toHaveLength(2)
    for (const line of lines) expect((await parse(line.split(' '), fakeIo())).work, line).toBeTypeOf('function')
  })

  it.each(files)('%s', async file => {
    const { problems, loaded } = await inspectConfig(`${folder}${file}`, { env: { PATH: '/usr/bin' }, credential: () => 'a-value-of-some-kind' })
    expect(problems).toEqual([])
    expect(loaded?.config.backends.length).toBeGreaterThan(0)
  })
})
