// The typed calls of training's kernels with their operands.

import { UNBOUNDED } from '../../../src/kernels/float/maps.js'
import type { ConvGeometry } from '../../../src/kernels/geometry.js'
import * as conv from '../../../src/kernels/gradient/conv.js'
import * as maps from '../../../src/kernels/gradient/maps.js'
import { b1, type Entry, input, N, output, w4 } from '../operands.js'

const one = { c: 1, h: 2, w: 2 }
const pool = { c: 1, h: 4, w: 4, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0], out: [2, 2] } as const
const geometry: ConvGeometry = {
  ...{ cin: 1, h: 4, w: 4, cout: 2, kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 1 },
}

/** A gate is a byte per element. */
const gates = (count = N) => output(count, 1)

function withConv(use: (...args: Parameters<Entry['call']>) => (gradient: conv.ConvGradient) => void): Entry['call'] {
  return (k, at) => {
    const gradient = conv.prepareConvGradient(k, geometry, new Float32Array(18))
    try {
      use(k, at)(gradient)
    } finally {
      gradient.release()
    }
  }
}

export const gradientEntries: Record<string, Entry> = {
  gatedClampF32: {
    operands: { x: w4(), out: output(N, 4, 'x'), gates: gates() },
    call: (k, { x, out, gates }) => maps.gatedClampF32(k, x, UNBOUNDED, out, gates, N),
  },
  gatedBlocksF32: {
    operands: { x: w4(4), blocks: w4(2), out: output(4, 4), gates: gates(4) },
    call: (k, { x, blocks, out, gates }) => maps.gatedBlocksF32(k, x, blocks, UNBOUNDED, out, gates, one),
  },
  gatedMaskF32: {
    operands: { x: w4(), bits: b1(), out: output(N, 4, 'x'), gates: gates() },
    call: (k, { x, bits, out, gates }) => maps.gatedMaskF32(k, x, bits, true, UNBOUNDED, out, gates, N),
  },
  mixedClampF32: {
    operands: { x: w4(), factors: w4(), out: output(N, 4, 'x', 'factors') },
    call: (k, { x, factors, out }) => maps.mixedClampF32(k, x, factors, UNBOUNDED, out, N),
  },
  mixedClampGradF32: {
    operands: { x: w4(), factors: w4(), g: output(N, 4), sums: output(N, 4) },
    call: (k, { x, factors, g, sums }) => maps.mixedClampGradF32(k, x, factors, UNBOUNDED, g, sums, N),
  },
  gateF32: {
    operands: { x: w4(), gates: b1(), out: output(N, 4, 'x') },
    call: (k, { x, gates, out }) => maps.gateF32(k, x, gates, out, N),
  },
  spreadF32: {
    operands: { x: w4(4), y: output(16, 4) },
    call: (k, { x, y }) => maps.spreadF32(k, one, x, [2, 2], [1, 1], [4, 4], y),
  },
  avgPoolGradF32: {
    operands: { dy: w4(4), dx: output(16, 4) },
    call: (k, { dy, dx }) => maps.avgPoolGradF32(k, pool, dy, false, dx),
  },
  maxPoolGradF32: {
    operands: { x: w4(16), dy: w4(4), dx: output(16, 4) },
    call: (k, { x, dy, dx }) => maps.maxPoolGradF32(k, pool, x, dy, dx),
  },
  resizeGradF32: {
    operands: { dy: w4(4), rows: w4(6), columns: w4(6), dx: output(4, 4) },
    call: (k, { dy, rows, columns, dx }) => maps.resizeGradF32(k, one, dy, rows, columns, [2, 2], dx),
  },
  channelSumsF32: {
    operands: { a: w4(24), b: w4(24) },
    call: (k, { a, b }) => maps.channelSumsF32(k, a, b, 2, 3, 4),
  },
  affine2F32: {
    operands: { x: w4(12), y: w4(12), coefficients: input(9, 4), out: output(12, 4, 'x', 'y') },
    call: (k, { x, y, coefficients, out }) => maps.affine2F32(k, x, y, coefficients, out, 3, 4),
  },
  inputGradF32: {
    operands: { dy: w4(32), dx: output(16, 4) },
    call: withConv(
      (k, { dy, dx }) =>
        (gradient) =>
          conv.inputGradF32(k, gradient, dy, dx),
    ),
  },
  weightGradF32: {
    operands: { x: w4(16), dy: w4(32), dw: output(18, 4) },
    call: withConv(
      (k, { x, dy, dw }) =>
        (gradient) =>
          conv.weightGradF32(k, gradient, x, dy, dw),
    ),
  },
}

export const gradientModules = [conv, maps]
