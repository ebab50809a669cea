// The product of two tensors in one round trip (docs/protocol.md, "Products"). Both are opened as they lie at the server, so
// there is no linear map, no u and no δ.
//
//   off line   helper → server   corrections of ω, μ, P, X, Y, Z of every element, of ω' and μ' of every right factor
//   on line 1  server → client   e = x̂ - a' of every left and right factor
//   on line 2  client → server   (z_C >> f) - r_next per element
//              server            x̂_next = (z_S >> f) + that
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { addTruncated, maskTruncated } from '../../../kernels/mcc.js'
import { dealProduct as dealWords, product as shareOf } from '../../../kernels/polynomial/product.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import type { ProductNumbers, ReluNumbers } from '../../layout.js'
import type { Dealing, Drawing, Drawn, Lengths, Opened, Opening } from '../gadget.js'
import type { ProductStep } from '../step.js'
import { type Field, fieldBytes, fieldHalves, packFields, unpackFields } from './fields.js'

/** N = n + f: bits of a product before it is truncated. */
const widthOf = ({ truncate }: ProductNumbers, ring: number): number => ring + truncate

/** The words of a step, as the kernels hold them. */
function fields(product: ProductNumbers, ring: number): Field[] {
  const { count, broad, bits } = product
  const width = widthOf(product, ring)
  // What counts times 2^n' or 2^2n' has as many bits fewer.
  const once = width - bits
  const twice = Math.max(0, width - 2 * bits)
  return [
    ...[once, once, width, once, once, twice].map((bits) => ({ count, bits })),
    ...[once, once].map((bits) => ({ count: broad, bits })),
  ]
}

/** Byte lengths of a product's messages. */
export function productSizes(product: ProductNumbers, ring: number) {
  const { count, broad, bits } = product
  return {
    opening: packedBytes(count + broad, bits),
    reply: packedBytes(count, ring),
    words: fieldBytes(fields(product, ring)),
  }
}

/** The client's halves of a step's words. The caller releases the result. */
export function productHalves(
  k: Kernels,
  { index, product }: Pick<ProductStep<ReluNumbers>, 'index' | 'product'>,
  ring: number,
  ch: Streams,
  inference: number,
): Region {
  return fieldHalves(k, fields(product, ring), ch, { purpose: Purpose.productHalf, layer: index, inference })
}

/**
 * A word per left factor, then one per right factor. The caller releases it.
 * @param write makes them of a tensor's `count` words; they lie `at` bytes into all
 */
function factors(
  k: Kernels,
  { left, right, count, broad }: ProductNumbers,
  write: (tensor: number, count: number, out: Region, at: number) => void,
): Region {
  const all = k.memory.alloc((count + broad) * 4)
  write(left, count, all.part(0, count * 4), 0)
  write(right, broad, all.part(count * 4, broad * 4), count * 4)
  return all
}

/** a' of every left and right factor. */
function openingMask(sh: Streams, { index, product: { count, broad } }: ProductStep, inference: number): Region {
  return sh.take({ purpose: Purpose.openingMask, layer: index, inference }, (count + broad) * 4)
}

/** Helper: the words of a product. */
export function dealProduct(
  { k, streams: { ch, sh }, mask, inference, ring }: Dealing,
  step: ProductStep,
  message: Region,
): void {
  const { product } = step
  const { bits } = product
  const a = openingMask(sh, step, inference)
  const r = factors(k, product, (tensor, count, out, at) =>
    addTruncated(k, mask(tensor), a.part(at, count * 4), count, 0, bits, out),
  )
  const words = productHalves(k, step, ring, ch, inference)
  dealWords(k, product, bits, { r, a, words })
  packFields(k, fields(product, ring), words, message)
  for (const region of [a, r]) region.release()
  words.release()
}

/** Server, flight 1: e of all factors. */
export function openProduct({ k, sh, tensor, inference, ring }: Opening, step: ProductStep): Opened {
  const { product } = step
  const { count, broad, bits } = product
  const a = openingMask(sh, step, inference)
  const e = factors(k, product, (index, count, out, at) =>
    maskTruncated(k, tensor(index), a.part(at, count * 4), count, 0, bits, out),
  )
  const message = k.memory.alloc(packedBytes(count + broad, bits))
  pack(k, e, count + broad, bits, message)
  let words: Region | undefined
  return {
    message: () => message,
    prepare(dealt) {
      words = unpackFields(k, fields(product, ring), dealt)
    },
    finish(reply) {
      const out = k.memory.alloc(count * 4)
      unpack(k, reply, count, ring, out)
      const numbers = { ...product, width: widthOf(product, ring) }
      shareOf(k, 'server', product, numbers, { e, known: a, words: words!, other: out, out })
      return out
    },
    release() {
      for (const region of [e, a, words]) region?.release()
    },
  }
}

/** Client: its halves, and r of both factors. */
export function drawProduct({ k, ch, next, mask, inference, ring }: Drawing, step: ProductStep): Drawn {
  const { product } = step
  const { count, broad, bits, left, right } = product
  const masks = new Map([left, right].map((tensor) => [tensor, mask(tensor)]))
  const known = factors(k, product, (tensor, count, out) => {
    out.u8().set(
      masks
        .get(tensor)!
        .u8()
        .subarray(0, count * 4),
    )
  })
  for (const mask of masks.values()) mask.release(true)
  const words = productHalves(k, step, ring, ch, inference)
  return {
    answer(message, reply) {
      const e = k.memory.alloc((count + broad) * 4)
      unpack(k, message, count + broad, bits, e)
      const z = k.memory.alloc(count * 4)
      const numbers = { ...product, width: widthOf(product, ring) }
      shareOf(k, 'client', product, numbers, { e, known, words, other: next, out: z })
      pack(k, z, count, ring, reply)
      e.release()
      z.release(true)
    },
    release() {
      words.release()
      known.release(true)
    },
  }
}

export const productLengths: Lengths = {
  sizes({ product }: ProductStep<ReluNumbers>, ring) {
    const { opening, reply, words } = productSizes(product, ring)
    return { opening, reply, dealt: { opening: 0, reply: words } }
  },
}
