/** Claude Desktop and Claude Code, as rows. */
import type { Path } from '../config/problems.ts'
import { isRaw } from '../config/spellings.ts'
import type { Client, Place, Surroundings } from './client.ts'
import { applicationSupport, inHome, inProject, join, local, named } from './folders.ts'
import { claudeCode as claudeCodeNotation, literal } from './notation.ts'
import { plainStdio } from './shapes.ts'

const container: Path = ['mcpServers']

const desktopFolder = (on: Surroundings): string => join(on, applicationSupport(on), 'Claude')

/** Where Windows keeps the files of its package: since February 2026 its installer makes one. */
const desktopPackage = (on: Surroundings): string => join(on, local(on), 'Packages', 'Claude_pzs8sxrjxfjjc')

/** A packaged application sees its own copy of %APPDATA%, and the common one for what it has not written itself. */
function desktopFiles(on: Surroundings): readonly string[] {
  const name = 'claude_desktop_config.json'
  const common = join(on, desktopFolder(on), name)
  if (on.platform !== 'win32' || !on.exists(desktopPackage(on))) return [common]
  const own = join(on, desktopPackage(on), 'LocalCache', 'Roaming', 'Claude', name)
  return on.exists(common) && !on.exists(own) ? [common] : [own, common]
}

export const claudeDesktop: Client = {
  id: 'claude-desktop',
  title: 'Claude Desktop',
  traces: on => [desktopFolder(on), ...(on.platform === 'win32' ? [desktopPackage(on)] : [])],
  places: on =>
    desktopFiles(on).map((file, index): Place => ({ scope: 'user', file, format: 'json', at: container, readOnly: index > 0 })),
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

const localPlace = (file: string, project: string, folder = project): Place => ({
  scope: 'local',
  file,
  format: 'json',
  at: ['projects', project, 'mcpServers'],
  folder,
})

/** What Claude Code calls a project: its folder, on Windows with forward slashes. */
const keyOf = ({ platform, cwd }: Surroundings): string => (platform === 'win32' ? cwd.replaceAll('\\', '/') : cwd)

export const claudeCode: Client = {
  id: 'claude-code',
  title: 'Claude Code',
  traces: on => [codeFile(on), named(on, 'CLAUDE_CONFIG_DIR') ?? inHome(on, '.claude')],
  places(on) {
    const file = codeFile(on)
    const key = keyOf(on)
    return [
      {
        scope: 'user',
        file,
        format: 'json',
        at: container,
        others: document => {
          const projects = isRaw(document) && isRaw(document['projects']) ? document['projects'] : {}
          return Object.entries(projects)
            .filter(([folder, project]) => folder !== key && isRaw(project) && isRaw(project['mcpServers']))
            .map(([folder]) => ({ ...localPlace(file, folder), readOnly: true }))
        },
      },
      localPlace(file, key, on.cwd),
      { scope: 'project', file: inProject(on, '.mcp.json'), format: 'json', at: container, folder: on.cwd },
    ]
  },
  notation: claudeCodeNotation,
  stdio: (launch, name) => ({ type: 'stdio', ...plainStdio(launch, name) }),
  http: (url, headers) => ({ type: 'http', url, ...(Object.keys(headers).length > 0 ? { headers } : {}) }),
  refuseName: name => (name === 'workspace' ? 'Claude Code keeps the name workspace for itself' : undefined),
  afterwards: 'start a new session of Claude Code (a project’s servers are approved there once)',
}
