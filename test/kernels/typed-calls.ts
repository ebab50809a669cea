// Every typed call of the kernels with its operands: the bytes each needs, its alignment, and what may be in place.
import * as bits from '../../src/kernels/bits.js'
import * as conv from '../../src/kernels/conv.js'
import * as floatConv from '../../src/kernels/float/conv.js'
import * as floatMaps from '../../src/kernels/float/maps.js'
import * as maps from '../../src/kernels/index-maps.js'
import type { Kernels } from '../../src/kernels/instance.js'
import * as mac from '../../src/kernels/mac.js'
import * as mcc from '../../src/kernels/mcc.js'
import * as planes from '../../src/kernels/planes.js'
import * as curve from '../../src/kernels/polynomial/curve.js'
import * as product from '../../src/kernels/polynomial/product.js'
import * as quadratic from '../../src/kernels/polynomial/quadratic.js'
import * as prg from '../../src/kernels/prg.js'
import * as ring from '../../src/kernels/ring.js'
import * as digits from '../../src/kernels/securenn/digits.js'
import * as shares from '../../src/kernels/securenn/shares.js'
import { gradientEntries, gradientModules } from './gradient/typed-calls.js'
import { b1, type Entry, input, N, output, w4, w8 } from './operands.js'
import { mccEntries } from './typed-calls-mcc.js'

export const entries: Record<string, Entry> = { ...mccEntries, ...gradientEntries }
for (const width of [4, 8] as const) {
  const n = width * 8
  const all = { ...ring, ...planes, ...maps } as unknown as Record<string, (...args: unknown[]) => unknown>
  for (const name of ['add', 'sub', 'mul']) {
    entries[name + n] = {
      operands: { a: input(N, width), b: input(N, width), out: output(N, width, 'a', 'b') },
      call: (k, { a, b, out }) => all[name + n](k, a, b, out, N),
    }
  }
  for (const name of ['shl', 'shrLogical', 'scale']) {
    entries[name + n] = {
      operands: { x: input(N, width), out: output(N, width, 'x') },
      call: (k, { x, out }) => all[name + n](k, x, name + n === 'scale64' ? 3n : 3, out, N),
    }
  }
  entries[`matmul${n}`] = {
    operands: { a: input(12, width), b: input(20, width), c: output(15, width) },
    call: (k, { a, b, c }) => all[`matmul${n}`](k, a, b, c, 3, 4, 5),
  }
  const pool = { c: 2, h: 4, w: 4, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0] }
  entries[`poolSum${n}`] = {
    operands: { x: input(32, width), y: output(8, width) },
    call: (k, { x, y }) => all[`poolSum${n}`](k, pool, x, y),
  }
  const lines = [[0, 1, 1] as const, [1, 0, 0] as const]
  entries[`resize${n}`] = {
    operands: { x: input(8, width), y: output(8, width) },
    call: (k, { x, y }) => all[`resize${n}`](k, { c: 2, h: 2, w: 2, rows: lines, columns: lines, bits: 2 }, x, y),
  }
  const source = { c: 2, h: 3, w: 3, stride: [1, 1], offset: [0, 0] }
  const target = { channels: 2, h: 5, w: 5, channelOffset: 0, top: 1, left: 1 }
  entries[`embed${n}`] = {
    operands: { x: input(18, width), y: output(50, width) },
    call: (k, { x, y }) => all[`embed${n}`](k, source, x, target, y),
  }
  entries[`gather${n}`] = {
    operands: { values: input(40, width), out: output(3, width) },
    call: (k, { values, out }) => withMap(k, [39, 0, 7], (map) => all[`gather${n}`](k, values, map, out)),
  }
  entries[`scatter${n}`] = {
    operands: { values: input(3, width), out: output(40, width) },
    call: (k, { values, out }) => withMap(k, [39, 0, 7], (map) => all[`scatter${n}`](k, values, map, out)),
  }
  entries[`patchSums${n}`] = {
    operands: { values: input(40, width), out: output(2, width) },
    call(k, { values, out }) {
      const map = maps.uploadPatchMap(k, { start: [0, 2, 3], elements: [39, 0, 7], shifts: [1, 0] })
      try {
        all[`patchSums${n}`](k, values, map, 2, out)
      } finally {
        map.release()
      }
    },
  }
  const g = {
    cin: 2,
    h: 4,
    w: 4,
    cout: 3,
    kernel: [3, 3],
    stride: [1, 1],
    pad: [1, 1, 1, 1],
    dilation: [1, 1],
    groups: 1,
  } as const
  const [pack, run] = n === 32 ? [conv.packConvWeights32, conv.conv32] : [conv.packConvWeights64, conv.conv64]
  entries[`packConvWeights${n}`] = {
    operands: { weights: input(54, width) },
    call: (k, { weights }) => pack(k, g, weights).release(),
  }
  entries[`conv${n}`] = {
    operands: { weights: input(54, width), x: input(32, width), y: output(48, width, 'weights') },
    call(k, { weights, x, y }) {
      const packed = pack(k, g, weights)
      try {
        run(k, g, x, packed, y)
      } finally {
        packed.release()
      }
    },
  }
}

function withMap(k: Kernels, positions: number[], use: (map: maps.IndexMap) => unknown): void {
  const map = maps.uploadIndexMap(k, positions)
  try {
    use(map)
  } finally {
    map.release()
  }
}

const B = 16
const one = { c: 1, h: 2, w: 2 }
Object.assign(entries, {
  mask32: { operands: { x: w4(), out: output(N, 4, 'x') }, call: (k, { x, out }) => ring.mask32(k, x, 9, out, N) },
  pack: {
    operands: { src: w4(), dst: output(bits.packedBytes(N, 9), 1, 'src') },
    call: (k, { src, dst }) => bits.pack(k, src, N, 9, dst),
  },
  unpack: {
    operands: { src: b1(bits.packedBytes(N, 9)), dst: output(N, 4) },
    call: (k, { src, dst }) => bits.unpack(k, src, N, 9, dst),
  },
  toPlanes32: {
    operands: { src: w4(), dst: output(128, 4) },
    call: (k, { src, dst }) => bits.toPlanes32(k, src, N, dst),
  },
  fromPlanes32: {
    operands: { src: w4(128), dst: output(N, 4) },
    call: (k, { src, dst }) => bits.fromPlanes32(k, src, N, dst),
  },
  fillStream: {
    operands: { key: b1(32) },
    call: (k, { key }) => prg.fillStream(k, key, [0, 0, 0], 0, 12, key.part(0, 0)),
  },
  gatherBits: {
    operands: { values: b1(5), out: output(1, 1) },
    call: (k, { values, out }) => withMap(k, [39, 0, 7], (map) => maps.gatherBits(k, values, map, out)),
  },
  sampleBelow: {
    operands: { bytes: b1(64), out: output(N + 16, 1) },
    call: (k, { bytes, out }) => digits.sampleBelow(k, bytes.part(0, Math.min(16, bytes.byteLength)), 67, 0, out, N),
  },
  shareBits: {
    operands: { x: w8(), share: b1(N * B), out: output(N * B, 1) },
    call: (k, { x, share, out }) => digits.shareBits(k, x, N, B, share, out),
  },
  compareDigits: {
    operands: { x: b1(N * B), t: w8(), less: b1(), always: b1(), zero: b1(N * B), s: b1(N * B), out: output(N * B, 1) },
    call: (k, { x, t, less, always, zero, s, out }) =>
      digits.compareDigits(k, { x, t, less, always, zero, s }, N, B, 0, out),
  },
  rotateDigits: {
    operands: { digits: output(N * B, 1), amounts: b1() },
    call: (k, at) => digits.rotateDigits(k, at.digits, at.amounts, N, B),
  },
  anyZero: {
    operands: { a: b1(N * B), b: b1(N * B), out: output(N, 1) },
    call: (k, { a, b, out }) => digits.anyZero(k, a, b, N, B, out),
  },
  windowOf: {
    operands: { v: w8(), out: output(N, 8, 'v') },
    call: (k, { v, out }) => shares.windowOf(k, v, N, 2, B, 1n, out),
  },
  addWrap: {
    operands: { a: w8(), b: w8(), sum: output(N, 8, 'a', 'b'), wrap: output(N, 1) },
    call: (k, { a, b, sum, wrap }) => shares.addWrap(k, a, b, N, B, sum, wrap),
  },
  reduceEven: { operands: { x: output(N, 8) }, call: (k, { x }) => shares.reduceEven(k, x, N, B) },
  reduceOdd: { operands: { x: output(N, 8) }, call: (k, { x }) => shares.reduceOdd(k, x, N, B) },
  subOdd: {
    operands: { value: w8(), share: w8(), out: output(N, 8, 'value', 'share') },
    call: (k, { value, share, out }) => shares.subOdd(k, value, share, N, B, out),
  },
  addOdd: {
    operands: { a: w8(), b: w8(), out: output(N, 8, 'a', 'b') },
    call: (k, { a, b, out }) => shares.addOdd(k, a, b, N, B, out),
  },
  shareFlag: {
    operands: { flag: b1(), share: w8(), out: output(N, 8, 'share') },
    call: (k, { flag, share, out }) => shares.shareFlag(k, flag, share, N, 'z64', out),
  },
  lowBit: { operands: { x: w8(), flag: output(N, 1) }, call: (k, { x, flag }) => shares.lowBit(k, x, N, flag) },
  threshold: {
    operands: { t: w8(), flip: b1(), out: output(N, 8, 't'), less: output(N, 1), always: output(N, 1) },
    call: (k, { t, flip, out, less, always }) => shares.threshold(k, t, flip, N, B, true, { out, less, always }),
  },
  convertShare: {
    operands: {
      a: w8(),
      wrap: b1(),
      delta: w8(),
      eta: w8(),
      flip: b1(),
      alpha: b1(),
      x: w8(),
      z: output(N, 8, 'a', 'delta', 'eta', 'x'),
    },
    call: (k, { a, wrap, delta, eta, flip, alpha, x, z }) =>
      shares.convertShare(k, { a, wrap, delta, eta, flip, alpha, x }, N, B, 0, z),
  },
  openXor: {
    operands: {
      answer: output(N, 8),
      flip: b1(),
      low: output(N, 8),
      z: w8(),
      a: w8(),
      b: w8(),
      opened: output(2 * N, 8),
    },
    call: (k, { answer, flip, low, z, a, b, opened }) =>
      shares.openXor(k, { answer, flip, low, z }, { a, b, c: a }, N, 0, opened),
  },
  product: {
    operands: { mine: w8(2 * N), theirs: w8(2 * N), a: w8(), b: w8(), c: w8(), out: output(N, 8, 'a', 'b', 'c') },
    call: (k, { mine, theirs, a, b, c, out }) => shares.product(k, mine, theirs, { a, b, c }, N, 1, out),
  },
  signShare: {
    operands: { gamma: w8(), delta: w8(), gammaDelta: w8(), out: output(N, 8, 'gamma', 'delta', 'gammaDelta') },
    call: (k, { gamma, delta, gammaDelta, out }) => shares.signShare(k, { gamma, delta, gammaDelta }, N, true, 0, out),
  },
  truncateShare: {
    operands: { y: w8(), out: output(N, 8, 'y') },
    call: (k, { y, out }) => shares.truncateShare(k, y, N, 3, 1, out),
  },
  clampF32: {
    operands: { x: w4(), out: output(N, 4, 'x') },
    call: (k, { x, out }) => floatMaps.clampF32(k, x, floatMaps.UNBOUNDED, out, N),
  },
  addF32: {
    operands: { a: w4(), b: w4(), out: output(N, 4, 'a', 'b') },
    call: (k, { a, b, out }) => floatMaps.addF32(k, a, b, out, N),
  },
  subF32: {
    operands: { a: w4(), b: w4(), out: output(N, 4, 'a', 'b') },
    call: (k, { a, b, out }) => floatMaps.subF32(k, a, b, out, N),
  },
  addScaledF32: {
    operands: { x: w4(), out: output(N, 4, 'x') },
    call: (k, { x, out }) => floatMaps.addScaledF32(k, x, 2, out, N),
  },
  affineF32: {
    operands: { x: w4(12), factors: w4(3), shifts: w4(3), out: output(12, 4, 'x') },
    call: (k, { x, factors, shifts, out }) => floatMaps.affineF32(k, x, factors, shifts, out, 3, 4),
  },
  blockActivationF32: {
    operands: { x: w4(4), blocks: w4(2), out: output(4, 4) },
    call: (k, { x, blocks, out }) => floatMaps.blockActivationF32(k, x, blocks, floatMaps.UNBOUNDED, out, one),
  },
  maskActivationF32: {
    operands: { x: w4(), bits: b1(), out: output(N, 4, 'x') },
    call: (k, { x, bits, out }) => floatMaps.maskActivationF32(k, x, bits, true, floatMaps.UNBOUNDED, out, N),
  },
  padF32: {
    operands: { x: w4(4), y: output(16, 4) },
    call: (k, { x, y }) => floatMaps.padF32(k, one, x, [1, 1], 0, [4, 4], y),
  },
  resizeF32: {
    operands: { x: w4(4), rows: w4(6), columns: w4(6), y: output(4, 4) },
    call: (k, { x, rows, columns, y }) => floatMaps.resizeF32(k, one, x, rows, columns, [2, 2], y),
  },
  ...Object.fromEntries(
    (['avgPoolF32', 'maxPoolF32'] as const).map((name) => {
      const g = { c: 1, h: 4, w: 4, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0], out: [2, 2] } as const
      const call: Entry['call'] = (k, { x, y }) =>
        name === 'avgPoolF32' ? floatMaps.avgPoolF32(k, g, x, false, y) : floatMaps.maxPoolF32(k, g, x, y)
      return [name, { operands: { x: w4(16), y: output(4, 4) }, call }]
    }),
  ),
  ...Object.fromEntries(
    (['convF32', 'addConvChannelF32'] as const).map((name) => {
      const g = {
        cin: 1,
        h: 4,
        w: 4,
        cout: 2,
        kernel: [3, 3],
        stride: [1, 1],
        pad: [1, 1, 1, 1],
        dilation: [1, 1],
        groups: 1,
      } as const
      const call: Entry['call'] = (k, { x, y }) => {
        const packed = floatConv.packConvF32(k, g, new Float32Array(18))
        try {
          if (name === 'convF32') floatConv.convF32(k, packed, x, y)
          else floatConv.addConvChannelF32(k, packed, 0, x, y)
        } finally {
          packed.release()
        }
      }
      return [name, { operands: { x: w4(16), y: output(32, 4) }, call }]
    }),
  ),
} satisfies Record<string, Entry>)

/** Functions that touch no caller's region: sizes, shapes, and what is made from host arrays. */
export const APART = [
  'uploadIndexMap',
  'shuffledMap',
  'productWords',
  'curveWords',
  'polynomialsOf',
  'tagBytes',
  'uploadPatchMap',
  'packedBytes',
  'planeBytes',
  'layoutOf',
  'writeTables',
  'shapeWords',
  'unpackConvWeights',
  'packConvF32',
  'repackConvF32',
  'prepareConvGradient',
  'reloadConvGradient',
  'blendTable',
  'poolSize',
  'groupsOf',
  'tableBits',
  'tableBytes',
  'rowBytes',
  'dealerBytes',
  'chainWordBytes',
  'quadraticWords',
]

export const MODULES = [
  bits,
  conv,
  curve,
  floatConv,
  floatMaps,
  maps,
  mac,
  mcc,
  product,
  quadratic,
  planes,
  prg,
  ring,
  digits,
  shares,
  ...gradientModules,
]
