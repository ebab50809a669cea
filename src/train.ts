/**
 * Training: gradients of networks, and fine-tuning of weights for a ReLU spec. Runs wherever WebAssembly does; what needs
 * files is `finetuneModel` of ringfence/node.
 * @module ringfence/train
 */

export { RingfenceError } from './errors.js'
export type { Norm } from './gradient/differentiable.js'
export { type Loss, type LossOptions, lossOf } from './gradient/loss.js'
export { type Gradients, Tape, type TapeOptions } from './gradient/tape.js'
export {
  type Finetuned,
  type FinetuneOptions,
  finetune,
  firstState,
  type LabelledPictures,
  type ShardNetwork,
  type TeacherNetwork,
  type TrainedNetwork,
} from './train/finetune.js'
export type { FactorState } from './train/masks.js'
export type { Split } from './train/pictures.js'
export { DEFAULT_MASKS, DEFAULT_RECIPE, type MaskRecipe, type Recipe, rateAt, recipeOf } from './train/recipe.js'
export {
  type CostTerms,
  costPenalty,
  dearest,
  type ExpectedCost,
  expectedCost,
  type PricedChoice,
  pathGradient,
  type SearchCosts,
} from './train/search/objective.js'
export { type ChanceRecipe, DEFAULT_CHANCES } from './train/search/recipe.js'
export { type Found, type SearchOptions, searchNetwork } from './train/search/search.js'
export {
  firstSearchState,
  formatSearchState,
  parseSearchState,
  type SearchEpoch,
  type SearchState,
} from './train/search/state.js'
export {
  chosenPaths,
  countedCosts,
  freshWeights,
  inherited,
  keptBranches,
  openSums,
  predictedCosts,
  SEESAW_COSTS,
} from './train/search/supernet.js'
export {
  type EpochRecord,
  formatTrainingState,
  type Moment,
  parseTrainingState,
  type TrainingState,
} from './train/state.js'
