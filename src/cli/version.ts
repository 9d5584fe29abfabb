/** `version`: which program this is, on which Node, how it was installed, and which protocol revisions it speaks. */
import { installedBy } from '../app/installed-by.ts'
import { packageName, protocolRevisions, version } from '../app/version.ts'
import type { Context, Define } from './command.ts'

export const define: Define = (command, start) => {
  command.action(() => start(showVersion))
}

async function showVersion({ io, globals }: Context): Promise<number> {
  const facts = {
    name: packageName,
    version,
    node: process.versions.node,
    installedBy: installedBy({ script: io.script, env: io.env }),
    protocolRevisions,
  }
  const text = globals.json
    ? JSON.stringify(facts)
    : [
        `${facts.name} ${facts.version}`,
        `node ${facts.node}, ${process.platform} ${process.arch}`,
        `installed by: ${facts.installedBy}`,
        `protocol revisions: ${facts.protocolRevisions.join(', ')}`,
      ].join('\n')
  io.stdout.write(`${text}\n`)
  return 0
}
