import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// Timing must not fail a build on a shared machine: there a failed test has two more tries, which the report names.
const retry = process.env['CI'] ? 2 : 0
// Most files wait for other processes most of the time: two at once even on two cores.
const shared = { environment: 'node', pool: 'forks', maxWorkers: Math.max(2, availableParallelism() - 1), retry } as const

export default defineConfig({
  define: { __VERSION__: JSON.stringify('0.0.0-test') },
  test: {
    projects: [
      { define: { __VERSION__: JSON.stringify('0.0.0-test') }, test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts', 'test/rules.test.ts'], testTimeout: 30_000 } },
      { define: { __VERSION__: JSON.stringify('0.0.0-test') }, test: { ...shared, name: 'paths', include: ['test/paths/**/*.test.ts'], testTimeout: 30_000 } },
      { test: { ...shared, name: 'e2e', include: ['test/e2e/**/*.test.ts', 'test/docs/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      // Needs programs of the system (test/deploy/tools.ts says which), and root for some: not part of `npm test`.
      { test: { ...shared, name: 'deploy', include: ['test/deploy/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 600_000 } },
      // One file at a time (`npm run test:faults` says so): they measure, and they load the machine.
      { test: { ...shared, name: 'faults', include: ['test/faults/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 60_000 } },
      { test: { ...shared, name: 'soak', include: ['test/faults/**/*.soak.ts'], testTimeout: 0, hookTimeout: 60_000 } },
    ],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'json-summary'] },
  },
})
