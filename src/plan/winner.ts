// The largest of the output's channels, and nothing else of them: every pair is compared at once, then every channel's
// wins are counted and compared with the number a winner has. On a tie the lower channel wins.
//   [v ≥ 0] = ReLU(v + u) - ReLU(v), in units u, for whole numbers v of units
import { chooseChunks, chunksOf } from './chunks.js'
import type { Expression } from './expression.js'
import { constant } from './linear-algebra.js'
import { concat } from './max-pool.js'
import type { Activation, MapShape } from './plan.js'

/**
 * The same activation with every bit compared. With a window, [v ≥ 0] would not be 0 or 1 where values lie close, and the
 * client would read from the counts how the other channels did.
 * @param chunks as many per chain as the options ask for, where that many can be
 */
export function exactly(a: Activation, chunks: number | undefined): Activation {
  if (!('bits' in a)) return { ...a, ignoredMsb: 0, ignoredLsb: 0 }
  if (a.lo === 0) return a
  const possible = chunks !== undefined && chunksOf(a.bits, chunks) !== null
  return { ...a, lo: 0, chunks: chooseChunks(a.bits, possible ? chunks : undefined) }
}

/** ReLU of every element, without losing a bit. Returns the tensor. */
export type ExactRelu = (e: Expression) => Expression

/**
 * One unit at the largest channel of each position, zero elsewhere.
 * @param x unweighted, [channels, h, w]; twice its values must fit
 * @param unit real value of its last bit
 */
export function winner(x: Expression, unit: number, relu: ExactRelu): Expression {
  const [c, h, w] = x.shape
  const { shape } = x
  const distances = Array.from({ length: c >> 1 }, (_, i) => i + 1)
  const plus = (e: Expression, values: Float32Array): Expression => ({
    kind: 'add',
    of: [{ kind: 'lift', of: e, factor: 1, shape: e.shape }, constant(values, e.shape)],
    shape: e.shape,
  })
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
    const won = sum([cut(pairs, i * c, shape), negate(cut(pairs, (distances.length + i) * c, shape))], shape)
    return [won, negate(turned(won, c - by))]
  })
  // A winner wins all 2·distances meetings; the others' losses were counted as wins less one each.
  const margin = new Float32Array(c).fill((1 - distances.length) * unit)
  return relu(plus(sum(wins, shape), margin))
}

const sum = (of: readonly Expression[], shape: MapShape): Expression => ({ kind: 'add', of, shape })
const negate = (of: Expression): Expression => ({ kind: 'negate', of, shape: of.shape })

const cut = (of: Expression, channel: number, shape: MapShape): Expression => ({
  kind: 'embed',
  of,
  stride: [1, 1],
  from: [0, 0],
  at: [-channel, 0, 0],
  shape,
})

/** Channel i becomes channel (i + by) mod channels of the original. */
function turned(of: Expression, by: number): Expression {
  const { shape } = of
  return sum([cut(of, by, shape), cut(of, by - shape[0], shape)], shape)
}
