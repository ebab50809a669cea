// A plan's step in a few words, for tables.
import { type LinearOp, type Step, stepLayout } from '../plan/plan.js'

export interface StepWords {
  readonly op: string
  readonly shape: string
  /** Sign comparisons. */
  readonly comparisons: number
}

export function describeStep(step: Step): StepWords {
  const layout = stepLayout(step)
  const after = activationWords(step)
  const before = linearWords(step.linear)
  return {
    op: after === '' ? before : `${before}, ${after}`,
    shape: step.out[1] * step.out[2] === 1 ? `${step.out[0]}` : step.out.join('×'),
    comparisons: layout ? layout.singles + layout.patches : 0,
  }
}

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
  const kind = groups === 1 ? 'conv' : groups === cin ? 'dw conv' : 'group conv'
  const steps = stride[0] * stride[1] === 1 ? '' : ` /${stride[0] === stride[1] ? stride[0] : stride.join('×')}`
  return `${kind} ${kernel.join('×')}${steps}`
}

function activationWords({ activation }: Step): string {
  switch (activation?.relu.kind) {
    case undefined:
      return ''
    case 'identity':
      return 'truncate'
    case 'block':
      return 'block ReLU'
    case 'mask':
      return 'masked ReLU'
    case 'zero':
      return 'zero'
    default:
      return 'ReLU'
  }
}
