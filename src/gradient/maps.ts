// Operations that move, add and pool values. Forward they are the plain engine's; backward, every element of the gradient
// goes back to where it came from.
import { toMapSize } from '../float/activation.js'
import { type Operation, operationOf, poolOf } from '../float/operations.js'
import { blendTable, type FloatPool, padF32, UNBOUNDED } from '../kernels/float/conv.js'
import { avgPoolGradF32, maxPoolGradF32, resizeGradF32, spreadF32 } from '../kernels/gradient/maps.js'
import type { Region } from '../kernels/instance.js'
import { blendsOf } from '../model/layers/blends.js'
import type { Layer, LayerOf } from '../model/layers/layers.js'
import { elementCount } from '../model/shape.js'
import { type Differentiable, eachPicture, type Parts } from './differentiable.js'

/** The plain engine's operation, picture by picture. */
function plain(layer: Layer, { k, weights, relu }: Parts): Operation {
  return operationOf(layer, { k, weights, relu, affine: undefined, bounds: UNBOUNDED })
}

/** @param back writes all of dx, the gradient of one picture's only input */
function moving(
  layer: Layer,
  parts: Parts,
  back: (dy: Region, dx: Region, x: Region) => void,
  { keepsInputs = false, release = () => {} } = {},
): Differentiable {
  const { k } = parts
  const operation = plain(layer, parts)
  const bytes = 4 * elementCount(layer.inShapes[0])
  return {
    keepsInputs,
    forward([x], out, pictures) {
      eachPicture(pictures, [x, out], ([x, out]) => operation.run([x], out))
    },
    backward(g, [x], pictures, wanted) {
      if (!wanted) return { inputs: [] }
      const dx = k.memory.alloc(bytes * pictures)
      eachPicture(pictures, [g, dx, x ?? dx], ([g, dx, x]) => back(g, dx, x))
      return { inputs: [dx] }
    },
    release() {
      operation.release()
      release()
    },
  }
}

export function averagePool(layer: LayerOf<'avgPool'>, parts: Parts): Differentiable {
  const pool = poolOf(layer)
  return moving(layer, parts, (dy, dx) => avgPoolGradF32(parts.k, pool, dy, layer.countPad, dx))
}

export function globalAveragePool(layer: Layer, parts: Parts): Differentiable {
  const size = toMapSize(layer.inShapes[0])
  const pool: FloatPool = { ...size, kernel: [size.h, size.w], stride: [1, 1], pad: [0, 0, 0, 0], out: [1, 1] }
  return moving(layer, parts, (dy, dx) => avgPoolGradF32(parts.k, pool, dy, true, dx))
}

export function maxPool(layer: LayerOf<'maxPool'>, parts: Parts): Differentiable {
  const pool = poolOf(layer)
  return moving(layer, parts, (dy, dx, x) => maxPoolGradF32(parts.k, pool, x, dy, dx), { keepsInputs: true })
}

export function resize(layer: LayerOf<'resize'>, parts: Parts): Differentiable {
  const { k } = parts
  const size = toMapSize(layer.inShapes[0])
  const rows = blendTable(k, blendsOf(layer.mode, size.h, layer.size[0])!)
  const columns = blendTable(k, blendsOf(layer.mode, size.w, layer.size[1])!)
  const release = () => {
    rows.release()
    columns.release()
  }
  const back = (dy: Region, dx: Region) => resizeGradF32(k, size, dy, rows, columns, layer.size, dx)
  return moving(layer, parts, back, { release })
}

export function pad(layer: LayerOf<'pad'>, parts: Parts): Differentiable {
  const size = toMapSize(layer.inShapes[0])
  const from = toMapSize(layer.out)
  const offset = [-layer.pad[0], -layer.pad[1]] as const
  return moving(layer, parts, (dy, dx) => padF32(parts.k, from, dy, offset, 0, [size.h, size.w], dx))
}

/** Every stride-th row and column, behind `channelOffset` channels of zeros (before it, where it is negative). */
export function shrink(
  layer: Layer,
  stride: readonly [number, number],
  offset: readonly [number, number],
  channelOffset: number,
  parts: Parts,
): Differentiable {
  const to = toMapSize(layer.inShapes[0])
  const from = toMapSize(layer.out)
  const [plane, outPlane] = [4 * to.h * to.w, 4 * from.h * from.w]
  const first = Math.max(-channelOffset, 0)
  const c = Math.min(to.c, from.c - channelOffset) - first
  return moving(layer, parts, (dy, dx) => {
    dx.u8().fill(0)
    if (c <= 0) return
    const part = dy.part((first + channelOffset) * outPlane, c * outPlane)
    spreadF32(parts.k, { ...from, c }, part, stride, offset, [to.h, to.w], dx.part(first * plane, c * plane))
  })
}

export function add(layer: Layer, parts: Parts): Differentiable {
  const operation = plain(layer, parts)
  return {
    keepsInputs: false,
    forward: (x, out, pictures) =>
      eachPicture(pictures, [out, ...x], ([out, ...x]) => {
        operation.run(x, out)
      }),
    backward: (g, _, __, wanted) => ({ inputs: wanted ? layer.in.map(() => g) : [] }),
    release: () => operation.release(),
  }
}

export function concat(layer: Layer, parts: Parts): Differentiable {
  const operation = plain(layer, parts)
  const sizes = layer.inShapes.map((shape) => 4 * elementCount(shape))
  return {
    keepsInputs: false,
    forward: (x, out, pictures) => eachPicture(pictures, [out, ...x], ([out, ...x]) => operation.run(x, out)),
    backward(g, _, pictures, wanted) {
      if (!wanted) return { inputs: [] }
      const inputs = sizes.map((size) => parts.k.memory.alloc(size * pictures))
      eachPicture(pictures, [g, ...inputs], ([g, ...dx]) => {
        let at = 0
        for (const one of dx) {
          one.u8().set(g.part(at, one.byteLength).u8())
          at += one.byteLength
        }
      })
      return { inputs }
    },
    release: () => operation.release(),
  }
}

/** Zeros whatever comes in. */
export function zero(layer: Layer, { k }: Parts): Differentiable {
  return {
    keepsInputs: false,
    forward: (_, out) => void out.u8().fill(0),
    backward: (_, __, pictures, wanted) => {
      return { inputs: wanted ? [k.memory.allocZero(4 * elementCount(layer.inShapes[0]) * pictures)] : [] }
    },
    release() {},
  }
}
