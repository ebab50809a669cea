// A plan's step in a few words, for tables.
import { groupedWindows, meetingsOf, TAPS } from '../../plan/max-pools.js'
import { hasWins, type LinearOp, maxPoolOf, type Plan, type Step, stepLayout } from '../../plan/plan.js'

export interface StepWords {
  readonly op: string
  readonly shape: string
  /** Sign comparisons. */
  readonly comparisons: number
}

/** One entry per step. */
export function describeSteps({ steps }: Plan): StepWords[] {
  const output = steps[steps.length - 1].id
  // A label's steps begin with the one that cuts or compares the logits.
  const cuts = (step: Step) => step.activation?.relu.kind === 'identity' || hasWins(step)
  const cut = steps.findIndex((step) => step.id === output && cuts(step))
  return steps.map((step, i) => describe(step, cut >= 0 && i > cut && step.id === output))
}

function describe(step: Step, label: boolean): StepWords {
  if (step.product) return { op: 'product', shape: shapeWords(step), comparisons: 0 }
  const layout = stepLayout(step)
  const comparisons = layout ? layout.singles + layout.patches : 0
  if (hasWins(step)) {
    const before = linearWords(step.linear)
    const words = before === 'sum' ? 'wins' : `${before}, wins`
    return { op: words, shape: shapeWords(step), comparisons: meetingsOf(step) }
  }
  if (maxPoolOf(step)) {
    const before = linearWords(step.linear)
    const words = before === 'sum' ? 'max pool' : `${before}, max pool`
    return { op: words, shape: shapeWords(step), comparisons: TAPS * groupedWindows(step) }
  }
  const meets = comparisons > 0 && step.linear.some((op) => op.op === 'scale' && op.factor === -1)
  const after = label && step.activation ? 'label' : meets ? 'max pool' : activationWords(step)
  const before = linearWords(step.linear)
  // The differences of what meets are no sum of the network.
  const words = [before === 'sum' && (meets || label) ? '' : before, after].filter((word) => word !== '')
  return {
    op: words.length === 0 ? before : words.join(', '),
    shape: shapeWords(step),
    comparisons,
  }
}

const shapeWords = ({ out: [c, h, w] }: Step): string => (h * w === 1 ? `${c}` : `${c}×${h}×${w}`)

function linearWords(ops: readonly LinearOp[]): string {
  const words = ops.map((op) => operationWords(op, ops)).filter((word) => word !== '')
  const [first = 'sum', ...others] = new Set(words)
  return [first, ...others.map((word) => (first.startsWith('conv ') ? word.replace(/^conv /, '') : word))].join(' + ')
}

function operationWords(op: LinearOp, ops: readonly LinearOp[]): string {
  if (op.op === 'poolSum') return `avg pool ${op.kernel.join('×')}`
  if (op.op === 'lift') return ops.some(({ op: kind }) => kind === 'conv') ? 'skip' : ''
  if (op.op !== 'conv') return ''
  const { kernel, stride, groups, cin, h, w } = op.geometry
  if (h * w === 1 && kernel[0] * kernel[1] === 1) return 'linear'
  if (kernel[0] * kernel[1] === 1 && groups === cin && cin > 1) return 'channel scale'
  const kind = groups === 1 ? 'conv' : groups === cin ? 'dw conv' : 'group conv'
  const steps = stride[0] * stride[1] === 1 ? '' : ` /${stride[0] === stride[1] ? stride[0] : stride.join('×')}`
  return `${kind} ${kernel.join('×')}${steps}`
}

function activationWords(step: Step): string {
  switch (step.activation?.relu.kind) {
    case undefined:
      return ''
    case 'identity':
      return 'curve' in step.activation && step.activation.curve ? 'curve' : 'truncate'
    case 'zero':
      return 'zero'
    default: {
      const { activation } = step
      const isQuadratic = activation !== null && 'quadratic' in activation && activation.quadratic !== undefined
      return isQuadratic ? 'quadratic select' : sharing(step) + bendWords(step)
    }
  }
}

/** How elements share comparisons, or that not all have one. */
function sharing({ activation }: Step): string {
  const { relu, bends } = activation!
  if (relu.kind === 'mask') return 'masked '
  if (relu.kind !== 'block') return ''
  // The copies that pass belong to the activation; what a relu-spec asks for shows in the first.
  const first = relu.blocks.slice(0, relu.blocks.length / (bends?.shifts.length ?? 1))
  return bends && first.every(([h, w]) => h * w === 1) ? '' : 'block '
}

/** A ReLU, or what several of one value make: the difference of two is a clip, a ReLU beside the value has a slope. */
function bendWords({ activation, scale }: Step): string {
  const { bends } = activation!
  if (!bends) return 'ReLU'
  // Its slopes are weights of the next step: nobody but the server can tell a parametric one.
  if (!bends.sum) return 'leaky ReLU'
  const [low, high] = bends.shifts.map((shift) => Number((-shift / 2 ** scale).toPrecision(3)))
  return low === 0 ? `ReLU${high}` : `clip ${low} … ${high}`
}
