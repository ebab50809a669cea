// A network's trained tensors as one vector, in the order of its layers: what optimisers move and threads exchange.
import type { Architecture } from '../model/architecture.js'
import { parametersOf, type TensorName } from '../model/parameters.js'
import { elementCount } from '../model/shape.js'
import { type LayerTensors, tensorOf, type Weights } from '../model/weights.js'

/** Where a tensor stands in the vector. */
export interface Slot {
  readonly layer: string
  readonly tensor: TensorName
  readonly start: number
  readonly length: number
  /** Whether weight decay moves it: matrices and kernels, but no norm, bias, slope or coefficient. */
  readonly decays: boolean
}

/** Where the factors of an activation stand in their vector: one per element. */
export type FactorSlot = Pick<Slot, 'layer' | 'start' | 'length'>

/** Vector to one list per activation, which are views. */
export function factorsOf(slots: readonly FactorSlot[], values: Float32Array): Map<string, Float32Array> {
  return new Map(slots.map(({ layer, start, length }) => [layer, values.subarray(start, start + length)]))
}

/** The trained tensors, or the running statistics, one after another. */
export function slotsOf(arch: Architecture, trained = true): Slot[] {
  let start = 0
  return arch.layers.flatMap((layer) =>
    parametersOf(layer)
      .filter((parameter) => parameter.trained === trained)
      .map(({ tensor, shape }) => {
        const decays = tensor === 'weight' && (layer.op === 'conv2d' || layer.op === 'linear')
        const slot = { layer: layer.id, tensor, start, length: elementCount(shape), decays }
        start += slot.length
        return slot
      }),
  )
}

export const lengthOf = (slots: readonly FactorSlot[]): number => slots.reduce((sum, { length }) => sum + length, 0)

/** Copies tensors into a vector; those that `tensors` lacks stay zero. */
export function toVector(slots: readonly Slot[], tensors: ReadonlyMap<string, LayerTensors>): Float32Array {
  const vector = new Float32Array(lengthOf(slots))
  for (const { layer, tensor, start } of slots) {
    const data = tensors.get(layer)?.[tensor]
    if (data) vector.set(data, start)
  }
  return vector
}

/** Weights whose tensors of `slots` are views of the vector; the others are those of `base`. */
export function withVector(base: Weights, slots: readonly Slot[], vector: Float32Array): Weights {
  const weights = new Map<string, Partial<Record<TensorName, Float32Array>>>()
  for (const [id, tensors] of base) weights.set(id, { ...tensors })
  for (const { layer, tensor, start, length } of slots) {
    tensorOf(base, layer, tensor)
    weights.get(layer)![tensor] = vector.subarray(start, start + length)
  }
  return weights
}
