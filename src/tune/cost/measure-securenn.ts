// Measures the kernels of the published protocol.
import { gather64, uploadIndexMap } from '../../kernels/index-maps.js'
import { mul64 } from '../../kernels/ring.js'
import * as digits from '../../kernels/securenn/digits.js'
import * as shares from '../../kernels/securenn/shares.js'
import type { MachineModel } from './machine.js'
import type { Stopwatch } from './stopwatch.js'

/** Digits of as many values are more than a cache of the second level holds of all operands. */
const VALUES = 2 ** 14
const BITS = 64

export function measureSecurenn(watch: Stopwatch): MachineModel['securenn'] {
  const { k } = watch
  const count = VALUES * BITS
  const words = () => watch.bytes(VALUES * 8)
  const flags = () => watch.bytes(VALUES, 2)
  const below = () => watch.bytes(count + 16, 67)
  const [x, zero, out] = [below(), below(), below()]
  const s = watch.bytes(count, 66)
  for (let i = 0, view = s.u8(); i < count; i++) view[i]++
  const stream = watch.bytes(Math.ceil((count * 1.3) / 64) * 64)
  const [a, b, c, d, e] = Array.from({ length: 5 }, words)
  const [wide, theirs] = [watch.bytes(VALUES * 16), watch.bytes(VALUES * 16)]
  const [less, always, wrap, flip] = Array.from({ length: 4 }, flags)
  const turn = watch.bytes(VALUES, BITS)
  const index = uploadIndexMap(k, watch.words(VALUES, 14).u32())
  const perDigit = (run: () => void) => watch.time(run) / count
  const perValue = (run: () => void) => watch.time(run) / VALUES
  const compare = { x, t: d, less, always, zero, s }
  const triple = { a, b, c }
  const ask = () => shares.threshold(k, d, flip, VALUES, BITS, true, { out: e, less, always })
  /** All word operations of client or server in one DReLU, see protocol/securenn/drelu.ts. */
  const side = () => {
    shares.windowOf(k, d, VALUES, 0, BITS, 0n, a)
    shares.reduceEven(k, b, VALUES, BITS)
    shares.reduceEven(k, c, VALUES, BITS)
    shares.addWrap(k, b, c, VALUES, BITS, e, wrap)
    shares.addWrap(k, a, b, VALUES, BITS, e, wrap)
    for (let i = 0; i < 3; i++) shares.reduceOdd(k, c, VALUES, BITS)
    ask()
    shares.convertShare(k, { a, wrap, delta: b, eta: c, flip, alpha: less, x: d }, VALUES, BITS, 0, wide)
    shares.addOdd(k, b, c, VALUES, BITS, e)
    ask()
    shares.openXor(k, { answer: d, flip, low: e, z: c }, triple, VALUES, 0, wide)
    shares.product(k, wide, theirs, triple, VALUES, 0, e)
    shares.signShare(k, { gamma: a, delta: b, gammaDelta: c }, VALUES, true, 0, e)
  }
  const helper = () => {
    shares.addWrap(k, a, b, VALUES, BITS, e, wrap)
    for (let i = 0; i < 4; i++) shares.reduceOdd(k, c, VALUES, BITS)
    for (let i = 0; i < 4; i++) shares.shareFlag(k, wrap, c, VALUES, { odd: BITS }, e)
    shares.lowBit(k, c, VALUES, flip)
    shares.subOdd(k, b, c, VALUES, BITS, e)
    for (let i = 0; i < 4; i++) mul64(k, a, b, e, VALUES)
  }
  return {
    sampleDigit: perDigit(() => digits.sampleBelow(k, stream, 67, 0, out, count)),
    shareDigit: perDigit(() => digits.shareBits(k, d, VALUES, BITS, x, out)),
    compareDigit: perDigit(() => digits.compareDigits(k, compare, VALUES, BITS, 1, out)),
    rotateDigit: perDigit(() => digits.rotateDigits(k, out, turn, VALUES, BITS)),
    zeroDigit: perDigit(() => digits.anyZero(k, x, out, VALUES, BITS, flip)),
    side: perValue(side),
    helper: perValue(helper),
    product: perValue(() => shares.product(k, wide, theirs, triple, VALUES, 0, e)),
    truncate: perValue(() => shares.truncateShare(k, d, VALUES, 12, 0, e)),
    gather: perValue(() => gather64(k, d, index, e)),
  }
}
