// The line between a file that can be read and a network that this version runs.
import { RingfenceError } from '../errors.js'
import type { Architecture } from './architecture.js'
import { curvesOf } from './curves.js'
import { quote } from './json/fields.js'
import { isRunnable } from './layers/layers.js'
import { isPlainOnly, splitNetwork } from './tail/split.js'

/**
 * Returns when every layer that the client cannot compute alone has an op that can be run privately, and there is one input.
 * @throws RingfenceError UNSUPPORTED that names every layer that cannot be run
 */
export function requireRunnable(arch: Architecture): void {
  const byOp = new Map<string, string[]>()
  const { body } = splitNetwork(arch)
  const { byLayer, inner } = curvesOf(body)
  for (const layer of body.layers) {
    if (byLayer.has(layer.id) || inner.has(layer.id) || (isRunnable(layer) && !isPlainOnly(layer))) continue
    const ids = byOp.get(layer.op) ?? []
    ids.push(quote(layer.id))
    byOp.set(layer.op, ids)
  }
  const problems = [...byOp].map(([op, ids]) => `${op}: ${ids.join(', ')}`)
  if (arch.inputs.length !== 1) problems.push(`expected 1 input, got ${arch.inputs.length}`)
  if (problems.length === 0) return
  throw new RingfenceError('UNSUPPORTED', `network ${quote(arch.name)} cannot be run by this version:`, problems)
}
