// What cannot be guarded is refused by name when it is compiled, with what to do instead.
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { CompileOptions } from '../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'

const CHANNELS = 4
const LAYERS = 4

/** ReLU layers over maps of that size: 3 + 4·4 words per place have masks. */
function wide(size: number) {
  const conv = (id: string, from: string, cout: number) =>
    ({ id, op: 'conv2d', in: [from], cout, kernel: [1, 1], bias: true }) as const
  const inner = Array.from({ length: LAYERS }, (_, i) => [
    conv(`c${i}`, i === 0 ? 'x' : `r${i - 1}`, CHANNELS),
    { id: `r${i}`, op: 'relu', in: [`c${i}`] } as const,
  ])
  return parseArchitecture({
    ...{ format: 'arch/1', name: 'wide', inputs: [{ name: 'x', shape: [3, size, size] }], outputs: ['out'] },
    layers: [...inner.flat(), conv('out', `r${LAYERS - 1}`, 1)],
  })
}

async function problems(size: number, guard: CompileOptions['guard']): Promise<readonly string[]> {
  try {
    const { guard: made } = (await shapePlan(wide(size), undefined, { guard })) as MccPlan
    expect(made).toBeDefined()
    return []
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.message).toContain('cannot be guarded')
    return error.problems
  }
}

describe('networks whose uploads take too much to check', () => {
  it('are refused with the size and a sigma that fits, which then is taken', async () => {
    const [first, ...more] = await problems(512, {})
    expect(more).toEqual([])
    const size = Math.ceil((19 * 512 * 512 * 4 * 17) / 2 ** 20)
    expect(first).toBe(
      `checking uploads would take ${size} MiB at the helper, at most 256 are kept: take a smaller input, or a sigma of 12`,
    )
    expect(await problems(512, { sigma: 13 })).toHaveLength(1)
    expect(await problems(512, { sigma: 12 })).toEqual([])
  })

  it('are told to take a smaller input where none fits', async () => {
    const all = await problems(1024, {})
    expect(all.at(-1)).toMatch(/: take a smaller input$/)
    expect(await problems(256, {})).toEqual([])
  })
})
