/** Every sentence of the boundary stands on tests that exist under the names it gives. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const page = readFileSync(join(root, 'docs/security-boundary.md'), 'utf8')
const [, holds = ''] = /## What holds\n([\s\S]*?)\n## What does not hold/.exec(page) ?? []
const sentences = holds.split('\n').filter(line => line.startsWith('- '))

it('has sentences, and nothing between them that rests on nothing', () => {
  expect(sentences.length).toBeGreaterThan(20)
  expect(holds.split('\n').filter(line => line !== '' && !line.startsWith('- ') && !line.startsWith('### '))).toEqual([])
})

describe.each(sentences)('%s', line => {
  const [sentence = '', ...references] = line.split(/ \[(?=`test\/)/)

  it('is one sentence, and names a test', () => {
    expect(sentence).toMatch(/^- (?:[^.]|\.(?=\w))+\.$/)
    expect(references).not.toEqual([])
  })

  it.each(references)('%s', reference => {
    const [, file = '', name = ''] = /^`(.+?)`: (.+)\]$/.exec(reference) ?? []
    expect(existsSync(join(root, file)), file).toBe(true)
    const text = readFileSync(join(root, file), 'utf8')
    const at = text.indexOf(`('${name}'`)
    expect(at, `no test called "${name}" in ${file}`).toBeGreaterThan(0)
    // The name belongs to a test that runs: not to one that is skipped or only planned.
    expect(text.slice(text.lastIndexOf('\n', at), at)).toMatch(/\b(it|describe)\b(?!\.(skip|todo|fails))/)
  })
})
