/** SARIF and JUnit as build systems read them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Contacted } from '../../../src/cli/contact.ts'
import { junit, sarif, type Issue, type Report } from '../../../src/cli/validate-report.ts'

const issue = (more: Partial<Issue> = {}): Issue => ({
  severity: 'warning', code: 'LITERAL_SECRET', message: 'm', file: '/w/a b/c.json', line: 3, column: 7, path: 'mcpServers.a', ...more,
})
const report = (issues: Issue[], more: Partial<Report> = {}): Report => ({
  file: '/w/a b/c.json', issues, servers: [], aliases: ['a', 'b'], strict: false, version: '1', cwd: '/w', ...more,
})
type Log = { runs: [{ tool: { driver: { rules: { id: string }[] } }; results: { ruleId: string; ruleIndex: number; level: string; locations: object[] }[] }] }

describe('sarif', () => {
  it('points at places below the working folder by their path', () => {
    const { runs } = sarif(report([issue(), issue({ severity: 'error', code: 'SYNTAX', path: '' }), issue()])) as Log
    const [{ tool, results }] = runs
    expect(tool.driver.rules.map(({ id }) => id)).toEqual(['LITERAL_SECRET', 'SYNTAX'])
    expect(results.map(({ level, ruleIndex }) => [level, ruleIndex])).toEqual([['warning', 0], ['error', 1], ['warning', 0]])
    expect(results[0]!.locations).toEqual([
      {
        physicalLocation: { artifactLocation: { uri: 'a%20b/c.json' }, region: { startLine: 3, startColumn: 7 } },
        logicalLocations: [{ fullyQualifiedName: 'mcpServers.a' }],
      },
    ])
    expect(results[1]!.locations).toHaveLength(1)
  })

  it('uses a URL elsewhere, and no place for the environment', () => {
    const { runs } = sarif(report([issue(), issue({ file: 'environment', path: 'MCP_PROXY_X' })], { cwd: '/other' })) as Log
    expect(runs[0].results.map(({ locations }) => locations)).toMatchObject([
      [{ physicalLocation: { artifactLocation: { uri: 'file:///w/a%20b/c.json' } } }],
      [{ logicalLocations: [{ fullyQualifiedName: 'MCP_PROXY_X' }] }],
    ])
  })

  it('makes errors of warnings where they count', () => {
    expect((sarif(report([issue()], { strict: true })) as Log).runs[0].results[0]!.level).toBe('error')
  })
})

describe('junit', () => {
  it('has a case for the file and one for each server', () => {
    const server = { alias: 'b', ms: 1500 } as Contacted
    const xml = junit(report([issue({ backend: 'a' }), issue({ severity: 'error', code: 'SYNTAX', message: '<&">\nx\x07' })], { servers: [server] }))
    expect(xml).toContain('<testsuites tests="3" failures="1" errors="0" time="1.500">')
    expect(xml).toContain('<failure message="&lt;&amp;&quot;&gt;&#10;x?" type="SYNTAX">')
    expect(xml).toMatch(/name="a" time="0.000">\n<system-out>warning LITERAL_SECRET/)
    expect(xml).toContain('<testcase classname="mcp-proxy" name="b" time="1.500"/>')
    expect(junit(report([issue({ backend: 'a' })], { strict: true }))).toContain('failures="1"')
  })

  it('is XML whatever a server says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), message => {
        const xml = junit(report([issue({ severity: 'error', message, hint: message })]))
        expect(xml).not.toMatch(/[\x00-\x08\x0b\x0c\x0e-\x1f]/)
        const stack: string[] = []
        for (const [, close, name, self] of xml.replace(/<\?xml[^>]*\?>/, '').matchAll(/<(\/?)([\w-]+)(?: [\w-]+="[^"<]*")*(\/?)>/g))
          if (close) expect(stack.pop()).toBe(name)
          else if (!self) stack.push(name as string)
        expect(stack).toEqual([])
        expect(xml.replace(/<[^<>]*>/g, '')).not.toMatch(/[<>]/)
      }),
    )
  })
})
