// A part of a network.
import type { Architecture } from './network.js'

/** The layers that these values depend on, with these as outputs. */
export function partOf(arch: Architecture, outputs: readonly string[]): Architecture {
  const needed = new Set(outputs)
  for (const { id, in: inputs } of arch.layers.toReversed()) {
    if (needed.has(id)) for (const name of inputs) needed.add(name)
  }
  const layers = arch.layers.filter(({ id }) => needed.has(id))
  return { ...arch, outputs, layers, byId: new Map(layers.map((layer) => [layer.id, layer])) }
}
