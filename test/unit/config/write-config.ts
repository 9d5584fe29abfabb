/** A scratch folder with files in it, and configs loaded from there. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import { inspectConfig, loadConfig, type Inspection, type LoadOptions, type Loaded } from '../../../src/config/load.ts'

export interface Scratch {
  readonly folder: string
  /** Writes a file, objects as JSON; answers its path. */
  write(name: string, content: string | object, mode?: number): string
  load(content: string | object, options?: LoadOptions & { name?: string }): Promise<Loaded>
  inspect(content: string | object, options?: LoadOptions & { name?: string }): Promise<Inspection>
}

/** Removed after the tests of the file. */
export function scratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-config-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const write: Scratch['write'] = (name, content, mode = 0o600) => {
    const file = join(folder, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
    chmodSync(file, mode)
    return file
  }
  return {
    folder,
    write,
    load: (content, { name = 'config.json', ...options } = {}) => loadConfig(write(name, content), { env: {}, ...options }),
    inspect: (content, { name = 'config.json', ...options } = {}) => inspectConfig(write(name, content), { env: {}, ...options }),
  }
}
