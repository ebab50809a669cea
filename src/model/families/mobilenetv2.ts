// MobileNetV2 (Sandler et al., 2018) in torchvision's names.
import type { Fields } from '../json/fields.js'
import {
  type Activation,
  activation,
  invertedResidual,
  type PartNames,
  pictureInput,
  pooledClassifier,
  readClasses,
  readPicture,
} from './blocks.js'
import { type Family, LayerList } from './family.js'

export interface MobileStage {
  readonly expansion: number
  readonly channels: number
  readonly blocks: number
  readonly stride: number
}

/** Table 2 of the paper: t, c, n, s. */
export const MOBILE_STAGES: readonly MobileStage[] = [
  { expansion: 1, channels: 16, blocks: 1, stride: 1 },
  { expansion: 6, channels: 24, blocks: 2, stride: 2 },
  { expansion: 6, channels: 32, blocks: 3, stride: 2 },
  { expansion: 6, channels: 64, blocks: 4, stride: 2 },
  { expansion: 6, channels: 96, blocks: 3, stride: 1 },
  { expansion: 6, channels: 160, blocks: 3, stride: 2 },
  { expansion: 6, channels: 320, blocks: 1, stride: 1 },
]

/** The nearest multiple of 8, never less than 0.9 of the width (the rule of the reference implementation). */
export function roundWidth(width: number): number {
  const nearest = Math.max(8, Math.floor((width + 4) / 8) * 8)
  return nearest < 0.9 * width ? nearest + 8 : nearest
}

export function readMultiplier(params: Fields): number {
  const multiplier = params.number('widthMultiplier', 1)
  if (multiplier >= 0.05 && multiplier <= 16) return multiplier
  params.fault('widthMultiplier', 'a number from 0.05 to 16')
  return 1
}

export const mobilenetv2: Family = (request) => {
  const { params } = request
  const multiplier = readMultiplier(params)
  const act = params.oneOf<Activation>('activation', ['relu6', 'relu'], 'relu6')
  const stemStride = params.integer('stemStride', { min: 1, max: 2 }, 2)
  type Seven = readonly [number, number, number, number, number, number, number]
  const usual = MOBILE_STAGES.map(({ stride }) => stride) as unknown as Seven
  const strides = params.integers<Seven>('strides', 7, { min: 1, max: 2 }, usual)
  const shape = readPicture(request, [3, 224, 224])
  const classes = readClasses(request)
  const list = new LayerList()
  const features = (place: number, from: string, fields: { cout: number; kernel: number; stride?: number }) => {
    const conv = list.conv2d(`features.${place}.0`, from, { ...fields, pad: (fields.kernel - 1) / 2 })
    return activation(list, act, `features.${place}.2`, list.batchNorm(`features.${place}.1`, conv))
  }
  let channels = roundWidth(32 * multiplier)
  let id = features(0, 'x', { cout: channels, kernel: 3, stride: stemStride })
  let place = 1
  MOBILE_STAGES.forEach(({ expansion, channels: base, blocks }, stage) => {
    const cout = roundWidth(base * multiplier)
    for (let b = 0; b < blocks; b++, place++) {
      const stride = b === 0 ? strides[stage] : 1
      const sum = stride === 1 && channels === cout ? { add: `features.${place}.add` } : {}
      const sizes = { cin: channels, cout, hidden: channels * expansion, expands: expansion > 1, kernel: 3, stride }
      id = invertedResidual(list, id, { ...sizes, activation: act, ...sum }, torchNames(place, expansion > 1))
      channels = cout
    }
  })
  id = features(place, id, { cout: roundWidth(1280 * Math.max(1, multiplier)), kernel: 1 })
  const output = pooledClassifier(list, id, 'classifier.1', classes)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}

/** Two or three parts in a row; all but the last are a sequence of their own. */
function torchNames(place: number, expands: boolean): PartNames {
  return (part) => {
    const conv = `features.${place}.conv`
    const index = part === 'expand' || !expands ? 0 : 1
    if (part !== 'project') return { conv: `${conv}.${index}.0`, norm: `${conv}.${index}.1`, act: `${conv}.${index}.2` }
    const last = expands ? 2 : 1
    return { conv: `${conv}.${last}`, norm: `${conv}.${last + 1}`, act: '' }
  }
}
