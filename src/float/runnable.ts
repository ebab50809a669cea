// What the plain engine runs, checked before any work.
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { quote } from '../model/json/fields.js'
import { blendsOf } from '../model/layers/blends.js'
import { effectiveOp, type Layer } from '../model/layers/layers.js'
import { asMap, formatShape } from '../model/shape.js'
import { tensorOf, type Weights } from '../model/weights.js'

/**
 * Returns when the network can be run in float.
 * @throws RingfenceError UNSUPPORTED that names all layers it cannot run; BAD_INPUT for weights without meaning
 */
export function requireFloat(arch: Architecture, weights: Weights): void {
  const problems = arch.layers.flatMap(layerProblems)
  if (arch.inputs.length !== 1) problems.push(`expected 1 input, got ${arch.inputs.length}`)
  if (problems.length > 0) {
    throw new RingfenceError('UNSUPPORTED', `network ${quote(arch.name)} cannot be run in float:`, problems)
  }
  const senseless = arch.layers.flatMap((layer) => varianceProblems(layer, weights))
  if (senseless.length > 0) {
    throw new RingfenceError('BAD_INPUT', `network ${quote(arch.name)}: its weights cannot be used:`, senseless)
  }
}

function layerProblems(layer: Layer): string[] {
  const op = effectiveOp(layer)
  const where = `layer ${quote(layer.id)}`
  if (op.op === 'choice') {
    return [`${where}: expected choices to hold ${quote(op.key)}, an integer from 0 to ${op.of.length - 1}, got none`]
  }
  if (op.op !== 'resize') return []
  const [, h, w] = asMap(layer.inShapes[0])
  if (blendsOf(op.mode, h, op.size[0]) && blendsOf(op.mode, w, op.size[1])) return []
  const got = formatShape(layer.inShapes[0])
  return [`${where}: broadcast to ${formatShape(op.size)} expects one row or as many, columns alike, got ${got}`]
}

function varianceProblems(layer: Layer, weights: Weights): string[] {
  if (layer.op !== 'batchNorm') return []
  const wrong = tensorOf(weights, layer.id, 'running_var').filter((v) => !(v + layer.eps > 0)).length
  return wrong === 0 ? [] : [`layer ${quote(layer.id)}: expected variance + eps > 0, got ${wrong} that are not`]
}
