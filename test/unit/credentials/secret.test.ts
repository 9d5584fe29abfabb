/** A secret value shows in nothing but `reveal`. */
import { format, inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Secret } from '../../../src/credentials/secret.ts'

it('does not print, serialise, inspect or spread', () => {
  const secret = new Secret('hunter22')
  const shown = [
    `${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect({ secret }),
    inspect(secret, { showHidden: true, depth: 9 }),
    format('%s %o %j', secret, secret, secret),
  ]
  shown.push(
    JSON.stringify(Object.entries(secret)),
    JSON.stringify({ ...secret }),
    inspect(structuredClone({ ...secret })),
    inspect(new Error('x', { cause: secret })),
  )
  expect(shown.join()).not.toContain('hunter22')
  expect(secret.reveal()).toBe('hunter22')
})
