// The client's part of a network: its outputs from the values that the private part gives.
import type { Layer } from '../layers/layers.js'
import type { Architecture } from '../network.js'
import { elementCount, type Shape } from '../shape.js'
import { computeElements } from './elements.js'
import { type NamedOutput, type NamedOutputs, splitNetwork } from './split.js'

/** What there is before the tail: shapes of values that lie one after another. */
export interface OpenedValue {
  readonly id: string
  readonly shape: Shape
}

/**
 * @param opened what `values` holds, one after another
 * @param tail layers over them and over each other, in order
 * @param outputs ids of both that are asked for
 * @param onValue gets every layer's value
 */
export function runTail(
  opened: readonly OpenedValue[],
  tail: readonly Layer[],
  outputs: readonly string[],
  values: Float32Array,
  onValue?: (id: string, data: Float32Array) => void,
): NamedOutputs {
  const known = new Map<string, NamedOutput>()
  let at = 0
  for (const { id, shape } of opened) {
    const count = elementCount(shape)
    known.set(id, { shape, data: values.slice(at, at + count) })
    at += count
  }
  for (const layer of tail) {
    const data = new Float32Array(elementCount(layer.out))
    computeElements(
      layer,
      layer.in.map((id) => known.get(id)!.data),
      data,
    )
    known.set(layer.id, { shape: layer.out, data })
    onValue?.(layer.id, data)
  }
  return Object.fromEntries(outputs.map((id) => [id, known.get(id)!]))
}

/** The outputs of a network whose private part gave `values`. */
export function tailOutputs(
  arch: Architecture,
  values: Float32Array,
  onValue?: (id: string, data: Float32Array) => void,
): NamedOutputs {
  const { body, tail } = splitNetwork(arch)
  const opened = body.outputs.map((id) => ({ id, shape: body.byId.get(id)!.out }))
  return runTail(opened, tail, arch.outputs, values, onValue)
}
