// The largest of the output's channels, and nothing else of them; on a tie the lower channel wins. Where there are steps for
// wins, up to 128 channels meet in one, and a second one compares their numbers. Else few channels meet in
// pairs, all at once, and their wins are compared with the number a winner has: two steps. Many are halved until the
// maximum is left, and every channel is compared with that: ⌈log2 c⌉ + 2 steps, but three comparisons per channel.
//   [v ≥ 0] = ReLU(v + u) - ReLU(v), in units u, for whole numbers v of units

import { RingfenceError } from '../../errors.js'
import type { Activation, MapShape, Quad } from '../plan.js'
import { chooseChunks, chunksOf } from './chunks.js'
import { channelsFrom, type Expression, reshape } from './expression.js'
import { constant } from './linear-algebra.js'
import { concat } from './max-pool.js'

/**
 * The same activation with every bit compared. With a window, [v ≥ 0] would not be 0 or 1 where values lie close, and the
 * client would read from the counts how the other channels did.
 * @param chunks as many per chain as the options ask for, where that many can be
 * @param least bits that have to be opened
 */
export function exactly(a: Activation, chunks: number | undefined, least = 0): Activation {
  if (!('bits' in a)) return { ...a, ignoredMsb: 0, ignoredLsb: 0 }
  const bits = Math.max(a.bits, least)
  if (a.lo === 0 && bits === a.bits) return a
  const possible = chunks !== undefined && chunksOf(bits, chunks) !== null
  return { ...a, bits, lo: 0, chunks: chooseChunks(bits, possible ? chunks : undefined) }
}

/**
 * Bits that the steps behind the logits open at least: they compare numbers of wins, or of equal channels, down to 1 - c, and
 * one that wrapped would be another 1. Values of n' bits lie in [-2^(n'-2), 2^(n'-2)).
 */
export const countBits = ([c]: MapShape): number => 2 + Math.ceil(Math.log2(c - 1))

/** @param scale fraction bits of opened differences of `bits` bits; fewer than none leave them no unit. @throws RingfenceError BAD_INPUT */
export function requireRoom(output: string, bits: number, scale: number): void {
  if (scale >= 0) return
  const what = `a label needs differences of its values, for which ${bits} opened bits have no room`
  throw new RingfenceError('BAD_INPUT', `${output}: ${what}; use ${bits - scale} bits or more`)
}

/** ReLU of all elements but those of the last `passed` channels, without losing a bit. Returns the tensor. */
export type ExactRelu = (e: Expression, passed?: number) => Expression

/** Up to this many comparisons a round trip less is worth more. */
const MOST_PAIRED = 4096
/** The same where all channels meet in one round trip, which spares more of them. */
const WORTH_MEETING = 8192

/** Ends a step with wins in place of its values. */
export const WINS = { exact: true, computed: () => ({ how: { wins: true }, scale: 0 }) as const }

/** Whether all channels are to meet at once. */
export const meetsAtOnce = ([c, h, w]: MapShape): boolean => (c >> 1) * c * h * w <= WORTH_MEETING

/** As `winner`. @param wins of every channel, each counted `unit`; the largest's are twice as many as half of the channels */
export function winnerOfWins(wins: Expression, unit: number, relu: ExactRelu): Expression {
  const most = 2 * (wins.shape[0] >> 1)
  return relu(plus(wins, new Float32Array(wins.shape[0]).fill((1 - most) * unit)))
}

/**
 * One unit at the largest channel of each position, zero elsewhere.
 * @param x unweighted, [channels, h, w]; twice its values must fit
 * @param unit real value of its last bit
 */
export function winner(x: Expression, unit: number, relu: ExactRelu): Expression {
  const [c, h, w] = x.shape
  const paired = (2 * (c >> 1) + 1) * c * h * w
  return paired <= MOST_PAIRED ? winnerOfPairs(x, unit, relu) : winnerOfHalves(x, unit, relu)
}

const plus = (e: Expression, values: Float32Array): Expression => ({
  kind: 'add',
  of: [{ kind: 'lift', of: e, factor: 1, shape: e.shape }, constant(values, e.shape)],
  shape: e.shape,
})

/** Channels as rows of a single map. */
function winnerOfHalves(x: Expression, unit: number, relu: ExactRelu): Expression {
  const [c, h, w] = x.shape
  const rows = reshape(x, [1, c, h * w])
  let left = rows
  while (left.shape[1] > 1) {
    const count = left.shape[1]
    const half: MapShape = [1, Math.ceil(count / 2), h * w]
    // Of an odd number the one in the middle meets two others.
    const [a, b] = [rowsFrom(left, 0, half), rowsFrom(left, count - half[1], half)]
    const met = relu(concat([sum([a, negate(b)], half), b], half[1], half[2]), 1)
    left = sum([channelsFrom(met, 0, half), channelsFrom(met, 1, half)], half)
  }
  // Windows as long as the map, each with the single row in it.
  const most = windows(left, [c - 1, 0, c - 1, 0], rows.shape)
  const equal = relu(plus(sum([rows, negate(most)], rows.shape), Float32Array.of(unit)))
  const before = windows(equal, [c, 0, 0, 0], rows.shape)
  return reshape(relu(sum([equal, negate(before)], rows.shape)), x.shape)
}

/** Sums over as many rows as the result has. */
const windows = (of: Expression, pad: Quad, shape: MapShape): Expression => ({
  kind: 'pool',
  of,
  kernel: [shape[1], 1],
  stride: [1, 1],
  pad,
  shape,
})

const rowsFrom = (of: Expression, row: number, shape: MapShape): Expression => ({
  kind: 'embed',
  of,
  stride: [1, 1],
  from: [row, 0],
  at: [0, 0, 0],
  shape,
})

function winnerOfPairs(x: Expression, unit: number, relu: ExactRelu): Expression {
  const [c, h, w] = x.shape
  const { shape } = x
  const distances = Array.from({ length: c >> 1 }, (_, i) => i + 1)
  const differences = concat(
    distances.map((by) => sum([x, negate(turned(x, by))], shape)),
    h,
    w,
  )
  // Channel i meets i + distance, counted around: behind the last one it meets a lower one and loses ties.
  const ties = Float32Array.from({ length: c * distances.length }, (_, n) =>
    (n % c) + distances[Math.floor(n / c)] >= c ? -unit : 0,
  )
  const pairs = relu(
    concat(
      [
        plus(
          differences,
          ties.map((t) => t + unit),
        ),
        plus(differences, ties),
      ],
      h,
      w,
    ),
  )
  const wins = distances.flatMap((by, i) => {
    const won = sum(
      [channelsFrom(pairs, i * c, shape), negate(channelsFrom(pairs, (distances.length + i) * c, shape))],
      shape,
    )
    return [won, negate(turned(won, c - by))]
  })
  // A winner wins all 2·distances meetings; the others' losses were counted as wins less one each.
  const margin = new Float32Array(c).fill((1 - distances.length) * unit)
  return relu(plus(sum(wins, shape), margin))
}

const sum = (of: readonly Expression[], shape: MapShape): Expression => ({ kind: 'add', of, shape })
const negate = (of: Expression): Expression => ({ kind: 'negate', of, shape: of.shape })

/** Channel i becomes channel (i + by) mod channels of the original. */
function turned(of: Expression, by: number): Expression {
  const { shape } = of
  return sum([channelsFrom(of, by, shape), channelsFrom(of, by - shape[0], shape)], shape)
}
