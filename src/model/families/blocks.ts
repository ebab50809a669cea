// What several families share: reading classes and input, and the pieces that recur in their layer lists.
import type { Fields, Json } from '../json/fields.js'
import type { FamilyRequest, LayerList } from './family.js'

/** More channels, blocks or classes than these are taken for a slip of the pen. */
export const WIDTH = { min: 1, max: 2 ** 16 } as const
export const BLOCKS = { min: 1, max: 256 } as const
const CLASSES = { min: 1, max: 2 ** 20 } as const
const LARGEST_SIDE = 2 ** 14

/** [channels, height, width]. */
export type MapShape = readonly [number, number, number]

/** torchvision's normalisation of pictures, for networks that read three channels. */
const PICTURE: Json = { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** `numClasses`; without it one class per label of the file, then `fallback`, else a fault. */
export function readClasses({ params, labelCount }: FamilyRequest, fallback?: number): number {
  return params.integer('numClasses', CLASSES, labelCount ?? fallback)
}

/** The shape of the input "x": the file's own, which must be a picture, or `fallback`. */
export function readPicture({ problem, inputShape }: FamilyRequest, fallback: MapShape): MapShape {
  if (inputShape === undefined) return fallback
  if (inputShape.length === 3 && inputShape[1] <= LARGEST_SIDE && inputShape[2] <= LARGEST_SIDE) {
    return [inputShape[0], inputShape[1], inputShape[2]]
  }
  const got = `[${inputShape.join(',')}]`
  problem(`inputs[0].shape: expected [channels,height,width], no side over ${LARGEST_SIDE}, got ${got}`)
  return fallback
}

export function pictureInput(shape: MapShape): readonly Json[] {
  return [{ name: 'x', shape, preprocess: shape[0] === 3 ? PICTURE : { scale: 1 / 255 } }]
}

/** A list of at most `most` integers of any length; [] after a fault. */
export function readSizes(
  params: Fields,
  name: string,
  range: { readonly min: number; readonly max: number },
  most: number,
  fallback?: readonly number[],
): readonly number[] {
  const fits = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= range.min && (x as number) <= range.max
  const value = params.value(name)
  if (value === undefined && fallback) return fallback
  if (Array.isArray(value) && value.length <= most && value.every(fits)) return value
  params.fault(name, `a list of at most ${most} integers from ${range.min} to ${range.max}`)
  return []
}

/** Global average pool, flatten and a linear layer `id`. */
export function pooledClassifier(list: LayerList, input: string, id: string, classes: number, bias = true): string {
  return list.linear(id, list.add('flatten', 'flatten', list.add('globalAvgPool', 'gap', input)), classes, bias)
}

/** `relu` or `relu6`, the latter as a clip to [0, 6]. */
export type Activation = 'relu' | 'relu6'

export function activation(list: LayerList, kind: Activation, id: string, input: string, fields: Json = {}): string {
  return kind === 'relu'
    ? list.add('relu', id, input, fields)
    : list.add('clip', id, input, { min: 0, max: 6, ...fields })
}

export interface InvertedResidual {
  readonly cin: number
  readonly cout: number
  /** Channels of the depthwise convolution; no expansion when equal to `cin` and `expands` is false. */
  readonly hidden: number
  readonly expands: boolean
  readonly kernel: number
  readonly stride: number
  readonly dilation?: number
  readonly eps?: number
  readonly activation: Activation
  /** Id of the block's sum with its input; no sum when undefined. */
  readonly add?: string
}

export type Part = 'expand' | 'depth' | 'project'

/** Ids of a part's convolution, batch norm and activation, with the activation's name in relu-spec files. */
export type PartNames = (part: Part) => { conv: string; norm: string; act: string; specName?: string }

/** 1x1 expansion, depthwise convolution, linear 1x1 projection (Sandler et al., MobileNetV2, 2018, table 1). */
export function invertedResidual(list: LayerList, input: string, block: InvertedResidual, names: PartNames): string {
  const { cin, cout, hidden, kernel, stride, dilation = 1 } = block
  const act = (part: Part, from: string) => {
    const { act: id, specName } = names(part)
    return activation(list, block.activation, id, from, specName ? { specName } : {})
  }
  const norm = (part: Part, from: string) => list.batchNorm(names(part).norm, from, block.eps)
  let from = input
  if (block.expands) {
    from = act('expand', norm('expand', list.conv2d(names('expand').conv, from, { cout: hidden, kernel: 1 })))
  }
  const pad = (dilation * (kernel - 1)) / 2
  const depth = { cout: hidden, kernel, stride, pad, dilation, groups: block.expands ? hidden : cin }
  from = act('depth', norm('depth', list.conv2d(names('depth').conv, from, depth)))
  from = norm('project', list.conv2d(names('project').conv, from, { cout, kernel: 1 }))
  return block.add === undefined ? from : list.add('add', block.add, [from, input])
}
