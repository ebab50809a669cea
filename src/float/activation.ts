// Activations in float: plain, shared by blocks, masked, passed on or zeroed. What a ReLU spec says of a clip is what it
// says of a ReLU: a block compares its mean with both bounds, a mask keeps the clip of single elements.
import { RingfenceError } from '../errors.js'
import { type Bounds, blockActivationF32, clampF32, type MapSize, maskActivationF32 } from '../kernels/float/conv.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import { type Region, upload } from '../kernels/instance.js'
import { quote } from '../model/json/fields.js'
import { effectiveOp, type Layer } from '../model/layers/layers.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { asMap, elementCount, type Shape } from '../model/shape.js'

/** One activation made ready to run; `run` writes all of `out`. */
export interface Activation {
  run(x: Region, out: Region): void
  release(): void
}

/** What a layer's plain activation cuts to. */
export function boundsOf(layer: Layer): Bounds {
  const op = effectiveOp(layer)
  return op.op === 'clip' ? { low: op.min, high: op.max } : { low: 0, high: Number.POSITIVE_INFINITY }
}

/** Whether a layer's plain activation cuts to `boundsOf` and does nothing else. */
export function isClamp(layer: Layer): boolean {
  const { op } = effectiveOp(layer)
  return op === 'relu' || op === 'clip'
}

export function toMapSize(shape: Shape): MapSize {
  const [c, h, w] = asMap(shape)
  return { c, h, w }
}

/** @throws RingfenceError BAD_INPUT when blocks or mask do not fit the layer's shape */
export function prepareActivation(k: FloatKernels, layer: Layer, relu: LayerRelu): Activation {
  const bounds = boundsOf(layer)
  const n = elementCount(layer.out)
  const nothing = () => {}
  switch (relu.kind) {
    case 'relu':
      return { run: (x, out) => clampF32(k, x, bounds, out, n), release: nothing }
    case 'identity':
      return { run: (x, out) => out.u8().set(x.u8()), release: nothing }
    case 'zero':
      return { run: (_, out) => out.u8().fill(0), release: nothing }
    case 'block': {
      const size = toMapSize(layer.out)
      expectCount(layer, 'blocks', relu.blocks.length, size.c)
      const table = upload(k.memory, Int32Array.from(relu.blocks.flat()))
      return { run: (x, out) => blockActivationF32(k, x, table, bounds, out, size), release: () => table.release() }
    }
    case 'mask': {
      expectCount(layer, 'mask bits', relu.bits.length, n)
      const bits = upload(k.memory, relu.bits)
      const pass = relu.off === 'identity'
      return {
        run: (x, out) => maskActivationF32(k, x, bits, pass, bounds, out, n),
        release: () => bits.release(),
      }
    }
  }
}

/** @throws RingfenceError BAD_INPUT when a spec says too much or too little of a layer */
export function expectCount(layer: Layer, what: string, got: number, expected: number): void {
  if (got === expected) return
  throw new RingfenceError('BAD_INPUT', `layer ${quote(layer.id)}: expected ${expected} ${what}, got ${got}`)
}

/** The activation as one block per channel; undefined for masks. */
export function asBlocks(relu: LayerRelu, channels: number): readonly (readonly [number, number])[] | undefined {
  switch (relu.kind) {
    case 'block':
      return relu.blocks
    case 'mask':
      return undefined
    default:
      return Array.from({ length: channels }, () => WHOLE[relu.kind])
  }
}

const WHOLE = { relu: [1, 1], identity: [0, 1], zero: [1, 0] } as const
