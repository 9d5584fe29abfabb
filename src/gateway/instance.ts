/** One instance of a backend: the life of its connection, and the lane of calls to it, told of each other. */
import type { Connection } from './contract.ts'
import type { McpError } from './errors.ts'
import type { Flight } from './flight.ts'
import { Lane } from './lane.ts'
import { Life } from './life.ts'
import type { Log } from './log.ts'
import type { Audience, InstanceSpec, MemberPolicy } from './policy.ts'
import type { SpawnSlots } from './spawn-slots.ts'

/** What all instances of a member have in common. */
export interface Surroundings {
  readonly alias: string
  readonly policy: MemberPolicy
  readonly slots: SpawnSlots
  readonly random: () => number
  readonly repeatable: (flight: Flight) => boolean
  readonly log: Log
}

export interface InstanceHost {
  readonly idleAfter: (instance: Instance) => number
  readonly needed: () => boolean
  readonly wanted: (instance: Instance) => boolean
  readonly room: () => Promise<unknown> | undefined
  readonly up: (instance: Instance, connection: Connection) => void
  /** `failed`: why it did not come; undefined = it was there, or we stopped it. */
  readonly down: (instance: Instance, failed: McpError | undefined) => void
  /** Principals of those who listen to it. */
  readonly listeners: () => Iterable<string>
  readonly turnedAway: (instance: Instance, flight: Flight, error: McpError) => void
}

interface Waiter {
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: McpError) => void
}

/** How long a question to a person keeps a server that has parked the call from being stopped as idle. */
const parkedMs = 600_000

let serials = 0

export class Instance {
  /** Never used twice in this process. */
  readonly serial = ++serials
  readonly spec: InstanceSpec
  readonly life: Life
  readonly lane: Lane
  private waiters: Waiter[] = []

  constructor(spec: InstanceSpec, audience: Audience, around: Surroundings, host: InstanceHost) {
    this.spec = spec
    this.lane = new Lane({
      ...around,
      demand: () => this.life.demand(true),
      turnedAway: (flight, error) => host.turnedAway(this, flight, error),
      listeners: () => host.listeners(),
      breakerMoved: error => (error ? this.life.ail('breaker', error) : this.life.well('breaker')),
      signIn: error => (error ? this.life.ail('sign-in', error) : this.life.well('sign-in')),
    })
    this.life = new Life({
      ...around,
      spec,
      audience,
      traffic: this.lane,
      idleAfter: () => host.idleAfter(this),
      needed: () => this.busy || host.needed(),
      wanted: () => this.lane.waiting > 0 || host.wanted(this),
      room: host.room,
      up: connection => {
        this.lane.open(connection)
        for (const { resolve } of this.waiters.splice(0)) resolve(connection)
        host.up(this, connection)
      },
      down: (error, stage) => {
        // What ran can run again, and a restart may be near; what did not start has told those who waited for it why.
        const failed = stage === 'run' || stage === 'health' || stage === 'rest' ? undefined : error
        host.down(this, failed)
        if (failed) for (const { reject } of this.waiters.splice(0)) reject(failed)
        this.lane.shut(failed)
      },
    })
  }

  /** A call is here, or the last that asked something of a person has not come back yet. */
  get busy(): boolean {
    return this.lane.load > 0 || performance.now() - this.lane.askedAt < parkedMs
  }

  /** Whether it can take a call now or within a second, as far as one can tell. */
  fit(now: number): boolean {
    return this.lane.blockedFor(now) === 0 && this.life.refusal(now) === undefined
  }

  /** Its connection, made if need be. Rejects with what prevents it. */
  bringUp(): Promise<Connection> {
    const { connection } = this.life
    if (connection) return Promise.resolve(connection)
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject })
      const refusal = this.life.demand(false)
      if (!refusal) return
      this.waiters = this.waiters.filter(waiter => waiter.reject !== reject)
      reject(refusal)
    })
  }

  async close(): Promise<void> {
    const closed = this.life.close()
    const refusal = this.life.refusal(0)
    if (refusal) for (const { reject } of this.waiters.splice(0)) reject(refusal)
    this.lane.close()
    await closed
  }
}
