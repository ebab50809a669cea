// For tests and for judges, never for users: all three parties in one process, chosen seeds, and the masks of a private
// run, so that it can be rerun in plain text. Chosen seeds are refused on every channel that leaves the process.
import { loadKernels } from './kernels/index.js'
import { type Channel, memoryPair } from './net/index.js'
import { Client, type ClientOptions } from './party/client.js'
import { Helper } from './party/helper.js'
import { AUDIT, type Audit, allowChosenSeeds, type PartyOptions } from './party/options.js'
import { Server, type ServerOptions } from './party/server.js'
import type { Compiled } from './plan/compile.js'
import type { Plan } from './plan/plan.js'
import type { Masks } from './plan/reference.js'
import { outputMask } from './protocol/mcc/linear.js'
import { layOut } from './protocol/mcc/step.js'
import type { Seed } from './random/seed.js'
import { Purpose, Streams } from './random/streams.js'

export { AUDIT, type Audit, SEEDS } from './party/options.js'
export { type Masks, type ReferenceRun, runReference } from './plan/reference.js'

/** Two ends of an in-process channel on which chosen seeds are allowed. */
export function localPair(): [Channel, Channel] {
  const [a, b] = memoryPair()
  return [allowChosenSeeds(a), allowChosenSeeds(b)]
}

export interface LocalOptions {
  client?: Partial<ClientOptions>
  server?: ServerOptions
  party?: PartyOptions
  /** Wraps the client's channel to the server, for example by a shaper. */
  wrap?: (channel: Channel) => Channel
}

export interface LocalParties {
  client: Client
  server: Server
  helper: Helper
  /** Another client of the same server and helper. */
  connect(options?: Partial<ClientOptions>): Promise<Client>
  /** The masks of an inference of the first client. */
  masks(inference: number): Masks
  release(): Promise<void>
}

/** Client, server and helper in this process, over memory channels. */
export async function localParties(compiled: Compiled, options: LocalOptions = {}): Promise<LocalParties> {
  const helper = await Helper.create({ ...options.party })
  const [serverEnd, helperEnd] = localPair()
  void helper.run(helperEnd)
  const seeds: { client?: Seed; server?: Seed } = {}
  const reveal =
    (who: 'client' | 'server'): Audit =>
    ({ seed }) => {
      seeds[who] ??= seed
    }
  const server = await Server.create(compiled, serverEnd, {
    ...options.party,
    ...options.server,
    [AUDIT]: reveal('server'),
  })
  const connect = async (more: Partial<ClientOptions> = {}): Promise<Client> => {
    const [c1, s] = localPair()
    const [c2, h] = localPair()
    void server.run(s)
    void helper.run(h)
    const channel = options.wrap ? allowChosenSeeds(options.wrap(c1)) : c1
    return Client.create({
      ...options.party,
      ...options.client,
      ...more,
      server: channel,
      helper: c2,
      [AUDIT]: reveal('client'),
    })
  }
  const client = await connect()
  return {
    client,
    server,
    helper,
    connect,
    masks: (inference) => revealMasks(compiled.plan, { ch: seeds.client!, sh: seeds.server! }, inference),
    release: async () => {
      await client.release()
      await server.release()
      await helper.release()
    },
  }
}

/** The masks of one inference, from the session seeds that `AUDIT` revealed: client–helper and server–helper. */
export function revealMasks(plan: Plan, seeds: { ch: Seed; sh: Seed }, inference: number): Masks {
  const k = loadKernels()
  const planned = layOut(k, plan)
  const ch = new Streams(k, seeds.ch, plan.rounds)
  const sh = new Streams(k, seeds.sh, plan.rounds)
  return {
    output: (step) => outputMask(ch, planned.steps[step], inference).u32().slice(),
    opening: (step) => {
      const { values, patches } = planned.steps[step].relu!
      const address = { purpose: Purpose.openingMask, layer: step, inference }
      return sh
        .take(address, (values + patches) * 4)
        .u32()
        .slice()
    },
  }
}
