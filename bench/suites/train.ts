// `npm run bench -- train`: a training step of ResNet-20 beside forward passes of the plain engine and of TensorFlow.js, one
// thread each, in turns. Gradients of inputs and of weights have as many multiplications as the forward pass has.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { FloatNetwork } from '../../src/float/network.js'
import { slotsOf, toVector } from '../../src/gradient/parameters.js'
import { Tape } from '../../src/gradient/tape.js'
import { elementCount } from '../../src/model/shape.js'
import { runTasksOn } from '../../src/tune/workers/pool.js'
import { startThreads } from '../../src/tune/workers/pool.node.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { sampleInput } from '../../test/fixtures/workloads.js'
import { table } from '../report.js'
import { sampleAll, type Variant } from '../round-robin.js'
import { load } from '../tensorflow/matrix.js'
import { tensorflowNetwork } from '../tensorflow/network.js'

export interface TrainRow {
  readonly variant: string
  readonly pictures: number
  /** Median steps per second, counted in pictures. */
  readonly picturesPerSecond: number
  /** Three forward passes of the plain engine by one step: 1 is a step at the forward pass's rate. */
  readonly ratio: number
  /** Three forward passes of TensorFlow.js, of plain ReLUs, by one step. */
  readonly tfjsRatio: number
  readonly target: number
  readonly met: boolean
}

const TARGET = 0.8
const PICTURES = 32
const FOLDER = join(fileURLToPath(REPOSITORY), 'models/resnet20-cifar10')

/** The four shards of a batch of 128 on two threads and on one, in turns: how many times as quick, of medians. */
export interface ThreadRow {
  readonly picturesPerSecond: number
  readonly ratio: number
  readonly target: number
  readonly met: boolean
}

async function twoThreads(quick: boolean): Promise<ThreadRow> {
  const { arch, weights, spec } = await loadModelDirectory(FOLDER, '12')
  const slots = slotsOf(arch)
  const inputs = Array.from({ length: PICTURES }, (_, i) => sampleInput(arch, i + 1))
  const task = { inputs, labels: inputs.map((_, i) => i % 10), seed: 1, batch: 4 * PICTURES }
  const parameters = toVector(slots, weights)
  const setup = { arch, weights, spec, loss: { smoothing: 0, distill: 0, temperature: 1 }, teacher: undefined }
  const pools = await Promise.all([1, 2].map((threads) => startThreads(threads)('shard', setup)))
  const seconds: number[][] = [[], []]
  try {
    for (let round = 0; round < (quick ? 4 : 12); round++) {
      for (const [i, pool] of pools.entries()) {
        const tasks = Array.from({ length: 4 }, () => ({ ...task, parameters, version: round }))
        const from = performance.now()
        await runTasksOn(pool, tasks, () => {}, undefined)
        // The first makes the threads warm.
        if (round > 0) seconds[i].push((performance.now() - from) / 1000)
      }
    }
  } finally {
    for (const pool of pools) await pool.release()
  }
  const [one, two] = seconds.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)])
  const ratio = one / two
  return { picturesPerSecond: (4 * PICTURES) / two, ratio, target: 1.8, met: ratio >= 1.8 }
}

/** Prints a table, or with `json` one JSON document. */
export async function benchTrain(options: {
  json: boolean
  quick: boolean
}): Promise<{ train: TrainRow[]; threads: ThreadRow }> {
  const names = ['plain', '12']
  const variants: Variant[] = []
  const add = (name: string, run: () => void) => variants.push({ name, work: PICTURES * 1e9, run })
  for (const name of names) {
    const { arch, weights, spec } = await loadModelDirectory(FOLDER, name)
    const inputs = Array.from({ length: PICTURES }, (_, i) => sampleInput(arch, i + 1))
    const network = FloatNetwork.prepare(arch, weights, { spec })
    const tape = Tape.prepare(arch, weights, { spec })
    const seeds = inputs.map(() => new Float32Array(10).fill(0.01))
    add(`forward ${name}`, () => void network.run(inputs))
    add(`step ${name}`, () => {
      tape.forward(inputs)
      tape.backward(seeds)
    })
    if (name !== 'plain') continue
    const size = elementCount(arch.inputs[0].shape)
    const all = new Float32Array(PICTURES * size)
    for (const [i, input] of inputs.entries()) all.set(input, i * size)
    const peer = tensorflowNetwork(await load(), arch, weights, PICTURES)
    add('tfjs', () => void peer(all))
  }
  const rates = options.quick ? sampleAll(variants, 7, 20) : sampleAll(variants, 25, 200)
  const rate = (name: string) => rates.get(name)!.median
  const train = names.map((variant): TrainRow => {
    const [step, forward] = [rate(`step ${variant}`), rate(`forward ${variant}`)]
    const ratio = (3 * step) / forward
    return {
      ...{ variant, pictures: PICTURES, picturesPerSecond: step, ratio, tfjsRatio: (3 * step) / rate('tfjs') },
      ...{ target: TARGET, met: ratio >= TARGET },
    }
  })
  const threads = await twoThreads(options.quick)
  const printed = options.json
    ? JSON.stringify({ train, threads })
    : `${text(train)}
${threadsText(threads)}`
  process.stdout.write(`${printed}
`)
  return { train, threads }
}

const threadsText = ({ picturesPerSecond, ratio, target, met }: ThreadRow) =>
  `two threads, batch of 128, 12 %: ${picturesPerSecond.toFixed(1)} pictures/s, ${ratio.toFixed(2)} times one thread's, target ${target.toFixed(1)}, met: ${met ? 'yes' : 'NO'}`

function text(rows: readonly TrainRow[]): string {
  const head = ['ResNet-20', 'pictures', 'pictures/s', '3 forward', '3 of tfjs', 'target', 'met']
  const body = rows.map((r) => [
    ...[r.variant, String(r.pictures), r.picturesPerSecond.toFixed(1), r.ratio.toFixed(2), r.tfjsRatio.toFixed(2)],
    ...[r.target.toFixed(2), r.met ? 'yes' : 'NO'],
  ])
  return table(head, body)
}
