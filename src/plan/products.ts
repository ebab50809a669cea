// Products in a plan from a peer, checked.
import { integer, object } from '../model/json/form.js'
import { type Product, productFactors, type Step } from './plan.js'

export const productForm = object({
  truncate: integer(0, 31),
  // Whole numbers hold a product of two values of so many bits in plain-text reruns too.
  bits: integer(4, 26),
})

/** What is wrong with a product, one line each. */
export function productProblems(ring: number, step: Step, { bits, truncate }: Product): string[] {
  const problems: string[] = []
  if (!productFactors(step)) problems.push('a product is of two tensors, the second of which has its shape')
  if (2 * bits - 2 - truncate > ring)
    problems.push(`a product of ${bits} and ${bits} bits, less ${truncate}, does not fit ${ring} ring bits`)
  return problems
}
