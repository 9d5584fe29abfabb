/** Claude Desktop and Claude Code, as rows. */
import type { Path } from '../config/problems.ts'
import { isRaw } from '../config/spellings.ts'
import type { Client, Place, Surroundings } from './client.ts'
import { applicationSupport, inHome, inProject, join, named } from './folders.ts'
import { claudeCode as claudeCodeNotation, literal } from './notation.ts'
import { plainStdio } from './shapes.ts'

const container: Path = ['mcpServers']

const desktopFolder = (on: Surroundings): string => join(on, applicationSupport(on), 'Claude')

export const claudeDesktop: Client = {
  id: 'claude-desktop',
  title: 'Claude Desktop',
  traces: on => [desktopFolder(on)],
  places: on => [
    { scope: 'user', file: join(on, desktopFolder(on), 'claude_desktop_config.json'), format: 'json', at: container },
  ],
  notation: literal,
  stdio: plainStdio,
  // It skips remote entries as invalid; those go through its Connectors.
  http: undefined,
  afterwards: 'quit Claude Desktop completely and start it again',
}

const codeFile = (on: Surroundings): string => {
  const folder = named(on, 'CLAUDE_CONFIG_DIR')
  return folder === undefined ? inHome(on, '.claude.json') : join(on, folder, '.claude.json')
}

const localPlace = (file: string, project: string): Place => ({
  scope: 'local',
  file,
  format: 'json',
  at: ['projects', project, 'mcpServers'],
  folder: project,
})

export const claudeCode: Client = {
  id: 'claude-code',
  title: 'Claude Code',
  traces: on => [codeFile(on), named(on, 'CLAUDE_CONFIG_DIR') ?? inHome(on, '.claude')],
  places(on) {
    const file = codeFile(on)
    return [
      {
        scope: 'user',
        file,
        format: 'json',
        at: container,
        others: document => {
          const projects = isRaw(document) && isRaw(document['projects']) ? document['projects'] : {}
          return Object.entries(projects)
            .filter(([folder, project]) => folder !== on.cwd && isRaw(project) && isRaw(project['mcpServers']))
            .map(([folder]) => ({ ...localPlace(file, folder), readOnly: true }))
        },
      },
      localPlace(file, on.cwd),
      { scope: 'project', file: inProject(on, '.mcp.json'), format: 'json', at: container, folder: on.cwd },
    ]
  },
  notation: claudeCodeNotation,
  stdio: (launch, name) => ({ type: 'stdio', ...plainStdio(launch, name) }),
  http: (url, headers) => ({ type: 'http', url, ...(Object.keys(headers).length > 0 ? { headers } : {}) }),
  refuseName: name => (name === 'workspace' ? 'Claude Code keeps the name workspace for itself' : undefined),
  afterwards: 'start a new session of Claude Code (a project’s servers are approved there once)',
}
