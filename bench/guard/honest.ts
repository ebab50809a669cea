// Clients that follow the protocol, as often as it takes to see that a guard refuses nobody honest: small networks, one for
// every way in which a step opens values.
import { RingfenceError } from '../../src/errors.js'
import { guardOf } from '../../src/plan/guard.js'
import { elementCount } from '../../src/plan/plan.js'
import { localParties } from '../../src/testing.js'
import { drawFrom, type ReluGadget, reluPlan, whole } from '../../test/protocol/mcc/gadget-plan.js'

const SHAPE = [2, 3, 4] as const
/** Inferences that are prepared at a time. */
const BATCH = 50

const NETWORKS: Readonly<Record<string, Partial<ReluGadget>>> = {
  'a ReLU each': {},
  blocks: {
    relu: {
      kind: 'block',
      blocks: [
        [2, 2],
        [0, 1],
      ],
    },
  },
  'a clip': { bends: { shifts: [0, -100], sum: { signs: [1, -1], plus: 0 } } },
  'two copies': { bends: { shifts: [0, 50], sum: null } },
  'a ring of 24 bits': { ring: 24 },
}

export interface HonestRow {
  readonly network: string
  readonly honest: number
  readonly refused: number
}

/** @param count of all networks together */
export async function honestRuns(count: number): Promise<HonestRow[]> {
  const rows: HonestRow[] = []
  const each = Math.ceil(count / Object.keys(NETWORKS).length)
  for (const [network, own] of Object.entries(NETWORKS)) {
    rows.push({ network, honest: each, refused: await refusals(own, each) })
    process.stderr.write(`${network}: ${each} honest inferences\n`)
  }
  return rows
}

/** How many of so many inferences are refused. Inputs fill the window, so that signs and carries are all there. */
async function refusals(own: Partial<ReluGadget>, count: number): Promise<number> {
  const gadget: ReluGadget = {
    ...{ ring: 32, bits: 12, lo: 0, chunks: 3, truncate: 8, shape: SHAPE, relu: { kind: 'relu' } },
    ...own,
  }
  const draw = drawFrom(7)
  const size = elementCount(SHAPE)
  const { plan, model } = reluPlan(gadget, new Int32Array(size))
  let refused = 0
  let parties = await localParties({ plan: { ...plan, guard: guardOf(plan, 16) }, model })
  try {
    for (let done = 0; done < count; done++) {
      if (parties.client.prepared === 0) await parties.client.prepare(Math.min(BATCH, count - done))
      const x = Float32Array.from({ length: size }, () => whole(draw, -(2 ** 18), 2 ** 18))
      try {
        await parties.client.run(x)
      } catch (error) {
        if (!(error instanceof RingfenceError && error.code === 'CHEATED')) throw error
        refused++
        await parties.release()
        parties = await localParties({ plan: { ...plan, guard: guardOf(plan, 16) }, model })
      }
    }
  } finally {
    await parties.release()
  }
  return refused
}
