/** What became of a tool, in every way it can go. */
import { describe, expect, it } from 'vitest'
import { explain } from '../../../src/app/why.ts'
import type { Config } from '../../../src/config/config.ts'
import { loadValue } from '../../../src/config/load.ts'
import type { BackendStatus, JsonObject, Offer } from '../../../src/gateway/contract.ts'

const offer = (tools: JsonObject[]): Offer => ({
  description: { info: undefined, capabilities: {}, instructions: undefined, era: undefined, revision: undefined },
  tools, prompts: [], resources: [], templates: [],
})

async function asking(document: JsonObject, offers: Record<string, string[]>) {
  const { config } = await loadValue(document, 'x.json', '/', { env: {} })
  const members = config.backends
    .filter(({ enabled, problems }) => enabled && problems.length === 0)
    .map(({ alias, tools, prompts, resources }) => ({
      alias, offer: offers[alias] && offer(offers[alias].map(name => ({ name }))), rules: { tools, prompts, resources },
    }))
  return (tool: string, client?: string, statuses?: BackendStatus[]) => explain({ tool, config: config as Config, members, client, statuses })
}

const long = `read_${'very_'.repeat(9)}long`
const node = { command: 'node' }

describe('explain', () => {
  it('finds a tool by its public name, by its own, and tells why they differ', async () => {
    const why = await asking({ mcpServers: { files: { ...node, tools: { rename: { read: 'get' }, describe: { read: 'x' } } } } }, { files: ['read', 'b c'] })
    const answer = { backend: 'files', originalName: 'read', name: 'files__get', verdict: 'changed' }
    for (const name of ['files__get', 'read', 'get', 'files__read']) expect(why(name).answers, name).toMatchObject([answer])
    expect(why('read').answers[0]!.reasons).toEqual([
      'tools.rename of files calls read get',
      'names carry the alias of their server (names.prefix: always)',
      'tools.describe of files gives its description',
    ])
    expect(why('b c').answers).toMatchObject([{ verdict: 'changed', name: expect.stringMatching(/^files__b_c_\w{6}$/), reasons: [expect.stringContaining('signs that clients refuse')] }])
  })

  it('names the rule that filters', async () => {
    const why = await asking({ mcpServers: { a: { ...node, tools: { include: ['read_*'], exclude: ['*_x'] } } } }, { a: ['read_x', 'write', 'read_a'] })
    expect(why('read_x').answers).toEqual([{ backend: 'a', originalName: 'read_x', verdict: 'filtered', reasons: ['tools.exclude of a has "*_x"'] }])
    expect(why('a__write').answers).toMatchObject([{ verdict: 'filtered', reasons: ['tools.include of a has only "read_*"'] }])
    expect(why('read_a').answers).toMatchObject([{ verdict: 'offered', name: 'a__read_a' }])
  })

  it('names the other one of a collision', async () => {
    const why = await asking({ mcpServers: { a: node, b: node }, names: { prefix: 'never' } }, { a: ['search'], b: ['search'] })
    expect(why('search').answers).toMatchObject([
      { verdict: 'collision', backend: 'a', reasons: [expect.stringContaining('search of b wants the name search too')] },
      { verdict: 'collision', backend: 'b', reasons: [expect.stringContaining('search of a')] },
    ])
  })

  it('applies what a client can take', async () => {
    const why = await asking({ mcpServers: { files: node }, clients: { cursor: { tools: 2 } } }, { files: ['a', long, 'c'] })
    const shown = why(long, 'cursor').answers[0]!
    expect(shown).toMatchObject({ verdict: 'changed', name: expect.stringMatching(/^files__read_\w+$/) })
    expect(shown.name).not.toBe(`files__${long}`)
    expect(shown.reasons.at(-1)).toMatch(/^renamed to files__read_\w+: Cursor takes names of 60/)
    expect(why(shown.name!, 'cursor').answers).toEqual([shown])
    expect(why('files__c', 'cursor').answers).toMatchObject([{ verdict: 'held', reasons: [expect.any(String), expect.stringContaining('held back: Cursor takes 2 tools')] }])
    expect(why('files__c', 'cursor').answers[0]!.name).toBeUndefined()
    expect(why('files__c').answers).toMatchObject([{ verdict: 'offered' }])
  })

  it('says what is wrong with the server', async () => {
    const why = await asking({ mcpServers: { off: { ...node, enabled: false }, unset: { ...node, args: ['${NOPE}'] }, never: node, up: node } }, { up: ['x'] })
    expect(why('off__x').answers).toMatchObject([{ verdict: 'unavailable', reasons: ['off is switched off (enabled: false)'] }])
    expect(why('unset__x').answers).toMatchObject([{ verdict: 'unavailable', reasons: [expect.stringMatching(/^unset is held back: .*NOPE.*\(.*:1:1\)$/), 'hint: set it, or give a default: ${NOPE:-…}'] }])
    expect(why('never__x')).toMatchObject({ unasked: ['never'], answers: [{ verdict: 'unavailable', reasons: ['never has never run, so its tools are not known'] }] })
    const status = { alias: 'never', state: 'held', lastFailure: { message: 'it died' } } as BackendStatus
    expect(why('never__x', undefined, [status])).toMatchObject({ unasked: [], answers: [{ reasons: ['never is held: it died'] }] })
    expect(why('up__x', undefined, [{ ...status, alias: 'up' }]).answers[0]!.reasons.at(-1)).toBe('up is held: it died')
  })

  it('knows nothing of other names, and says which there are', async () => {
    const why = await asking({ mcpServers: { a: node } }, { a: ['search'] })
    expect(why('constructor')).toMatchObject({ answers: [], names: ['a__search', 'search'] })
  })
})
