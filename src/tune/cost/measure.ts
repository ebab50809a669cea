// Measures the machine it runs on: every kind of work of the cost model, a few milliseconds each.
import { pack, unpack } from '../../kernels/bits.js'
import { conv32, conv64, packConvWeights32, packConvWeights64 } from '../../kernels/conv.js'
import { type ConvGeometry, outputSize, tilesOf } from '../../kernels/geometry.js'
import { gather32, gatherBits, patchSums32, uploadIndexMap, uploadPatchMap } from '../../kernels/index-maps.js'
import { loadKernels } from '../../kernels/instance.js'
import * as mcc from '../../kernels/mcc.js'
import { curve, curveWords, dealCurve } from '../../kernels/polynomial/curve.js'
import { fillStream } from '../../kernels/prg.js'
import { wordRing } from '../../kernels/words.js'
import { chooseChunks } from '../../plan/compile/chunks.js'
import { longBytes, packLong } from '../../protocol/mcc/guard/words.js'
import { DEFAULT_MACHINE } from './default-machine.js'
import { leastSquares } from './least-squares.js'
import type { ComparisonCosts, MachineModel, RingCosts } from './machine.js'
import { measureGuard } from './measure-guard.js'
import { measureSecurenn } from './measure-securenn.js'
import { Stopwatch } from './stopwatch.js'

/** Values per call of the word kernels: more than a cache of the second level holds of all operands. */
const VALUES = 2 ** 16
/** Channels in and out, map, kernel, stride: layers of the kinds networks have, none longer than a few milliseconds. */
const DENSE = [
  [64, 32, 16, 5, 1],
  [16, 16, 32, 5, 1],
  [16, 96, 28, 1, 1],
  [96, 16, 28, 1, 1],
  [3, 16, 56, 3, 2],
  [1, 16, 28, 5, 1],
  [8, 8, 4, 3, 1],
] as const
/** The same, for what is computed by tiles. */
const TILED = [
  [64, 64, 32, 3, 1],
  [32, 32, 16, 3, 1],
  [16, 16, 32, 3, 1],
] as const

function geometry(cin: number, cout: number, size: number, kernel: number, stride = 1, groups = 1): ConvGeometry {
  const edge = (kernel - 1) >> 1
  return {
    ...{ cin, h: size, w: size, cout, groups, dilation: [1, 1] },
    ...{ kernel: [kernel, kernel], stride: [stride, stride], pad: [edge, edge, edge, edge] },
  }
}

function timeConv(watch: Stopwatch, bits: 32 | 64, g: ConvGeometry): number {
  const { k } = watch
  const words = (count: number) => watch.words((count * bits) / 32)
  const weights = words((g.cout * g.cin * g.kernel[0] * g.kernel[1]) / g.groups)
  const packed = (bits === 32 ? packConvWeights32 : packConvWeights64)(k, g, weights)
  const [oh, ow] = outputSize(g)
  const [x, y] = [words(g.cin * g.h * g.w), words(g.cout * oh * ow)]
  const ns = watch.time(() => (bits === 32 ? conv32 : conv64)(k, g, x, packed, y, true))
  for (const region of [weights, packed, x, y]) region.release()
  return ns
}

function measureRing(watch: Stopwatch, bits: 32 | 64): RingCosts {
  const dense = DENSE.map(([cin, cout, size, kernel, stride]) => geometry(cin, cout, size, kernel, stride))
  const rows = dense.map((g) => {
    const [oh, ow] = outputSize(g)
    const depth = g.cin * g.kernel[0] * g.kernel[1]
    return [depth * g.cout * oh * ow, depth * oh * ow, g.cout * oh * ow, 1]
  })
  const [mac, column, output, call] = leastSquares(
    rows,
    dense.map((g) => timeConv(watch, bits, g)),
  )
  const tiled = bits === 32 && watch.k.variant === 'simd' ? measureTiles(watch, call) : undefined
  const deep = [geometry(64, 64, 28, 3, 1, 64), geometry(64, 64, 14, 5, 1, 64)]
  const [depthwiseMac, depthwiseOutput] = leastSquares(
    deep.map(({ cin, h, kernel }) => [cin * h * h * kernel[0] ** 2, cin * h * h]),
    deep.map((g) => timeConv(watch, bits, g)),
  )
  const vectorMac = timeConv(watch, bits, geometry(1024, 128, 1, 1)) / (1024 * 128)
  const { k } = watch
  const [a, b, c] = Array.from({ length: 3 }, () => watch.words((VALUES * bits) / 32))
  const word = watch.time(() => wordRing(bits).add(k, a, b, c, VALUES)) / VALUES
  for (const region of [a, b, c]) region.release()
  return { mac, column, output, call, ...(tiled && { tiled }), depthwiseMac, depthwiseOutput, vectorMac, word }
}

function measureTiles(watch: Stopwatch, call: number): RingCosts['tiled'] {
  const shapes = TILED.map(([cin, cout, size, kernel, stride]) => geometry(cin, cout, size, kernel, stride))
  const rows = shapes.map((g) => {
    const { high, wide } = tilesOf(g)!
    return [64 * high * wide * g.cin * g.cout, high * wide * (g.cin + g.cout)]
  })
  const times = shapes.map((g) => Math.max(timeConv(watch, 32, g) - call, 1))
  const [product, tile] = leastSquares(rows, times)
  return { product, tile }
}

function measureValues(watch: Stopwatch): MachineModel['mcc'] {
  const { k } = watch
  const [a, b, out] = [watch.words(VALUES), watch.words(VALUES, 16), watch.words(VALUES)]
  const [p, q, a1, mu, packed] = [32, 16, 32, 16, 32].map((bits) => watch.words(VALUES, bits))
  const positions = watch.words(VALUES, 16).u32()
  const index = uploadIndexMap(k, positions)
  const rho = watch.bytes(VALUES / 8)
  const patches = uploadPatchMap(k, {
    start: Array.from({ length: VALUES / 4 + 1 }, (_, i) => 4 * i),
    elements: positions,
    shifts: watch.bytes(VALUES / 4, 2).u8(),
  })
  const each = (run: () => void) => watch.time(run) / VALUES
  const shares = { e: b, a1, mu, other: a, out }
  return {
    // Of the widths that travel, one that is whole bytes and one that is not.
    pack: (each(() => pack(k, b, VALUES, 16, packed)) + each(() => pack(k, a, VALUES, 32, packed))) / 2,
    unpack: (each(() => unpack(k, packed, VALUES, 16, out)) + each(() => unpack(k, packed, VALUES, 32, out))) / 2,
    mask: each(() => mcc.maskTruncated(k, a, b, VALUES, 7, 16, out)),
    select: each(() => mcc.select(k, 'client', VALUES, 16, { ...shares, beta: rho, rho: a, p, q })),
    extend: each(() => mcc.extend(k, 'client', VALUES, 16, shares)),
    addend: each(() => mcc.shareAddend(k, 'client', VALUES, 7, 16, { x: a, omega: mu, out })),
    dealSelect: each(() => mcc.dealSelect(k, VALUES, 16, { r: b, rho, p, q })),
    dealWrap: each(() => mcc.dealWrap(k, VALUES, 16, { r: b, a, omega: q, mu })),
    dealRho: each(() => mcc.dealRho(k, rho, VALUES, out)),
    gather: each(() => gather32(k, a, index, out)),
    gatherBit: each(() => gatherBits(k, rho, index, packed)),
    patchElement: each(() => patchSums32(k, a, patches, 0, out)),
  }
}

/** Chunk shapes of the windows that plans use, as `compile` cuts them, and single tables. */
const WINDOWS = [2, 4, 6, 8, 10, 12, 14, 16, 20]

/** Of a sigmoid: 32 entries of two words. */
const TABLE = { bits: 16, segments: 5, degree: 1 }

function measureCurve(watch: Stopwatch): MachineModel['curve'] {
  const { k } = watch
  const count = VALUES / 32
  const shape = { ...TABLE, count }
  const words = count * curveWords(TABLE)
  const width = 41
  const [tables, message] = [watch.bytes(words * 8), watch.bytes(longBytes(words, width))]
  const polynomials = watch.bytes(curveWords(TABLE) * 8)
  const [e, other, out] = [watch.words(count, TABLE.bits), watch.words(count), watch.words(count)]
  const dealt = watch.time(() => dealCurve(k, shape, { r: e, polynomials, tables }))
  const packed = watch.time(() => packLong(k, tables, words, width, message))
  const shared = watch.time(() => curve(k, 'server', shape, { width, drop: 9 }, { e, tables, other, out }))
  for (const region of [tables, message, polynomials, e, other, out]) region.release()
  return { deal: dealt / words, pack: packed / words, share: shared / count }
}

function measureComparisons(watch: Stopwatch): ComparisonCosts[] {
  const shapes = [[1], [6], [8], ...WINDOWS.map((bits) => chooseChunks(bits))]
  const distinct = new Map(shapes.map((chunks) => [chunks.join(), chunks]))
  return [...distinct.values()].map((chunks) => comparisonOf(watch, chunks))
}

function comparisonOf(watch: Stopwatch, chunks: mcc.Chunks): ComparisonCosts {
  const { k } = watch
  const bits = chunks.reduce((a, b) => a + b)
  const chain = { bits, lo: 0, chunks, add: 0 }
  const count = VALUES / 2
  const [r, rho, beta] = [watch.words(count, bits), watch.bytes(count / 8), watch.bytes(count / 8)]
  const [random, tables] = [watch.bytes(mcc.dealerBytes(chunks, count)), watch.bytes(mcc.tableBytes(chunks, count))]
  const [rows, opened] = [watch.bytes(mcc.rowBytes(chunks, count)), watch.bytes(mcc.rowBytes(chunks, count))]
  const costs = {
    chunks,
    deal: watch.time(() => mcc.dealTables(k, chain, count, { r, rho, bits: random, tables })) / count,
    read: watch.time(() => mcc.readRows(k, chain, count, r, tables, rows)) / count,
    walk: watch.time(() => mcc.walkChain(k, chunks, count, rows, opened, beta)) / count,
  }
  for (const region of [r, rho, beta, random, tables, rows, opened]) region.release()
  return costs
}

function chacha(watch: Stopwatch): MachineModel['chacha'] {
  const [key, out] = [watch.words(8), watch.words(2 ** 16)]
  const of = (rounds: 12 | 20) => watch.time(() => fillStream(watch.k, key, [1, 2, 3], 0, rounds, out)) / out.byteLength
  return { 12: of(12), 20: of(20) }
}

/**
 * Measures this host's kernels: about two seconds, several samples of everything. What links cost cannot be
 * measured without links; it is taken from the default machine or from `link`.
 * @param name what to call the machine
 */
export function measureMachine(name = 'this machine', link: MachineModel['link'] = DEFAULT_MACHINE.link): MachineModel {
  const watch = new Stopwatch(loadKernels())
  // Messages are longer than any cache.
  const [from, to] = [watch.words(2 ** 22), watch.words(2 ** 22)]
  const copy = watch.time(() => to.u8().set(from.u8())) / from.byteLength
  for (const region of [from, to]) region.release()
  return {
    name,
    ring32: measureRing(watch, 32),
    ring64: measureRing(watch, 64),
    chacha: chacha(watch),
    mcc: measureValues(watch),
    comparisons: measureComparisons(watch),
    curve: measureCurve(watch),
    guard: measureGuard(watch),
    securenn: measureSecurenn(watch),
    copy,
    link,
  }
}
