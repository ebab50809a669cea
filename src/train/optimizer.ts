// How gradients move weights: SGD with Nesterov's momentum, and Adam. Elementwise in one order, rounded to float32.
import type { Slot } from '../gradient/parameters.js'
import type { Recipe } from './recipe.js'

/** Moves a vector of parameters; its state is plain vectors, so that a run can be resumed. */
export interface Optimizer {
  /** @param rate learning rate of this step */
  step(parameters: Float32Array, gradients: Float32Array, rate: number): void
  /** Vectors as long as the parameters, in a fixed order. */
  readonly state: readonly Float32Array[]
  /** Steps done. */
  steps: number
}

const BETA2 = 0.999
const EPSILON = 1e-8

export function optimizerOf(slots: readonly Slot[], length: number, recipe: Recipe): Optimizer {
  return recipe.optimizer === 'adam' ? adam(slots, length, recipe) : sgd(slots, length, recipe)
}

/** v ← μ·v + g; w ← w - rate·(g + μ·v), with g ← g + decay·w (Sutskever et al. 2013, as PyTorch writes it). */
function sgd(slots: readonly Slot[], length: number, { momentum, decay }: Recipe): Optimizer {
  const velocity = new Float32Array(length)
  return {
    state: [velocity],
    steps: 0,
    step(parameters, gradients, rate) {
      this.steps++
      for (const { start, length, decays } of slots) {
        const pull = decays ? decay : 0
        for (let i = start; i < start + length; i++) {
          const g = gradients[i] + pull * parameters[i]
          velocity[i] = momentum * velocity[i] + g
          parameters[i] -= rate * (g + momentum * velocity[i])
        }
      }
    },
  }
}

/** Kingma & Ba 2015, weight decay apart from the gradient (Loshchilov & Hutter 2019). */
function adam(slots: readonly Slot[], length: number, { momentum, decay }: Recipe): Optimizer {
  const [first, second] = [new Float32Array(length), new Float32Array(length)]
  return {
    state: [first, second],
    steps: 0,
    step(parameters, gradients, rate) {
      this.steps++
      const { steps } = this
      for (const { start, length, decays } of slots) {
        const part = (vector: Float32Array) => vector.subarray(start, start + length)
        const how = { rate, momentum, steps, decay: decays ? decay : 0 }
        adamOf(part(parameters), part(gradients), [part(first), part(second)], how)
      }
    },
  }
}

/** One step of Adam, the `steps`-th, on a vector with its two moments. */
export function adamOf(
  parameters: Float32Array,
  gradients: Float32Array,
  [first, second]: readonly Float32Array[],
  how: { readonly rate: number; readonly momentum: number; readonly steps: number; readonly decay?: number },
): void {
  const { rate, momentum, steps, decay = 0 } = how
  const [bias1, bias2] = [1 - momentum ** steps, 1 - BETA2 ** steps]
  for (let i = 0; i < parameters.length; i++) {
    const g = gradients[i]
    first[i] = momentum * first[i] + (1 - momentum) * g
    second[i] = BETA2 * second[i] + (1 - BETA2) * g * g
    const move = first[i] / bias1 / (Math.sqrt(second[i] / bias2) + EPSILON)
    parameters[i] -= rate * (move + decay * parameters[i])
  }
}
