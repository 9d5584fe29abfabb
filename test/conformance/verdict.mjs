// What a run of the suite really says. Its own verdict passes a scenario that only warned, skipped or checked nothing.
// Here one passes when nothing failed or warned and everything was checked that the control, without a proxy, checked.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {{ scenario: string, verdict: 'pass' | 'fail' | 'unchecked', succeeded: string[], amiss: string[], problems: string[] }} Verdict
 * @param {string} dir the suite's output folder
 * @param {readonly string[]} scenarios
 * @param {readonly Verdict[]} [control]
 * @returns {Verdict[]}
 */
export function readVerdicts(dir, scenarios, control = []) {
  const folders = readdirSync(dir)
  return scenarios.map(scenario => {
    const folder = folders.find(entry => entry.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '') === scenario) ??
      folders.find(entry => entry.replace(/-\d{4}-\d\d-\d\dT.*$/, '') === `server-${scenario}`)
    const checks = folder ? JSON.parse(readFileSync(join(dir, folder, 'checks.json'), 'utf8')) : []
    const failed = checks.filter(check => check.status === 'FAILURE')
    const warned = checks.filter(check => check.status === 'WARNING')
    // Every scenario also checks the form of all messages; alone that proves nothing about the scenario.
    const succeeded = checks.filter(check => check.status === 'SUCCESS' && !check.id.startsWith('wire-')).map(check => check.id)
    const before = control.find(other => other.scenario === scenario)?.succeeded ?? []
    const missing = before.filter(id => !succeeded.includes(id) && ![...failed, ...warned].some(check => check.id === id))
    const whole = warned.length === 0 && missing.length === 0 && succeeded.length > 0
    return {
      scenario,
      verdict: failed.length > 0 ? 'fail' : whole ? 'pass' : 'unchecked',
      succeeded,
      amiss: [...new Set([...[...failed, ...warned].map(check => check.id), ...missing])],
      problems: [
        ...[...failed, ...warned].map(check => `${check.status} ${check.id}: ${(check.errorMessage ?? check.description ?? '').slice(0, 300)}`),
        ...missing.map(id => `not checked: ${id}`),
        ...(checks.length === 0 ? ['no result'] : []),
      ],
    }
  })
}
