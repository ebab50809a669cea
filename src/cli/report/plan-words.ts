// Costs, memory and proofs of a plan in words, of ReLUs and of choices alike.
import { MAX_MEMORY, type PlanMemory } from '../../protocol/memory.js'
import type { Objective } from '../../tune/allocation/relu-plan.js'
import { byteSize, count, duration } from '../terminal/terminal.js'

/** A cost in the unit of what is counted; seconds where those are. */
export function costWords(objective: Objective['kind'], value: number): string {
  if (objective === 'drelus') return `${count(value)} comparisons`
  return objective === 'bytes' ? byteSize(value) : duration(1000 * value)
}

/** @param bound what no solution is below */
export function distortionWords(distortion: number, bound: number): string {
  const proven = distortion - bound <= 1e-9 * distortion
  const gap = proven ? 'the least possible' : `at least ${bound.toPrecision(6)}`
  return `summed distortion ${distortion.toPrecision(6)}, ${gap}`
}

/** Of every party, and which of them have too little. */
export function memoryWords({ prepared, ...parties }: PlanMemory): string {
  const each = Object.entries(parties).map(([party, bytes]) => `${party} ${byteSize(bytes)}`)
  const short = Object.values(parties).some((bytes) => bytes > MAX_MEMORY)
  const ahead = prepared > 0 ? `; ${byteSize(prepared)} more at the server for every inference prepared ahead` : ''
  return `memory, at most: ${each.join(', ')}${ahead}${short ? '; WebAssembly has 4 GiB: cannot be run' : ''}`
}
