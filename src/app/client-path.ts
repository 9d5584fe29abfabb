/** Where programs are looked for when a client starts us: an application started by the desktop has a bare PATH. */
import { clientCalled, knownClients, type KnownClient } from '../gateway/profiles.ts'
import { loginPath } from '../transports/login-path.ts'

export interface ClientPath {
  readonly client: KnownClient
  /** What the client passes on; undefined = what this terminal has. */
  readonly path: string | undefined
  /** What the login shell would add, asked for only when something was not found. */
  more(): Promise<readonly string[]>
}

/** Of launchd; and of the session manager of a Linux desktop. On Windows the desktop has the user's whole PATH. */
const bare: Partial<Record<NodeJS.Platform, string>> = {
  darwin: '/usr/bin:/bin:/usr/sbin:/sbin',
  linux: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
}

/** undefined: nobody knows this client. */
export function clientPath(name: string, platform: NodeJS.Platform): ClientPath | undefined {
  const client = clientCalled(name)
  if (!client) return undefined
  return {
    client,
    path: client.desktop ? bare[platform] : undefined,
    more: async () => (await loginPath())?.folders ?? [],
  }
}

export const clientNames = (): string[] => knownClients.map(({ id }) => id)
