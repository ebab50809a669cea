// The kernels' ABI as TypeScript sees it: one interface per folder of assembly/, pointers and lengths only.
import type { BitsExports } from './bits.js'
import type { FloatConvExports } from './float/conv.js'
import type { FloatMapExports } from './float/maps.js'
import type { MccExports } from './mcc.js'
import type { PrgExports } from './prg.js'
import type { RingExports } from './ring.js'
import type { SecurennExports } from './securenn/digits.js'
import type { SecurennShareExports } from './securenn/shares.js'

export interface KernelExports
  extends PrgExports,
    RingExports,
    BitsExports,
    FloatConvExports,
    FloatMapExports,
    MccExports,
    SecurennExports,
    SecurennShareExports {
  readonly memory: WebAssembly.Memory
  heapBase(): number
}
