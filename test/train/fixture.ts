// A small network and pictures of three kinds that it can tell apart: which third of the picture is bright.
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { parametersOf } from '../../src/model/parameters.js'
import { elementCount } from '../../src/model/shape.js'
import type { LayerTensors, Weights } from '../../src/model/weights.js'
import { drawn } from '../../src/train/pictures.js'
import type { LabelledPictures } from '../../src/train.js'

export const arch: Architecture = parseArchitecture({
  format: 'arch/1',
  name: 'thirds',
  inputs: [{ name: 'x', shape: [1, 9, 9] }],
  outputs: ['fc'],
  layers: [
    { id: 'conv', op: 'conv2d', in: ['x'], cout: 4, kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1], bias: false },
    { id: 'bn', op: 'batchNorm', in: ['conv'] },
    { id: 'relu', op: 'relu', in: ['bn'] },
    { id: 'flat', op: 'flatten', in: ['relu'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
})

export function weights(): Weights {
  return new Map(
    arch.layers.flatMap((layer, l) => {
      const tensors = parametersOf(layer).map(({ tensor, shape }, t) => {
        const one = (i: number) =>
          tensor === 'running_var' ? 1 : 0.6 * (drawn(l, t, i) - 0.5) + Number(layer.id === 'bn')
        return [tensor, Float32Array.from({ length: elementCount(shape) }, (_, i) => one(i))] as const
      })
      return tensors.length > 0 ? [[layer.id, Object.fromEntries(tensors) as LayerTensors] as const] : []
    }),
  )
}

export function pictures(count: number, first = 0): LabelledPictures {
  const labels = Array.from({ length: count }, (_, i) => i % 3)
  const inputs = labels.map((label, p) =>
    Float32Array.from({ length: 81 }, (_, i) => {
      const bright = Math.floor(i / 27) === label ? 1 : 0
      return bright + 1.5 * (drawn(7, first + p, i) - 0.5)
    }),
  )
  return { inputs, labels }
}
