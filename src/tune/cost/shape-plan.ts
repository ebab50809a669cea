// A plan from an architecture and a ReLU spec alone: costs depend on shapes and widths, not on what a network learnt.
import type { Architecture } from '../../model/architecture.js'
import { effectiveOp, isActivation } from '../../model/layers/layers.js'
import { parametersOf, type TensorName } from '../../model/parameters.js'
import type { ReluSpec } from '../../model/relu/spec.js'
import { requireRunnable } from '../../model/runnable.js'
import { elementCount } from '../../model/shape.js'
import { bodyOf } from '../../model/tail/split.js'
import type { LayerTensors, Weights } from '../../model/weights.js'
import { type Calibration, cutPoints, INPUT_RANGE } from '../../plan/calibrate.js'
import { type CompileOptions, compile } from '../../plan/compile/compile.js'
import { UNLOADED } from '../../plan/compile/expression.js'
import type { Plan } from '../../plan/plan.js'

/**
 * The plan that `compile` makes of a network whose weights nobody has: same steps, shapes, widths and bytes as with any
 * weights (but for averages over windows so large that they end a step for the weights behind them), fraction bits as for
 * values below 1. Two things need measured ranges to be the trained network's: the windows
 * of a ReLU spec that publishes them in fraction bits of its own, and whether the ring has room for the values.
 * @param calibration measured ranges, where there are some
 * @throws RingfenceError as `compile`
 */
export function shapePlan(
  arch: Architecture,
  spec?: ReluSpec,
  options?: CompileOptions,
  calibration: Calibration = unitRanges(arch, spec),
): Plan {
  requireRunnable(arch)
  return compile(arch, shapeWeights(arch), calibration, spec, options).plan
}

/** Vectors without a zero or a one, which no rule can fold away; larger tensors are not there. */
function shapeWeights(arch: Architecture): Weights {
  const weights = new Map<string, LayerTensors>()
  for (const layer of arch.layers) {
    const tensors = parametersOf(layer).map(({ tensor, shape }) => {
      const data = shape.length > 1 ? UNLOADED : new Float32Array(elementCount(shape)).fill(VALUE[tensor])
      return [tensor, data] as const
    })
    if (tensors.length > 0) weights.set(layer.id, Object.fromEntries(tensors))
  }
  return weights
}

const VALUE: Readonly<Record<TensorName, number>> = {
  ...{ weight: 0.75, bias: 0.375, running_mean: 0.125, running_var: 1.5, coef: 0.5 },
}

function unitRanges(network: Architecture, spec: ReluSpec | undefined): Calibration {
  const arch = bodyOf(network)
  const activations = arch.layers.filter(isActivation).map(({ id }) => id)
  const products = arch.layers.filter((layer) => effectiveOp(layer).op === 'multiply').map(({ id }) => id)
  const ids = [INPUT_RANGE, ...activations, ...products, ...cutPoints(arch, spec), ...arch.outputs]
  return { format: 'calibration/1', source: 'none: shapes alone', maxAbs: Object.fromEntries(ids.map((id) => [id, 1])) }
}
