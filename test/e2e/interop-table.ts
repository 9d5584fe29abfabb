/** The matrix as the tables of docs/interoperability.md. */
import { expressible, peers, revisions, type Cell, type Peer } from './matrix.ts'

const ways = { stdio: 'stdio', http: 'Streamable HTTP', sse: 'HTTP+SSE' } as const
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const passed = (cells: readonly Cell[]): number => cells.reduce((sum, cell) => sum + cell.passed, 0)
const expected = (cells: readonly Cell[]): number => cells.reduce((sum, { client, server }) => sum + expressible(client, server).length, 0)
const isGreen = (cell: Cell): boolean => cell.passed === expressible(cell.client, cell.server).length

function table(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')
}

/** Rows are clients, columns are servers, and the transports of a server share a cell. */
function revisionTable(cells: readonly Cell[]): string {
  const columns = (['v1', 'v2'] as const).flatMap(sdk =>
    revisions.filter(revision => peers.some(peer => peer.sdk === sdk && peer.revision === revision)).map(revision => ({ sdk, revision })))
  const figure = (client: Peer, sdk: string, revision: string) => {
    const own = cells.filter(cell => cell.client === client && cell.server.sdk === sdk && cell.server.revision === revision)
    return `${own.every(isGreen) ? '' : '**'}${passed(own)}/${expected(own)}${own.every(isGreen) ? '' : '**'}`
  }
  return table(
    ['client ↓ server →', ...columns.map(({ sdk, revision }) => `${sdk} ${revision}`)],
    peers.map(client => [
      `${client.sdk} ${client.revision}, ${ways[client.over]}`,
      ...columns.map(({ sdk, revision }) => figure(client, sdk, revision)),
    ]),
  )
}

function transportTable(cells: readonly Cell[]): string {
  const kinds = Object.keys(ways) as Array<keyof typeof ways>
  return table(
    ['client ↓ server →', ...kinds.map(over => ways[over])],
    kinds.map(client => [ways[client], ...kinds.map(server => {
      const own = cells.filter(cell => cell.client.over === client && cell.server.over === server)
      return `${own.filter(isGreen).length}/${own.length}`
    })]),
  )
}

export function interopTable(cells: readonly Cell[]): string {
  return [
    `${cells.filter(isGreen).length} of ${cells.length} pairs are green; ${passed(cells)} of ${expected(cells)} scenarios passed.`,
    'Scenarios, summed over the transports of the server:', revisionTable(cells),
    'Pairs by transport, in all revisions that have it:', transportTable(cells),
  ].join('\n\n')
}
