// Which steps of an `mcc` plan share a round trip. A *wave* is a run of consecutive steps none of which reads a tensor
// that is made within the run: all their openings can go out before the first reply is needed. One round trip per wave.
import { elementCount, type LinearOp, reluShape, type Step } from './plan.js'

type Walked = Pick<Step, 'linear' | 'activation' | 'product'>

/**
 * Elements of y, in all copies, that one wave opens, unless a single step has more. Beyond that (16 MiB of replies) a
 * round trip is little beside the bytes; below it inboxes and the server's scratch stay bounded.
 */
const MOST_ELEMENTS = 2 ** 22

/** Steps from `from` up to and without `to`. */
export interface Wave {
  readonly from: number
  readonly to: number
}

/** The waves of a plan's steps, in order. The last step, whose y goes out, is one of its own. */
export function waves(steps: readonly Walked[]): Wave[] {
  const found: { from: number; to: number }[] = []
  let elements = 0
  steps.forEach((step, i) => {
    const size = elementCount(reluShape(step))
    const last = found[found.length - 1]
    const goesOut = step.activation === null && !step.product
    const waits = last === undefined || goesOut || tensorsOf(step).some((tensor) => tensor > last.from)
    if (waits || elements + size > MOST_ELEMENTS) {
      found.push({ from: i, to: i + 1 })
      elements = size
    } else {
      last.to = i + 1
      elements += size
    }
  })
  return found
}

/** Tensors that a step reads. */
const tensorsOf = ({ linear }: Pick<Step, 'linear'>): number[] =>
  linear.flatMap((op) => (op.op === 'tensor' ? [op.tensor] : []))

/**
 * The order of steps that makes the fewest waves: by the longest chain of steps behind them, otherwise as they were. The
 * last step stays the last.
 * @returns positions in `steps`
 */
export function levelOrder(steps: readonly Walked[]): number[] {
  const levels = [0]
  for (const step of steps) levels.push(1 + Math.max(0, ...tensorsOf(step).map((tensor) => levels[tensor])))
  const last = steps.length - 1
  const level = (i: number) => (i === last ? Number.POSITIVE_INFINITY : levels[i + 1])
  return steps.map((_, i) => i).sort((a, b) => (level(a) === level(b) ? a - b : level(a) - level(b)))
}

/** Steps in another order, their tensors renumbered. */
export function reordered<S extends Pick<Step, 'linear'>>(steps: readonly S[], order: readonly number[]): S[] {
  const tensors = [0]
  order.forEach((from, to) => {
    tensors[from + 1] = to + 1
  })
  const moved = (op: LinearOp): LinearOp => (op.op === 'tensor' ? { ...op, tensor: tensors[op.tensor] } : op)
  return order.map((from) => ({ ...steps[from], linear: steps[from].linear.map(moved) }))
}
