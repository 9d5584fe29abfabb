/**
 * The matrix of docs/interoperability.md, cell by cell, and the page itself: it says what this run found, or the test
 * fails. `npm run interop` writes it. `INTEROP_ONLY=regexp` runs the cells whose title matches, without the page.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSandbox, root } from './harness.ts'
import { interopTable } from './interop-table.ts'
import { expressible, peers, runMatrix, type Peer, type Run } from './matrix.ts'

const page = join(root, 'docs/interoperability.md')
const [begin, end] = ['<!-- begin: written by npm run interop -->', '<!-- end -->']
const only = process.env['INTEROP_ONLY']

const named = ({ sdk, revision, over }: Peer, role: string) => `${sdk} ${role} of ${revision} over ${over}`
const title = (client: Peer, server: Peer) => `${named(client, 'client')}, ${named(server, 'server')}`
const wanted = (client: Peer, server: Peer) => !only || new RegExp(only).test(title(client, server))

const sandbox = createSandbox()
let run: Run
beforeAll(async () => {
  run = await runMatrix(sandbox, 4, wanted)
}, 600_000)
afterAll(() => sandbox.dispose())

const fronts = peers.filter(client => peers.some(server => wanted(client, server)))
describe.each(fronts.map(client => ({ client, name: named(client, 'client') })))('$name', ({ client }) => {
  const behind = peers.filter(server => wanted(client, server)).map(server => ({ server, name: named(server, 'server') }))
  it.each(behind)('in front of a $name', ({ server }) => {
    const cell = run.cells.find(other => other.client === client && other.server === server)
    expect(cell?.failures).toEqual([])
    expect(cell?.passed).toBe(expressible(client, server).length)
  })
})

it('finds every client at its own revision, and leaves no errors behind', () => {
  expect(run.complaints).toEqual([])
})

it('finds every server at its own revision', () => {
  const backends = run.status['backends'] as Array<{ alias: string; revision: string; restarts: number }>
  const found = backends.map(({ alias, revision, restarts }) => ({ alias, revision, restarts }))
  const own = peers.filter(server => peers.some(client => wanted(client, server)))
  expect(found).toEqual(own.map(({ id, revision }) => ({ alias: id, revision, restarts: 0 })))
})

it.skipIf(only)('is what docs/interoperability.md says', async () => {
  const text = readFileSync(page, 'utf8')
  const [head, foot] = [text.slice(0, text.indexOf(begin) + begin.length), text.slice(text.indexOf(end))]
  const current = `${head}\n${interopTable(run.cells)}\n${foot}`
  await expect(current, 'run "npm run interop"').toMatchFileSnapshot(page)
})
