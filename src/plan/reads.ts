// Which values of a network nobody reads any more, layer by layer.
import type { Architecture } from '../model/architecture.js'
import type { Curve } from '../model/curves.js'

/**
 * By layer: the values that it is the last to read, and its own where nobody does. Outputs are never among them.
 * @param curves by the layer that ends each; it reads the curve's root
 */
export function lastReads(
  { layers, inputs, outputs }: Architecture,
  curves: ReadonlyMap<string, Curve>,
): ReadonlyMap<string, readonly string[]> {
  const last = new Map(inputs.map(({ name }) => [name, name]))
  for (const { id, in: read } of layers) {
    const root = curves.get(id)?.root
    for (const name of [id, ...read, ...(root === undefined ? [] : [root])]) last.set(name, id)
  }
  const unread = new Map<string, string[]>(layers.map(({ id }) => [id, []]))
  for (const [name, reader] of last) if (!outputs.includes(name)) unread.get(reader)?.push(name)
  return unread
}
