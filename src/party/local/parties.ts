// All three parties in one process, with chosen seeds where a test wants them, and the masks of a private run, so that it
// can be rerun in plain text. Chosen seeds are refused on every channel that leaves the process.
import { loadKernels, type Region } from '../../kernels/instance.js'
import { type Channel, memoryPair } from '../../net/index.js'
import type { Compiled } from '../../plan/compile/compile.js'
import type { MccPlan, Plan, SecurennPlan } from '../../plan/plan.js'
import type { Masks, MccMasks, SecurennMasks } from '../../plan/reference/reference.js'
import { outputMask } from '../../protocol/mcc/linear.js'
import { blind, tensorMask } from '../../protocol/securenn/linear.js'
import { layOut } from '../../protocol/step.js'
import { fillModelMask, filterSlots } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import { Purpose, Streams } from '../../random/streams.js'
import { Client, type ClientOptions } from '../client.js'
import { Helper } from '../helper.js'
import { AUDIT, type Audit, allowChosenSeeds, type PartyOptions } from '../options.js'
import { Server, type ServerOptions } from '../server.js'

/** Two ends of an in-process channel on which chosen seeds are allowed. */
export function localPair(): [Channel, Channel] {
  const [a, b] = memoryPair()
  return [allowChosenSeeds(a), allowChosenSeeds(b)]
}

/** What `localParties` passes on to its parties. */
export interface LocalOptions {
  client?: Partial<ClientOptions>
  server?: ServerOptions
  party?: PartyOptions
  /** Wraps the client's channel to the server, for example by a shaper. */
  wrap?: (channel: Channel) => Channel
}

/** Three parties in one process. */
export interface LocalParties<P extends Plan = Plan> {
  client: Client
  server: Server
  helper: Helper
  /** Another client of the same server and helper. */
  connect(options?: Partial<ClientOptions>): Promise<Client>
  /** The masks of an inference of the first client. */
  masks(inference: number): Masks<P>
  /** Releases all three. */
  release(): Promise<void>
}

/** Client, server and helper in this process, over memory channels. */
export async function localParties<P extends Plan>(
  compiled: Compiled<P>,
  options: LocalOptions = {},
): Promise<LocalParties<P>> {
  const helper = await Helper.create({ ...options.party })
  const connectHelper = (): Channel => {
    const [mine, theirs] = localPair()
    void helper.run(theirs)
    return mine
  }
  const seeds: { ch?: Seed; sh?: Seed; model?: Seed } = {}
  const reveal =
    (who: 'ch' | 'sh'): Audit =>
    ({ seed, model }) => {
      seeds[who] ??= seed
      seeds.model ??= model
    }
  const server = await Server.create(compiled, connectHelper, {
    ...options.party,
    ...options.server,
    [AUDIT]: reveal('sh'),
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
      [AUDIT]: reveal('ch'),
    })
  }
  const client = await connect()
  return {
    client,
    server,
    helper,
    connect,
    masks: (inference) => revealMasks(compiled.plan, seeds as MaskSeeds, inference),
    release: async () => {
      await client.release()
      await server.release()
      await helper.release()
    },
  }
}

/** What `AUDIT` reveals: the session seeds of client–helper and server–helper, and κ_B of server and client. */
export interface MaskSeeds {
  readonly ch: Seed
  readonly sh: Seed
  readonly model: Seed
}

/** The masks of one inference, from what `AUDIT` revealed. */
export function revealMasks<P extends Plan>(plan: P, seeds: MaskSeeds, inference: number): Masks<P> {
  const masks = plan.backend === 'mcc' ? mccMasks(plan, seeds, inference) : securennMasks(plan, seeds, inference)
  return masks as Masks<P>
}

function mccMasks(plan: MccPlan, seeds: MaskSeeds, inference: number): MccMasks {
  const k = loadKernels()
  const planned = layOut(k, plan)
  const ch = new Streams(k, seeds.ch, plan.rounds).ofInference(inference)
  const sh = new Streams(k, seeds.sh, plan.rounds)
  return {
    output: (step) => outputMask(ch, planned.steps[step], inference).u32().slice(),
    opening: (step) => {
      const { values, patches } = planned.steps[step].relu!.opened
      const address = { purpose: Purpose.openingMask, layer: step, inference }
      return sh
        .take(address, (values + patches) * 4)
        .u32()
        .slice()
    },
  }
}

function securennMasks(plan: SecurennPlan, seeds: MaskSeeds, inference: number): SecurennMasks {
  const k = loadKernels()
  const planned = layOut(k, plan)
  const ch = new Streams(k, seeds.ch, plan.rounds)
  const model = new Streams(k, seeds.model, plan.rounds)
  const slots = new Map(filterSlots(plan).map((slot) => [`${slot.step}.${slot.operation}`, slot]))
  const words = (region: Region): BigInt64Array => {
    const copy = BigInt64Array.from(region.u64())
    region.release()
    return copy
  }
  return {
    tensor: (index) => words(tensorMask(k, planned, ch, index, inference)),
    filter: (step, operation) => {
      const slot = slots.get(`${step}.${operation}`)!
      const mask = k.memory.alloc(slot.words * 8)
      fillModelMask(model, slot, mask)
      return words(mask)
    },
    blind: (step) => words(blind(ch, planned.steps[step], inference)),
  }
}
