// The second set of comparisons of a guarded inference: every comparison again, under masks of its own, in an order that
// only server and helper know, with traps among them. A client that reports a wrong sign has to report it at the same
// comparison's place of every set.
//
//   off line   helper → server   padded tables of D + T comparisons, in order of places
//   on line    server → client   e'' = 2^d·ŷ' - a'' and rows, by places, with the last opening of its segment
//              client → server   β'' by places, with the last reply of the inference
//              server            β'' = (β, 0 at traps) by places ⊕ g
//
// Place p holds source `order[p]`: first the D comparisons, then T traps, whose ŷ' and m' are random and known to the
// helper. At all places ρ'' = ρ ⊕ g, where ρ of a trap is its sign b.
import { packedBytes } from '../../../kernels/bits.js'
import { gather32, gatherBits, type IndexMap } from '../../../kernels/index-maps.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import {
  addTruncated,
  type Chain,
  dealerBytes,
  dealTables,
  groupsOf,
  maskTruncated,
  rowBytes,
  tableBytes,
} from '../../../kernels/mcc.js'
import { Purpose, type StreamAddress, type Streams } from '../../../random/streams.js'
import { openRows, packOpened, unpackOpened, walk } from '../comparison.js'
import { secretOrder } from './order.js'

/** One second set; `step` and `number` tell those of an inference apart. */
export interface SignSet {
  /** Over all comparisons of some consecutive steps, shifted to one width: lo = 0. */
  readonly chain: Chain
  readonly comparisons: number
  /** At least one: it is what catches a client that flips every sign. */
  readonly traps: number
  /** The last of the steps. */
  readonly step: number
  readonly number: number
}

export const places = ({ comparisons, traps }: SignSet): number => comparisons + traps

/** Bytes of a set's messages. */
export function signSizes(set: SignSet): { tables: number; opened: number; rows: number; beta: number } {
  const count = places(set)
  const { bits, chunks } = set.chain
  return {
    tables: tableBytes(chunks, count),
    opened: packedBytes(count, bits),
    rows: rowBytes(chunks, count),
    beta: groupsOf(count),
  }
}

interface Address {
  readonly inference: number
}

const at = ({ step, number }: SignSet, { inference }: Address) => ({ layer: step, tensor: number, inference })

/** Words by places from words by sources, in whole groups. */
function arranged(k: Kernels, count: number, order: IndexMap, sources: Region): Region {
  const out = k.memory.allocZero(groupsOf(count) * 32)
  gather32(k, sources, order, out)
  return out
}

/** The traps' words after those of the comparisons. */
function withTraps(k: Kernels, set: SignSet, words: Region, traps: Region): Region {
  const out = k.memory.alloc(places(set) * 4)
  out.u8().set(words.u8().subarray(0, set.comparisons * 4))
  out.u8().set(traps.u8().subarray(0, set.traps * 4), set.comparisons * 4)
  return out
}

/** What of a set only server and helper know: its order and g. */
export interface SignSecret {
  readonly order: IndexMap
  readonly flips: Region
  release(): void
}

/** Server and helper: the secret of one set. The caller releases it. */
export function signSecret(k: Kernels, set: SignSet, sh: Streams, address: Address): SignSecret {
  const count = places(set)
  const order = secretOrder(k, count, sh, { purpose: Purpose.signOrder, ...at(set, address) })
  const flips = sh.take({ purpose: Purpose.signFlip, ...at(set, address) }, groupsOf(count))
  return {
    ...{ order, flips },
    release() {
      order.release()
      flips.release(true)
    },
  }
}

/** Server and helper: a'', and the traps' ŷ'. */
function masksOf(set: SignSet, sh: Streams, address: Address) {
  return {
    mask: sh.take({ purpose: Purpose.signMask, ...at(set, address) }, places(set) * 4),
    traps: sh.take({ purpose: Purpose.signTrap, ...at(set, address) }, set.traps * 4),
  }
}

/**
 * Helper: writes the tables of one set, by places.
 * @param m the client's m' of every comparison, shifted to the set's width
 * @param rho one bit per comparison
 * @param tables out
 */
export function dealSigns(
  k: Kernels,
  set: SignSet,
  { m, rho, tables }: { m: Region; rho: Region; tables: Region },
  { ch, sh, own }: { ch: Streams; sh: Streams; own: Streams },
  address: Address,
): void {
  const count = places(set)
  const { chain, comparisons } = set
  const secret = signSecret(k, set, sh, address)
  const { order, flips } = secret
  const { mask, traps } = masksOf(set, sh, address)
  const trapMasks = own.take({ purpose: Purpose.signTrap, ...at(set, address) }, set.traps * 4)
  const masks = withTraps(k, set, m, trapMasks)
  const r = arranged(k, count, order, masks)
  addTruncated(k, r, mask, count, 0, chain.bits, r)
  const bits = k.memory.allocZero(groupsOf(count))
  bits.u8().set(rho.u8().subarray(0, groupsOf(comparisons)))
  putTrapSigns(set, traps.u32(), trapMasks.u32(), bits.u8())
  const rhoPlaces = k.memory.allocZero(groupsOf(count))
  gatherBits(k, bits, order, rhoPlaces)
  xorInto(rhoPlaces.u8(), flips.u8())
  const random = own.take({ purpose: Purpose.signBits, ...at(set, address) }, dealerBytes(chain.chunks, count))
  ch.fill(padsOf(set, address), tables)
  dealTables(k, chain, count, { r, rho: rhoPlaces, bits: random, tables })
  secret.release()
  for (const region of [mask, traps, trapMasks, masks, r, bits, rhoPlaces, random]) region.release(true)
}

/** Sets the traps' bits behind those of the comparisons: b = [ŷ' + m' ≥ 0]. */
function putTrapSigns(
  { chain, comparisons }: SignSet,
  opened: Uint32Array,
  masks: Uint32Array,
  bits: Uint8Array,
): void {
  const top = chain.bits - 1
  // What the last comparison's byte holds beyond it is not its own.
  if (comparisons % 8 > 0) bits[comparisons >> 3] &= 2 ** (comparisons % 8) - 1
  opened.forEach((y, t) => {
    const sign = (((y + masks[t]) >>> top) & 1) ^ 1
    bits[(comparisons + t) >> 3] |= sign << ((comparisons + t) & 7)
  })
}

function xorInto(bytes: Uint8Array, mask: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] ^= mask[i]
}

/** Server: the opening of one set, e'' by places, then rows. The caller releases it. */
export function openSigns(
  k: Kernels,
  set: SignSet,
  { y, tables }: { y: Region; tables: Region },
  { order }: SignSecret,
  sh: Streams,
  address: Address,
): Region {
  const count = places(set)
  const { chain } = set
  const sizes = signSizes(set)
  const { mask, traps } = masksOf(set, sh, address)
  const sources = withTraps(k, set, y, traps)
  const e = arranged(k, count, order, sources)
  maskTruncated(k, e, mask, count, 0, chain.bits, e)
  const message = k.memory.alloc(sizes.opened + sizes.rows)
  packOpened(k, e, count, chain.bits, message.part(0, sizes.opened))
  openRows(k, chain, count, e, tables, message.part(sizes.opened, sizes.rows))
  for (const region of [mask, traps, sources, e]) region.release()
  return message
}

/** Client and helper: where the pads of a set come from. */
export const padsOf = (set: SignSet, address: Address): StreamAddress => ({
  purpose: Purpose.signPad,
  ...at(set, address),
})

/** Client: the pads of a set, drawn little by little before its opening comes. */
export class SignPads {
  readonly region: Region
  #filled = 0

  constructor(
    k: Kernels,
    private readonly set: SignSet,
  ) {
    this.region = k.memory.alloc(signSizes(set).tables)
  }

  /** Goes on until this share of them is there, 0 to 1. */
  drawTo(share: number, ch: Streams, address: Address): void {
    const { byteLength } = this.region
    const to = share < 1 ? Math.floor((byteLength * share) / 64) * 64 : byteLength
    if (to > this.#filled) {
      ch.fill(padsOf(this.set, address), this.region.part(this.#filled, to - this.#filled), this.#filled / 64)
    }
    this.#filled = to
  }

  release(): void {
    this.region.release(true)
  }
}

/**
 * Client: β'' by places. The caller releases it.
 * @param pads as many bytes as the set has tables
 */
export function answerSigns(k: Kernels, set: SignSet, message: Region, pads: Region): Region {
  const count = places(set)
  const { chain } = set
  const sizes = signSizes(set)
  const e = k.memory.allocZero(groupsOf(count) * 32)
  unpackOpened(k, message.part(0, sizes.opened), count, chain.bits, e)
  const beta = walk(k, chain, count, e, message.part(sizes.opened, sizes.rows), pads)
  e.release()
  return beta
}

/**
 * Server: whether β'' is β by places, up to g. All places are read, whatever they hold.
 * @param beta what the client replied in the first set, one bit per comparison
 */
export function checkSigns(
  k: Kernels,
  set: SignSet,
  { beta, answer }: { beta: Region; answer: Region },
  { order, flips }: SignSecret,
): boolean {
  const count = places(set)
  const bits = k.memory.allocZero(groupsOf(count))
  bits.u8().set(beta.u8().subarray(0, groupsOf(set.comparisons)))
  putTrapSigns({ ...set, traps: 0 }, new Uint32Array(0), new Uint32Array(0), bits.u8())
  const expected = k.memory.allocZero(groupsOf(count))
  gatherBits(k, bits, order, expected)
  const [found, due, flipped] = [answer.u8(), expected.u8(), flips.u8()]
  let wrong = 0
  for (let i = 0; i < due.length; i++) wrong |= (found[i] ^ due[i] ^ flipped[i]) & lanesOf(count, i)
  for (const region of [bits, expected]) region.release()
  return wrong === 0
}

/** Bits of byte i that belong to one of `count` places. */
const lanesOf = (count: number, i: number): number => (count - 8 * i >= 8 ? 255 : 2 ** (count - 8 * i) - 1)
