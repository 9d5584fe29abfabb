/** Where systems keep the settings of applications. Pure: the machine is handed in. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { posix, win32 } from 'node:path'
import type { Surroundings } from './client.ts'

/** This process's machine, seen from `cwd`. */
export function surroundingsOf({ env, cwd, platform }: Pick<Surroundings, 'env' | 'cwd' | 'platform'>): Surroundings {
  const home = platform === 'win32' ? env['USERPROFILE'] : env['HOME']
  return { platform, env, cwd, home: home || homedir(), exists: existsSync }
}

/** Joins in the manner of the machine described, not of the one this runs on. */
export const join = ({ platform }: Surroundings, ...parts: string[]): string =>
  (platform === 'win32' ? win32 : posix).join(...parts)

export const inHome = (on: Surroundings, ...parts: string[]): string => join(on, on.home, ...parts)

export const inProject = (on: Surroundings, ...parts: string[]): string => join(on, on.cwd, ...parts)

/** The folder a variable names, if it names one: relative paths would mean another folder to each client. */
export function named({ env, platform }: Surroundings, variable: string): string | undefined {
  const path = env[variable]
  return path && (platform === 'win32' ? win32 : posix).isAbsolute(path) ? path : undefined
}

/** `$XDG_CONFIG_HOME`, else ~/.config. */
export const xdgConfig = (on: Surroundings): string => named(on, 'XDG_CONFIG_HOME') ?? inHome(on, '.config')

/** `%APPDATA%`. */
export const roaming = (on: Surroundings): string => named(on, 'APPDATA') ?? inHome(on, 'AppData', 'Roaming')

/** `%LOCALAPPDATA%`. */
export const local = (on: Surroundings): string => named(on, 'LOCALAPPDATA') ?? inHome(on, 'AppData', 'Local')

/** Application Support on macOS, %APPDATA% on Windows, ~/.config elsewhere. */
export function applicationSupport(on: Surroundings): string {
  if (on.platform === 'darwin') return inHome(on, 'Library', 'Application Support')
  return on.platform === 'win32' ? roaming(on) : xdgConfig(on)
}

/** The first that is there, else the first. */
export const firstExisting = ({ exists }: Surroundings, ...paths: [string, ...string[]]): string => paths.find(exists) ?? paths[0]
