/** Completion scripts of the shells, from a table of what may follow what. Pure; knows no command. */

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

export interface Choice {
  readonly text: string
  readonly about: string
}

export interface Flag extends Choice {
  /** What its value may be; undefined = it takes none. */
  readonly takes: { readonly file: boolean; readonly values: readonly string[] } | undefined
}

/** What may follow after the words of a path, such as `credentials set`; the empty path is the beginning. */
export interface Word {
  readonly path: readonly string[]
  readonly flags: readonly Flag[]
  readonly next: readonly Choice[]
  /** Whether its arguments are files. */
  readonly file: boolean
}

const programs = ['mcp-proxy', 'mcp-proxy-server']

export function scriptFor(shell: Shell, words: readonly Word[]): string {
  if (shell === 'fish') return fish(words)
  return shell === 'bash' ? bash(words) : zsh(words)
}

const key = ({ path }: Word): string => path.join(' ')
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
const valued = ({ flags }: Word): Flag[] => flags.filter(({ takes }) => takes !== undefined)
/** Patterns of `case`: `path|flag` for one of these flags there. */
const patterns = (word: Word, flags: readonly Flag[]): string => flags.map(({ text }) => quoted(`${key(word)}|${text}`)).join('|')

/** Walks over the words before the cursor: which path they are, and what the last of them wants. For bash and zsh. */
function walk(words: readonly Word[], list: string, first: number, last: string): string {
  const steps = words.filter(({ path }) => path.length > 0).map(word => quoted(key(word)))
  const values = words.map(word => patterns(word, valued(word))).filter(text => text !== '')
  return [
    `  local at='' wants='' word='' i`,
    `  for ((i = ${first}; i < ${last}; i++)); do`,
    `    word=\${${list}[i]}`,
    `    if [[ -n $wants ]]; then wants=''; continue; fi`,
    `    case "$at|$word" in`,
    `      ${values.join('|\\\n      ')}) wants=$word; continue ;;`,
    `    esac`,
    `    [[ $word == -* ]] && continue`,
    `    case "\${at:+$at }$word" in`,
    `      ${steps.join('|')}) at="\${at:+$at }$word" ;;`,
    `    esac`,
    `  done`,
  ].join('\n')
}

function bash(words: readonly Word[]): string {
  const lines = [
    `# Completion of mcp-proxy for bash: eval "$(mcp-proxy completion bash)" in ~/.bashrc`,
    '_mcp_proxy() {',
    `  local cur=\${COMP_WORDS[COMP_CWORD]}`,
    walk(words, 'COMP_WORDS', 1, 'COMP_CWORD'),
    `  local words='' files=''`,
    `  if [[ -n $wants ]]; then`,
    `    case "$at|$wants" in`,
  ]
  for (const word of words) {
    const files = valued(word).filter(({ takes }) => takes?.file)
    if (files.length > 0) lines.push(`      ${patterns(word, files)}) files=1 ;;`)
    for (const flag of valued(word))
      if (flag.takes && flag.takes.values.length > 0)
        lines.push(`      ${patterns(word, [flag])}) words=${quoted(flag.takes.values.join(' '))} ;;`)
  }
  lines.push(`    esac`, `  elif [[ $cur == -* ]]; then`, `    case "$at" in`)
  const joined = (choices: readonly Choice[]): string => quoted(choices.map(({ text }) => text).join(' '))
  for (const word of words) lines.push(`      ${quoted(key(word))}) words=${joined(word.flags)} ;;`)
  lines.push(`    esac`, `  else`, `    case "$at" in`)
  for (const word of words)
    if (word.next.length > 0 || word.file)
      lines.push(`      ${quoted(key(word))}) words=${joined(word.next)} files=${word.file ? 1 : ''} ;;`)
  lines.push(
    `    esac`,
    `  fi`,
    `  COMPREPLY=($(compgen -W "$words" -- "$cur"))`,
    `  if [[ -n $files ]]; then`,
    `    compopt -o filenames 2>/dev/null`,
    `    COMPREPLY+=($(compgen -f -- "$cur"))`,
    `  fi`,
    '}',
    `complete -F _mcp_proxy ${programs.join(' ')}`,
  )
  return `${lines.join('\n')}\n`
}

/** A colon parts a word from what it means. */
const described = ({ text, about }: Choice): string => quoted(`${text.replaceAll(':', '\\:')}:${about}`)

function zsh(words: readonly Word[]): string {
  const lines = [
    `#compdef ${programs.join(' ')}`,
    `# Completion of mcp-proxy for zsh: eval "$(mcp-proxy completion zsh)" in ~/.zshrc, after compinit`,
    '_mcp_proxy() {',
    walk(words, 'words', 2, 'CURRENT'),
    `  local -a choices`,
    `  if [[ -n $wants ]]; then`,
    `    case "$at|$wants" in`,
  ]
  for (const word of words) {
    const files = valued(word).filter(({ takes }) => takes?.file)
    if (files.length > 0) lines.push(`      ${patterns(word, files)}) _files ;;`)
    for (const flag of valued(word))
      if (flag.takes && flag.takes.values.length > 0)
        lines.push(`      ${patterns(word, [flag])}) choices=(${flag.takes.values.map(quoted).join(' ')}) ;;`)
  }
  lines.push(`    esac`, `  elif [[ \${words[CURRENT]} == -* ]]; then`, `    case "$at" in`)
  for (const word of words) lines.push(`      ${quoted(key(word))}) choices=(${word.flags.map(described).join(' ')}) ;;`)
  lines.push(`    esac`, `  else`, `    case "$at" in`)
  for (const word of words)
    if (word.next.length > 0 || word.file)
      lines.push(`      ${quoted(key(word))}) choices=(${word.next.map(described).join(' ')})${word.file ? '; _files' : ''} ;;`)
  lines.push(
    `    esac`,
    `  fi`,
    `  (( $#choices )) && _describe -V mcp-proxy choices`,
    '}',
    `compdef _mcp_proxy ${programs.join(' ')}`,
  )
  return `${lines.join('\n')}\n`
}

function fish(words: readonly Word[]): string {
  const steps = words.filter(({ path }) => path.length > 0).map(word => quoted(key(word)))
  const values = words.flatMap(word => valued(word).map(({ text }) => quoted(`${key(word)}|${text}`)))
  const lines = [
    '# Completion of mcp-proxy for fish: mcp-proxy completion fish > ~/.config/fish/completions/mcp-proxy.fish',
    'function __mcp_proxy_at',
    `    set -l at ''`,
    `    set -l wants ''`,
    '    for word in (commandline -opc)[2..-1]',
    `        if test -n "$wants"`,
    `            set wants ''`,
    '            continue',
    '        end',
    `        if contains -- "$at|$word" ${values.join(' ')}`,
    '            set wants $word',
    '            continue',
    '        end',
    `        string match -q -- '-*' $word; and continue`,
    `        set -l further (string trim -- "$at $word")`,
    `        contains -- "$further" ${steps.join(' ')}; and set at $further`,
    '    end',
    `    test "$at" = "$argv[1]"`,
    'end',
  ]
  for (const program of programs) {
    lines.push(`complete -c ${program} -f`)
    for (const word of words) {
      const when = `-n ${quoted(`__mcp_proxy_at "${key(word)}"`)}`
      for (const { text, about } of word.next) lines.push(`complete -c ${program} ${when} -a ${quoted(text)} -d ${quoted(about)}`)
      if (word.file) lines.push(`complete -c ${program} ${when} -F`)
      for (const { text, about, takes } of word.flags) {
        const name = text.startsWith('--') ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`
        const among = takes && takes.values.length > 0 ? ` -a ${quoted(takes.values.join(' '))}` : ''
        const value = takes === undefined ? '' : takes.file ? ' -r -F' : ` -x${among}`
        lines.push(`complete -c ${program} ${when} ${name}${value} -d ${quoted(about)}`)
      }
    }
  }
  return `${lines.join('\n')}\n`
}
