// Per-element masks of ReLUs from trained factors: SNL (arXiv 2202.02340) learns alpha per element, and alpha·ReLU(x) +
// (1 - alpha)·x becomes a ReLU where alpha is above a threshold and nothing elsewhere.

import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { type Json, quote } from '../model/json/fields.js'
import { summary } from '../model/json/file.js'
import { isActivation } from '../model/layers/layers.js'
import { toBase64 } from '../model/relu/mask-bits.js'
import type { Tensor } from '../model/safetensors.js'
import { formatShape, sameShape } from '../model/shape.js'

/** As in the code of SNL. */
const THRESHOLD = 1e-2

/**
 * A `relu-spec/1` file from one tensor of factors per activation, in the order of the network; a leading 1 of a shape is
 * the batch.
 * @throws RingfenceError BAD_FILE with every tensor that does not fit its activation
 */
export function reluMasks(arch: Architecture, alphas: ReadonlyMap<string, Tensor>, source: string): Json {
  const activations = arch.layers.filter(isActivation)
  const tensors = [...alphas]
  const problems: string[] = []
  if (tensors.length !== activations.length) {
    problems.push(`expected masks for ${activations.length} activations, found ${tensors.length}`)
  }
  const layers: Record<string, Json> = {}
  activations.slice(0, tensors.length).forEach(({ id, specName, out }, i) => {
    const [name, { shape, data, dtype }] = tensors[i]
    const own = shape.length === out.length + 1 && shape[0] === 1 ? shape.slice(1) : shape
    if (!data) problems.push(`tensor ${quote(name)}: expected floats, got ${dtype}`)
    else if (!sameShape(own, out)) {
      problems.push(
        `tensor ${quote(name)}: expected ${formatShape(out)} as ${quote(id)} has it, got ${formatShape(shape)}`,
      )
    } else {
      layers[specName ?? id] = { kind: 'mask', off: 'identity', encoding: 'base64-bits-lsb-first', bits: packed(data) }
    }
  })
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return { format: 'relu-spec/1', network: arch.name, layers }
}

function packed(alphas: Float32Array): string {
  const bytes = new Uint8Array(Math.ceil(alphas.length / 8))
  alphas.forEach((alpha, i) => {
    if (alpha > THRESHOLD) bytes[i >> 3] |= 1 << (i & 7)
  })
  return toBase64(bytes)
}
