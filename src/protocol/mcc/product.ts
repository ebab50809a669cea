// The product of two tensors in one round trip (docs/protocol.md, "Products"). Both are opened as they lie at the server, so
// there is no linear map, no u and no δ.
//
//   off line   helper → server   corrections of ω, μ, P, X, Y, Z of every element, of ω' and μ' of every right factor
//   on line 1  server → client   e = x̂ - a' of every left and right factor
//   on line 2  client → server   (z_C >> f) - r_next per element
//              server            x̂_next = (z_S >> f) + that
import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { addTruncated, maskTruncated } from '../../kernels/mcc.js'
import { dealProduct as dealWords, productWords, product as shareOf } from '../../kernels/polynomial/product.js'
import { Purpose, type Streams } from '../../random/streams.js'
import type { ProductNumbers, ReluNumbers } from '../layout.js'
import type { Message } from '../transcript.js'
import { longBytes, packLong, unpackLong } from './guard/words.js'
import type { DealerStreams } from './relu.js'
import type { ProductStep } from './step.js'

/** N = n + f: bits of a product before it is truncated. */
const widthOf = ({ truncate }: ProductNumbers, ring: number): number => ring + truncate

/** The words of a step, field after field as the kernels hold them: how many, and of how many bits. */
function fields(product: ProductNumbers, ring: number): { count: number; bits: number }[] {
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

const fieldBytes = ({ count, bits }: { count: number; bits: number }): number =>
  bits === 0 ? 0 : longBytes(count, bits)

/** Byte lengths of a product's messages. */
export function productSizes(product: ProductNumbers, ring: number) {
  const { count, broad, bits } = product
  return {
    opening: packedBytes(count + broad, bits),
    reply: packedBytes(count, ring),
    words: fields(product, ring).reduce((sum, field) => sum + fieldBytes(field), 0),
  }
}

/** Everything a product sends. The client has nothing to upload for it, and says so. */
export function productMessages({ product }: ProductStep<ReluNumbers>, ring: number): Message[] {
  const { opening, reply, words } = productSizes(product, ring)
  const dealt = { to: 'server', stage: 0, offline: true } as const
  return [
    { kind: 'material', from: 'helper', bytes: words, ...dealt },
    { kind: 'delta', from: 'client', bytes: 0, ...dealt },
    { kind: 'opening', from: 'server', to: 'client', bytes: opening, stage: 1 },
    { kind: 'reply', from: 'client', to: 'server', bytes: reply, stage: 2 },
  ]
}

/** Calls back for every field and its words. */
function eachField(
  product: ProductNumbers,
  ring: number,
  words: Region,
  visit: (words: Region, count: number, bits: number, field: number) => void,
): void {
  let at = 0
  fields(product, ring).forEach(({ count, bits }, field) => {
    visit(words.part(at, count * 8), count, bits, field)
    at += count * 8
  })
}

/** The client's halves of a step's words. The caller releases the result. */
export function productHalves(
  k: Kernels,
  { index, product }: Pick<ProductStep<ReluNumbers>, 'index' | 'product'>,
  ring: number,
  ch: Streams,
  inference: number,
): Region {
  const words = k.memory.allocZero(productWords(product) * 8)
  eachField(product, ring, words, (into, count, bits, field) => {
    if (bits === 0) return
    const address = { purpose: Purpose.productHalf, layer: index, tensor: field, inference }
    const packed = ch.take(address, longBytes(count, bits))
    unpackLong(k, packed, count, bits, into)
    packed.release()
  })
  return words
}

/** The inverse of what `dealProduct` packs. The caller releases the result. */
export function unpackProduct(k: Kernels, product: ProductNumbers, ring: number, message: Region): Region {
  const words = k.memory.allocZero(productWords(product) * 8)
  let at = 0
  eachField(product, ring, words, (into, count, bits) => {
    const bytes = fieldBytes({ count, bits })
    if (bits > 0) unpackLong(k, message.part(at, bytes), count, bits, into)
    at += bytes
  })
  return words
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

/**
 * Helper: the material of a product.
 * @param mask r of a tensor
 * @param message out, `productSizes(...).words` bytes
 */
export function dealProduct(
  k: Kernels,
  step: ProductStep,
  { ch, sh }: Pick<DealerStreams, 'ch' | 'sh'>,
  mask: (tensor: number) => Region,
  message: Region,
  inference: number,
  ring: number,
): void {
  const { product } = step
  const { bits } = product
  const a = openingMask(sh, step, inference)
  const r = factors(k, product, (tensor, count, out, at) =>
    addTruncated(k, mask(tensor), a.part(at, count * 4), count, 0, bits, out),
  )
  const words = productHalves(k, step, ring, ch, inference)
  dealWords(k, product, bits, { r, a, words })
  let at = 0
  eachField(product, ring, words, (from, count, bits) => {
    const bytes = fieldBytes({ count, bits })
    if (bits > 0) packLong(k, from, count, bits, message.part(at, bytes))
    at += bytes
  })
  for (const region of [a, r]) region.release()
  words.release()
}

/** What the server keeps between its opening and the client's reply. */
export interface OpenedProduct {
  readonly e: Region
  readonly a: Region
  /** The message of flight 1. */
  readonly message: Region
}

/** Server, flight 1. The caller sends and releases `message`, and gives the rest to `finishProduct`. */
export function openProduct(
  k: Kernels,
  step: ProductStep,
  sh: Streams,
  tensor: (index: number) => Region,
  inference: number,
): OpenedProduct {
  const { product } = step
  const opened = product.count + product.broad
  const a = openingMask(sh, step, inference)
  const e = factors(k, product, (index, count, out, at) =>
    maskTruncated(k, tensor(index), a.part(at, count * 4), count, 0, product.bits, out),
  )
  const message = k.memory.alloc(packedBytes(opened, product.bits))
  pack(k, e, opened, product.bits, message)
  return { e, a, message }
}

/**
 * Client: from the opening to its reply.
 * @param mask r of a tensor; @param next r of the result; @param reply out, `productSizes(...).reply` bytes
 */
export function answerProduct(
  k: Kernels,
  step: ProductStep,
  ch: Streams,
  message: Region,
  mask: (tensor: number) => Region,
  next: Region,
  reply: Region,
  inference: number,
  ring: number,
): void {
  const { product } = step
  const { count, broad, bits } = product
  const e = k.memory.alloc((count + broad) * 4)
  unpack(k, message, count + broad, bits, e)
  const known = factors(k, product, (tensor, count, out) =>
    out.u8().set(
      mask(tensor)
        .u8()
        .subarray(0, count * 4),
    ),
  )
  const words = productHalves(k, step, ring, ch, inference)
  const z = k.memory.alloc(count * 4)
  shareOf(k, 'client', product, { ...product, width: widthOf(product, ring) }, { e, known, words, other: next, out: z })
  pack(k, z, count, ring, reply)
  for (const region of [e, words]) region.release()
  for (const region of [known, z]) region.release(true)
}

/** Server, flight 2: x̂ of the result, from the client's reply. The caller releases it. */
export function finishProduct(
  k: Kernels,
  { product }: ProductStep,
  { e, a }: Pick<OpenedProduct, 'e' | 'a'>,
  words: Region,
  reply: Region,
  ring: number,
): Region {
  const out = k.memory.alloc(product.count * 4)
  unpack(k, reply, product.count, ring, out)
  const width = widthOf(product, ring)
  shareOf(k, 'server', product, { ...product, width }, { e, known: a, words, other: out, out })
  return out
}
