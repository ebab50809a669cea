// A graph model converted here and run by TensorFlow.js: whether both say the same.
import type { ConvertedNetwork } from '../../../../src/convert/arch-draft.js'
import { convertTfjs } from '../../../../src/convert/tfjs/tfjs.js'
import { RingfenceError } from '../../../../src/errors.js'
import { FloatNetwork } from '../../../../src/float/network.js'
import { parseArchitecture } from '../../../../src/model/architecture.js'
import { elementCount } from '../../../../src/model/shape.js'
import { bindWeights } from '../../../../src/model/weights.js'
import { distance, numbers } from '../../run-converted.js'
import { filesOf, Graph, type Idiom } from './graph.js'
import { type Output, runTfjs } from './runtime.js'

/** [1,height,width,channels] to [channels,height,width]; other shapes without their batch, where they have one. */
function withoutBatch({ shape, data }: Output): Output {
  const own = shape.length > 1 && shape[0] === 1 ? shape.slice(1) : shape
  if (own.length !== 3) return { shape: own.length > 0 ? own : [1], data }
  const [h, w, c] = own
  return { shape: [c, h, w], data: data.map((_, i) => data[(i % (h * w)) * c + Math.floor(i / (h * w))]) }
}

/** What became of a graph, and the message or the difference. */
export interface Verdict {
  readonly kind: 'right' | 'refused' | 'wrong'
  readonly text: string
}

const right: Verdict = { kind: 'right', text: '' }
const wrong = (text: string): Verdict => ({ kind: 'wrong', text })

/** A graph from its description, and what TensorFlow.js is to give. */
export async function judge({ name, build }: Idiom): Promise<Verdict> {
  const g = new Graph([...name].reduce((seed, letter) => (seed * 31 + letter.charCodeAt(0)) % 1000003, 7))
  const made = build(g)
  const outputs = typeof made === 'string' ? [made] : made
  const files = filesOf(g, outputs)
  const pictures = g.inputs.map((input, i) => ({ ...input, data: pictureOf(input.shape, i) }))
  // What it does not run is no graph model.
  const given = pictures.map(({ name, shape, data }) => [name, { shape: [1, ...shape], data }] as const)
  const expected = await runTfjs(files, Object.fromEntries(given), outputs)
  try {
    const converted = convertTfjs(files.json, files.shards)
    return compare(expected, outputsOf(converted, { shape: [1, ...pictures[0].shape], data: pictures[0].data }))
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    return { kind: 'refused', text: [error.message, ...error.problems].join(' | ') }
  }
}

function pictureOf(shape: readonly number[], i: number): number[] {
  return numbers(elementCount(shape), 99 + i).map((x, j) => x + (((j * 7919) % 101) - 50) / 1000)
}

function outputsOf({ arch: json, tensors }: ConvertedNetwork, input: Output): Output[] {
  const arch = parseArchitecture(JSON.stringify(json))
  const network = FloatNetwork.prepare(arch, bindWeights(arch, tensors))
  const { data } = arch.inputs[0].layout === 'hwc' ? input : withoutBatch(input)
  const made = network.outputs(Float32Array.from(data))
  network.release()
  return arch.outputs.map((id) => ({ shape: made[id].shape, data: [...made[id].data] }))
}

function compare(expected: readonly Output[], got: readonly Output[]): Verdict {
  if (got.length !== expected.length) return wrong(`${got.length} outputs, expected ${expected.length}`)
  for (const [i, output] of expected.entries()) {
    const want = withoutBatch(output)
    const largest = want.data.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-30)
    const far = distance(got[i].data, want.data) / largest
    if (!(far <= 1e-4)) return wrong(`output ${i} differs by ${far} of the largest`)
    if (`${got[i].shape}` !== `${want.shape}`) return wrong(`output ${i} is ${got[i].shape}, expected ${want.shape}`)
  }
  return right
}
