// `npm run bench -- kernels`: every kernel against its yardstick, one thread, all in one process and one run.
import { pack, packedBytes, planeBytes, toPlanes32, unpack } from '../../src/kernels/bits.js'
import { conv32, conv64, packConvWeights32, packConvWeights64 } from '../../src/kernels/conv.js'
import type { ConvGeometry } from '../../src/kernels/geometry.js'
import { type Kernels, loadKernels } from '../../src/kernels/instance.js'
import type { Region } from '../../src/kernels/memory.js'
import { fillStream } from '../../src/kernels/prg.js'
import { add32, matmul32, matmul64 } from '../../src/kernels/ring.js'
import { comparisonVariants } from '../comparison-kernels.js'
import { table } from '../report.js'
import { type Rate, sampleAll, type Variant } from '../round-robin.js'
import { type Peers, type Square, tensorflow } from '../tensorflow/matrix.js'

export interface KernelRow {
  name: string
  shape: string
  unit: string
  /** Rates in `unit`. */
  median: number
  best: number
  /** What `ratio` compares with: best by best, from the same run. */
  reference: string | null
  referenceBest: number | null
  ratio: number | null
  /** The least ratio that is good enough. */
  target?: number
  met?: boolean
}

export interface KernelReport {
  kernels: KernelRow[]
}

/** One line of the report: a measured variant, what it is compared with, and the factor that makes units agree. */
interface Line {
  name: string
  shape: string
  unit: string
  variant: string
  reference?: string
  per?: number
  target?: number
}

const LAYERS: readonly Square[] = [
  { channels: 64, size: 32 },
  { channels: 128, size: 16 },
  { channels: 256, size: 8 },
  { channels: 512, size: 4 },
]
const SMALL = LAYERS[0]
const MATMUL = 'u32 matmul 256×256×256'

class Bench {
  readonly variants: Variant[] = []
  readonly lines: Line[] = []

  constructor(
    readonly k: Kernels,
    readonly peers: Peers,
  ) {}

  words(count: number, bytes: 4 | 8 = 4): Region {
    const region = this.k.memory.alloc(count * bytes)
    const view = region.u32()
    for (let i = 0; i < view.length; i++) view[i] = Math.imul(i + 1, 0x9e3779b1)
    return region
  }

  /** Adds a variant once and gives its name. */
  time(name: string, work: number, run: () => void): string {
    this.variants.push({ name, work, run })
    return name
  }

  peer(variant: Variant): string {
    this.variants.push(variant)
    return variant.name
  }

  line(name: string, shape: string, unit: string, variant: string, rest: Partial<Line> = {}): void {
    this.lines.push({ name, shape, unit, variant, ...rest })
  }
}

function productOf(b: Bench, bits: 32 | 64, m: number, kk: number, n: number): string {
  const bytes = bits === 32 ? 4 : 8
  const [x, y, z] = [b.words(m * kk, bytes), b.words(kk * n, bytes), b.words(m * n, bytes)]
  const call = bits === 32 ? matmul32 : matmul64
  return b.time(`u${bits} matmul ${m}×${kk}×${n}`, m * kk * n, () => call(b.k, x, y, z, m, kk, n))
}

function geometryOf({ channels: c, size }: Square, groups = 1): ConvGeometry {
  return {
    cin: c,
    h: size,
    w: size,
    cout: c,
    kernel: [3, 3],
    stride: [1, 1],
    pad: [1, 1, 1, 1],
    dilation: [1, 1],
    groups,
  }
}

function convOf(b: Bench, bits: 32 | 64, layer: Square, groups = 1): string {
  const g = geometryOf(layer, groups)
  const bytes = bits === 32 ? 4 : 8
  const image = g.cin * g.h * g.w
  const weights = (g.cout * g.cin * 9) / groups
  const [x, y] = [b.words(image, bytes), b.words(image, bytes)]
  const packed = (bits === 32 ? packConvWeights32 : packConvWeights64)(b.k, g, b.words(weights, bytes))
  const call = bits === 32 ? conv32 : conv64
  const kind = groups > 1 ? 'depthwise' : 'conv'
  return b.time(`u${bits} ${kind} ${layer.channels}@${layer.size}`, weights * g.h * g.w, () =>
    call(b.k, g, x, packed, y),
  )
}

function products(b: Bench): void {
  const shape = '256×256×256'
  const own = productOf(b, 32, 256, 256, 256)
  const [x, y, z] = [b.words(65536), b.words(65536), b.words(65536)]
  const naive = b.time('scalar triple loop', 2 ** 24, () => {
    b.k.raw.naiveMatmul32(x.ptr, y.ptr, z.ptr, 256, 256, 256)
  })
  const peer = b.peer(b.peers.matMul(256, 256, 256))
  b.line('u32 matmul', shape, 'GMAC/s', own, { reference: peer, target: 1.1 })
  b.line('u32 matmul', shape, 'GMAC/s', own, { reference: naive, target: 14 })
  const wide = productOf(b, 64, 256, 256, 256)
  b.line('u64 matmul', shape, 'GMAC/s', wide, { reference: own, target: 0.17 })
}

function convolutions(b: Bench): void {
  for (const layer of LAYERS) {
    const { channels: c, size } = layer
    const shape = `3×3 ${c}→${c} @${size}×${size}`
    const own = convOf(b, 32, layer)
    const same = productOf(b, 32, c, 9 * c, size * size)
    b.line('u32 conv', shape, 'GMAC/s', own, { reference: MATMUL, target: 0.95 })
    b.line('u32 conv', shape, 'GMAC/s', own, { reference: same, target: 0.95 })
    b.line('u32 conv', shape, 'GMAC/s', own, { reference: b.peer(b.peers.conv2d(layer)), target: 0.95 })
  }
  const deep = convOf(b, 32, SMALL, SMALL.channels)
  const shape = '3×3 depthwise 64 @32×32'
  b.line('u32 depthwise', shape, 'GMAC/s', deep, { reference: MATMUL, target: 0.6 })
  b.line('u32 depthwise', shape, 'GMAC/s', deep, { reference: b.peer(b.peers.depthwise(SMALL)) })
  b.line('u64 conv', '3×3 64→64 @32×32', 'GMAC/s', convOf(b, 64, SMALL), { reference: 'u64 matmul 256×256×256' })
  const heavy = productOf(b, 32, 1000, 512, 1)
  b.line('u32 matvec', '1000×512', 'GMAC/s', heavy, { reference: MATMUL })
}

function streams(b: Bench): void {
  const key = b.words(8)
  const out = b.words(2 ** 16)
  for (const rounds of [12, 20] as const) {
    const own = b.time(`ChaCha${rounds}`, out.byteLength, () => fillStream(b.k, key, [1, 2, 3], 0, rounds, out))
    b.line(`ChaCha${rounds}`, '256 KiB', 'GB/s', own, {
      reference: MATMUL,
      per: 20, // the rate on a core whose u32 matmul runs at 20 GMAC/s
      target: rounds === 12 ? 1.8 : undefined,
    })
  }
}

function words(b: Bench): void {
  const n = 2 ** 14
  const [x, y, z] = [b.words(n), b.words(n), b.words(2 * n)]
  const copy = b.time('copy', 8 * n, () => {
    z.u8().set(x.u8())
  })
  const sum = b.time('add32', 12 * n, () => add32(b.k, x, y, z, n))
  b.line('add32', '64 KiB', 'GB/s moved', sum, { reference: copy })
  for (const bits of [8, 12, 16, 20, 24, 31]) {
    const bytes = packedBytes(n, bits)
    const packed = b.time(`pack ${bits}`, bytes, () => pack(b.k, x, n, bits, z))
    b.line('pack', `${bits} bits`, 'GB/s packed', packed)
    const unpacked = b.time(`unpack ${bits}`, bytes, () => unpack(b.k, x, n, bits, z))
    b.line('unpack', `${bits} bits`, 'GB/s packed', unpacked)
  }
  const block = b.words(planeBytes(4096) / 4)
  const planes = b.time('toPlanes32', 4096, () => toPlanes32(b.k, x, 4096, block))
  b.line('bit planes', '4096 words', 'Gword/s', planes)
}

function comparisons(b: Bench): void {
  for (const { name, shape, values, run } of comparisonVariants(b.k)) {
    // Rates count 10^9 operations: a thousandth of one per value makes millions of values.
    b.line(name, shape, 'M values/s', b.time(`${name} ${shape}`, values * 1000, run))
  }
}

function rowOf({ variant, reference, per = 1, ...line }: Line, rates: Map<string, Rate>): KernelRow {
  const own = rates.get(variant)!
  const other = reference === undefined ? null : rates.get(reference)!.best
  const ratio = other === null ? null : own.best / (other / per)
  const row: KernelRow = {
    name: line.name,
    shape: line.shape,
    unit: line.unit,
    median: own.median,
    best: own.best,
    reference: reference === undefined ? null : per === 1 ? reference : `${reference} / ${per}`,
    referenceBest: other,
    ratio,
  }
  if (line.target !== undefined)
    Object.assign(row, { target: line.target, met: ratio !== null && ratio >= line.target })
  return row
}

const number = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : value.toFixed(2)

function text({ kernels }: KernelReport): string {
  const head = ['kernel', 'shape', 'unit', 'median', 'best', 'reference', 'ref. best', 'ratio', 'target', 'met']
  const body = kernels.map((r) => [
    ...[r.name, r.shape, r.unit, number(r.median), number(r.best), r.reference ?? ''],
    ...[number(r.referenceBest), number(r.ratio), number(r.target), r.met === undefined ? '' : r.met ? 'yes' : 'NO'],
  ])
  return table(head, body)
}

/**
 * Measures every kernel; prints a table, or with `json` one JSON document.
 *
 * @throws RingfenceError HOST when the TensorFlow.js packages are absent
 */
export async function benchKernels(options: { json?: boolean; quick?: boolean } = {}): Promise<KernelReport> {
  const b = new Bench(loadKernels(), await tensorflow())
  for (const part of [products, convolutions, streams, words, comparisons]) part(b)
  const rates = options.quick ? sampleAll(b.variants, 8, 3) : sampleAll(b.variants, 60, 6)
  const report = { kernels: b.lines.map((line) => rowOf(line, rates)) }
  process.stdout.write(`${options.json ? JSON.stringify(report) : text(report)}\n`)
  return report
}
