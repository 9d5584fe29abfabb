/** A gateway over fake servers, with fake clients at its door: everything between two channels is the real thing. */
import { randomBytes } from 'node:crypto'
import { connect, serve, type Serving } from '../../src/eras/era.ts'
import { createGateway, type Gateway } from '../../src/gateway/gateway.ts'
import { silent } from '../../src/gateway/log.ts'
import { createMember } from '../../src/gateway/member.ts'
import type { MemberPolicy } from '../../src/gateway/policy.ts'
import { SpawnSlots } from '../../src/gateway/spawn-slots.ts'
import { FakeClient } from './fake-client.ts'
import type { FakeServer, Revision } from './fake-server.ts'

const asks = { rounds: 8, waitMs: 5000, parked: 16 }
const policy: MemberPolicy = {
  start: 'lazy', share: 'auto', balance: 'least-loaded', idleTimeout: 0,
  restart: { backoff: 0, maxBackoff: 0, resetAfter: 1000, holdAfter: 0 },
  breaker: { failures: 0, openFor: 0 },
  timeouts: { start: 5000, install: 5000, call: 5000, max: 10_000 },
  limits: { concurrency: 64, queue: 256 },
}

export interface House {
  readonly gateway: Gateway
  client(revision: Revision): Promise<FakeClient>
  close(): Promise<void>
}

/** `servers` by alias, in config order. */
export function houseOf(servers: Readonly<Record<string, FakeServer>>): House {
  const self = { name: 'mcp-proxy-server', version: '0' }
  const slots = new SpawnSlots()
  const members = Object.entries(servers).map(([alias, server]) => ({
    alias,
    rules: {},
    member: createMember({
      alias, policy, slots, maxAge: 0, log: silent,
      specs: [{
        transport: 'memory', backup: false, spawns: false,
        connect: () => connect({
          name: alias, dial: () => Promise.resolve(server.dial()), log: silent, self, asks, timeouts: { probe: 1000, start: 5000, call: 1000 },
        }),
      }],
    }),
  }))
  const gateway = createGateway({ self, members, names: { separator: '__', prefix: 'always', maxLength: 64 }, startWaitMs: 3000, describeWaitMs: 3000, log: silent })
  const open: { client: FakeClient; serving: Serving }[] = []
  return {
    gateway,
    async client(revision) {
      const client = new FakeClient(revision)
      const serving = serve(client.other, { gateway, principal: 'local', log: silent, sealKey: randomBytes(32), nameAsker: members.length > 1, asks })
      open.push({ client, serving })
      await client.open()
      return client
    },
    async close() {
      await Promise.all(open.map(({ client }) => client.close()))
      await gateway.close()
    },
  }
}
