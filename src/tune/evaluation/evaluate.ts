// How often a network is right, and how often its private form says the same: in plain float, and as the integer
// reference, which makes the errors of windows and roundings that a private run makes.
import { RingfenceError } from '../../errors.js'
import { checkInput } from '../../model/pictures/input.js'
import type { Compiled } from '../../plan/compile/compile.js'
import type { JobKind, Setup } from '../workers/jobs.js'
import { type PoolOptions, runTasks } from '../workers/pool.js'
import type { FloatSetup, LogitsPart, LogitsTask } from './logits-job.js'

/** Answers to a set of pictures. */
export interface Score {
  readonly images: number
  /** Per image. */
  readonly logits: readonly Float32Array[]
  /** Index of the largest output per image. */
  readonly predictions: readonly number[]
  /** Correct ones; undefined without labels. */
  readonly correct: number | undefined
}

/** The integer reference's answers beside those in float. */
export interface PrivateScore extends Score {
  /** Images on which it predicts what plain float does. */
  readonly agreeing: number
  /** Values that left their calibrated range. */
  readonly overflows: number
  /** Largest distance of an output from the float one. */
  readonly maxError: number
}

/** Accuracy in float, and of the integer reference where one was asked for. */
export interface Evaluation {
  readonly float: Score
  readonly reference: PrivateScore | undefined
}

/** What is run, beside the network in float. */
export interface EvaluateOptions extends PoolOptions {
  /** Index of the class per input. */
  readonly labels?: readonly number[]
  /** What is also run as the integer reference. */
  readonly compiled?: Compiled
  /** Only the first inputs are, which takes longer than in float; all without it. */
  readonly referenceInputs?: number
  /** Outputs that earlier calls made of the same inputs; filled further. */
  readonly known?: { readonly float?: KnownLogits; readonly reference?: KnownLogits }
  /** Told how many inputs are done. */
  readonly onProgress?: (done: number, stage: 'float' | 'reference') => void
}

/** Outputs by input, as far as they are known. */
export interface KnownLogits {
  readonly logits: (Float32Array | undefined)[]
  overflows: number
}

/** Inputs that a thread takes at a time. */
const TOGETHER = { float: 16, reference: 2 } as const

/**
 * Runs all inputs. The result does not depend on the threads.
 * @param inputs CHW, preprocessed
 * @throws RingfenceError BAD_INPUT without inputs, for one that does not fit, or for labels that are not one per input
 */
export async function evaluate(
  network: FloatSetup,
  inputs: readonly Float32Array[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { labels, compiled, referenceInputs = inputs.length } = options
  checkInputs(network, inputs, labels)
  const plain = await allLogits('float', network, inputs, options)
  const float = score(plain.logits, labels)
  if (!compiled) return { float, reference: undefined }
  const some = inputs.slice(0, referenceInputs)
  const { logits, overflows } = await allLogits('reference', { compiled }, some, options)
  return { float, reference: comparedWith(plain.logits, logits, labels, overflows) }
}

/** How a private run, or its reference, of the first inputs compares with float. */
export function comparedWith(
  plain: readonly Float32Array[],
  logits: readonly Float32Array[],
  labels: readonly number[] | undefined,
  overflows: number,
): PrivateScore {
  const own = score(logits, labels)
  const expected = score(plain.slice(0, logits.length), labels)
  let maxError = 0
  logits.forEach((values, i) => {
    for (let k = 0; k < values.length; k++) maxError = Math.max(maxError, Math.abs(values[k] - plain[i][k]))
  })
  const agreeing = own.predictions.filter((prediction, i) => prediction === expected.predictions[i]).length
  return { ...own, agreeing, overflows, maxError }
}

/** Outputs of all inputs, in their order. */
export async function allLogits<K extends JobKind & ('float' | 'reference')>(
  kind: K,
  setup: Setup<K>,
  inputs: readonly Float32Array[],
  options: EvaluateOptions = {},
): Promise<LogitsPart> {
  const size = TOGETHER[kind]
  const known: KnownLogits = options.known?.[kind] ?? { logits: [], overflows: 0 }
  const firsts = Array.from({ length: Math.ceil(inputs.length / size) }, (_, i) => i * size)
  const open = firsts.filter((first) => inputs.some((_, i) => i >= first && i < first + size && !known.logits[i]))
  const tasks = open.map((first): LogitsTask => ({ first, inputs: inputs.slice(first, first + size) }))
  let done = inputs.length - tasks.reduce((sum, task) => sum + task.inputs.length, 0)
  const onResult = (part: LogitsPart, index: number) => {
    part.logits.forEach((values, i) => {
      known.logits[tasks[index].first + i] = values
    })
    known.overflows += part.overflows
    done += part.logits.length
    options.onProgress?.(done / inputs.length, kind)
  }
  await runTasks<'float' | 'reference'>(kind, setup, tasks, onResult, options)
  return { logits: known.logits.slice(0, inputs.length) as Float32Array[], overflows: known.overflows }
}

function score(logits: readonly Float32Array[], labels: readonly number[] | undefined): Score {
  const predictions = logits.map(largest)
  const correct = labels && predictions.filter((prediction, i) => prediction === labels[i]).length
  return { images: logits.length, logits, predictions, correct }
}

function largest(values: Float32Array): number {
  let best = 0
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k
  return best
}

function checkInputs(
  { arch }: FloatSetup,
  inputs: readonly Float32Array[],
  labels: readonly number[] | undefined,
): void {
  if (inputs.length === 0) throw new RingfenceError('BAD_INPUT', 'expected at least one input to evaluate, got none')
  for (const input of inputs) checkInput(input, arch.inputs[0].shape)
  if (labels && labels.length !== inputs.length) {
    throw new RingfenceError('BAD_INPUT', `expected a label per input, ${inputs.length}, got ${labels.length}`)
  }
}
