// A machine to predict with where none is measured: one core of a server of 2023, SIMD kernels, Node 20.
import type { MachineModel } from './machine.js'

/** Measured by `measureMachine`, rounded. */
export const DEFAULT_MACHINE: MachineModel = {
  name: 'default',
  ring32: {
    ...{ mac: 0.0485, column: 0.07, output: 0.3, call: 1500 },
    ...{ depthwiseMac: 0.12, depthwiseOutput: 0.3, vectorMac: 0.09, word: 0.14 },
  },
  ring64: {
    ...{ mac: 0.244, column: 0.15, output: 0.6, call: 1500 },
    ...{ depthwiseMac: 0.7, depthwiseOutput: 2, vectorMac: 0.36, word: 0.35 },
  },
  chacha: { 12: 0.41, 20: 0.67 },
  mcc: {
    ...{ pack: 0.15, unpack: 0.13, mask: 0.22, select: 1.12, extend: 1.64, dealSelect: 3.27, dealExtend: 1.16 },
    ...{ dealRho: 0.96, gather: 0.56, gatherBit: 1.06, patchElement: 0.76 },
  },
  comparisons: [
    { chunks: [1], deal: 2.2, read: 0.8, walk: 0.25 },
    { chunks: [4], deal: 2.1, read: 0.8, walk: 0.25 },
    { chunks: [4, 4], deal: 5.2, read: 1.5, walk: 0.6 },
    { chunks: [4, 4, 4], deal: 8.7, read: 2.4, walk: 1.1 },
    { chunks: [4, 4, 4, 4], deal: 12.8, read: 3.5, walk: 1.7 },
    { chunks: [4, 4, 4, 4, 4], deal: 17.4, read: 4.7, walk: 2.6 },
    { chunks: [8], deal: 15.5, read: 2.1, walk: 0.25 },
  ],
  securenn: {
    ...{ sampleDigit: 0.21, shareDigit: 0.13, compareDigit: 0.48, rotateDigit: 0.27, zeroDigit: 0.056 },
    ...{ side: 25, helper: 18, product: 3.5, truncate: 0.7, gather: 0.4 },
  },
  copy: 0.03,
  link: { send: 20_000, sendByte: 0.35, receive: 45_000, receiveByte: 0.25 },
}
