/** The examples we hand out are configs without a mistake. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { inspectConfig } from '../../../src/config/load.ts'

const folder = fileURLToPath(new URL('../../../examples/', import.meta.url))
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => /\.(json|ya?ml)$/.test(name))

describe('examples', () => {
  it('are the ones the README names', () =>
    expect(files.sort()).toEqual(['python-uvx.json', 'quickstart/mcp-proxy.json', 'remote.yaml', 'team.yaml']))

  it.each(files)('%s', async file => {
    const { problems, loaded } = await inspectConfig(`${folder}${file}`, { env: { PATH: '/usr/bin' }, credential: () => 'a-value-of-some-kind' })
    expect(problems).toEqual([])
    expect(loaded?.config.backends.length).toBeGreaterThan(0)
  })
})
