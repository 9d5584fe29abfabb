/** docs/configuration.md, made from the schema. Run by test/unit/config/reference.test.ts; `--update` writes it. */
import type { JsonSchema } from '../src/config/json-schema.ts'
import { variableFor } from '../src/config/overrides.ts'

export function configurationPage(schema: JsonSchema): string {
  const { mcpServers, defaults, ...settings } = schema.properties ?? {}
  delete settings['$schema']
  const { instances, ...backend } = (mcpServers?.additionalProperties as JsonSchema | undefined)?.properties ?? {}
  return `${[
    intro,
    '## Servers: `mcpServers.<alias>`',
    servers,
    table(backend),
    '### `instances`',
    instances?.description ?? '',
    `Besides the keys of a server, an entry takes \`backup\`: ${instances?.items?.properties?.['backup']?.description?.toLowerCase() ?? ''}`,
    '## `defaults`',
    `${defaults?.description ?? ''} Takes the keys above except ${Object.keys({ ...backend, instances })
      .filter(key => !defaults?.properties?.[key])
      .map(code)
      .join(', ')}. Groups are merged key by key, lists are replaced.`,
    '## Settings',
    'Each can also be set by the environment variable in the last column; it wins over the file.',
    settingsTable(settings),
    outro,
  ].join('\n\n')}\n`
}

const code = (text: string): string => `\`${text}\``

interface Row {
  readonly path: readonly string[]
  readonly schema: JsonSchema
}

function* rows(properties: Record<string, JsonSchema>, at: readonly string[] = []): Generator<Row> {
  for (const [key, schema] of Object.entries(properties)) {
    const path = [...at, key]
    yield { path, schema }
    if (schema.properties && schema.kind === undefined) yield* rows(schema.properties, path)
    const named = groupsOf(schema)
    if (named) yield* rows(named, [...path, '<name>'])
  }
}

/** The keys of each entry, where a key takes groups under names of the writer's own. */
const groupsOf = ({ additionalProperties }: JsonSchema): Record<string, JsonSchema> | undefined =>
  typeof additionalProperties === 'object' ? additionalProperties.properties : undefined

const cell = (text: string): string => text.replaceAll('|', '\\|')

const line = (...cells: string[]): string => `| ${cells.map(cell).join(' | ')} |`

const table = (properties: Record<string, JsonSchema>): string =>
  [
    line('Key', 'Value', 'Default', 'Meaning'),
    line('---', '---', '---', '---'),
    ...[...rows(properties)].map(({ path, schema }) =>
      line(code(path.join('.')), kindOf(schema), defaultOf(schema), schema.description ?? ''),
    ),
  ].join('\n')

const settingsTable = (properties: Record<string, JsonSchema>): string =>
  [
    line('Key', 'Value', 'Default', 'Meaning', 'Variable'),
    line('---', '---', '---', '---', '---'),
    ...[...rows(properties)].map(({ path, schema }) =>
      line(
        code(path.join('.')),
        kindOf(schema),
        defaultOf(schema),
        schema.description ?? '',
        schema.properties || groupsOf(schema) || path.includes('<name>') ? '' : code(variableFor(path)),
      ),
    ),
  ].join('\n')

function kindOf(schema: JsonSchema): string {
  if (schema.enum && schema.kind === undefined) return schema.enum.map(value => code(String(value))).join(' ')
  if (schema.kind === 'number') return `${schema.minimum} to ${schema.maximum}`
  if (schema.kind !== undefined) return schema.kind
  if (schema.type === 'array') return `list of ${schema.items ? kindOf(schema.items) : 'values'}`
  if (schema.properties) return 'group'
  if (schema.type === 'object') return groupsOf(schema) ? 'name → group' : 'name → text'
  return schema.type === 'string' ? 'text' : String(schema.type)
}

function defaultOf({ default: value, properties }: JsonSchema): string {
  if (value === undefined || properties) return ''
  return code(typeof value === 'string' ? value : JSON.stringify(value))
}

const intro = `# Configuration

<!-- Made from the schema by \`npm run docs\`: change src/config/schema*.ts or scripts/configuration-page.ts, not this page. -->

One file, in JSON (comments and trailing commas are fine) or YAML. \`mcp-proxy validate\` checks it, \`mcp-proxy config show\`
shows every effective value and where it comes from, \`mcp-proxy config schema\` prints the JSON Schema
([schema/config.schema.json](../schema/config.schema.json)); with \`"$schema"\` pointing to that file, editors complete keys.

## Which file

1. \`--config FILE\`
2. the variable \`MCP_PROXY_CONFIG\`
3. \`config.json\`, \`config.jsonc\`, \`config.yaml\` or \`config.yml\` in the user's config folder

A config in the current folder is only mentioned, never used by itself: a cloned repository must not start programs.

| Folder | Linux | macOS | Windows | with \`MCP_PROXY_HOME=DIR\` |
| --- | --- | --- | --- | --- |
| config, \`credentials.json\` | \`$XDG_CONFIG_HOME/mcp-proxy\`, \`~/.config/mcp-proxy\` | \`~/Library/Preferences/mcp-proxy\` | \`%APPDATA%\\mcp-proxy\\Config\` | \`DIR\` |
| cache | \`$XDG_CACHE_HOME/mcp-proxy\`, \`~/.cache/mcp-proxy\` | \`~/Library/Caches/mcp-proxy\` | \`%LOCALAPPDATA%\\mcp-proxy\\Cache\` | \`DIR/cache\` |
| state | \`$XDG_STATE_HOME/mcp-proxy\`, \`~/.local/state/mcp-proxy\` | \`~/Library/Application Support/mcp-proxy\` | \`%LOCALAPPDATA%\\mcp-proxy\\Data\` | \`DIR/state\` |
| runtime (sockets) | \`$XDG_RUNTIME_DIR/mcp-proxy\`, else \`run\` in the state folder | the same | the same | \`DIR/run\` |

The XDG variables are honoured on every system.

## Notations

- **Durations**: milliseconds, or a text with \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`: \`500ms\`, \`30s\`, \`1.5h\`.
- **Sizes**: bytes, or a text with \`KiB\`, \`MiB\`, \`GiB\` (1024) or \`kB\`, \`MB\`, \`GB\` (1000).
- **Paths**: relative ones start at the folder of the file they stand in; \`~/\` is home.
- **Globs**: \`*\` stands for any characters, \`?\` for one.
- **Numbers and switches** may be given as text (\`"3050"\`, \`"true"\`).

## Substitution

In every text value, once, after parsing; what is put in is not looked at again.

| Written | Becomes |
| --- | --- |
| \`\${VAR}\`, \`\${env:VAR}\` | the environment variable, also where it is set to nothing; else the text of the file that VAR_FILE names; an error where neither is set |
| \`\${VAR:-default}\` | the variable, or the default where it is not set or empty |
| \`\${file:path}\` | the text of the file (up to 64 KiB, without its last newline); works for \`/run/secrets/…\` |
| \`\${cred:NAME}\` | the stored credential, else the variable NAME unless it is empty, else the file that NAME_FILE names, else NAME in \`$CREDENTIALS_DIRECTORY\` (systemd) or \`/run/secrets\` (containers) |
| \`$\${\` | a literal \`\${\` |

\`:-default\` works with all of them, also with nothing behind it: \`\${cred:NAME:-}\` is empty where there is no such credential,
instead of an error. What comes out empty is passed on empty: a variable of a process is set to nothing, a header is sent
without a value.

Values from \`\${cred:}\` and \`\${file:}\`, and variables that are named like secrets, are never logged or shown. A reference that
cannot be resolved, or an \`envFile\` that is missing, holds back the one backend it belongs to, with the reason in \`status\`;
\`validate\` counts it as an error. A backend with \`enabled: false\` is not resolved.`

const servers = `An alias has up to 32 of \`A-Z a-z 0-9 . _ -\`, begins with a letter or digit, does not contain the separator of names
(\`__\`), and differs from the others by more than case or \`.\` for \`_\`. A server has either \`command\`, or \`url\`, or \`instances\`.

The block of other clients works as it is. Read like \`mcpServers\`: \`servers\`, \`mcp.servers\`, \`mcp\`, \`mcp_servers\`,
\`context_servers\`. Read like \`url\`: \`serverUrl\`, \`httpUrl\`, \`uri\`, \`baseUrl\`. Also understood: \`type\` as
\`streamable-http\`, \`stdio\`, \`local\`, \`remote\`; \`http_headers\`; \`environment\`; \`command\` as a list or \`{path, args, env}\`;
\`disabled\`; \`timeout\` (the call timeout: seconds below 1000, else milliseconds), \`startup_timeout_sec\`, \`tool_timeout_sec\`;
\`disabledTools\`, \`excludeTools\`, \`enabledTools\`, \`includeTools\` (as \`tools.exclude\` and \`tools.include\`); \`env_vars\`,
\`env_http_headers\`, \`bearer_token_env_var\`. Keys of clients that mean nothing here, such as \`alwaysLoad\`, \`trust\` or
\`autoApprove\`, are passed over in silence.`

const outro = `## Credentials

\`credentials.json\` in the config folder is \`{"NAME": "value"}\`, written by \`mcp-proxy credentials set NAME\`. It must belong to
you and be closed to others (0600); otherwise it is refused, with the command that mends it. A stored credential wins over the
environment variable of the same name, and that over a default.

## What is an error

Everything wrong with a file is reported at once, with file, line and column. A text that does not parse, a key twice, a value
of the wrong kind, or an unknown key that is probably a misspelt one stops everything (exit code 2). Other unknown keys are
warnings; \`$schema\` and \`x-…\` are free. Bounds: 8 MiB of JSON or 256 KiB of YAML, 64
levels, 20,000 values, 1,000 servers, UTF-8.

Variables beginning with \`MCP_PROXY_\` that are no setting are reported as well. With a meaning of their own: \`MCP_PROXY_CONFIG\`,
\`MCP_PROXY_HOME\`, \`MCP_PROXY_TOKEN\`, \`MCP_PROXY_NO_DAEMON\`, \`MCP_PROXY_PROFILE\`, \`MCP_PROXY_CLIENT\`, \`MCP_PROXY_DEBUG\`, and
everything that begins with \`MCP_PROXY__\`. Lists are given with commas. Servers cannot be configured by variables.`
