// Results as Markdown.
export function markdown({ machine: m, date, quick, seconds, sections }) {
  const lines = [
    `Measured ${date.slice(0, 10)}${quick ? ' (quick mode)' : ''}, in ${seconds} s: mcp-proxy-server ${m.version}${m.commit ? ` (${m.commit})` : ''}, Node ${m.node}, ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB, ${m.kernel}.`,
    `Load of the machine at the start and at the end: ${m.load.join(' ')} and ${m.loadAtEnd.join(' ')}. Compare figures within a table only.`,
  ]
  for (const tables of Object.values(sections))
    for (const { title, note, columns, rows } of tables) {
      lines.push('', `## ${title}`, '')
      if (note) lines.push(note, '')
      lines.push(`| ${columns.join(' | ')} |`, `|${columns.map(() => '---').join('|')}|`, ...rows.map(row => `| ${row.join(' | ')} |`))
    }
  return lines.join('\n') + '\n'
}
