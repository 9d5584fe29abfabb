/**
 * Certificate and key of the listener, read anew when a file changes. A pair that cannot be used is never put in place
 * of one that can.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { McpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'

export interface TlsFiles {
  /** PEM files: the certificate chain and its private key. */
  readonly cert: string
  readonly key: string
}

export interface TlsPair {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
}

export interface Tls {
  readonly current: TlsPair
  /** Calls back with each new usable pair. Returns how to stop. */
  watch(changed: (pair: TlsPair) => void): () => void
}

/** How often the files are looked at: replaced files, links and mounted secrets are all seen so. Milliseconds. */
const lookMs = 1000

/** Throws CONFIG_INVALID when the pair cannot be used. */
export function loadTls(files: TlsFiles, log: Log): Tls {
  let current = read(files)
  return {
    get current() {
      return current
    },
    watch(changed) {
      const look = (): void => {
        try {
          const next = read(files)
          if (next.cert.equals(current.cert) && next.key.equals(current.key)) return
          current = next
          changed(next)
          log.info({ cert: files.cert }, 'the certificate was replaced')
        } catch (error) {
          // Both files change, one after the other: what does not fit yet may fit at the next look.
          log.warn({ cert: files.cert, reason: (error as Error).message }, 'the new certificate cannot be used; the old one stays')
        }
      }
      const paths = [files.cert, files.key]
      for (const path of paths) watchFile(path, { interval: lookMs, persistent: false }, look)
      // Changes count from the watch's own first look; what came before that one would go unnoticed.
      const first = setTimeout(look, lookMs).unref()
      return () => {
        clearTimeout(first)
        for (const path of paths) unwatchFile(path, look)
      }
    },
  }
}

function read({ cert, key }: TlsFiles): TlsPair {
  try {
    const pair: TlsPair = { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.2' }
    createSecureContext({ cert: pair.cert, key: pair.key })
    return pair
  } catch (cause) {
    throw new McpError('CONFIG_INVALID', `the TLS certificate cannot be used: ${(cause as Error).message}`, {
      cause,
      hint: `check ${cert} and ${key}: two PEM files that belong together`,
    })
  }
}
