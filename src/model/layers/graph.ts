// Checks on the references between layers: every one exists and stands earlier in the file.
import { quote } from '../json/fields.js'
import type { Node } from './read-op.js'

/**
 * Problems with the references of `nodes`, which must stand in an order in which they can be computed.
 * @param sources ids that exist beforehand (the network's inputs)
 */
export function referenceProblems(nodes: readonly Node[], sources: ReadonlySet<string>): string[] {
  const places = new Map(nodes.map((node, place) => [node.id, place]))
  const cyclic = nodesOnCycles(nodes, places)
  const problems: string[] = []
  nodes.forEach((node, place) => {
    const where = `layer ${quote(node.id)}: in`
    if (cyclic.has(place)) problems.push(`${where}: expected no cycle, got ${cyclic.get(place)}`)
    for (const id of node.in) {
      const target = places.get(id)
      if (target === undefined) {
        if (!sources.has(id))
          problems.push(`${where}: expected an input or an earlier layer, found none of id ${quote(id)}`)
      } else if (target >= place && !onOneCycle(cyclic, place, target)) {
        problems.push(`${where}: expected an earlier layer, but ${quote(id)} stands later in the file`)
      }
    }
  })
  return problems
}

function onOneCycle(cyclic: ReadonlyMap<number, string>, a: number, b: number): boolean {
  return a === b || (cyclic.has(a) && cyclic.get(a) === cyclic.get(b))
}

/** Place of every node on a cycle, with the cycle in words; found by walking backwards along `in` without recursion. */
function nodesOnCycles(nodes: readonly Node[], places: ReadonlyMap<string, number>): Map<number, string> {
  const found = new Map<number, string>()
  const state = new Uint8Array(nodes.length) // 0 new, 1 on the path, 2 done
  for (let start = 0; start < nodes.length; start++) {
    if (state[start] !== 0) continue
    const path = [start]
    const next = [0]
    state[start] = 1
    while (path.length > 0) {
      const place = path[path.length - 1]
      const id = nodes[place].in[next[next.length - 1]++]
      if (id === undefined) {
        state[place] = 2
        path.pop()
        next.pop()
        continue
      }
      const target = places.get(id)
      if (target === undefined || state[target] === 2) continue
      if (state[target] === 1) {
        noteCycle(path.slice(path.indexOf(target)), nodes, found)
      } else {
        state[target] = 1
        path.push(target)
        next.push(0)
      }
    }
  }
  return found
}

function noteCycle(cycle: readonly number[], nodes: readonly Node[], found: Map<number, string>): void {
  const shown = cycle.length > 6 ? [...cycle.slice(0, 5), cycle[cycle.length - 1]] : cycle
  const names = shown.map((place) => quote(nodes[place].id))
  if (cycle.length > 6) names.splice(5, 0, '...')
  const words = [...names, names[0]].reverse().join(' -> ')
  for (const place of cycle) if (!found.has(place)) found.set(place, words)
}
