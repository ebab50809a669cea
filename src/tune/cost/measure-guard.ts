// Measures the kernels of a guard.
import { shuffledMap } from '../../kernels/index-maps.js'
import { dot32, liftSelect, macDot, macKeys, macSelect, subsetSums, tagBytes } from '../../kernels/mac.js'
import type { MachineModel } from './machine.js'
import type { Stopwatch } from './stopwatch.js'

const VALUES = 2 ** 14
const BITS = 16
const VECTORS = 17
/** As plans with n = 32 and σ = 16 have them. */
const WIDTHS = { wide: 6, narrow: 4 }

export function measureGuard(watch: Stopwatch): MachineModel['guard'] {
  const { k } = watch
  const [e, rho, a, b] = Array.from({ length: 4 }, () => watch.words(VALUES))
  const [p, q, known, omega, mu] = Array.from({ length: 5 }, () => watch.words(VALUES, BITS))
  const [alpha, next, out] = Array.from({ length: 3 }, () => watch.bytes(VALUES * 8))
  const beta = watch.bytes(VALUES / 8)
  const [sum, sums] = [watch.bytes(8), watch.words(VECTORS)]
  const fields = ['rho', 'w0', 'q', 'w2', 'muQ'] as const
  const regions = (bytes: number) =>
    Object.fromEntries(fields.map((field) => [field, watch.bytes(tagBytes(VALUES, bytes))])) as Record<
      (typeof fields)[number],
      ReturnType<Stopwatch['bytes']>
    >
  const [tags, keys] = [regions(WIDTHS.wide), regions(8)]
  const halves = { rho, p, q, known, omega, mu }
  const each = (run: () => void) => watch.time(run) / VALUES
  const order = () => shuffledMap(k, VALUES, a, () => undefined).release()
  return {
    lift: each(() => liftSelect(k, VALUES, BITS, { ...halves, e, beta, next, out })),
    tag: each(() => macSelect(k, VALUES, BITS, { e, beta }, tags, WIDTHS, 1, sum)),
    keys: each(() => macKeys(k, VALUES, BITS, { ...halves, alpha, next }, tags, WIDTHS, keys)),
    product: each(() => macDot(k, VALUES, alpha, next, sum)),
    dot: each(() => dot32(k, VALUES, a, b)),
    subsets: each(() => subsetSums(k, VALUES, VECTORS, a, b, sums)),
    place: each(order),
  }
}
