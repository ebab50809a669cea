// Timing on a noisy machine: every variant takes one short sample per round, so that a slow phase of the host hits all of
// them alike, and a ratio of two bests comes from one run.

export interface Variant {
  readonly name: string
  /** Operations (multiply-adds, bytes, words) of one call. */
  readonly work: number
  run(): void
}

/** Rates in 10^9 operations per second. */
export interface Rate {
  readonly median: number
  readonly best: number
}

function elapsed(variant: Variant, calls: number): number {
  const start = performance.now()
  for (let i = 0; i < calls; i++) variant.run()
  return performance.now() - start
}

/** Calls that fill one sample, after enough warm-up for the optimising compiler to have finished. */
function calibrate(variant: Variant, sampleMs: number): number {
  let calls = 1
  for (let warm = 0; warm < 150; ) {
    const ms = elapsed(variant, calls)
    warm += ms
    if (ms < sampleMs / 2) calls *= 2
    else calls = Math.max(1, Math.round((calls * sampleMs) / ms))
  }
  return calls
}

export function sampleAll(variants: readonly Variant[], rounds: number, sampleMs: number): Map<string, Rate> {
  const calls = variants.map((variant) => calibrate(variant, sampleMs))
  const rates: number[][] = variants.map(() => [])
  for (let round = 0; round < rounds; round++) {
    variants.forEach((variant, i) => {
      rates[i].push((variant.work * calls[i]) / elapsed(variant, calls[i]) / 1e6)
    })
  }
  return new Map(
    variants.map((variant, i) => {
      const sorted = rates[i].sort((a, b) => a - b)
      return [variant.name, { median: sorted[sorted.length >> 1], best: sorted[sorted.length - 1] }]
    }),
  )
}
