/** `why` and `validate --client` on servers that have run, and on such that have not. */
import { afterEach, expect, it } from 'vitest'
import { createSandbox, fixture, type Sandbox } from './harness.ts'

let sandbox: Sandbox
afterEach(() => sandbox.dispose())

it('starts what has never run, and then answers from what is known', async () => {
  sandbox = createSandbox()
  const journal = sandbox.journal('one')
  const config = sandbox.config({
    mcpServers: { one: { command: 'node', args: [fixture('everything-v2.mjs'), '--journal', journal], tools: { exclude: ['echo'] } } },
  })
  const first = await sandbox.run(['why', 'one__echo', '--config', config, '--json'])
  expect(first).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(first.stdout)).toEqual({
    tool: 'one__echo',
    answers: [{ backend: 'one', originalName: 'echo', verdict: 'filtered', reasons: ['tools.exclude of one has "echo"'] }],
  })
  const again = await sandbox.run(['why', 'fial', '--config', config])
  expect(again).toMatchObject({ code: 1, stdout: expect.stringContaining('did you mean') })
  const shown = await sandbox.run(['validate', config, '--client', 'claude-code'])
  expect(shown.stdout).toMatch(/Claude Code sees \d+ tools \(about \d+ tokens/)
  const online = await sandbox.run(['validate', config, '--online', '--json'])
  expect(JSON.parse(online.stdout).servers).toMatchObject([{ alias: 'one', state: 'healthy', ms: expect.any(Number) }])
})
