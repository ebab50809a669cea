// What a converted network's file says of pictures: how they become inputs, and what its outputs are called.
import { throwIfAny } from '../errors.js'
import { isObject, type Json } from '../model/json/fields.js'

/** `(value * scale - mean[channel]) / std[channel]` of values 0..255, as `arch/1` has it; lists of one number are for all. */
export interface PictureOptions {
  readonly scale?: number
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  /** Takes blue first, then green and red, as OpenCV and Caffe do. */
  readonly bgr?: boolean
  /** One name per output. */
  readonly labels?: readonly string[]
}

/**
 * The network's file with preprocessing and labels.
 * @throws RingfenceError BAD_INPUT when a number of means, standard deviations or labels does not fit the network
 */
export function withPictureOptions(arch: Json, { labels, ...options }: PictureOptions): Json {
  const given = preprocessOf(options)
  const inputs = objectsOf(arch.inputs)
  const outputs = Array.isArray(arch.outputs) ? arch.outputs : []
  const problems = inputs.flatMap(({ shape }) => (Array.isArray(shape) ? misfits(options, shape) : []))
  const last = objectsOf(arch.layers).find(({ id }) => id === outputs[0])?.out
  const count = Array.isArray(last) ? last[0] : undefined
  if (labels && outputs.length === 1 && count !== undefined && labels.length !== count) {
    problems.push(`labels: expected ${count}, one per element of the output, got ${labels.length}`)
  }
  throwIfAny('BAD_INPUT', 'these options do not fit the network', problems)
  return {
    ...arch,
    ...(given ? { inputs: inputs.map((input) => ({ ...input, preprocess: { ...given } })) } : {}),
    ...(labels ? { labels } : {}),
  }
}

function preprocessOf({ scale, mean, std, bgr }: Omit<PictureOptions, 'labels'>): Json | undefined {
  if (scale === undefined && !mean && !std && !bgr) return undefined
  const fields = { scale, mean, std, order: bgr ? 'bgr' : undefined }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function misfits({ mean, std, bgr }: PictureOptions, shape: readonly unknown[]): string[] {
  const channels = shape.length === 3 ? Number(shape[0]) : 1
  const lists = Object.entries({ mean, std }).flatMap(([name, list]) => {
    const fits = !list || list.length === 1 || list.length === channels
    if (!fits) return [`${name}: expected 1 or ${channels} numbers, one per channel, got ${list.length}`]
    return name === 'std' && list?.some((value) => !(value > 0)) ? [`std: expected numbers > 0, got ${list}`] : []
  })
  return bgr && channels !== 3 ? [...lists, `bgr: expected an input of 3 channels, got ${channels}`] : lists
}

const objectsOf = (list: unknown): Json[] => (Array.isArray(list) ? list.filter(isObject) : [])
