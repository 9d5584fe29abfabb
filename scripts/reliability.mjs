#!/usr/bin/env node
// Turns what the fault tests measured (.results/faults) into docs/reliability.md. Of a figure measured at both sizes the full
// one is shown.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const folder = new URL('.results/faults/', root)
const read = name => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
const figures = new Map()
for (const name of readdirSync(folder).sort()) {
  // `….full.json` sorts before `….short.json`.
  const figure = read(name)
  if (!figures.has(figure.id)) figures.set(figure.id, figure)
}
const order = ({ fault }) => (fault === '-' ? 100 : fault === 'soak' ? 101 : Number(fault))
const rows = [...figures.values()].sort((a, b) => order(a) - order(b) || a.id.localeCompare(b.id))
const cell = text => String(text).replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')
const machines = [...new Set(rows.map(({ machine }) => machine))]
const missed = rows.filter(({ met }) => !met)
const open = rows.filter(row => row.open)
const readings = figures.get('soak')?.series

const page = `# Reliability: what we promise, and what we measured

This page is generated (\`npm run reliability\`) from what the fault tests wrote down when they last ran. Every row is a test that
starts the built program as users do, with real processes at both ends, makes the fault happen, and measures. A figure is one
measurement on one machine, not an average over many and not a guarantee for yours; nothing is extrapolated.

Under every row three things are checked besides what it says, and a test cannot leave them out:

- **Isolation**: every client, every call and every server carries a marker of 128 random bits; a marker that reaches anybody it is not
  meant for fails the test, as do doubled answers, answers to nothing, and arguments of calls in the log (except where a server
  writes them on a line that is no message: such lines are quoted there).
- **Secrets**: every server knows a secret and tells it in eight spellings on stderr and between its messages, some of them cut in
  half; it must not show in anything a client receives, in the log at debug level, in any file we write, or on any command line.
- **Conservation**: requests sent = answered + refused + cancelled. And when all is over, no process is left.

**How the soak reads memory.** The listener has the two settings of glibc's allocator that our unit files have ([decision 0008](decisions/0008-memory-is-given-back.md)); started
by hand, or on musl, it has not, and takes more. First comes the same load and the same faults in haste (without pauses, by eight more clients and four more
makers of trouble), twenty minutes before an hour. Then, twice a minute, the load pauses for two seconds, memory is collected as V8 does when it is short of it, and RSS is read, the
heap, and the buffers beside it. So the slope shows what is kept; what drains within a second of quiet, or what only such a collection frees, it does not show,
and the figures under load are those of a process that was collected in this way. The error counts with the slope, and is wider the more neighbouring readings resemble
each other: an hour that cannot tell 0 from 3 MB/h has not shown that it is below 1.${readings ? ' The readings themselves: [reliability-soak.csv](reliability-soak.csv) (\`at\` in seconds, the rest in MB or pieces).' : ''}

Why in haste: V8 compiles a function once it has been used often enough, so the memory of a process that does little grows for hours without anything being kept for a call. With five minutes at a walk
before it, an hour (commit 9d76bf8) gave 1.82 ± 0.75 MB/h: missed, and counted as missed. Two heap snapshots of such a run, 12 minutes apart, differ by 1.5 MB, all of it compiled code
and V8's notes on that (215 optimised functions became 470, hardly any of them twice), while objects, strings and arrays together shrank by 3 KB. Warming up by work
takes that out of the hour, and leaves in whatever is kept per call, session, crash or restart: that does not end with a warm-up. A process that has just been
started grows by these few megabytes in its first hours.

Four more things were changed on 2026-11-21 to get there: V8's room for young objects stays small, glibc is told to give back, readings are taken at rest, and a reader of lines lets a
large line go once it is passed on. Before, an hour of readings once a second under load gave 4.8 MB/h (medians of the halves 131 and 143 MB, heap 11 and 13 MB), and one of readings
after a collection, under load, 0.45 ± 3.0 (both halves 166 MB, heap 11.5 and 12.5): up to 40 MB were free but not given back, more at one moment than at another.

Three soaks since, all below 1 MB/h: an hour each on commits db24ba3 (0.32 ± 0.18) and 352e21f (0.71 ± 0.40), two hours on 2ddb11b (0.19 ± 0.50), the last with builds and tests beside it. The test wants slope and
error together below 1, so the second counts as missed in the table, by 0.11; the demand was not changed after the fact. All three, weighted by their errors, are 0.37 ± 0.16. In all what is not chance is small:
heap and buffers rose by 0.18 ± 0.15, 0.30 ± 0.03 and 0.17 ± 0.01 MB/h, more than half of that compiled code; pages of the program by nothing. The rest of RSS moves by up to
4 MB from one reading to the next, and in the third by up to 13: a fifth of its readings stand about 12 MB above the others, which is most of its error; the medians of its quarters of an hour are 67.0 to 67.6 MB, the first
and the last alike. That was free memory of glibc's heap, when last traced; not traced again. Commits after 2ddb11b are in no soak.

Measured on ${machines.join('; ')}. The machine was shared with other work, so times are on the slow side.
${missed.length === 0 ? 'No promise below was missed when it was last measured.' : `Not met when last measured: ${missed.map(({ id }) => id).join(', ')}.`}${open.length === 0 ? '' : ` Not yet measured at the size that is promised: ${open.map(({ id }) => id).join(', ')}.`}

Run it yourself: \`npm run build\`, then \`npm run test:faults\` (the short form, minutes), \`FAULTS_FULL=1 npm run test:faults\` (the
sizes that are promised), \`npm run soak -- --minutes 60\`, and \`npm run reliability\` to write this page again. Linux only: the tests
read \`/proc\`.

| # | Fault | Promise | Measured | Size | Date |
| --- | --- | --- | --- | --- | --- |
${rows.map(({ fault, what, promise, measured, met, open, size, date }) => `| ${fault} | ${cell(what)} | ${cell(promise)} | ${met ? '' : '**missed:** '}${open ? '**not at the promised size:** ' : ''}${cell(measured)} | ${fault === 'soak' ? '-' : size} | ${date} |`).join('\n')}

Size \`short\` is the part that fits into a build; the numbers in the row say how large it was.

## Not measured

- Containers as servers, and the docker part of fault 9.
- Redis (fault 12), tools that change between list and call (21), many processes that refresh one token (22).
- A limit of processes (10): the tests may run as root, for whom there is none.
- Packets that are dropped without a word (16): what we do about it is a keep-alive, which is tested in small.
- Windows and macOS. What differs there is unit-tested only.
`
writeFileSync(new URL('docs/reliability.md', root), page)
if (readings) {
  const columns = Object.keys(readings[0])
  const lines = readings.map(reading => columns.map(column => Math.round(reading[column] * 100) / 100).join(','))
  writeFileSync(new URL('docs/reliability-soak.csv', root), `${[columns.join(','), ...lines].join('\n')}\n`)
}
process.stdout.write(`${fileURLToPath(new URL('docs/reliability.md', root))}: ${rows.length} figures, ${missed.length} missed\n`)
process.exitCode = missed.length === 0 ? 0 : 1
