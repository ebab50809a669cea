// What a machine needs for the kernels' work: nanoseconds per unit, measured (measure.ts) or the stored default.
import type { ConvGeometry } from '../../kernels/geometry.js'
import { outputSize, tilesOf } from '../../kernels/geometry.js'
import { type Chunks, tableBytes } from '../../kernels/mcc.js'
import type { LinearOp } from '../../plan/plan.js'

/** Nanoseconds of ring arithmetic. */
export interface RingCosts {
  /** A convolution: per multiplication, per gathered input of an output pixel, per output, and a call. */
  readonly mac: number
  readonly column: number
  readonly output: number
  readonly call: number
  /** By tiles, where the kernels have that: per product, and per tile of a channel that goes in or comes out. */
  readonly tiled?: { readonly product: number; readonly tile: number }
  /** Depthwise: per multiplication and per output. */
  readonly depthwiseMac: number
  readonly depthwiseOutput: number
  /** Per multiplication of a matrix with one vector. */
  readonly vectorMac: number
  /** Per word of a sum, a copy between maps, a product with a public factor. */
  readonly word: number
}

/** Nanoseconds per comparison of one chunk shape. */
export interface ComparisonCosts {
  readonly chunks: Chunks
  /** Helper: the tables. Server and client: a row of each. Client: the chain. */
  readonly deal: number
  readonly read: number
  readonly walk: number
}

/** Nanoseconds per unit of every kind of work that takes time. */
export interface MachineModel {
  /** Where it was measured, for people. */
  readonly name: string
  readonly ring32: RingCosts
  readonly ring64: RingCosts
  /** Per byte of a stream, by ChaCha rounds. */
  readonly chacha: Readonly<Record<12 | 20, number>>
  /** Per value of `mcc` steps. */
  readonly mcc: {
    readonly pack: number
    readonly unpack: number
    readonly mask: number
    readonly select: number
    readonly extend: number
    readonly addend: number
    readonly dealSelect: number
    readonly dealWrap: number
    readonly dealRho: number
    readonly gather: number
    readonly gatherBit: number
    readonly patchElement: number
  }
  readonly comparisons: readonly ComparisonCosts[]
  /** Of tables: per word that is dealt, per word that is packed or unpacked, per value that is looked up. */
  readonly curve: { readonly deal: number; readonly pack: number; readonly share: number }
  /** Per value of guarded steps: client's reply, a tag or what it has to be, keys, α times a reply. */
  readonly guard: {
    readonly lift: number
    readonly tag: number
    readonly keys: number
    readonly product: number
    /** Per word of δ: times one transposed word, and in all subsets that it belongs to. */
    readonly dot: number
    readonly subsets: number
    /** Per place of a secret order. */
    readonly place: number
  }
  /** The published protocol: per digit, per comparison (all word operations of a side and of the helper), per word. */
  readonly securenn: {
    readonly sampleDigit: number
    readonly shareDigit: number
    readonly compareDigit: number
    readonly rotateDigit: number
    readonly zeroDigit: number
    readonly side: number
    readonly helper: number
    readonly product: number
    readonly truncate: number
    readonly gather: number
  }
  /** Per byte copied within memory. */
  readonly copy: number
  /** Per frame and payload byte that leaves and arrives, WebSocket and operating system included. */
  readonly link: {
    readonly send: number
    readonly sendByte: number
    readonly receive: number
    readonly receiveByte: number
  }
}

/** One convolution. */
export function convNs(ring: RingCosts, g: ConvGeometry): number {
  const [oh, ow] = outputSize(g)
  const n = oh * ow
  const depth = (g.cin / g.groups) * g.kernel[0] * g.kernel[1]
  const macs = depth * g.cout * n
  if (g.groups === g.cin && g.groups > 1 && n > 1)
    return ring.call + macs * ring.depthwiseMac + g.cout * n * ring.depthwiseOutput
  const tiles = ring.tiled && tilesOf(g)
  if (ring.tiled && tiles) {
    const count = tiles.high * tiles.wide
    return ring.call + count * (64 * g.cin * g.cout * ring.tiled.product + (g.cin + g.cout) * ring.tiled.tile)
  }
  if (n === 1) return ring.call + macs * ring.vectorMac
  return ring.call + macs * ring.mac + depth * n * g.groups * ring.column + g.cout * n * ring.output
}

/** A linear step as one party computes it, its operations over whole maps. */
export function linearNs(ring: RingCosts, ops: readonly LinearOp[]): number {
  return ops.reduce((sum, op) => sum + operationNs(ring, op, ops), 0)
}

function operationNs(ring: RingCosts, op: LinearOp, ops: readonly LinearOp[]): number {
  const words = op.out[0] * op.out[1] * op.out[2]
  const from = (of: number) => ops[of].out.reduce((a, b) => a * b)
  switch (op.op) {
    case 'conv':
      return convNs(ring, op.geometry)
    case 'tensor':
    case 'zero':
      return 0
    case 'add': // what is already added where it is computed is a convolution's output
      return op.of.filter((of) => ops[of].op !== 'conv').length * words * ring.word
    case 'poolSum':
      return (from(op.of) * ((op.kernel[0] * op.kernel[1]) / (op.stride[0] * op.stride[1])) + words) * ring.word
    case 'resize':
      return 4 * words * ring.word
    default:
      return 2 * words * ring.word
  }
}

/** A comparison of any chunk shape: as measured, else from the measured ones by the number of table bytes and of rows. */
export function comparisonNs({ comparisons }: MachineModel, chunks: Chunks): ComparisonCosts {
  const measured = comparisons.find((known) => known.chunks.join() === chunks.join())
  if (measured) return measured
  const size = (c: Chunks) => tableBytes(c, 8) / 8
  const distance = (c: Chunks) => Math.abs(Math.log(size(c) / size(chunks))) + Math.abs(c.length - chunks.length)
  const near = comparisons.reduce((a, b) => (distance(b.chunks) < distance(a.chunks) ? b : a))
  const [bytes, stages] = [size(chunks) / size(near.chunks), chunks.length / near.chunks.length]
  return { chunks, deal: near.deal * bytes, read: near.read * stages, walk: near.walk * stages ** 2 }
}
