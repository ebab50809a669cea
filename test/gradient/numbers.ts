// Networks of a few layers with weights and inputs that are the same in every run; test/vectors/gradients.py draws the same.
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { parametersOf } from '../../src/model/parameters.js'
import { elementCount } from '../../src/model/shape.js'
import type { LayerTensors, Weights } from '../../src/model/weights.js'

/** Layers l0, l1, …, each behind the one before it unless it says otherwise. */
export function network(shape: readonly number[], layers: readonly object[], choices: object = {}): Architecture {
  const wired = layers.map((layer, i) => ({ id: `l${i}`, in: [i === 0 ? 'x' : `l${i - 1}`], ...layer }))
  const outputs = [`l${layers.length - 1}`]
  const inputs = [{ name: 'x', shape }]
  return parseArchitecture({ format: 'arch/1', name: 'one', inputs, outputs, choices, layers: wired })
}

/** Numbers between -1 and 1. */
export function numbers(count: number, seed: number): Float32Array {
  let state = (seed * 0x9e3779b1) >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x297a2d39) >>> 0
    return state / 2 ** 31 - 1
  })
}

export function weightsOf(arch: Architecture): Weights {
  return new Map(
    arch.layers.flatMap((layer, i) => {
      const tensors = parametersOf(layer).map(({ tensor, shape }, t) => {
        const values = numbers(elementCount(shape), 10 * i + t + 1)
        return [tensor, tensor === 'running_var' ? values.map((v) => 1 + v / 2) : values] as const
      })
      return tensors.length > 0 ? [[layer.id, Object.fromEntries(tensors) as LayerTensors] as const] : []
    }),
  )
}

/** Of every five elements the first three, as a mask of a spec has them. */
export function maskBits(count: number): string {
  const bytes = new Uint8Array(Math.ceil(count / 8))
  for (let i = 0; i < count; i++) if (i % 5 < 3) bytes[i >> 3] |= 1 << (i & 7)
  return Buffer.from(bytes).toString('base64')
}
