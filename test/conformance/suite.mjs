// Runs the suite: its server scenarios against an address, its client scenarios with our driver as the client.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepareSuite, requiredScenarios } from './tools.mjs'
import { readVerdicts } from './verdict.mjs'

const driver = fileURLToPath(new URL('client-driver.mjs', import.meta.url))

/** @param {string} work folder for results */
export async function openSuite(work) {
  const { node, script } = await prepareSuite()
  let runs = 0
  const freshFolder = () => {
    const out = join(work, `run-${++runs}`)
    mkdirSync(out, { recursive: true })
    return out
  }
  const run = (args, env = {}) => new Promise((resolve, reject) => {
    const child = spawn(node, [script, ...args], { stdio: 'ignore', env: { ...process.env, ...env } })
    child.once('error', reject)
    child.once('close', resolve)
  })

  return {
    /** @param {string} url @param {string} revision @param {import('./verdict.mjs').Verdict[]} [control] */
    async server(url, revision, control) {
      const out = freshFolder()
      await run(['server', '--url', url, '--requirements', revision, '-o', out])
      return readVerdicts(out, requiredScenarios(revision, 'server'), control)
    },
    /**
     * All but those about signing in. One by one: run together, the suite ignores warnings and exit codes.
     * @param {string} revision @param {Record<string, string>} env for the driver @param {import('./verdict.mjs').Verdict[]} [control]
     */
    async client(revision, env, control) {
      const out = freshFolder()
      const scenarios = requiredScenarios(revision, 'client').filter(scenario => !scenario.startsWith('auth/'))
      const failed = new Set()
      for (const scenario of scenarios) {
        const command = `"${process.execPath}" "${driver}"`
        const code = await run(['client', '--command', command, '--scenario', scenario, '--spec-version', revision, '-o', out], env)
        if (code !== 0) failed.add(scenario)
      }
      return readVerdicts(out, scenarios, control).map(verdict =>
        verdict.verdict === 'pass' && failed.has(verdict.scenario) ? { ...verdict, verdict: 'fail', problems: ['the client failed'] } : verdict)
    },
  }
}
