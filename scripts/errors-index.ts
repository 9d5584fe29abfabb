/** The index of docs/errors: one row per page, its first line beside its code. Pages are written by hand; this is not. */

export interface ErrorPage {
  readonly code: string
  readonly text: string
}

export interface Group {
  readonly title: string
  readonly codes: readonly string[]
}

/** What stands in a page under its heading: one sentence. */
export const causeOf = ({ text }: ErrorPage): string => (text.split('\n').find((line, index) => index > 0 && line !== '') ?? '').trim()

export function errorsIndex(pages: readonly ErrorPage[], groups: readonly Group[]): string {
  const byCode = new Map(pages.map(page => [page.code, page]))
  const listed = new Set<string>()
  const sections = groups.map(({ title, codes }) => {
    const rows = codes.flatMap(code => {
      const page = byCode.get(code)
      if (!page || listed.has(code)) return []
      listed.add(code)
      return [`| [${code}](${code}.md) | ${causeOf(page)} |`]
    })
    return `## ${title}\n\n| Code | Means |\n| --- | --- |\n${rows.join('\n')}\n`
  })
  return `# Failures\n\nEvery failure has a code that stays the same, and a page with its cause and the next step.\n\n${sections.join('\n')}`
}
