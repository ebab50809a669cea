// A machine to predict with where none is measured: one core of a server of 2023, SIMD kernels, Node 20.
import type { MachineModel } from './machine.js'

/** Measured by `measureMachine`, rounded. */
export const DEFAULT_MACHINE: MachineModel = {
  name: 'default',
  ring32: {
    ...{ mac: 0.047, column: 0.14, output: 0.24, call: 650 },
    ...{ depthwiseMac: 0.1, depthwiseOutput: 0, vectorMac: 0.091, word: 0.12 },
  },
  ring64: {
    ...{ mac: 0.235, column: 0.38, output: 0.88, call: 1000 },
    ...{ depthwiseMac: 0.55, depthwiseOutput: 3.3, vectorMac: 0.34, word: 0.29 },
  },
  chacha: { 12: 0.41, 20: 0.66 },
  mcc: {
    ...{ pack: 0.071, unpack: 0.074, mask: 0.21, select: 1.25, extend: 0.57, addend: 0.29 },
    ...{ dealSelect: 0.8, dealWrap: 0.4, dealRho: 0.95, gather: 0.72, gatherBit: 1.05, patchElement: 0.86 },
  },
  comparisons: [
    { chunks: [1], deal: 2.2, read: 0.81, walk: 0.24 },
    { chunks: [2], deal: 2.2, read: 0.8, walk: 0.24 },
    { chunks: [4], deal: 2.1, read: 0.76, walk: 0.24 },
    { chunks: [6], deal: 4.7, read: 1.15, walk: 0.24 },
    { chunks: [8], deal: 15.4, read: 2.1, walk: 0.24 },
    { chunks: [3, 3], deal: 5.4, read: 1.7, walk: 0.59 },
    { chunks: [4, 4], deal: 5.2, read: 1.5, walk: 0.59 },
    { chunks: [5, 5], deal: 7.8, read: 2.6, walk: 0.6 },
    { chunks: [4, 4, 4], deal: 8.6, read: 2.4, walk: 1.09 },
    { chunks: [5, 4, 5], deal: 11.5, read: 3.7, walk: 1.09 },
    { chunks: [4, 4, 4, 4], deal: 12.7, read: 3.5, walk: 1.73 },
    { chunks: [4, 3, 4, 5], deal: 15.1, read: 4.4, walk: 1.73 },
    { chunks: [4, 4, 4, 4, 4], deal: 17.4, read: 4.7, walk: 2.57 },
    { chunks: [4, 3, 4, 4, 5], deal: 19.9, read: 5.75, walk: 2.57 },
  ],
  curve: { deal: 5.9, pack: 1.04, share: 4.1 },
  guard: { lift: 5, tag: 4, keys: 6.5, product: 0.6, dot: 0.08, subsets: 7, place: 11 },
  securenn: {
    ...{ sampleDigit: 0.26, shareDigit: 0.114, compareDigit: 0.45, rotateDigit: 0.28, zeroDigit: 0.06 },
    ...{ side: 30, helper: 15.7, product: 2.4, truncate: 0.63, gather: 0.7 },
  },
  copy: 0.021,
  link: { send: 20_000, sendByte: 0.35, receive: 45_000, receiveByte: 0.25 },
}
