// An order in which the nodes of a foreign graph can be computed, without recursion: hostile graphs are deep.

/**
 * The nodes that `wanted` need, each after the nodes it reads; in the file's order where that already fits.
 * @param inputs indices of the nodes that node i reads
 * @returns the order, or the indices of one cycle in the direction of the data
 */
export function computingOrder(
  inputs: readonly (readonly number[])[],
  wanted: readonly number[],
): { readonly order: number[]; readonly cycle?: readonly number[] } {
  const needed = reach(inputs, wanted)
  const state = new Uint8Array(inputs.length) // 0 new, 1 on the path, 2 done
  const order: number[] = []
  for (let start = 0; start < inputs.length; start++) {
    if (needed[start] === 0 || state[start] !== 0) continue
    const path = [start]
    const next = [0]
    state[start] = 1
    while (path.length > 0) {
      const node = path[path.length - 1]
      const source = inputs[node][next[next.length - 1]++]
      if (source === undefined) {
        state[node] = 2
        order.push(node)
        path.pop()
        next.pop()
      } else if (state[source] === 1) {
        return { order, cycle: path.slice(path.indexOf(source)).reverse() }
      } else if (state[source] === 0) {
        state[source] = 1
        path.push(source)
        next.push(0)
      }
    }
  }
  return { order }
}

function reach(inputs: readonly (readonly number[])[], wanted: readonly number[]): Uint8Array {
  const needed = new Uint8Array(inputs.length)
  const open = [...wanted]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (needed[node] !== 0) continue
    needed[node] = 1
    for (const source of inputs[node]) if (needed[source] === 0) open.push(source)
  }
  return needed
}

/** The cycle in words, for a message. */
export function cycleWords(names: readonly string[]): string {
  const shown = names.length > 6 ? [...names.slice(0, 5), '...', names[names.length - 1]] : names
  return [...shown, names[0]].join(' -> ')
}
