// The declared cost of a whole plan: the sum of its gadgets' costs plus the frames around them, to the byte.
import { packedBytes } from '../../kernels/bits.js'
import { HEADER_BYTES } from '../../net/index.js'
import { addCost, type Cost } from '../cost.js'
import { piecesOf } from '../pieces.js'
import { isActive } from '../step.js'
import { inputCost } from './input.js'
import { linearCost } from './linear.js'
import { materialBytes } from './material.js'
import { outputCost } from './output.js'
import { reluCost } from './relu.js'
import type { MccStep, MccSteps } from './step.js'

export interface StepCost extends Cost {
  readonly id: string
  /** Opened values, and comparisons. */
  readonly values: number
  readonly comparisons: number
}

export interface PlanCost {
  /** Payload and flights per step, without frame headers. The flights of a wave are those of its first step. */
  readonly steps: readonly StepCost[]
  /** One inference, frame headers included: what the meters show. */
  readonly total: Cost
}

/** Bytes in front of an input: which inference it is. */
const INFERENCE_BYTES = 8
/** Bytes in front of a bundle: session and inference. */
const BUNDLE_BYTES = 24

export function planCost({ plan, steps, waves }: MccSteps): PlanCost {
  const costs = waves.flatMap((wave) =>
    wave.map((step, i) => ({ id: step.step.id, ...sizes(step), ...besides(i, stepCost(step, plan.ring)) })),
  )
  const payload = costs.reduce<Cost>(addCost, inputCost(plan))
  const relus = steps.filter(isActive).length
  const pieces = (bytes: (step: MccStep) => number) => steps.reduce((sum, step) => sum + piecesOf(bytes(step)), 0)
  const headers: Cost = {
    flights: 0,
    online: { up: INFERENCE_BYTES + HEADER_BYTES * (1 + relus), down: HEADER_BYTES * steps.length },
    offline: {
      clientUp: HEADER_BYTES * (1 + pieces(({ size }) => packedBytes(size, plan.ring))) + INFERENCE_BYTES,
      helperToServer: HEADER_BYTES * (1 + pieces((step) => materialBytes(step, plan.ring))) + BUNDLE_BYTES,
    },
  }
  return { steps: costs, total: addCost(payload, headers) }
}

function sizes({ relu }: MccStep): { values: number; comparisons: number } {
  return { values: relu?.opened.values ?? 0, comparisons: relu?.comparisons ?? 0 }
}

/** In one wave all openings go out before the first reply is needed. */
const besides = (others: number, cost: Cost): Cost => (others === 0 ? cost : { ...cost, flights: 0 })

function stepCost(step: MccStep, ring: number): Cost {
  const linear = linearCost(ring, step)
  return addCost(linear, isActive(step) ? reluCost(step, ring) : outputCost(ring, step))
}
