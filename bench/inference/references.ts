// The same network in plain text, one thread each: what a private inference's time is compared with. Both run between
// private inferences of the same run, so that whatever slows the machine down slows all three.
import { FloatNetwork } from '../../src/float/network.js'
import { sampleInput, type Workload, workloadNetwork } from '../../test/fixtures/workloads.js'
import { median } from '../report.js'
import { load } from '../tensorflow/matrix.js'
import { tensorflowNetwork } from '../tensorflow/network.js'

/** Milliseconds of one plain inference, medians: TensorFlow.js on its WASM back end, and the float engine of this package. */
export interface References {
  tfjsMs: number
  floatMs: number
}

/** Private milliseconds by those of tfjs. */
export interface Ratio {
  online: number
  offline: number
}

/** A sample takes this long at least, in milliseconds: as often as that takes, the network is run. */
const SAMPLE_MS = 5

export class PlainNetwork {
  readonly #engines: { readonly run: () => void; readonly times: number[] }[]

  private constructor(runs: readonly (() => void)[]) {
    this.#engines = runs.map((run) => ({ run, times: [] }))
    for (let i = 0; i < 20; i++) this.sample() // compilers and caches
    for (const { times } of this.#engines) times.length = 0
  }

  /** @throws RingfenceError HOST where TensorFlow.js does not load */
  static async of({ name }: Workload): Promise<PlainNetwork> {
    const { arch, weights } = workloadNetwork(name)
    const input = sampleInput(arch, 7)
    const tf = await load()
    const tfjs = name === 'relu-65536' ? reluLayer(tf, input) : tensorflowNetwork(tf, arch, weights, 1)
    const own = FloatNetwork.prepare(arch, weights)
    return new PlainNetwork([() => tf.tidy(() => void tfjs(input)), () => own.run([input])])
  }

  /** Times both once more. */
  sample(): void {
    for (const { run, times } of this.#engines) {
      const started = performance.now()
      let calls = 0
      let ms = 0
      while (ms < SAMPLE_MS) {
        run()
        calls++
        ms = performance.now() - started
      }
      times.push(ms / calls)
    }
  }

  get references(): References {
    const [tfjsMs, floatMs] = this.#engines.map(({ times }) => median(times))
    return { tfjsMs, floatMs }
  }

  /** Medians by the median, and bests by the best. */
  ratios(times: { readonly online: readonly number[]; readonly offline: readonly number[] }): {
    ratio: Ratio
    best: Ratio
  } {
    const tfjs = this.#engines[0].times
    const by = (of: (times: readonly number[]) => number): Ratio => ({
      online: of(times.online) / of(tfjs),
      offline: of(times.offline) / of(tfjs),
    })
    return { ratio: by(median), best: by((all) => Math.min(...all)) }
  }
}

/** As the workload of that name has it. Its 2^16 values stay where tfjs has them: it takes longer to copy them than to make them. */
function reluLayer(tf: Awaited<ReturnType<typeof load>>, { length }: Float32Array) {
  const scale = tf.keep(tf.fill([length], 0.5))
  return (input: Float32Array) => tf.relu(tf.mul(tf.tensor1d(input), scale))
}
