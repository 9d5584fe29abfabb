/**
 * Loads the program from what an earlier start compiled, if there is something: compiling it takes longer than all else on
 * the way to the first answer. Owns that file in the cache folder, and V8's settings; knows nothing of the program.
 * `NODE_DISABLE_COMPILE_CACHE=1`, Node's own word for it, turns the former off.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { constants as vm, Script } from 'node:vm'
import { readOwn } from './config/own-file.ts'
import { places } from './config/places.ts'

/** By then the first client has its answers; what was compiled for them is worth keeping. Milliseconds. */
const settleMs = 1000
/** Commands that stay, and so compile different parts; one that ends at once takes what the first of these has kept. */
const staying = ['run', 'serve', 'connect', 'daemon']
/** Nobody waits for their start by the millisecond, and all their clients may come at once. */
const isListener = ['serve', 'daemon'].includes(process.argv[2] ?? '')
/** One for each of them, of two builds or Node versions. */
const filesKept = 8
const maxBytes = 16 * 1024 * 1024
const digestBytes = 32
const newestTried = 26

if (isListener) staySmall()
settle(load(join(__dirname, 'main.cjs')))

/** Its own function, so that nothing it read is kept. Returns what keeps the compiled code, if that is to be done. */
function load(file: string): (() => void) | undefined {
  const source = readFileSync(file, 'latin1')
  // The last line: `//` and the build's hash. V8 itself compares no more than the length of the source.
  const build = source.slice(-33, -1)
  const folder = codeFolder()
  const command = staying.find(word => word === process.argv[2]) ?? staying[0]
  const compiled = folder && join(folder, `${build}-${process.version}-${process.arch}-${command}`)
  const kept = compiled ? readOwn(compiled, maxBytes)?.bytes : undefined
  const cachedData = kept && whole(kept)
  const importModuleDynamically = vm.USE_MAIN_CONTEXT_DEFAULT_LOADER
  const script = new Script(source, { filename: file, cachedData, importModuleDynamically })
  const main = { exports: {} }
  script.runInThisContext()(main.exports, createRequire(file), main, file, dirname(file))
  return folder && compiled && (!cachedData || script.cachedDataRejected) ? () => store(script, folder, compiled) : undefined
}

function settle(keep: (() => void) | undefined): void {
  setTimeout(() => {
    keep?.()
    // After that: V8 takes what was compiled, parts of Node too, only under the flags it was compiled with.
    if (!isListener) staySmall()
  }, settleMs).unref()
}

/**
 * Young objects get 1 MB, and under load no more: V8 would make that 48 MB, and give it back when nothing has happened for a while. Hardly
 * anything of ours lives longer than one call, so the room buys nothing (docs/decisions/0008). A V8 that does not know the
 * flag would say so on stderr: only those that were tried are told.
 */
function staySmall(): void {
  if (Number.parseInt(process.versions.node) <= newestTried) setFlagsFromString('--semi-space-growth-factor=1')
}

function codeFolder(): string | undefined {
  if (process.env['NODE_DISABLE_COMPILE_CACHE']) return undefined
  try {
    return join(places().cache, 'code')
  } catch {
    // The program itself says what is wrong with the user's folders.
    return undefined
  }
}

/** V8 trusts what it is given and ends the process where that is damaged: a disk can be. */
function whole(kept: Buffer): Buffer | undefined {
  const code = kept.subarray(0, -digestBytes)
  return digest(code).equals(kept.subarray(-digestBytes)) ? code : undefined
}

function digest(code: Buffer): Buffer {
  return createHash('sha256').update(code).digest()
}

function store(script: Script, into: string, path: string): void {
  try {
    mkdirSync(into, { recursive: true, mode: 0o700 })
    const draft = `${path}.${process.pid}`
    const code = script.createCachedData()
    writeFileSync(draft, Buffer.concat([code, digest(code)]), { mode: 0o600, flag: 'wx' })
    renameSync(draft, path)
    const others = readdirSync(into).map(name => join(into, name)).map(each => ({ each, at: statSync(each).mtimeMs }))
    for (const { each } of others.sort((a, b) => b.at - a.at).slice(filesKept)) rmSync(each, { force: true })
  } catch {
    // A folder that cannot be written costs time at the next start and nothing else.
  }
}
