// Activations as a ReLU spec has them. Which elements pass is a constant in the backward pass: dx = gate·g (for blocks
// Gorski & Avidan's straight-through rule: nothing flows through the sign of the mean).
import { boundsOf, expectCount, toMapSize } from '../float/activation.js'
import { addF32, affineF32, type Bounds, maskActivationF32, subF32, UNBOUNDED } from '../kernels/float/conv.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import {
  channelSumsF32,
  gatedBlocksF32,
  gatedClampF32,
  gatedMaskF32,
  gateF32,
  mixedClampF32,
  mixedClampGradF32,
} from '../kernels/gradient/maps.js'
import { type Region, upload } from '../kernels/instance.js'
import type { Layer } from '../model/layers/layers.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'
import { tensorOf, type Weights } from '../model/weights.js'
import { type Differentiable, eachPicture, type Parts } from './differentiable.js'
import { type Gate, spreadOf, windowedGate } from './windows.js'

export function activation(layer: Layer, parts: Parts): Differentiable {
  const { k, factors } = parts
  if (factors) return mixed(layer, factors, k)
  const gate = gateOf(layer, parts)
  let gates: Region | undefined
  const forget = () => {
    gates?.release()
    gates = undefined
  }
  return {
    keepsInputs: false,
    forward([x], out, pictures) {
      forget()
      gates = k.memory.alloc(x.byteLength / 4)
      gate.run(x, out, gates, pictures)
    },
    backward(g, _, __, wanted) {
      if (wanted) gateF32(k, g, gates!, g, g.byteLength / 4)
      forget()
      return { inputs: wanted ? [g] : [] }
    },
    forget,
    release: () => gate.release(),
  }
}

/** y = a·r(x) + (1 - a)·x, r being the plain activation and a a factor per element (SNL, Cho et al. 2022). */
function mixed(layer: Layer, first: Float32Array, k: FloatKernels): Differentiable {
  const n = elementCount(layer.out)
  expectCount(layer, 'factors', first.length, n)
  const bounds = boundsOf(layer)
  const factors = upload(k.memory, first)
  return {
    keepsInputs: true,
    loadFactors: (other) => factors.f32().set(other),
    forward([x], out, pictures) {
      eachPicture(pictures, [x, out], ([x, out]) => mixedClampF32(k, x, factors, bounds, out, n))
    },
    backward(g, [x], pictures, wanted) {
      const sums = k.memory.alloc(4 * n)
      sums.u8().fill(0)
      eachPicture(pictures, [x, g], ([x, g]) => mixedClampGradF32(k, x, factors, bounds, g, sums, n))
      const gradient = sums.f32().slice()
      sums.release()
      return { inputs: wanted ? [g] : [], factors: gradient }
    },
    release: () => factors.release(),
  }
}

/** y = r(x) + slope·(x - r(x)), r being what the spec makes of a ReLU; what it makes zero stays zero. */
export function leaky(layer: Layer, constant: number | undefined, parts: Parts): Differentiable {
  const { k, relu, weights: first } = parts
  const channels = layer.out[0]
  const n = elementCount(layer.out) / channels
  const gate = gateOf(layer, parts)
  const off = (c: number) => relu.kind === 'zero' || (relu.kind === 'block' && relu.blocks[c][1] === 0)
  const slopesOf = (weights: Weights) => {
    const given = constant === undefined ? tensorOf(weights, layer.id, 'weight') : undefined
    return Float32Array.from({ length: channels }, (_, c) => (off(c) ? 0 : given ? given[c] : constant!))
  }
  const slopes = upload(k.memory, slopesOf(first))
  const none = upload(k.memory, new Float32Array(channels))
  const kept = relu.kind === 'mask' && relu.off === 'zero' ? upload(k.memory, relu.bits) : undefined
  let gates: Region | undefined
  const forget = () => {
    gates?.release()
    gates = undefined
  }
  /** x - passed, without what the spec makes zero. */
  const rest = (x: Region, passed: Region, pictures: number): Region => {
    const others = k.memory.alloc(x.byteLength)
    subF32(k, x, passed, others, x.byteLength / 4)
    if (kept) {
      eachPicture(pictures, [others], ([part]) =>
        maskActivationF32(k, part, kept, false, UNBOUNDED, part, channels * n),
      )
    }
    return others
  }
  /** passed += slope·others; `others` is released. */
  const addSloped = (others: Region, passed: Region, pictures: number) => {
    eachPicture(pictures, [others], ([part]) => affineF32(k, part, slopes, none, part, channels, n))
    addF32(k, passed, others, passed, passed.byteLength / 4)
    others.release()
  }
  return {
    keepsInputs: constant === undefined,
    load: (weights) => slopes.f32().set(slopesOf(weights)),
    forward([x], out, pictures) {
      forget()
      gates = k.memory.alloc(x.byteLength / 4)
      gate.run(x, out, gates, pictures)
      addSloped(rest(x, out, pictures), out, pictures)
    },
    backward(g, [x], pictures, wanted) {
      const words = g.byteLength / 4
      const passed = k.memory.alloc(g.byteLength)
      const tensors = constant === undefined ? { weight: slopeGradients(x, passed, g, pictures) } : {}
      if (wanted) {
        gateF32(k, g, gates!, passed, words)
        addSloped(rest(g, passed, pictures), passed, pictures)
      } else passed.release()
      forget()
      return { inputs: wanted ? [passed] : [], tensors }
    },
    forget,
    release() {
      for (const held of [gate, slopes, none, kept]) held?.release()
    },
  }

  /** Σ g·(x - r(x)) per channel; `room` is written over. */
  function slopeGradients(x: Region, room: Region, g: Region, pictures: number): Float32Array {
    gateF32(k, x, gates!, room, x.byteLength / 4)
    const others = rest(x, room, pictures)
    const { dot } = channelSumsF32(k, g, others, pictures, channels, n)
    others.release()
    return Float32Array.from(dot, (sum, c) => (off(c) ? 0 : sum))
  }
}

/** Where comparisons read a window, their errors with it; those of a clip, which has two, are left out. */
function gateOf(layer: Layer, { k, relu, window, uniform }: Parts): Gate {
  const gate = exactGate(k, layer, relu)
  const isOpen = boundsOf(layer).high === Number.POSITIVE_INFINITY
  return window && isOpen && (relu.kind === 'relu' || relu.kind === 'block' || relu.kind === 'mask')
    ? windowedGate(k, gate, spreadOf(layer, relu, window), uniform)
    : gate
}

function exactGate(k: FloatKernels, layer: Layer, relu: LayerRelu): Gate {
  const bounds: Bounds = boundsOf(layer)
  const n = elementCount(layer.out)
  const release = () => {}
  switch (relu.kind) {
    case 'relu':
      return { run: (x, out, gates, pictures) => gatedClampF32(k, x, bounds, out, gates, n * pictures), release }
    case 'identity':
      return {
        run(x, out, gates) {
          out.u8().set(x.u8())
          gates.u8().fill(255)
        },
        release,
      }
    case 'zero':
      return {
        run(_, out, gates) {
          out.u8().fill(0)
          gates.u8().fill(0)
        },
        release,
      }
    case 'block': {
      const size = toMapSize(layer.out)
      expectCount(layer, 'blocks', relu.blocks.length, size.c)
      const table = upload(k.memory, Int32Array.from(relu.blocks.flat()))
      return {
        run: (x, out, gates, pictures) =>
          eachPicture(pictures, [x, out, gates], ([x, out, gates]) =>
            gatedBlocksF32(k, x, table, bounds, out, gates, size),
          ),
        release: () => table.release(),
      }
    }
    case 'mask': {
      expectCount(layer, 'mask bits', relu.bits.length, n)
      const bits = upload(k.memory, relu.bits)
      const pass = relu.off === 'identity'
      return {
        run: (x, out, gates, pictures) =>
          eachPicture(pictures, [x, out, gates], ([x, out, gates]) =>
            gatedMaskF32(k, x, bits, pass, bounds, out, gates, n),
          ),
        release: () => bits.release(),
      }
    }
  }
}
