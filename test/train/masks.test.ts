// Masks that are learned: which ReLUs are left, that a budget is met to the last of them, and that a run goes on wherever
// it was interrupted.
import { describe, expect, it } from 'vitest'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { factorSlots, firstFactors, fixedFactors, learnedBudget, MaskLearner } from '../../src/train/masks.js'
import {
  type FinetuneOptions,
  finetune,
  firstState,
  formatTrainingState,
  parseTrainingState,
  type Recipe,
  recipeOf,
  type TrainingState,
} from '../../src/train.js'
import { arch, pictures, weights } from './fixture.js'

const network = { arch, weights: weights(), spec: undefined }
const data = pictures(120)
const masks = { budget: 9, epochs: 4, rate: 0.2, penalty: 1e-3 }
const recipe: Partial<Recipe> = {
  ...{ epochs: 3, batch: 24, shard: 12, rate: 0.05, shift: 1, flip: false, holdout: 0.2, distill: 0.5, masks },
}
const run = (options: FinetuneOptions = {}) => finetune(network, data, { recipe, ...options })
const maskOf = (relu: unknown) => [...(relu as { bits: Uint8Array }).bits]

describe('learned masks', () => {
  it('leave as many ReLUs as the budget says, the rest of the network passing its input', async () => {
    const { spec, history, held, epoch } = await run()
    expect(spec!.drelus).toBe(9)
    expect(spec!.layers.get('relu')).toMatchObject({ kind: 'mask', off: 'identity' })
    expect(history.length).toBe(7)
    const left = history.map((record) => record.left)
    expect(left.slice(4)).toEqual([undefined, undefined, undefined])
    // Factors went down with the loss, not only in the end.
    expect(left[3]).toBeLessThan(50)
    expect(left[3]!).toBeLessThan(left[0]!)
    expect(epoch).toBeGreaterThan(4)
    expect(held).toBeGreaterThan(0.8)
  })

  it('keep the ReLUs that the loss needs: those of planted elements, and no others', () => {
    const state = firstFactors(arch, undefined)
    const learner = new MaskLearner(arch, undefined, { budget: 20, epochs: 1, rate: 0.02, penalty: 1e-5 }, state)
    const needed = (i: number) => i % 5 === 0
    const STEPS = 400
    for (let step = 0; step < STEPS; step++) {
      const gradients = Float32Array.from(state.values, (a, i) => (needed(i) ? a - 1 : 1e-3 * Math.sin(i + step)))
      learner.step(gradients, [step / STEPS, (step + 1) / STEPS])
    }
    expect(learner.left()).toBeLessThan(25)
    learner.fix()
    expect([...state.values]).toEqual(Array.from({ length: 100 }, (_, i) => Number(needed(i))))
    expect(learner.specNow().drelus).toBe(20)
  })

  it('go on from any step to the same bits', async () => {
    const whole = await run()
    const like = firstState(network, recipeOf(recipe))
    let left: string | undefined
    let result: Awaited<ReturnType<typeof run>> | undefined
    let interruptions = 0
    while (!result) {
      const stop = new AbortController()
      let [steps, state]: [number, TrainingState | undefined] = [0, undefined]
      const resume = left === undefined ? undefined : parseTrainingState(left, like, 'key', 'run.part')
      const onState = (now: TrainingState) => {
        state = now
        if (++steps > 5) stop.abort()
      }
      try {
        result = await run({ resume, onState, signal: stop.signal })
      } catch (error) {
        expect(error).toMatchObject({ code: 'ABORTED' })
        left = formatTrainingState(state!, 'key')
        interruptions++
      }
    }
    expect(interruptions).toBeGreaterThan(4)
    expect(result.history).toEqual(whole.history)
    expect(maskOf(result.spec!.layers.get('relu'))).toEqual(maskOf(whole.spec!.layers.get('relu')))
    expect([...result.weights].flatMap(([, tensors]) => Object.values(tensors).map(String))).toEqual(
      [...whole.weights].flatMap(([, tensors]) => Object.values(tensors).map(String)),
    )
  })

  it('begin with the masks of a spec, and leave what is no ReLU of single elements as it is', () => {
    const [bits, other] = [new Uint8Array(13), { kind: 'block', blocks: Array(4).fill([2, 3]) }]
    bits.fill(0b101)
    const masked = {
      kind: 'mask',
      off: 'identity',
      encoding: 'base64-bits-lsb-first',
      bits: btoa(String.fromCharCode(...bits.subarray(0, 12), 5)),
    }
    const spec = (relu: object) => parseReluSpec({ format: 'relu-spec/1', layers: { relu } }, arch)
    const first = firstFactors(arch, spec(masked))
    expect(first.values.reduce((sum, a) => sum + a, 0)).toBe(spec(masked).drelus)
    expect(factorSlots(arch, spec(other))).toEqual([])
    expect(() => learnedBudget(arch, spec(other), masks)).toThrow(
      /no activation has ReLUs[\s\S]*have 24 comparisons, 9/,
    )
    expect(() => learnedBudget(arch, undefined, { ...masks, budget: 100 })).toThrow('less than the 100 comparisons')
  })

  it('are the largest factors, of equal ones the first', () => {
    expect([...fixedFactors(Float32Array.of(0.5, 0.9, 0.5, -1, 0.5), 3)]).toEqual([1, 1, 1, 0, 0])
  })

  it('are refused with numbers that make no sense, and told while they are learned', async () => {
    const wrong = run({ recipe: { ...recipe, masks: { budget: -1, epochs: 0, rate: 2, penalty: 0 } } })
    await expect(wrong).rejects.toMatchObject({ problems: { length: 4 } })
    const told: string[] = []
    await run({ onProgress: ({ stage, detail }) => told.push(`${stage}: ${detail}`) })
    expect(told.some((line) => /^learning masks: epoch 3 of 7, .*, \d+ ReLUs left/.test(line))).toBe(true)
    expect(told.at(-1)).toMatch(/^training: epoch 7 of 7/)
  })
})
