// What a search makes small beside the loss: how far the expected cost is from the one that is wanted, and how unevenly it
// comes from linear and from nonlinear layers (Seesaw: Li, Zhai, Cai and Gao 2024).

/** A choice between options, and what each of them costs. */
export interface PricedChoice {
  /** Its layer. */
  readonly layer: string
  /** Whether a ReLU is taken or not ([without, with]), or one of the inputs of a `weightedSum`. */
  readonly kind: 'relu' | 'path'
  readonly costs: readonly number[]
}

/** In one unit: seconds, bytes, or whatever a model of costs counts. */
export interface SearchCosts {
  /** Of what is no choice. */
  readonly linear: number
  readonly nonlinear: number
  readonly choices: readonly PricedChoice[]
}

/** How the cost enters the loss: λ1·|T - T_ref|/T_ref + λ2·|T_lin - T_non|/T_non. */
export interface CostTerms {
  /** T_ref as a share of what the network costs with the dearest option of every choice. */
  readonly portion: number
  readonly total: number
  readonly balance: number
}

/** By the chances of all options. */
export interface ExpectedCost {
  readonly linear: number
  readonly nonlinear: number
  readonly total: number
}

/**
 * What a network costs in the mean.
 * @param chances by choice, how likely each option is
 */
export function expectedCost(costs: SearchCosts, chances: readonly (readonly number[])[]): ExpectedCost {
  let { linear, nonlinear } = costs
  costs.choices.forEach(({ kind, costs }, i) => {
    const expected = costs.reduce((sum, cost, k) => sum + cost * chances[i][k], 0)
    if (kind === 'relu') nonlinear += expected
    else linear += expected
  })
  return { linear, nonlinear, total: linear + nonlinear }
}

/** T_max: the dearest option of every choice. */
export function dearest(costs: SearchCosts): number {
  return costs.choices.reduce((sum, { costs }) => sum + Math.max(...costs), costs.linear + costs.nonlinear)
}

/**
 * The cost's part of the loss.
 * @returns the terms, and their derivatives by every chance
 */
export function costPenalty(
  costs: SearchCosts,
  chances: readonly (readonly number[])[],
  { portion, total, balance }: CostTerms,
): { readonly value: number; readonly slopes: readonly (readonly number[])[] } {
  const { linear, nonlinear, total: now } = expectedCost(costs, chances)
  const reference = portion * dearest(costs)
  const away = total / reference
  // A network without nonlinear cost has nothing to be balanced with.
  const uneven = nonlinear > 0 ? balance / nonlinear : 0
  const [side, lean] = [Math.sign(now - reference), Math.sign(linear - nonlinear)]
  const byLinear = away * side + uneven * lean
  const byNonlinear = away * side - (nonlinear > 0 ? uneven * lean * (linear / nonlinear) : 0)
  return {
    value: away * Math.abs(now - reference) + uneven * Math.abs(linear - nonlinear),
    slopes: costs.choices.map(({ kind, costs }) =>
      costs.map((cost) => cost * (kind === 'relu' ? byNonlinear : byLinear)),
    ),
  }
}

/**
 * The gradient by the logits of a choice: Σ_j g_j·p_j·(δ_ij - p_i), g_j being how the loss changes with the share of option
 * j (Cai, Zhu and Han 2019, eq. 4).
 */
export function pathGradient(gates: readonly number[], chances: readonly number[]): number[] {
  const mean = gates.reduce((sum, g, j) => sum + g * chances[j], 0)
  return chances.map((p, i) => p * (gates[i] - mean))
}
