// How a network is trained: every number that the result depends on, with its default and its limits.
import { RingfenceError } from '../errors.js'
import type { LossOptions } from '../gradient/loss.js'

/** How masks are learned, before weights are trained for them. */
export interface MaskRecipe {
  /** Comparisons of the whole network that are left. */
  readonly budget: number
  /** Passes over the training pictures in which factors move, and weights with them. */
  readonly epochs: number
  /** Learning rate of the factors, by Adam: about as far as one moves in a step. */
  readonly rate: number
  /** L1 penalty that learning begins with; it follows how many ReLUs are left. */
  readonly penalty: number
}

/** As SNL has them, but for a rate that takes 100 steps from 1 to 0 instead of 1000. */
export const DEFAULT_MASKS: Omit<MaskRecipe, 'budget' | 'epochs'> = { rate: 1e-2, penalty: 1e-5 }

/** Numbers of a training run; the result depends on them, the seed and the data alone. */
export interface Recipe extends LossOptions {
  /** Passes over the training pictures. */
  readonly epochs: number
  /** Pictures of a step. */
  readonly batch: number
  /**
   * Pictures that batch norms take their statistics from, and that a thread works on at a time. Fixed numbers, so that
   * the result does not depend on how many threads there are.
   */
  readonly shard: number
  readonly optimizer: 'sgd' | 'adam'
  /** Highest learning rate. */
  readonly rate: number
  /** Share of the run in which the rate rises to it, linearly. */
  readonly warmup: number
  /** How it falls from there: as a cosine to 0, or by a factor at given shares of the run. */
  readonly schedule: 'cosine' | 'steps'
  /** With `steps`: shares of the run after which the rate is multiplied by `factor`. */
  readonly steps: readonly number[]
  readonly factor: number
  /** Of SGD (Nesterov's), or Adam's first moment. */
  readonly momentum: number
  /** Of kernels and matrices; norms, biases and slopes do not decay. */
  readonly decay: number
  /** Pictures are moved by up to this many pixels, zeros filling the edge (after normalisation). */
  readonly shift: number
  /** Every other picture is mirrored, left to right. */
  readonly flip: boolean
  /** Share of every class that is held out: best weights and early stop are chosen on it. 0 keeps the last weights. */
  readonly holdout: number
  /** Epochs without a better share of right answers after which training stops; 0 for never. */
  readonly patience: number
  /** Of the order of pictures, what is held out, and how pictures are moved. */
  readonly seed: number
  /** Learns which ReLUs are kept, in epochs of their own before the others; null trains for the spec as it is. */
  readonly masks: MaskRecipe | null
}

/** Fine-tuning of a trained network under a ReLU spec, in photographs. */
export const DEFAULT_RECIPE: Recipe = {
  epochs: 5,
  batch: 128,
  shard: 32,
  optimizer: 'sgd',
  rate: 0.03,
  warmup: 0.1,
  schedule: 'cosine',
  steps: [0.5, 0.75],
  factor: 0.25,
  momentum: 0.9,
  decay: 5e-4,
  smoothing: 0.05,
  distill: 1,
  temperature: 4,
  shift: 4,
  flip: true,
  holdout: 0.1,
  patience: 0,
  seed: 1,
  masks: null,
}

type Limit = readonly [least: number, most: number, whole?: boolean]

const LIMITS: Readonly<Partial<Record<keyof Recipe, Limit>>> = {
  epochs: [1, 1e6, true],
  batch: [1, 65536, true],
  shard: [1, 4096, true],
  rate: [0, 1e3],
  warmup: [0, 1],
  factor: [0, 1],
  momentum: [0, 0.9999],
  decay: [0, 1],
  smoothing: [0, 0.999],
  distill: [0, 1e3],
  temperature: [0.1, 100],
  shift: [0, 1024, true],
  holdout: [0, 0.9],
  patience: [0, 1e6, true],
  seed: [0, 2 ** 32 - 1, true],
}

const MASK_LIMITS: Readonly<Record<keyof MaskRecipe, Limit>> = {
  budget: [0, 2 ** 31, true],
  epochs: [1, 1e6, true],
  rate: [0, 1],
  penalty: [1e-30, 1e6],
}

/**
 * The defaults with other numbers in their place.
 * @throws RingfenceError BAD_INPUT with every number that is out of its range
 */
export function recipeOf(given: Partial<Recipe> = {}): Recipe {
  const recipe = { ...DEFAULT_RECIPE, ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)) }
  const problems = outside('', recipe, LIMITS)
  if (recipe.masks) problems.push(...outside('masks.', recipe.masks, MASK_LIMITS))
  const shares = recipe.steps.every((share, i) => share > 0 && share < 1 && (i === 0 || share > recipe.steps[i - 1]))
  if (!shares) problems.push(`steps: expected rising shares between 0 and 1, got ${recipe.steps.join(', ')}`)
  if (!['sgd', 'adam'].includes(recipe.optimizer)) problems.push('optimizer: expected sgd or adam')
  if (!['cosine', 'steps'].includes(recipe.schedule)) problems.push('schedule: expected cosine or steps')
  if (recipe.shard > recipe.batch && problems.length === 0) return { ...recipe, shard: recipe.batch }
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'this recipe cannot be followed:', problems)
  return recipe
}

function outside<T extends object>(
  prefix: string,
  given: T,
  limits: Readonly<Partial<Record<keyof T, Limit>>>,
): string[] {
  return Object.entries<Limit>(limits as Record<string, Limit>).flatMap(([name, [least, most, whole]]) => {
    const value = given[name as keyof T] as number
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) return []
    return [`${prefix}${name}: expected ${whole ? 'an integer' : 'a number'} from ${least} to ${most}, got ${value}`]
  })
}

/** The learning rate when `share` of the run, or of the part in which masks are learned, is done. */
export function rateAt({ rate, warmup, schedule, steps, factor }: Recipe, share: number): number {
  if (share < warmup) return (rate * share) / warmup
  if (schedule === 'steps') return rate * factor ** steps.filter((step) => share >= step).length
  return (rate * (1 + Math.cos((Math.PI * (share - warmup)) / (1 - warmup)))) / 2
}
