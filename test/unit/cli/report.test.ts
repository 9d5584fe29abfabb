import { describe, expect, it } from 'vitest'
import { Redactor } from '../../../src/app/redact.ts'
import { report, type ReportOptions } from '../../../src/cli/report.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { fakeIo } from './fake-io.ts'

function reported(error: unknown, options: Partial<ReportOptions> = {}, tty = false) {
  const io = fakeIo({ tty })
  const code = report(error, io, { json: false, color: true, debug: false, ...options })
  return { code, text: io.err(), out: io.out() }
}

const problem = (line: number, hint?: string) => ({
  severity: 'error', code: 'UNKNOWN_KEY', message: `unknown key ${line}`, file: '/x/c.json', line, column: 3, path: 'a', hint,
})

describe('report', () => {
  it('is one block for people', () => {
    const { code, text, out } = reported(new McpError('BACKEND_NEEDS_AUTH', 'github wants a sign-in', { hint: 'mcp-proxy auth login github' }))
    expect(text).toBe('error BACKEND_NEEDS_AUTH: github wants a sign-in\n  hint: mcp-proxy auth login github\n')
    expect(code).toBe(5)
    expect(out).toBe('')
  })

  it('shows the place of a single problem without saying it twice', () => {
    const error = new McpError('CONFIG_INVALID', 'unknown key 7', { problems: [problem(7, 'did you mean x?')], hint: 'did you mean x?' })
    expect(reported(error)).toMatchObject({ code: 2, text: 'error CONFIG_INVALID: unknown key 7\n  at /x/c.json:7:3\n  hint: did you mean x?\n' })
  })

  it('shows all problems, each with its place and hint', () => {
    const { text } = reported(new McpError('CONFIG_INVALID', '/x/c.json has 2 errors', { problems: [problem(1), problem(2, 'try y')] }))
    expect(text).toBe(
      'error CONFIG_INVALID: /x/c.json has 2 errors\n  at /x/c.json:1:3\n    error UNKNOWN_KEY: unknown key 1\n' +
        '  at /x/c.json:2:3\n    error UNKNOWN_KEY: unknown key 2\n    hint: try y\n',
    )
  })

  it('is one line of JSON for scripts', () => {
    const { text } = reported(new McpError('CONFIG_INVALID', 'two\nlines', { problems: [problem(1)], hint: 'h' }), { json: true }, true)
    expect(text.trimEnd().split('\n')).toHaveLength(1)
    expect(JSON.parse(text)).toEqual({ error: { code: 'CONFIG_INVALID', message: 'two\nlines', hint: 'h', problems: [problem(1)] } })
  })

  it('says nothing of what it did not foresee, unless debugging', () => {
    expect(reported(new TypeError('x is not a function'))).toMatchObject({ code: 1, text: 'error INTERNAL: internal error\n' })
    const { text } = reported(new TypeError('x is not a function'), { debug: true })
    expect(text).toContain('caused by TypeError: x is not a function')
    expect(text).toContain('report.test.ts')
  })

  it('hides secrets and keeps terminals unharmed', () => {
    const redactor = new Redactor()
    redactor.add(['hunter2-hunter2'])
    const { text } = reported(new McpError('INTERNAL', 'sent \x1b[2Jhunter2-hunter2'), { redactor }, true)
    expect(text).toBe('\x1b[31merror\x1b[39m \x1b[1mINTERNAL\x1b[22m: sent [2J***\n')
  })
})
