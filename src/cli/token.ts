/** Where the bearer token of the listener comes from: a flag, the environment, the config, or one made once for this user. */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { McpError } from '../gateway/errors.ts'

export interface TokenSources {
  /** Absolute paths. */
  readonly flag: string | undefined
  readonly environment: string | undefined
  /** Absolute; what containers are given instead of the value. */
  readonly environmentFile?: string | undefined
  readonly configured: string | undefined
  /** The user's state folder. */
  readonly state: string
}

export interface FoundToken {
  readonly token: string
  /** The file of a token that we made, now or earlier. */
  readonly made?: string | undefined
  readonly warning?: string | undefined
}

/** Fewer characters can be guessed. */
const minLength = 16

/** Rejects with CONFIG_INVALID when the token that was named cannot be used; another one is never taken instead. */
export async function findToken({ flag, environment, environmentFile, configured, state }: TokenSources): Promise<FoundToken> {
  if (flag !== undefined) return readToken(flag)
  if (environment !== undefined && environment !== '') return { token: checked(environment.trim(), '$MCP_PROXY_TOKEN') }
  if (environmentFile !== undefined) return readToken(environmentFile)
  if (configured !== undefined) return readToken(configured)
  const made = join(state, 'token')
  try {
    await mkdir(state, { recursive: true, mode: 0o700 })
    await make(made)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST')
      throw new McpError('CONFIG_INVALID', `no token could be made: ${made} cannot be written (${code})`, {
        cause: error,
        hint: 'give one with --token-file or $MCP_PROXY_TOKEN',
      })
  }
  return { ...(await readToken(made)), made }
}

/** In one step: who starts at the same moment finds all of it or nothing. Rejects with EEXIST where another was faster. */
async function make(file: string): Promise<void> {
  if (await stat(file).catch(() => undefined)) return
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 })
  // Some disks know no links.
  const placed = link(draft, file).catch((error: NodeJS.ErrnoException) => (error.code === 'EEXIST' ? Promise.reject(error) : rename(draft, file)))
  await placed.finally(() => rm(draft, { force: true }))
}

async function readToken(file: string): Promise<FoundToken> {
  let text: string
  let mode: number
  try {
    text = await readFile(file, 'utf8')
    mode = (await stat(file)).mode
  } catch (error) {
    throw new McpError('CONFIG_INVALID', `the token file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
  const token = checked(text.trim(), file)
  // What engines mount there is readable for all in the container, and nobody else is in it.
  const isOpen = process.platform !== 'win32' && (mode & 0o077) !== 0 && !file.startsWith('/run/secrets/')
  return { token, warning: isOpen ? `the token file ${file} can be read by other users: chmod 600 it` : undefined }
}

function checked(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token) || token.length < minLength)
    throw new McpError('CONFIG_INVALID', `the token in ${source} is not usable: it needs at least ${minLength} visible ASCII characters`)
  return token
}
