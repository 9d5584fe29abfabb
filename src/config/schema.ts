/**
 * The whole config file. Validation, defaults, JSON Schema, help texts and the reference come from here and from
 * schema-backend.ts; nothing else knows a key, a default or a bound.
 */
import * as z from 'zod/mini'
import { choice, defaulted, duration, flag, group, integer, list, map, optional, required, ruled, size, text } from './fields.ts'
import { backendSchema, defaultsSchema } from './schema-backend.ts'

const separator = ruled(value => /^[A-Za-z0-9_.-]{1,8}$/.test(value), 'one to eight of A-Z a-z 0-9 _ . -', {
  pattern: '^[A-Za-z0-9_.-]{1,8}$',
})

export const isUrlPath = (value: string): boolean => /^\/[A-Za-z0-9._~/-]{0,200}$/.test(value) && !value.includes('//')

/** Paths of the listener that are always there. */
export const ownPaths = { stream: '/sse', messages: '/messages', alive: '/healthz', ready: '/readyz', status: '/status' } as const
export const oneServerPath = /^\/servers\/([A-Za-z0-9][A-Za-z0-9._-]{0,31})\/mcp$/

export const isTakenPath = (path: string): boolean => Object.values<string>(ownPaths).includes(path) || oneServerPath.test(path)

const urlPath = ruled(isUrlPath, 'a path that begins with /', {
  pattern: '^/[A-Za-z0-9._~/-]*$',
})

const http = z.object({
  host: defaulted(text(), '127.0.0.1', 'Address to bind. Other than loopback needs a token.'),
  port: defaulted(integer(0, 65_535), 3050, 'Port; 0 picks a free one.'),
  path: defaulted(urlPath, '/mcp', 'Path of the merged endpoint.'),
  tokenFile: optional(text(), 'File that holds the bearer token clients must send.'),
  allowedHosts: defaulted(list(z.string()), [], 'Host header values to accept besides our own address.'),
  allowedOrigins: defaulted(list(z.string()), [], 'Origins of web pages to accept.'),
  tls: optional(
    z.object({
      cert: required(text(), 'PEM file of the certificate chain.'),
      key: required(text(), 'PEM file of the private key.'),
    }),
    'Serve HTTPS.',
  ),
})

const settings = {
  defaults: optional(defaultsSchema, 'Any per-backend setting, for every backend that does not say otherwise.'),
  names: group(
    z.object({
      separator: defaulted(separator, '__', 'Stands between alias and name. No alias may contain it.'),
      prefix: defaulted(
        choice('always', 'onClash', 'never'),
        'always',
        'Whether names carry the alias of their backend. Two equal names are refused, never decided by luck.',
      ),
      maxLength: defaulted(integer(16, 256), 64, 'Longer names are shortened, always in the same way.'),
    }),
    'Names of tools and prompts as clients see them.',
  ),
  startWait: defaulted(duration(), '5s', 'How long a list waits for backends that have never told what they offer.'),
  listen: group(
    z.object({
      http: optional(http, 'Serve over HTTP.'),
      socket: optional(text(), 'Serve over a unix socket at this path.'),
    }),
    'Where to serve besides stdio.',
  ),
  log: group(
    z.object({
      level: defaulted(choice('debug', 'info', 'warn', 'error', 'silent'), 'info', 'Least severe line written.'),
      format: optional(choice('pretty', 'json'), 'Left out: pretty on a terminal, JSON elsewhere.'),
      file: optional(text(), 'Also write every line, as JSON, to this file.'),
    }),
    'Our own log, on stderr.',
  ),
  daemon: group(
    z.object({
      enabled: defaulted(flag(), true, 'Whether `run` shares one background process with the other clients of this user.'),
      idleTimeout: defaulted(duration(), '15m', 'It ends when nobody has used it for so long; 0 = never.'),
    }),
    'The shared background process.',
  ),
  catalog: group(
    z.object({
      cache: defaulted(flag(), true, 'Keep what backends offer on disk, so that lists are answered before any has started.'),
      maxAge: defaulted(duration(), '24h', 'Older than this, it is checked in the background.'),
    }),
    'The stored catalogue.',
  ),
  clients: defaulted(
    map(
      z.object({
        server: optional(text(), 'What the client calls us; it stands in what the client puts before a tool’s name. Usual: `hub`.'),
        nameLength: optional(integer(0, 1024), 'Characters of a tool’s name, with what the client puts before it.'),
        tools: optional(integer(0, 100_000), 'Tools it takes; those beyond are held back.'),
        description: optional(integer(0, 1_000_000), 'Characters of a description it reads.'),
        messageBytes: optional(size(0), 'Largest message it can take.'),
        plainSchemas: optional(flag(), 'Whether schemas have their references written out.'),
      }),
    ),
    {},
    'Limits of clients, by id (`cursor`) or by what they call themselves, over what is known of them; 0 = no limit.',
  ),
}

/** Everything but the servers. */
export const settingsSchema = z.object(settings)

export const aliasPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/

/** Aliases of one key cannot stand together: case is lost on the way through hosts, and in names of tools a `.` becomes `_`. */
export const aliasKey = (alias: string): string => alias.toLowerCase().replaceAll('.', '_')

const alias = ruled(value => aliasPattern.test(value), 'an alias', { pattern: aliasPattern.source })

/** The file as a person writes it; for editors and the reference. Aliases of keys are accepted but not advertised. */
export const configSchema = z.object({
  $schema: optional(z.string(), 'Address of this schema, for editors.'),
  mcpServers: optional(z.record(alias, backendSchema), 'The servers, by alias. Takes the block that MCP clients use as it is.'),
  ...settings,
})

export type ParsedSettings = z.output<typeof settingsSchema>
