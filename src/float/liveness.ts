// When a value's memory can be used again.
import type { Region } from '../kernels/instance.js'
import type { Step, ValueIndex } from './steps.js'

/**
 * Per value the last step that reads it; a value nobody reads is used last by the step that makes it, outputs by none.
 */
export function lastUses(steps: readonly Step[], outputs: readonly ValueIndex[]): Int32Array {
  const last = Int32Array.from({ length: steps.length + 1 }, (_, value) => value - 1)
  steps.forEach((step, i) => {
    for (const value of step.inputs) last[value] = i
  })
  for (const output of outputs) last[output] = steps.length
  return last
}

/** Releases what step `i` was the last to use. */
export function releaseUsed(step: Step, i: number, last: Int32Array, values: (Region | undefined)[]): void {
  for (const value of [...step.inputs, i + 1]) {
    if (last[value] > i) continue
    values[value]?.release()
    values[value] = undefined
  }
}
