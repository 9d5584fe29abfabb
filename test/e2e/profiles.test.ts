/** Client profiles through the built binary: what a client is known to choke on is adapted for it, and for nobody else. */
import { afterEach, describe, expect, it } from 'vitest'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { createSandbox, stdioBackend, type Sandbox } from './harness.ts'

let sandbox: Sandbox
const open: TestClient[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(client => client.close()))
  await sandbox.dispose()
})

const long = 'say_again_what_was_said_before_in_the_very_same_words'

async function connected(kind: ClientKind, name: string, ...args: string[]): Promise<{ client: TestClient; names: string[] }> {
  const server = { ...stdioBackend(sandbox, 'v1', 'one'), tools: { rename: { echo: long } } }
  const target = sandbox.runTarget({ mcpServers: { one: server }, clients: { cursor: { tools: 5 } } })
  const client = await connectClient({ kind, name, ...target, args: [...(target.args ?? []), ...args] })
  open.push(client)
  return { client, names: (await client.tools()).map(tool => String(tool['name'])) }
}

describe.each<ClientKind>(['v1', 'v2-legacy', 'v2-modern'])('%s', kind => {
  it('shortens for Cursor, holds the rest back, and takes the call', async () => {
    sandbox = createSandbox()
    const { client, names } = await connected(kind, 'cursor-vscode')
    expect(names).toHaveLength(5)
    const short = names.find(name => name.startsWith('one__say_')) as string
    expect(short).toBeDefined()
    expect(short.length).toBeLessThanOrEqual(56)
    expect(await client.say(short, { message: 'hello' })).toContain('hello')
    expect(await client.say(`one__${long}`, { message: 'hello' })).toContain('hello')
  })

  it('leaves others alone, and believes --client', async () => {
    sandbox = createSandbox()
    const other = await connected(kind, 'somebody')
    expect(other.names).toContain(`one__${long}`)
    expect(other.names.length).toBeGreaterThan(5)
    expect((await connected(kind, 'somebody', '--client', 'cursor')).names).toHaveLength(5)
  })
})
