/**
 * What of our own environment a child process gets to see: what programs need to run at all, and nothing that may be a
 * secret of somebody else's. Everything else has to be configured.
 */

const words = (text: string): Set<string> => new Set(text.trim().split(/\s+/))

const posixNames = words(`
  HOME LOGNAME PATH SHELL TERM USER LANG TZ TMPDIR
  HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
  NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR DOCKER_HOST
`)

const windowsNames = words(`
  APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86) HOMEDRIVE HOMEPATH USERNAME USERPROFILE
  PATH PATHEXT COMSPEC SYSTEMDRIVE SYSTEMROOT WINDIR PROCESSOR_ARCHITECTURE NUMBER_OF_PROCESSORS TEMP TMP
`)

const isPassed = (name: string, windows: boolean): boolean =>
  posixNames.has(name) || /^(LC|XDG)_/.test(name) || (windows && windowsNames.has(name.toUpperCase()))

export type Environment = { [name: string]: string }

/** `configured` on top of the allowed part of `base`. On Windows names are one whatever their case. */
export function childEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string>> = {},
  platform: NodeJS.Platform = process.platform,
): Environment {
  const windows = platform === 'win32'
  const environment: Environment = {}
  for (const [name, value] of Object.entries(base)) {
    // A value that begins so is a function exported by bash: code, not a setting.
    if (value !== undefined && isPassed(name, windows) && !value.startsWith('()')) environment[name] = value
  }
  for (const [name, value] of Object.entries(configured)) {
    if (windows)
      for (const other of Object.keys(environment)) if (other.toUpperCase() === name.toUpperCase()) delete environment[other]
    environment[name] = value
  }
  return environment
}

/** The value of PATH, under whatever case Windows has it. */
export function pathOf(environment: Environment, platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') return environment['PATH'] ?? ''
  return Object.entries(environment).find(([name]) => name.toUpperCase() === 'PATH')?.[1] ?? ''
}
