// What a run of the suite really says. Its own verdict passes a scenario that only warned, skipped or checked nothing;
// here a scenario passes when something was checked and nothing failed or warned.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {{ scenario: string, verdict: 'pass' | 'fail' | 'unchecked', checks: number, problems: string[] }} Verdict
 * @param {string} dir the suite's output folder
 * @param {'server' | 'client'} leg
 * @param {readonly string[]} scenarios
 * @returns {Verdict[]}
 */
export function readVerdicts(dir, leg, scenarios) {
  const folders = readdirSync(dir)
  return scenarios.map(scenario => {
    const name = `${leg === 'server' ? 'server-' : ''}${scenario.replaceAll('/', '-')}-20`
    const folder = folders.find(entry => entry.startsWith(name)) ?? folders.find(entry => entry.startsWith(`${scenario.replaceAll('/', '-')}-20`))
    if (!folder) return { scenario, verdict: 'unchecked', checks: 0, problems: ['no result'] }
    const checks = JSON.parse(readFileSync(join(dir, folder, 'checks.json'), 'utf8'))
    const bad = checks.filter(check => check.status === 'FAILURE' || check.status === 'WARNING' || check.status === 'SKIPPED')
    const good = checks.filter(check => check.status === 'SUCCESS')
    // Every scenario also checks the form of all messages; alone that proves nothing about the scenario.
    const own = good.filter(check => !/^wire-/.test(check.id))
    const verdict = bad.some(check => check.status === 'FAILURE') ? 'fail' : bad.length > 0 || own.length === 0 ? 'unchecked' : 'pass'
    return {
      scenario, verdict, checks: good.length,
      problems: bad.map(check => `${check.status} ${check.id}: ${(check.errorMessage ?? check.description ?? '').slice(0, 300)}`),
    }
  })
}
