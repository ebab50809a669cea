// Training as a whole: it learns, it gives the same numbers whoever works on it and however often it is interrupted, and it
// says what is wrong.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import type { Weights } from '../../src/model/weights.js'
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
import { startJob } from '../../src/tune/workers/jobs.js'
import type { StartPool } from '../../src/tune/workers/pool.js'
import { arch, pictures, weights } from './fixture.js'

const spec = parseReluSpec(
  { format: 'relu-spec/1', layers: { relu: { kind: 'block', blocks: Array(4).fill([2, 3]) } } },
  arch,
)
const network = { arch, weights: weights(), spec }
const data = pictures(70)
const recipe: Partial<Recipe> = { epochs: 4, batch: 24, shard: 10, rate: 0.05, shift: 1, holdout: 0.2, distill: 0.5 }

/** Threads of this process that answer in another order than they were asked in. */
function pool(threads: number): StartPool {
  return async (kind, setup) => {
    const jobs = Array.from({ length: threads }, () => startJob(kind, setup))
    const free = [...jobs]
    let asked = 0
    return {
      threads,
      async run(task) {
        const job = free.pop()!
        const turns = (asked++ * 7) % 5
        for (let turn = 0; turn < turns; turn++) await Promise.resolve()
        const result = job.run(task)
        free.push(job)
        return result
      },
      release: async () => jobs.forEach((job) => void job.release()),
    }
  }
}

const bytes = (all: Weights) =>
  JSON.stringify([...all].map(([id, tensors]) => [id, Object.entries(tensors).map(([name, v]) => [name, [...v]])]))
const run = (options: FinetuneOptions = {}) => finetune(network, data, { recipe, ...options })

describe('fine-tuning', () => {
  it.each(['sgd', 'adam'] as const)('learns, with %s', async (optimizer) => {
    const more = { epochs: 8, optimizer, rate: optimizer === 'adam' ? 0.01 : 0.05, distill: 0, seed: 3 }
    const {
      history,
      held,
      epoch,
      weights: tuned,
    } = await finetune(network, pictures(240), { recipe: { ...recipe, ...more } })
    expect(history.length).toBe(8)
    expect(history[0].accuracy).toBeLessThan(0.9)
    expect(history.at(-1)!.accuracy).toBeGreaterThan(0.95)
    expect(history.at(-1)!.loss).toBeLessThan(0.7 * history[0].loss)
    expect(held).toBe(Math.max(...history.map((record) => record.held!)))
    expect(history[epoch - 1].held).toBe(held)
    expect(held).toBeGreaterThan(0.9)
    // Running statistics went along: the network is right by itself, batch norms folded.
    const { evaluate } = await import('../../src/plan.js')
    const fresh = pictures(90, 1000)
    const { float } = await evaluate({ arch, weights: tuned, spec }, fresh.inputs, { labels: fresh.labels })
    expect(float.correct).toBeGreaterThan(80)
  })

  it('gives the same bits for any number of threads', async () => {
    const alone = await run()
    for (const threads of [1, 2, 5]) {
      const together = await run({ startPool: pool(threads) })
      expect(bytes(together.weights)).toBe(bytes(alone.weights))
      expect(together.history).toEqual(alone.history)
    }
    const other = await run({ recipe: { ...recipe, seed: 2 } })
    expect(bytes(other.weights)).not.toBe(bytes(alone.weights))
  })

  it('sees the errors of windows, the same for any number of threads', async () => {
    const windowed = { ...network, windows: new Map([['relu', 0.5]]) }
    const alone = await finetune(windowed, data, { recipe })
    const together = await finetune(windowed, data, { recipe, startPool: pool(3) })
    expect(bytes(together.weights)).toBe(bytes(alone.weights))
    expect(bytes((await run()).weights)).not.toBe(bytes(alone.weights))
  })

  it.each(['sgd', 'adam'] as const)('goes on from any step to the same bits, with %s', async (optimizer) => {
    const own = { ...recipe, optimizer, rate: 0.01 }
    const whole = await run({ recipe: own })
    const like = firstState(network, recipeOf(own))
    let left: string | undefined
    let result: Awaited<ReturnType<typeof run>> | undefined
    let interruptions = 0
    while (!result) {
      const stop = new AbortController()
      let steps = 0
      let state: TrainingState | undefined
      const resume = left === undefined ? undefined : parseTrainingState(left, like, 'key', 'run.part')
      const onState = (now: TrainingState) => {
        state = now
        if (++steps > 3) stop.abort()
      }
      try {
        result = await run({ recipe: own, resume, onState, signal: stop.signal })
      } catch (error) {
        expect(error).toMatchObject({ code: 'ABORTED' })
        left = formatTrainingState(state!, 'key')
        interruptions++
      }
    }
    expect(interruptions).toBeGreaterThan(2)
    expect(bytes(result.weights)).toBe(bytes(whole.weights))
    expect(result.history).toEqual(whole.history)
    expect(result.epoch).toBe(whole.epoch)
  })

  it('goes on after an interruption while held-out pictures are judged', async () => {
    const whole = await run()
    const stop = new AbortController()
    let state: TrainingState | undefined
    const startPool: StartPool = (kind, setup) => {
      if (kind === 'float') stop.abort()
      return pool(1)(kind, setup)
    }
    const onState = (now: TrainingState) => {
      state = now
    }
    await expect(run({ startPool, onState, signal: stop.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect([state!.epoch, state!.history.length]).toEqual([0, 0])
    const left = formatTrainingState(state!, 'key')
    const resume = parseTrainingState(left, firstState(network, recipeOf(recipe)), 'key', 'run.part')
    const { weights: tuned, history } = await run({ resume })
    expect(bytes(tuned)).toBe(bytes(whole.weights))
    expect(history).toEqual(whole.history)
  })

  it('says how much memory a shard takes, before anything is computed', async () => {
    const inputs = [{ name: 'x', shape: [3, 512, 512] }]
    const conv = { id: 'c', op: 'conv2d', in: ['x'], cout: 32, kernel: [1, 1], bias: false }
    const layers = [
      conv,
      { id: 'r', op: 'relu', in: ['c'] },
      { id: 'p', op: 'globalAvgPool', in: ['r'] },
      { id: 'v', op: 'flatten', in: ['p'] },
      { id: 'f', op: 'linear', in: ['v'], cout: 2, bias: false },
    ]
    const wide = parseArchitecture({ format: 'arch/1', name: 'wide', inputs, outputs: ['f'], layers })
    const tensors = new Map([
      ['c', { weight: new Float32Array(96) }],
      ['f', { weight: new Float32Array(64) }],
    ])
    const one = { inputs: [new Float32Array(3 * 512 * 512)], labels: [0] }
    const asked = finetune({ arch: wide, weights: tensors, spec: undefined }, one, {
      recipe: { batch: 512, shard: 512 },
    })
    await expect(asked).rejects.toThrow(
      /a shard of 512 pictures keeps 5\.\d GiB per thread, more than 3\.0 GiB; try a shard of \d+/,
    )
  })

  it('refuses the state of another run, and a damaged one', async () => {
    const like = firstState(network, recipeOf(recipe))
    const text = formatTrainingState(like, 'one')
    expect(() => parseTrainingState(text, like, 'two', 'x.part')).toThrow(
      'another model, other pictures or other options',
    )
    const damaged = JSON.stringify({ ...JSON.parse(text), vectors: ['AAAA'], history: 3, epoch: -1 })
    expect(() => parseTrainingState(damaged, like, 'one', 'x.part')).toThrow(/vectors[\s\S]*epoch[\s\S]*history/)
    await expect(run({ resume: { ...like, epoch: 9 } })).rejects.toThrow('there is none')
  })

  it('stops early when held-out pictures do not get better', async () => {
    const { history } = await run({ recipe: { ...recipe, epochs: 50, rate: 0, patience: 2, holdout: 0.3 } })
    const shares = history.map(({ held }) => held)
    expect(history.length - 1 - shares.indexOf(Math.max(...(shares as number[])))).toBe(2)
    expect(history.length).toBeLessThan(10)
  })

  it('keeps the last weights when nothing is held out', async () => {
    const { history, epoch, held } = await run({ recipe: { ...recipe, holdout: 0 } })
    expect([history.length, epoch, held]).toEqual([4, 4, null])
  })

  it('says where a loss stops being finite, and leaves the state before', async () => {
    let state: TrainingState | undefined
    const onState = (now: TrainingState) => {
      state = now
    }
    const wild = run({ recipe: { ...recipe, epochs: 40, rate: 1000, warmup: 0, decay: 0.9 }, onState })
    await expect(wild).rejects.toThrow(
      /training came apart in epoch \d+, step \d: layer "\w+" first, which is not finite/,
    )
    expect(state!.parameters.every(Number.isFinite)).toBe(true)
  })

  it('refuses pictures, classes and recipes that do not fit, all at once', async () => {
    const wrong = finetune(network, { inputs: data.inputs, labels: [0, 3, -1] })
    await expect(wrong).rejects.toThrow('cannot be trained on')
    await expect(wrong).rejects.toMatchObject({
      problems: [expect.stringContaining('a class per picture'), expect.stringContaining('2 others')],
    })
    await expect(finetune(network, { inputs: [], labels: [] })).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(run({ recipe: { epochs: 0, rate: -1, steps: [0.5, 0.2] } })).rejects.toMatchObject({
      problems: { length: 3 },
    })
    await expect(run({ recipe: { ...recipe, batch: 4e4, shard: 4096 } })).resolves.toBeDefined()
  })

  it('tells how far it is', async () => {
    const told: string[] = []
    let last = 0
    await run({
      onProgress: ({ done, detail }) => {
        expect(done).toBeGreaterThanOrEqual(last)
        last = done
        told.push(detail!)
      },
    })
    expect(told[0]).toBe('epoch 1 of 4')
    expect(told.at(-1)).toMatch(/^epoch 4 of 4, loss \d\.\d{3}, \d+\.\d % right, \d+\.\d % of those held out$/)
  })
})
