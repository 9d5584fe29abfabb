/**
 * Certificate and key of the listener, read anew when a file changes. A pair that cannot be used is never put in place
 * of one that can.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
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
      let told = ''
      let again: NodeJS.Timeout | undefined
      const look = (): void => {
        clearTimeout(again)
        try {
          const next = read(files)
          told = ''
          if (next.cert.equals(current.cert) && next.key.equals(current.key)) return
          current = next
          changed(next)
          log.info({ cert: files.cert }, 'the certificate was replaced')
        } catch (error) {
          // Both files change, one after the other; and a file that could not be read need not change to be readable.
          again = setTimeout(look, lookMs).unref()
          const reason = (error as Error).message
          if (reason !== told) log.warn({ cert: files.cert, reason }, 'the new certificate cannot be used; the old one stays')
          told = reason
        }
      }
      const paths = [files.cert, files.key]
      for (const path of paths) watchFile(path, { interval: lookMs, persistent: false }, look)
      // Changes count from the watch's own first look; what came before that one would go unnoticed.
      again = setTimeout(look, lookMs).unref()
      return () => {
        clearTimeout(again)
        for (const path of paths) unwatchFile(path, look)
      }
    },
  }
}

function read(files: TlsFiles): TlsPair {
  const pair = { cert: load(files.cert, files), key: load(files.key, files), minVersion: 'TLSv1.2' } as const
  check(files.cert, files, () => createSecureContext({ cert: pair.cert }))
  // OpenSSL's word for it is "interrupted or cancelled".
  if (encrypted.test(pair.key.toString('latin1'))) throw unusable(`${files.key} is encrypted; it must be a key without a passphrase`, files)
  const key = check(files.key, files, () => createPrivateKey(pair.key))
  // OpenSSL takes a key of another kind than the certificate's, and then no connection.
  if (!new X509Certificate(pair.cert).checkPrivateKey(key)) throw unusable(`${files.key} is not the key of ${files.cert}`, files)
  check(files.key, files, () => createSecureContext(pair))
  return pair
}

const encrypted = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m

const load = (file: string, files: TlsFiles): Buffer => check(file, files, () => readFileSync(file))

/** Says of which file it is what goes wrong. */
function check<T>(file: string, files: TlsFiles, step: () => T): T {
  try {
    return step()
  } catch (cause) {
    throw unusable(`${file}: ${(cause as Error).message}`, files, cause)
  }
}

const unusable = (why: string, { cert, key }: TlsFiles, cause?: unknown): McpError =>
  new McpError('CONFIG_INVALID', `the TLS certificate cannot be used: ${why}`, {
    cause,
    hint: `check ${cert} and ${key}: two PEM files that belong together`,
  })
