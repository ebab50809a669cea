// Views at real widths, from the real gadgets: a two-sample chi-square per byte, for either of two secrets. Streams are
// seeded, so a result is the same every time.
import { beforeAll, describe, expect, it } from 'vitest'
import { checkPlan } from '../../../src/plan/check.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import {
  elementCount,
  type LinearOp,
  type MapShape,
  type MccActivation,
  type MccPlan,
  type Step,
} from '../../../src/plan/plan.js'
import { filterSlots } from '../../../src/protocol/weights.js'
import type { Streamed } from '../../fixtures/faulty-streams.js'
import { drawFrom, perChannel, whole } from './gadget-plan.js'
import { Tally, Transcripts } from './transcripts.js'

export const RUNS = 2 ** 14

/** Enough to tell a broken variant: what fewer runs show, more runs show the better. */
export const FEWER_RUNS = 2 ** 12

const conv = (out: MapShape, [cin, h, w]: MapShape, at = 0) => ({
  op: 'conv' as const,
  of: at,
  layer: 'w',
  geometry: { ...perChannel([cin, h, w]), cout: out[0], groups: 1 },
  scale: 0,
  out,
})

/**
 * Some 1×1 convolutions with activations between; `secret` picks weights and biases.
 * @param reshaped what the result of a step's convolution is read as, and what a maximum is of
 */
export function network(
  shapes: MapShape[],
  activations: MccActivation[],
  ring: number,
  secret: number,
  reshaped: Readonly<Record<number, MapShape>> = {},
): Compiled<MccPlan> {
  const draw = drawFrom(secret)
  const steps = shapes.slice(1).map((out, i): Step => {
    const linear: LinearOp[] = [{ op: 'tensor', tensor: i, out: shapes[i] }, conv(out, shapes[i])]
    const shape = reshaped[i] ?? out
    if (shape !== out) linear.push({ op: 'add', of: [1], out: shape })
    return { id: `s${i}`, linear, out: shape, scale: 0, activation: activations[i] ?? null }
  })
  const plan = checkPlan({
    format: 'plan/1',
    backend: 'mcc',
    network: 'views',
    ring,
    rounds: 12,
    input: { shape: shapes[0], scale: 0, bits: 16, preprocess: { scale: 1, mean: [], std: [] } },
    labels: [],
    steps,
  }) as MccPlan
  const weights = new Map(
    filterSlots(plan).map(({ step, operation, words }) => [
      `${step}.${operation}`,
      Int32Array.from({ length: words }, () => whole(draw, -2000, 2000)),
    ]),
  )
  const bias = steps.map(({ out }) =>
    Int32Array.from({ length: elementCount(out) }, () => whole(draw, -(2 ** 20), 2 ** 20)),
  )
  return { plan, model: { weights, bias } }
}

/** A ReLU at the width of real networks. */
export const PLAIN: MccActivation = { truncate: 10, bits: 16, lo: 0, chunks: [4, 4, 4, 4], relu: { kind: 'relu' } }

/** Eight elements, eight results under this activation, and two of those. */
export const small =
  (activation: MccActivation) =>
  (secret: number): Compiled<MccPlan> =>
    network([[8, 1, 1], [8, 1, 1], [2, 1, 1]], [activation], 32, secret) // biome-ignore format: a list

export interface Side {
  compiled: Compiled<MccPlan>
  input: Int32Array
  streamed?: Streamed
}

export interface Views {
  server: Tally
  client: Tally
}

/** Both parties' views over many inferences. What is compared shares no inference: it is of different `side`. */
export async function tally({ compiled, input, streamed }: Side, side: number, runs = RUNS): Promise<Views> {
  const parties = await Transcripts.of(compiled, streamed)
  const [server, client] = [new Tally(), new Tally()]
  for (let i = 0; i < runs; i++) await parties.run(input, 1 + i + side * runs, server, client)
  return { server, client }
}

/** How far either party's views differ: beyond 1 they do. */
export function apart(one: Views, other: Views) {
  expect(one.server.places).toBe(other.server.places)
  expect(one.client.places).toBe(other.client.places)
  return { server: one.server.against(other.server), client: one.client.against(other.client) }
}

export async function views(a: Side, b: Side, runs = FEWER_RUNS) {
  return apart(await tally(a, 0, runs), await tally(b, 1, runs))
}

export const silent = new Int32Array(8)
export const loud = Int32Array.from({ length: 8 }, (_, i) => (i % 2 ? 32767 : -32767))

/**
 * A gadget's views do not depend on the secret, and the server's do under every fault.
 * @param compiled by secret
 * @param runs of each side of an honest comparison
 */
export function expectBlindAtRealWidths(
  compiled: (secret: number) => Compiled<MccPlan>,
  faults: readonly (readonly [string, Streamed])[],
  runs = 2 ** 11,
): void {
  describe('at real widths', () => {
    // Either comparison has this side.
    let known: Views
    beforeAll(async () => {
      known = await tally({ compiled: compiled(1), input: loud }, 0, runs)
    })

    it('no byte of the server depends on the input', async () => {
      const { server } = apart(known, await tally({ compiled: compiled(1), input: silent }, 1, runs))
      expect(server).toBeGreaterThan(0.5)
      expect(server).toBeLessThan(1)
    })

    it('no byte of the client depends on the weights', async () => {
      const { client } = apart(known, await tally({ compiled: compiled(2), input: loud }, 1, runs))
      expect(client).toBeGreaterThan(0.5)
      expect(client).toBeLessThan(1)
    })

    it.each(faults)('the server is told by %s', async (_, streamed) => {
      const side = (input: Int32Array) => ({ compiled: compiled(1), input, streamed })
      const { server } = await views(side(silent), side(loud), 2 ** 11)
      expect(server).toBeGreaterThan(1)
    })
  })
}
