// Three parties as lists of what they do one after the other, and when each of them gets how far: the critical path
// through computing, waiting, wires and processors.
import { HEADER_BYTES, type NetworkProfile } from '../../net/index.js'
import { piecesOf } from '../../protocol/pieces.js'
import { framesOf, type Message, messagesOf, ROLES, type Role } from '../../protocol/transcript.js'
import type { MachineModel } from './machine.js'

type Action =
  | { readonly kind: 'work'; readonly ms: number; readonly step: number }
  | { readonly kind: 'send'; readonly to: Role; readonly bytes: number; readonly step: number }
  | { readonly kind: 'receive'; readonly from: Role; readonly step: number }

/** What one party does. `step` is what it is done for; a party sets it as it goes. */
export class Program {
  readonly actions: Action[] = []
  step = 0

  constructor(private readonly machine: Pick<MachineModel, 'link' | 'copy'>) {}

  work(nanoseconds: number): this {
    if (nanoseconds > 0) this.actions.push({ kind: 'work', ms: nanoseconds / 1e6, step: this.step })
    return this
  }

  /** @param payload bytes */
  send(to: Role, payload: number, frames = piecesOf(payload)): this {
    const { link } = this.machine
    this.work(frames * link.send + payload * (link.sendByte + this.machine.copy))
    this.actions.push({ kind: 'send', to, bytes: payload + HEADER_BYTES * frames, step: this.step })
    return this
  }

  receive(from: Role, payload: number, frames = piecesOf(payload)): this {
    const { link } = this.machine
    this.actions.push({ kind: 'receive', from, step: this.step })
    return this.work(frames * link.receive + payload * (link.receiveByte + this.machine.copy))
  }
}

export type Programs = Readonly<Record<Role, Program>>

/** Nanoseconds around a message: the sender's before it, the receiver's before it waits and once it is there. */
export interface Work {
  readonly before?: number
  readonly meanwhile?: number
  readonly after?: number
}

/**
 * What each party does, from the messages of an inference (its start, then its steps) and the work around them.
 * @param work of a message of step `step`, -1 for the start
 * @param order in which a role takes its messages
 */
export function programsOf(
  machine: MachineModel,
  parts: readonly (readonly Message[])[],
  work: (message: Message, step: number) => Work,
  order: typeof messagesOf = messagesOf,
): Programs {
  const all = parts.flatMap((messages, part) => messages.map((message) => ({ ...message, step: part - 1 })))
  const program = (role: Role) => {
    const program = new Program(machine)
    for (const message of order(role, all)) {
      program.step = Math.max(0, message.step)
      const { before = 0, meanwhile = 0, after = 0 } = work(message, message.step)
      const frames = framesOf(message)
      if (message.from === role) program.work(before).send(message.to, message.bytes, frames)
      else program.work(meanwhile).receive(message.from, message.bytes, frames).work(after)
    }
    return program
  }
  return { client: program('client'), server: program('server'), helper: program('helper') }
}

/** Emulated or real networks, one per pair; `up` is from the first named to the second. */
export interface Network {
  readonly clientServer: NetworkProfile
  readonly clientHelper: NetworkProfile
  readonly serverHelper: NetworkProfile
}

export interface Timeline {
  /** Milliseconds from the start until the last of a party's actions, and spent computing, per party. */
  readonly end: Readonly<Record<Role, number>>
  readonly busy: Readonly<Record<Role, number>>
  /** When the client is done with each step. */
  readonly steps: readonly number[]
  /** Longest chain of messages that wait for each other. */
  readonly flights: number
  /** Bytes per direction, frame headers included. */
  readonly bytes: Readonly<Partial<Record<`${Role}-${Role}`, number>>>
}

interface Arrival {
  readonly arrives: number
  readonly wave: number
}

class Party {
  at = 0
  /** Milliseconds of computing left in the current action. */
  left = 0
  busy = 0
  end = 0
  wave = 0

  constructor(
    readonly role: Role,
    readonly actions: readonly Action[],
  ) {}

  get done(): boolean {
    return this.at === this.actions.length && this.left === 0
  }
}

/** Arrivals and ends of work closer than this, in milliseconds, are at once: rounding must not stop the clock. */
const INSTANT = 1e-9

/**
 * Runs the programs.
 * @param cores processors that the parties share; Infinity when each has a machine of its own
 */
export function schedule(programs: Programs, network: Network, cores = Number.POSITIVE_INFINITY): Timeline {
  return new Scheduler(programs, network, cores).run()
}

class Scheduler {
  readonly #parties: readonly Party[]
  readonly #wires = new Map<string, { free: number; readonly queue: Arrival[] }>()
  readonly #bytes: Partial<Record<`${Role}-${Role}`, number>> = {}
  readonly #steps: number[] = []
  #now = 0
  #flights = 0

  constructor(
    programs: Programs,
    private readonly network: Network,
    private readonly cores: number,
  ) {
    this.#parties = ROLES.map((role) => new Party(role, programs[role].actions))
  }

  run(): Timeline {
    for (;;) {
      let working = 0
      for (const party of this.#parties) {
        this.#advance(party)
        if (party.left > 0) working++
      }
      const rate = Math.min(1, this.cores / Math.max(1, working))
      let pass = Number.POSITIVE_INFINITY
      for (const party of this.#parties) {
        pass = Math.min(pass, party.left > 0 ? party.left / rate : this.#arrival(party) - this.#now)
      }
      if (!Number.isFinite(pass)) break
      this.#now += pass
      for (const party of this.#parties) {
        if (party.left === 0) continue
        party.busy += pass * rate
        party.left -= pass * rate
        if (party.left >= INSTANT) continue
        party.left = 0
        this.#reached(party, party.actions[party.at - 1])
      }
    }
    const stuck = this.#parties.filter((party) => !party.done).map(({ role }) => role)
    if (stuck.length > 0) throw new Error(`these programs wait for messages nobody sends: ${stuck.join(', ')}`)
    const of = (value: (party: Party) => number) =>
      Object.fromEntries(this.#parties.map((party) => [party.role, value(party)])) as Record<Role, number>
    const [end, busy] = [of((party) => party.end), of((party) => party.busy)]
    return { end, busy, steps: this.#steps, flights: this.#flights, bytes: this.#bytes }
  }

  /** Takes actions until one needs time. */
  #advance(party: Party): void {
    while (party.left === 0 && party.at < party.actions.length) {
      const action = party.actions[party.at]
      if (action.kind === 'receive') {
        const { queue } = this.#wire(action.from, party.role)
        if (queue.length === 0 || queue[0].arrives > this.#now + INSTANT) return
        party.wave = Math.max(party.wave, queue.shift()!.wave)
      } else if (action.kind === 'send') this.#send(party, action.to, action.bytes)
      else party.left = action.ms
      party.at++
      if (party.left === 0) this.#reached(party, action)
    }
  }

  #reached(party: Party, { step }: Action): void {
    party.end = this.#now
    if (party.role === 'client') this.#steps[step] = this.#now
  }

  #arrival(party: Party): number {
    const action = party.actions[party.at]
    if (action?.kind !== 'receive') return Number.POSITIVE_INFINITY
    return this.#wire(action.from, party.role).queue[0]?.arrives ?? Number.POSITIVE_INFINITY
  }

  #send(party: Party, to: Role, bytes: number): void {
    const wire = this.#wire(party.role, to)
    const { rttMs, bitsPerSecond } = direction(this.network, party.role, to)
    wire.free = Math.max(this.#now, wire.free) + (bytes * 8 * 1000) / bitsPerSecond
    wire.queue.push({ arrives: wire.free + rttMs / 2, wave: party.wave + 1 })
    this.#flights = Math.max(this.#flights, party.wave + 1)
    const name = `${party.role}-${to}` as const
    this.#bytes[name] = (this.#bytes[name] ?? 0) + bytes
  }

  #wire(from: Role, to: Role) {
    const name = `${from}-${to}`
    let wire = this.#wires.get(name)
    if (!wire) this.#wires.set(name, (wire = { free: 0, queue: [] }))
    return wire
  }
}

function direction(network: Network, from: Role, to: Role): { rttMs: number; bitsPerSecond: number } {
  const up = ROLES.indexOf(from) < ROLES.indexOf(to)
  const pair = (up ? [from, to] : [to, from]).join('-')
  const { clientServer, clientHelper, serverHelper } = network
  const profile = pair === 'client-server' ? clientServer : pair === 'client-helper' ? clientHelper : serverHelper
  return { rttMs: profile.rttMs, bitsPerSecond: up ? profile.upBitsPerSecond : profile.downBitsPerSecond }
}
