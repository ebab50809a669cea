// All three parties in one process, with chosen seeds where a test wants them, and the masks of a private run, so that it
// can be rerun in plain text. Chosen seeds are refused on every channel that leaves the process.
import { type Kernels, loadKernels, type Region } from '../../kernels/instance.js'
import { type Channel, memoryPair } from '../../net/index.js'
import type { Compiled } from '../../plan/compile/compile.js'
import type { MccPlan, Plan, SecurennPlan } from '../../plan/plan.js'
import type { Masks, MccMasks, SecurennMasks } from '../../plan/reference/reference.js'
import { type ProductLayout, planLayout, type ReluNumbers, type StepLayout } from '../../protocol/layout.js'
import { tensorMask } from '../../protocol/linear.js'
import { outputMask } from '../../protocol/mcc/linear.js'
import { curveHalves } from '../../protocol/mcc/polynomial/curve.js'
import { productHalves } from '../../protocol/mcc/polynomial/product.js'
import { freshBits } from '../../protocol/mcc/polynomial/quadratic.js'
import type { CurveStep } from '../../protocol/mcc/step.js'
import { blind } from '../../protocol/securenn/linear.js'
import { layOut } from '../../protocol/step.js'
import { fillModelMask, filterSlots } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import { Purpose, Streams } from '../../random/streams.js'
import { Client, type ClientOptions } from '../client/client.js'
import { Helper } from '../helper/helper.js'
import { AUDIT, type Audit, allowChosenSeeds, type PartyOptions } from '../options.js'
import { Server } from '../server.js'
import type { ServerOptions } from '../server-options.js'

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
  /** Wraps the helper's end of its channels, by whom they lead to. */
  wrapHelper?: (channel: Channel, peer: 'client' | 'server') => Channel
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
  const runHelper = (channel: Channel, peer: 'client' | 'server'): void => {
    const end = options.wrapHelper ? allowChosenSeeds(options.wrapHelper(channel, peer)) : channel
    void helper.run(end)
  }
  const connectHelper = (): Channel => {
    const [mine, theirs] = localPair()
    runHelper(theirs, 'server')
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
    runHelper(h, 'client')
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

/** Values that a step opens. */
const openedOf = ({ relu, product }: StepLayout): number =>
  product ? product.count + product.broad : relu!.opened.values + relu!.opened.patches

/** The masks of one inference, from what `AUDIT` revealed. */
export function revealMasks<P extends Plan>(plan: P, seeds: MaskSeeds, inference: number): Masks<P> {
  const masks = plan.backend === 'mcc' ? mccMasks(plan, seeds, inference) : securennMasks(plan, seeds, inference)
  return masks as Masks<P>
}

function mccMasks(plan: MccPlan, { ch, sh }: MaskSeeds, inference: number): MccMasks {
  const { steps } = planLayout(plan)
  const words = (make: (ch: Streams, sh: Streams, k: Kernels) => Region): Uint32Array =>
    withStreams(plan, { ch, sh }, (k, { ch, sh }) => {
      const mine = ch.ofInference(inference)
      const mask = make(mine, sh, k)
      const copy = mask.u32().slice()
      for (const each of [mask, mine]) each.release(true)
      return copy
    })
  return {
    output: (step) => words((ch) => outputMask(ch, steps[step], inference)),
    opening: (step) => {
      const address = { purpose: Purpose.openingMask, layer: step, inference }
      return words((_, sh) => sh.take(address, openedOf(steps[step]) * 4))
    },
    tensor: (index) =>
      words((ch, _, k) => {
        const planned = layOut(k, plan)
        const mask = tensorMask(k, planned, ch, index, inference)
        planned.release()
        return mask
      }),
    product: (step) => {
      const pairs = words((ch, _, k) => productHalves(k, steps[step] as ProductLayout, plan.ring, ch, inference))
      return pairs.filter((_, i) => i % 2 === 0)
    },
    fresh: (step) => words((ch) => freshBits(ch, steps[step], inference)),
    curve: (step, entries) =>
      withStreams(plan, { ch, sh }, (k, { ch }) => {
        const mine = ch.ofInference(inference)
        const halves = curveHalves(k, steps[step] as CurveStep<ReluNumbers>, mine, inference, entries)
        mine.release()
        return halves
      }),
  }
}

function securennMasks(plan: SecurennPlan, { ch, model }: MaskSeeds, inference: number): SecurennMasks {
  const { steps } = planLayout(plan)
  const slots = new Map(filterSlots(plan).map((slot) => [`${slot.step}.${slot.operation}`, slot]))
  const words = (make: (k: Kernels, streams: Record<'ch' | 'model', Streams>) => Region): BigInt64Array =>
    withStreams(plan, { ch, model }, (k, streams) => {
      const mask = make(k, streams)
      const copy = BigInt64Array.from(mask.u64())
      mask.release(true)
      return copy
    })
  return {
    tensor: (index) =>
      words((k, { ch }) => {
        const planned = layOut(k, plan)
        const mask = tensorMask(k, planned, ch, index, inference)
        planned.release()
        return mask
      }),
    filter: (step, operation) =>
      words((k, { model }) => {
        const slot = slots.get(`${step}.${operation}`)!
        const mask = k.memory.alloc(slot.words * 8)
        fillModelMask(model, slot, mask)
        return mask
      }),
    blind: (step) => words((_, { ch }) => blind(ch, steps[step], inference)),
  }
}

/** Kernels of its own for as long as `use` runs: seeds and masks are overwritten, and the instance is nobody's after it. */
function withStreams<Name extends keyof MaskSeeds, T>(
  { rounds }: Plan,
  seeds: Readonly<Record<Name, Seed>>,
  use: (k: Kernels, streams: Record<Name, Streams>) => T,
): T {
  const k = loadKernels()
  const made = Object.entries<Seed>(seeds).map(([name, seed]) => [name, new Streams(k, seed, rounds)] as const)
  try {
    return use(k, Object.fromEntries(made) as Record<Name, Streams>)
  } finally {
    for (const [, streams] of made) streams.release()
  }
}
