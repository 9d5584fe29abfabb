import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { defineConfig, type Options } from 'tsup'

const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string }

/** Large, and not needed on the way to the first answer: files of their own, read when they are. */
const vendors = { undici: 'undici', yaml: 'yaml', toml: '@decimalturn/toml-patch', 'pino-pretty': 'pino-pretty' }

const require = createRequire(import.meta.url)

/** We hand pino a function to write to. What its own files and workers need is never used, and loading it would cost every start. */
const unused: Record<string, string> = {
  worker_threads: 'module.exports = { isMainThread: true }',
  'thread-stream': 'module.exports = class {}',
  'sonic-boom': 'module.exports = class {}',
}
const withoutUnused = {
  name: 'without-unused',
  setup(build: EsbuildSetup) {
    build.onResolve({ filter: /^(worker_threads|thread-stream|sonic-boom)$/ }, ({ path }) => ({ path, namespace: 'unused' }))
    build.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({ contents: unused[path] ?? '' }))
  },
}

const vendored = {
  name: 'vendored',
  setup(build: EsbuildSetup) {
    for (const [name, module] of Object.entries(vendors))
      build.onResolve({ filter: new RegExp(`^${module}$`) }, () => ({ path: `./vendor/${name}.cjs`, external: true }))
  },
}

/** Parts of Node that a process with nothing to do never needs: loaded when something of them is first used. */
const lazyBuiltins = ['child_process', 'fs/promises', 'timers/promises']
const lazily = {
  name: 'lazily',
  setup(build: EsbuildSetup) {
    build.onResolve({ filter: new RegExp(`^(node:)?(${lazyBuiltins.join('|')})$`) }, ({ path, namespace }) =>
      namespace === 'lazily' ? { path, external: true } : { path: path.replace('node:', ''), namespace: 'lazily' },
    )
    build.onLoad({ filter: /.*/, namespace: 'lazily' }, ({ path }) => ({
      contents: `
        let loaded
        for (const name of ${JSON.stringify(Object.keys(require(`node:${path}`) as object))})
          Object.defineProperty(exports, name, { enumerable: true, get: () => (loaded ??= require('node:${path}'))[name] })`,
    }))
  },
}

type EsbuildSetup = Parameters<NonNullable<Options['esbuildPlugins']>[number]['setup']>[0]

const common: Options = {
  format: 'cjs',
  target: 'node20',
  platform: 'node',
  splitting: false,
  clean: false,
  minify: false,
  shims: true,
  sourcemap: false,
  noExternal: [/.*/],
  removeNodeProtocol: false,
  external: ['typescript', 'fsevents'],
  define: { __VERSION__: JSON.stringify(version) },
  // Less to read at every start. Names stay, for profiles and stack traces.
  esbuildOptions(options) {
    options.minifyWhitespace = true
    options.minifySyntax = true
    // What is left of dynamic imports names files of ours, which are CommonJS.
    options.supported = { 'dynamic-import': false }
  },
}

// Everything is bundled, so an install is one package. `main` is not a module but one function, which `start` compiles, or
// takes from what an earlier start compiled; its last line says which build it is.
export default defineConfig(({ outDir = 'dist' }) => {
  rmSync(outDir, { recursive: true, force: true })
  return [
    { ...common, entry: { start: 'src/start.ts' } },
    { ...common, entry: Object.fromEntries(Object.entries(vendors).map(([name, module]) => [`vendor/${name}`, require.resolve(module)])) },
    {
      ...common,
      entry: { main: 'src/main.ts' },
      esbuildPlugins: [vendored, withoutUnused, lazily],
      banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
      footer: { js: '})' },
      onSuccess: () => Promise.resolve(sign(join(outDir, 'main.cjs'))),
    },
  ]
})

/** Throws if the text is not plain ASCII: it is read byte by byte. */
function sign(file: string): void {
  const text = readFileSync(file, 'latin1')
  const odd = /[^\x00-\x7f]/.exec(text)
  if (odd) throw new Error(`${file}: a character beyond ASCII at ${odd.index}: ${text.slice(odd.index - 40, odd.index + 20)}`)
  writeFileSync(file, `${text}//${createHash('sha256').update(text).digest('hex').slice(0, 32)}\n`, 'latin1')
}
