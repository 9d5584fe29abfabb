/** The manifests as Kubernetes' own programs read them: built by kustomize, and each object held against its schema. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { inspectConfig } from '../../src/config/load.ts'
import { root } from '../e2e/harness.ts'
import { need, ok } from './tools.ts'

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly data?: Readonly<Record<string, string>>
}
interface Model {
  validate(): void
}

let folder: string
let built: Manifest[]
beforeAll(() => {
  need('kubectl', 'npm')
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-kubernetes-'))
  writeFileSync(join(folder, 'kubernetes.yaml'), readFileSync(join(root, 'templates/kubernetes.yaml')))
  writeFileSync(join(folder, 'kustomization.yaml'), 'resources: [kubernetes.yaml]\nnamespace: tools\n')
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  built = parseAllDocuments(ok('kubectl', ['kustomize', folder])).map(document => document.toJS() as Manifest)
  // Its own folder, so that the checkout stays as it is.
  ok('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder, 'kubernetes-models@4'], { cwd: folder })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const modelOf = ({ apiVersion, kind }: Manifest): new (value: unknown) => Model => {
  const load = createRequire(join(folder, 'package.json'))
  return (load(`kubernetes-models/${apiVersion}/${kind}`) as Record<string, new (value: unknown) => Model>)[kind] as new (value: unknown) => Model
}

describe('kubernetes.yaml', () => {
  it('builds', () => expect(built.map(({ kind }) => kind).sort()).toEqual(['ConfigMap', 'Deployment', 'Service']))

  it.each(['ConfigMap', 'Deployment', 'Service'])('%s is as its schema says', kind => {
    const manifest = built.find(one => one.kind === kind) as Manifest
    const Kind = modelOf(manifest)
    expect(() => new Kind(manifest).validate()).not.toThrow()
  })

  it('the schema finds a mistake when there is one', () => {
    const manifest = built.find(one => one.kind === 'Deployment') as Manifest
    const Kind = modelOf(manifest)
    expect(() => new Kind({ ...manifest, spec: { replicas: 'one' } }).validate()).toThrow()
  })

  it('brings a config without a mistake', async () => {
    const file = join(folder, 'mcp-proxy.json')
    writeFileSync(file, built.find(one => one.kind === 'ConfigMap')?.data?.['mcp-proxy.json'] as string)
    expect((await inspectConfig(file, { env: { PATH: process.env['PATH'] }, credential: () => undefined })).problems).toEqual([])
  })
})
