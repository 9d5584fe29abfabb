// The official suite and a Node that can run it. Neither is a dependency of the package: the suite is pinned and needs
// Node 22, while the package supports 20; both are installed once into a cache folder.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'

const run = promisify(execFile)

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const suiteVersion = '0.2.0-alpha.12'
const nodeMajor = 24
const cache = join(root, 'node_modules/.cache/conformance', suiteVersion)

/** @returns {Promise<{ node: string, suite: string }>} */
export async function prepareTools() {
  const needsNode = Number(process.versions.node.split('.')[0]) < 22
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const suite = join(cache, 'node_modules/@modelcontextprotocol/conformance/dist/index.js')
  const node = needsNode ? join(cache, 'node_modules', nodePackage, 'bin/node') : process.execPath
  if (!existsSync(suite) || !existsSync(node)) {
    mkdirSync(cache, { recursive: true })
    writeFileSync(join(cache, 'package.json'), '{ "private": true }')
    const wanted = [`@modelcontextprotocol/conformance@${suiteVersion}`, ...(needsNode ? [`${nodePackage}@${nodeMajor}`] : [])]
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], { cwd: cache })
  }
  return { node, suite }
}

/** Scenarios that a revision requires, as frozen in the suite's package. @param {string} revision @param {'server' | 'client'} leg */
export function requiredScenarios(revision, leg) {
  const file = join(cache, 'node_modules/@modelcontextprotocol/conformance/requirements', `${revision}.yaml`)
  return parse(readFileSync(file, 'utf8'))[leg]
}
