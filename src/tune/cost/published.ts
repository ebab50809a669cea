// What papers say a private inference costs, for comparison. Their formulas count elements of the ring, l = 64 bits each,
// and digits of log p = 8 bits, as printed; none of them counts frames, and none is what this package sends.
import type { Architecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { effectiveOp, isActivation, type Layer, type LayerOp } from '../../model/layers/layers.js'
import { dreluCount } from '../../model/relu/layout.js'
import { type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import { elementCount } from '../../model/shape.js'

const WORD_BYTES = 8
const LOG_P = 8

/** Bytes of all links and rounds by a paper's formula. */
export interface PublishedTraffic {
  readonly source: string
  /** Bytes over all links, all parties on line. */
  readonly bytes: number
  /** Of one ReLU. */
  readonly bytesPerRelu: number
  /** As the paper counts them, layer after layer; null where its model leaves them out. */
  readonly rounds: number | null
  readonly note: string
}

/** Latency by a paper's formula. */
export interface PublishedLatency {
  readonly source: string
  readonly offline: number
  readonly online: number
  readonly unit: 'not stated'
  readonly note: string
}

/** One inference by the formulas of three papers. */
export interface PublishedCosts {
  readonly secureNN: PublishedTraffic
  readonly knapsack: PublishedTraffic
  readonly seesaw: PublishedLatency
}

/** Elements that a ReLU spec leaves non-zero and non-linear, and how often their signs are compared. */
interface Signs {
  readonly switched: number
  readonly compared: number
}

/** What the papers' own formulas give for a network, with blocks where a paper knows them. */
export function publishedCosts(arch: Architecture, spec?: ReluSpec): PublishedCosts {
  return { secureNN: secureNN(arch), knapsack: knapsack(arch, spec), seesaw: seesaw(arch, spec) }
}

/**
 * SecureNN (Wagh, Gupta, Chandran, PETS 2019), tables 2 and 3: ReLU (8 log p + 24) l in 10 rounds, max of n
 * (8 log p + 29) l (n - 1) in 9 (n - 1), convolution (2 m² f² i + 2 f² o i + m² o) l in 2. It knows no blocks.
 */
function secureNN(arch: Architecture): PublishedTraffic {
  const relu = 8 * LOG_P + 24
  const max = 8 * LOG_P + 29
  let [words, rounds] = [0, 0]
  for (const layer of arch.layers) {
    const op = effectiveOp(layer)
    if (isActivation(layer)) [words, rounds] = [words + signsOf(layer).switched * relu, rounds + 10]
    else if (op.op === 'maxPool') {
      const others = op.kernel[0] * op.kernel[1] - 1
      ;[words, rounds] = [words + elementCount(layer.out) * others * max, rounds + 9 * others]
    } else if (isProduct(op)) {
      const { patches, weights, out } = productSizes(layer, op)
      ;[words, rounds] = [words + 2 * patches + 2 * weights + out, rounds + 2]
    }
  }
  return {
    source: 'SecureNN (PETS 2019)',
    ...{ bytes: words * WORD_BYTES, bytesPerRelu: relu * WORD_BYTES, rounds },
    note: 'every ReLU by itself, the relu-spec left out; weights sent masked with every inference',
  }
}

/**
 * Securing Neural Networks with Knapsack Optimization (Gorski et al., arXiv 2304.10442): Porthos (CrypTFlow, S&P 2020)
 * with one DReLU per block: (6 log p + 14) l per block and (3 + 2 / area) l per value that it switches; convolution
 * (2 m² i + 2 f² o i + q² o) l for maps of m² and q² elements; max of n (6 log p + 24) l (n - 1).
 */
function knapsack(arch: Architecture, spec: ReluSpec | undefined): PublishedTraffic {
  const drelu = 6 * LOG_P + 14
  const max = 6 * LOG_P + 24
  let words = 0
  for (const layer of arch.layers) {
    const op = effectiveOp(layer)
    if (isActivation(layer)) {
      const { switched, compared } = signsOf(layer, spec)
      words += (drelu + 2) * compared + 3 * switched
    } else if (op.op === 'maxPool') words += elementCount(layer.out) * (op.kernel[0] * op.kernel[1] - 1) * max
    else if (isProduct(op)) {
      const { input, weights, out } = productSizes(layer, op)
      words += 2 * input + 2 * weights + out
    }
  }
  return {
    source: 'Knapsack (arXiv 2304.10442)',
    ...{ bytes: words * WORD_BYTES, bytesPerRelu: (drelu + 5) * WORD_BYTES, rounds: null },
    note: 'one comparison per block of the relu-spec; the model counts no rounds',
  }
}

/** Seesaw's cost model for retraining: per multiplication, per ReLU off line and on line. */
const SEESAW = { linear: 3.55361855670103e-6, offlineNonlinear: 0.053842398, onlineNonlinear: 0.174911 }

/** Seesaw (github.com/tsinghua-ideal/Seesaw): linear layers on line, as its search adds them up. */
function seesaw(arch: Architecture, spec: ReluSpec | undefined): PublishedLatency {
  const { drelus, macs } = countNetwork(arch, spec)
  return {
    source: 'Seesaw',
    offline: drelus * SEESAW.offlineNonlinear,
    online: drelus * SEESAW.onlineNonlinear + macs * SEESAW.linear,
    unit: 'not stated',
    note: 'a relative measure: its authors state no unit, no bytes and no network',
  }
}

function signsOf(layer: Layer, spec?: ReluSpec): Signs {
  const relu = resolveRelu(spec, layer)
  const bends = effectiveOp(layer).op === 'clip' ? 2 : 1
  const size = elementCount(layer.out)
  const compared = dreluCount(relu, layer.out) * bends
  if (relu.kind !== 'block') return { compared, switched: compared }
  const active = relu.blocks.filter(([bh, bw]) => bh > 0 && bw > 0).length
  return { compared, switched: ((size * active) / relu.blocks.length) * bends }
}

type Product = Extract<LayerOp, { op: 'conv2d' | 'linear' }>
const isProduct = (op: LayerOp): op is Product => op.op === 'conv2d' || op.op === 'linear'

/** Elements of a product's input, of the input laid out per output pixel, of its weights and its output. */
function productSizes(layer: Layer, op: Product) {
  const input = elementCount(layer.inShapes[0])
  const out = elementCount(layer.out)
  if (op.op === 'linear') return { input, patches: input, weights: input * op.cout, out }
  const cin = layer.inShapes[0][0]
  const area = op.kernel[0] * op.kernel[1]
  return { input, patches: (out / op.cout) * area * cin, weights: (op.cout * cin * area) / op.groups, out }
}
