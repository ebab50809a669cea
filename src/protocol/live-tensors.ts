// The tensors of one inference as a party holds them, each kept until the last step that reads it.
import type { Region } from '../kernels/instance.js'
import type { StepLayout } from './layout.js'
import type { PlannedSteps } from './step.js'

/** The last step that reads each tensor. */
export function lastUses({ steps }: { steps: readonly Pick<StepLayout, 'index' | 'step'>[] }): Map<number, number> {
  const last = new Map<number, number>()
  for (const { index, step } of steps) {
    for (const op of step.linear) if (op.op === 'tensor') last.set(op.tensor, index)
  }
  return last
}

export class LiveTensors {
  readonly #tensors = new Map<number, Region>()
  readonly #lastUse: Map<number, number>

  constructor(planned: PlannedSteps, input: Region) {
    this.#lastUse = lastUses(planned)
    this.#tensors.set(0, input)
  }

  readonly get = (index: number): Region => this.#tensors.get(index)!

  /** The result of step `step`, which is tensor `step + 1`. */
  add(step: number, tensor: Region): void {
    this.#tensors.set(step + 1, tensor)
  }

  /** Frees what no step after `step` reads. */
  drop(step: number): void {
    for (const [index, tensor] of this.#tensors) {
      if ((this.#lastUse.get(index) ?? -1) > step) continue
      tensor.release(true)
      this.#tensors.delete(index)
    }
  }

  release(): void {
    for (const tensor of this.#tensors.values()) tensor.release(true)
    this.#tensors.clear()
  }
}
