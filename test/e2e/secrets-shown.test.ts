/** Secrets that stand in arguments and addresses: `config show` of the built binary, and what a server that dies says of them. */
import { afterAll, describe, expect, it } from 'vitest'
import { createSandbox } from './harness.ts'

const sandbox = createSandbox()
afterAll(() => sandbox.dispose())

const dies = 'process.stderr.write("refused: " + process.argv[2] + " " + process.env.DSN_URL.split(":")[2].split("@")[0] + "\\n"); process.exit(3)'
const config = {
  mcpServers: {
    near: { command: process.execPath, args: ['-e', dies, '--', '--api-key', 'flag-secret-1'], env: { DSN_URL: 'postgres://me:dsn-secret-2@h/db' } },
    off: { command: 'x', args: ['--token=off-secret-3'], enabled: false },
    far: { url: 'http://127.0.0.1:9/mcp?api_key=query-secret-4' },
  },
}

describe('secrets in arguments and addresses', () => {
  it.each([['config', 'show'], ['config', 'show', '--json'], ['list', '--json', '--debug'], ['status', '--json'], ['call', 'near__x', '{}', '--debug']])('are not shown by %s %s', async (...command) => {
    const { stdout, stderr } = await sandbox.run([...command.filter(word => word !== undefined), '--config', sandbox.config(config)])
    expect(stdout + stderr).not.toMatch(/(flag|dsn|off|query)-secret/)
  })
})
