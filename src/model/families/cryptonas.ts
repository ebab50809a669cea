// CryptoNAS (Ghodsi et al., 2020): networks of ENAS's macro search space with the ReLU counts of all layers balanced, as
// the authors' code builds a fixed architecture.
import type { Fields } from '../json/fields.js'
import { pictureInput, pooledClassifier, readClasses, readPicture, WIDTH } from './blocks.js'
import { type Family, LayerList } from './family.js'

const MOST_LAYERS = 96
/** Codes 1 and 3, separable convolutions in ENAS, are built as full ones. */
const KERNELS = [3, 3, 5, 5]

interface Arc {
  readonly kernels: readonly number[]
  /** Per layer one bit for the stem and one for every layer before the last. */
  readonly skips: readonly (readonly number[])[]
}

export const cryptonas: Family = (request) => {
  const { params } = request
  const width = params.integer('width', WIDTH)
  if (params.has('width') && width % 2 !== 0) params.fault('width', 'an even width, reductions halve it')
  const arc = params.has('arc') ? parseArc(params) : readArc(params)
  const bias = params.boolean('bias', false)
  const shape = readPicture(request, [3, 32, 32])
  const classes = readClasses(request)
  const list = new LayerList()
  const third = Math.floor(arc.kernels.length / 3)
  const stem = list.batchNorm('stem.bn', list.conv2d('stem.conv', 'x', { cout: width, kernel: 3, pad: 1 }))
  let stored = [stem]
  let channels = width
  for (const [i, kernel] of arc.kernels.entries()) {
    stored.push(searchedLayer(list, i, kernel, channels, stored, arc.skips[i]))
    if (i === third - 1 || i === 2 * third - 1) {
      channels *= 4
      stored = stored.map((from, s) => reduction(list, `pool${i}.from${s}`, from, channels))
    }
  }
  if (channels > WIDTH.max) params.problem(`width: expected a last width (16 times it) <= ${WIDTH.max}`)
  const output = pooledClassifier(list, stored[stored.length - 1], 'fc', classes, bias)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}

/** ReLU, convolution, batch norm; then a 1x1 convolution over the chosen earlier tensors and this one. */
function searchedLayer(
  list: LayerList,
  index: number,
  kernel: number,
  channels: number,
  stored: readonly string[],
  skips: readonly number[],
): string {
  const id = `layer${index}`
  const active = list.relu(`${id}.relu`, stored[stored.length - 1])
  const conv = list.conv2d(`${id}.conv`, active, { cout: channels, kernel, pad: (kernel - 1) / 2 })
  const norm = list.batchNorm(`${id}.bn`, conv)
  if (index === 0) return norm
  const chosen = stored.filter((_, s) => skips[s] === 1)
  const all = chosen.length === 0 ? norm : list.add('concat', `${id}.skip.concat`, [...chosen, norm])
  return list.batchNorm(`${id}.skip.bn`, list.conv2d(`${id}.skip.conv`, all, { cout: channels, kernel: 1 }))
}

/** 1x1 convolutions on the even grid and on the grid one further down and right, zero where that leaves the map. */
function reduction(list: LayerList, id: string, input: string, channels: number): string {
  const half = { cout: channels / 2, kernel: 1, stride: 2 }
  const even = list.conv2d(`${id}.path1`, input, half)
  const shifted = list.add('pad', `${id}.shift`, input, { pad: [-1, -1, 1, 1], fill: 0 })
  const odd = list.conv2d(`${id}.path2`, shifted, half)
  return list.batchNorm(`${id}.bn`, list.add('concat', `${id}.concat`, [even, odd]))
}

/** `kernels` and `skips`. */
function readArc(params: Fields): Arc {
  const kernels = params.value('kernels')
  const skips = params.value('skips')
  const goodKernels = Array.isArray(kernels) && fitsCount(kernels.length) && kernels.every((k) => k === 3 || k === 5)
  if (!goodKernels) params.fault('kernels', `3 to ${MOST_LAYERS} kernels, each 3 or 5 (or the published arc)`)
  const count = goodKernels ? kernels.length : undefined
  const isBits = (row: unknown, i: number) =>
    Array.isArray(row) && row.length === i && row.every((bit) => bit === 0 || bit === 1)
  if (!Array.isArray(skips) || (count !== undefined && skips.length !== count)) {
    params.fault('skips', `one list of bits per layer${count === undefined ? '' : `, ${count} in all`}`)
  } else {
    for (const [i, row] of skips.entries()) {
      if (!isBits(row, i)) params.problem(`skips[${i}]: expected ${i} bits, got ${JSON.stringify(row)?.slice(0, 60)}`)
    }
  }
  return params.failed ? NOTHING : ({ kernels, skips } as Arc)
}

const NOTHING: Arc = { kernels: [3, 3, 3], skips: [[], [0], [0, 0]] }

function fitsCount(count: number): boolean {
  return count >= 3 && count <= MOST_LAYERS
}

/** The text of the published scripts' `fixed_arc`: per layer its code, then its skip bits. */
function parseArc(params: Fields): Arc {
  for (const name of ['kernels', 'skips']) if (params.has(name)) params.problem(`${name}: arc already says it`)
  const numbers = params.string('arc').trim().split(/\s+/)
  const layers = Math.floor((Math.sqrt(8 * numbers.length + 1) - 1) / 2)
  const full = (layers * (layers + 1)) / 2
  if (full !== numbers.length || !fitsCount(layers)) {
    params.problem(`arc: expected n(n+1)/2 numbers for n from 3 to ${MOST_LAYERS} layers, got ${numbers.length}`)
    return NOTHING
  }
  const kernels: number[] = []
  const skips: number[][] = []
  for (let i = 0, at = 0; i < layers; at += ++i) {
    const [code, ...bits] = numbers.slice(at, at + i + 1)
    if (!/^[0-3]$/.test(code))
      params.problem(`arc: layer ${i}: expected a code from 0 to 3, got "${code.slice(0, 20)}"`)
    if (!bits.every((bit) => bit === '0' || bit === '1'))
      params.problem(`arc: layer ${i}: expected bits after its code`)
    kernels.push(KERNELS[Number(code)] ?? 3)
    skips.push(bits.map(Number))
  }
  return { kernels, skips }
}
