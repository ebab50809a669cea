// Which values pictures have for a network, in a sentence, and what gives away that they should have others.
import type { Architecture, NetworkInput, Preprocess } from '../network.js'
import type { TensorName } from '../parameters.js'

/** What a picture's levels become, for people: `0 … 255`, or a range per channel. */
export function pictureRange({ scale, mean, std, order }: Preprocess): string {
  const ends = mean.map((m, c) =>
    [0, 255].map((level) => Number(((level * scale - m) / std[c]).toPrecision(3))).join(' … '),
  )
  const range = new Set(ends).size === 1 ? ends[0] : ends.join(', ')
  return order === 'bgr' ? `${range}, blue first` : range
}

/** Whether the file says how pictures become inputs; levels stay as they are where it does not. */
export const isWritten = ({ scale, mean, std }: Preprocess): boolean =>
  scale !== 1 || mean.some((m) => m !== 0) || std.some((s) => s !== 1)

/** A layer's tensor; undefined where it has none of that name. */
export type TensorOf = (layer: string, tensor: TensorName) => ArrayLike<number> | undefined

/** By whom the networks of a name were published: who trains them feeds them so. */
export type Publisher = 'torch' | 'keras'

export interface RangeNoteOptions {
  readonly publisher?: Publisher
  /** True where whoever asks has just said how pictures become inputs; by default, whether the file says so. */
  readonly isSaid?: boolean
}

/**
 * What pictures will be to the network, a sentence for each input that takes some; and where nothing was said about them, a
 * hint: which range the first layer or the network's name gives away, or that one is to be found out.
 */
export function rangeNotes(
  arch: Pick<Architecture, 'name' | 'family' | 'inputs' | 'layers'>,
  tensorOf: TensorOf,
  { publisher = arch.family === undefined ? undefined : 'torch', isSaid }: RangeNoteOptions = {},
): string[] {
  const takers = arch.inputs.filter(({ shape }) => shape.length === 3 && (shape[0] === 1 || shape[0] === 3))
  return takers.map((input) => {
    const range = `input ${JSON.stringify(input.name)}: pictures will have values ${pictureRange(input.preprocess)}`
    if (isSaid ?? isWritten(input.preprocess)) return range
    const other = 'if the network was trained on 0 … 1, -1 … 1 or normalised ones, say so with scale, mean and std'
    const hint = firstLayerHint(arch, input, tensorOf) ?? nameHint(arch, input, publisher) ?? other
    return `${range}; ${hint}`
  })
}

/** Factors below this make unit numbers of 0..255. */
const NORMALISING = 1 / 16

/** Of a layer that scales the input, channel by channel, before anything else does. */
function firstLayerHint(
  { layers }: Pick<Architecture, 'layers'>,
  { name }: NetworkInput,
  tensorOf: TensorOf,
): string | undefined {
  const readers = layers.filter((layer) => layer.in.includes(name))
  const [first] = readers
  if (readers.length !== 1 || (first.op !== 'channelScale' && first.op !== 'batchNorm')) return undefined
  const list = (tensor: TensorName) => Array.from(tensorOf(first.id, tensor) ?? [])
  const weight = list('weight')
  if (weight.length === 0) return undefined
  const [means, variances] = [list('running_mean'), list('running_var')]
  const eps = first.op === 'batchNorm' ? first.eps : 0
  const factors = weight.map((w, c) => Math.abs(w) / Math.sqrt((variances[c] ?? 1) + eps))
  if (Math.max(...factors) < NORMALISING) return 'its first layer scales them down itself, so that is likely right'
  if (first.op !== 'batchNorm' || means.length === 0 || variances.length === 0) return undefined
  // Where almost all of what it was trained on lay.
  const ends = [-2, 2].map((by) => means.map((mean, c) => mean + by * Math.sqrt(variances[c])))
  const [least, most] = [Math.min(...ends[0]), Math.max(...ends[1])]
  const [from, to] = [least, most].map((value) => Number(value.toPrecision(2)))
  const seen = `its first layer was trained on ${from} … ${to}`
  if (most > 16) return `${seen}, so that is likely right`
  if (least > -0.5 && most < 1.5) return `${seen}, so scale 1/255 is likely right`
  return `${seen}, so they are normalised first: say so with scale, mean and std`
}

const UNIT = 'scale 1/255, mean 0.5 and std 0.5, which makes -1 … 1'
const IMAGENET = 'scale 1/255, mean 0.485,0.456,0.406 and std 0.229,0.224,0.225'
const CAFFE = 'bgr and mean 103.939,116.779,123.68'

/** What torchvision and keras.applications feed the networks of colour pictures that they publish. */
const PUBLISHED: Readonly<Record<Publisher, readonly (readonly [name: RegExp, options: string])[]>> = {
  torch: [[/resne[tx]|vgg|densenet|squeezenet|shufflenet|mobilenet|mnasnet|efficientnet|regnet|alexnet/i, IMAGENET]],
  keras: [
    [/mobilenet_?v3|efficientnet/i, ''],
    [/mobilenet|inception|xception|nasnet|resnet\d+v2/i, UNIT],
    [/resnet|vgg/i, CAFFE],
    [/densenet/i, IMAGENET],
  ],
}
/** Smaller pictures are those of other data. */
const LEAST_SIDE = 96

function nameHint(
  { name, family }: Pick<Architecture, 'name' | 'family'>,
  { shape }: NetworkInput,
  publisher: Publisher | undefined,
): string | undefined {
  if (publisher === undefined || shape[0] !== 3 || shape[1] < LEAST_SIDE) return undefined
  const called = `${name} ${family ?? ''}`
  const found = PUBLISHED[publisher].find(([pattern]) => pattern.test(called))
  if (!found) return undefined
  const whose = publisher === 'torch' ? 'torchvision' : 'Keras'
  if (found[1] === '') return `${whose} feeds networks of this name so`
  return `networks of this name by ${whose} take ${found[1]}: likely it does too`
}
