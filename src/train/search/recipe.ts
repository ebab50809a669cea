// How a supernet is searched: every number that the result depends on, beside those of training.
import { type Recipe, recipeOf } from '../recipe.js'
import type { CostTerms } from './objective.js'

/** How chances are learned; the numbers are those of Seesaw's code at 91e07be (282dd29 has a tenth of both λ). */
export interface ChanceRecipe extends CostTerms {
  /** Of Adam, without momentum. */
  readonly rate: number
  /** Of logits, towards even chances. */
  readonly decay: number
  /** How much weights of softmax sums are pushed apart: the loss less this times their variance. */
  readonly apart: number
}

/** For a fifth of the cost. */
export const DEFAULT_CHANCES: ChanceRecipe = {
  ...{ portion: 0.2, total: 0.05, balance: 0.01 },
  ...{ rate: 1e-2, decay: 1e-2, apart: 1e-4 },
}

/** Of the weights: labels smoothed and weights decaying as Seesaw's code has it, distillation only where somebody teaches. */
export const searchRecipe = (recipe: Partial<Recipe> | undefined, isTaught = false): Recipe => {
  const own = { smoothing: 0.1, decay: 4e-5, ...recipe, masks: null }
  return recipeOf({ ...own, distill: isTaught ? (recipe?.distill ?? 1) : 0 })
}
