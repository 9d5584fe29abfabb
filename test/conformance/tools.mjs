// Tools of others that test us, and a Node that can run them. They are no dependencies of the package: they are pinned
// and need Node 22, while the package supports 20; they are installed once into a cache folder.
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
const cached = name => join(root, 'node_modules/.cache', name)

/**
 * Installs a package, once, and a Node of its own where ours is older than what such tools need.
 * @param {string} name of the folder @param {string} wanted `package@version` @param {string} entry file in the package
 * @returns {Promise<{ node: string, script: string }>}
 */
export async function prepareTool(name, wanted, entry) {
  const cache = cached(name)
  const [major, minor] = process.versions.node.split('.').map(Number)
  const needsNode = major < 22 || (major === 22 && minor < 19)
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const script = join(cache, 'node_modules', wanted.slice(0, wanted.lastIndexOf('@')), entry)
  const node = needsNode ? join(cache, 'node_modules', nodePackage, 'bin/node') : process.execPath
  if (!existsSync(script) || !existsSync(node)) {
    mkdirSync(cache, { recursive: true })
    writeFileSync(join(cache, 'package.json'), '{ "private": true }')
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', wanted, ...(needsNode ? [`${nodePackage}@${nodeMajor}`] : [])], { cwd: cache })
  }
  return { node, script }
}

const suiteFolder = `conformance/${suiteVersion}`
export const prepareSuite = () => prepareTool(suiteFolder, `@modelcontextprotocol/conformance@${suiteVersion}`, 'dist/index.js')

/** Scenarios that a revision requires, as frozen in the suite's package. @param {string} revision @param {'server' | 'client'} leg */
export function requiredScenarios(revision, leg) {
  const file = join(cached(suiteFolder), 'node_modules/@modelcontextprotocol/conformance/requirements', `${revision}.yaml`)
  return parse(readFileSync(file, 'utf8'))[leg]
}
