// Maxima of windows and wins of channels in a plan: which elements meet, and what is wrong with a step from a peer.
import { integer, object } from '../model/json/form.js'
import { elementCount, linearShape, type MccActivation, type Step } from './plan.js'

export const maxPoolForm = object({ axis: integer(0, 1), stride: integer(1, 3), pad: integer(0, 2) })

/** Elements of a window. */
export const TAPS = 3

/** Windows in whole groups of eight, as comparisons are kept: what the last group has too many is compared and dropped. */
export const groupedWindows = ({ out }: Pick<Step, 'out'>): number => 8 * Math.ceil(elementCount(out) / 8)

/** The element of y that each window reads first, second and third. Beyond the map it is the edge again. */
export function windowTaps(step: Step, { axis, stride, pad }: NonNullable<MccActivation['maxPool']>): Int32Array[] {
  const from = linearShape(step)
  const [c, h, w] = step.out
  const last = from[axis + 1] - 1
  return Array.from({ length: TAPS }, (_, tap) => {
    const elements = new Int32Array(groupedWindows(step))
    let at = 0
    for (let channel = 0; channel < c; channel++)
      for (let i = 0; i < h; i++)
        for (let j = 0; j < w; j++) {
          const along = Math.min(Math.max((axis === 0 ? i : j) * stride - pad + tap, 0), last)
          const [y, x] = axis === 0 ? [along, j] : [i, along]
          elements[at++] = (channel * from[1] + y) * from[2] + x
        }
    return elements
  })
}

/**
 * Meetings of a step's channels: each with every channel up to half of them further on, counted around. So all meet, those that
 * are half of an even number apart twice, and each comes second as often as it comes first.
 */
export const meetingsOf = (step: Pick<Step, 'linear'>): number => {
  const shape = linearShape(step)
  return (shape[0] >> 1) * elementCount(shape)
}

/** Comparisons of one step. */
const MOST_MEETINGS = 2 ** 26

/** What is wrong with wins, one line each. */
export function winsProblems(step: Step, a: MccActivation): string[] {
  const problems: string[] = []
  if (a.relu.kind !== 'relu' || a.bends || a.curve || a.quadratic || a.maxPool || a.lo !== 0)
    problems.push('wins are of values that have no other activation, and read all bits')
  if (linearShape(step)[0] < 2) problems.push('wins are of two channels at least')
  if (meetingsOf(step) > MOST_MEETINGS)
    problems.push(`${meetingsOf(step)} comparisons of channels, at most ${MOST_MEETINGS} fit`)
  return problems
}

/** What is wrong with windows, one line each. */
export function maxPoolProblems(step: Step, a: MccActivation): string[] {
  const { axis, stride, pad } = a.maxPool!
  const problems: string[] = []
  const [shape, { out }] = [linearShape(step), step]
  if (a.relu.kind !== 'relu' || a.bends || a.curve || a.quadratic)
    problems.push('maxima are of values that have no other activation')
  if (shape.some((size, i) => i !== axis + 1 && size !== out[i]))
    problems.push(`maxima of [${shape}] along one axis have no shape [${out}]`)
  const start = (out[axis + 1] - 1) * stride - pad
  if (start >= shape[axis + 1]) problems.push(`its last window starts at ${start} of ${shape[axis + 1]}`)
  return problems
}
