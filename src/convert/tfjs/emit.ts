// TensorFlow's operations as layers: what Keras layers and graph nodes have in common. Kernels and vectors come as
// TensorFlow has them, channels last.
import { quote } from '../../model/json/fields.js'
import type { Pad, Pair, Resize } from '../../model/layers/layers.js'
import { formatShape } from '../../model/shape.js'
import type { DraftTensor, Value } from '../arch-draft.js'
import * as functions from '../functions.js'
import { reachOf, samePadding } from '../window-padding.js'
import { TfCombiner } from './combine.js'
import { convKernel, denseKernel, depthwiseKernel, inOrder } from './layout.js'

/** Activations that are written as several layers, by Keras's names. */
const WRITTEN: ReadonlyMap<string, (make: functions.MakeLayer, x: Value) => Value | undefined> = new Map(
  Object.entries({
    elu: functions.elu(1),
    gelu: functions.gelu('erf'),
    gelu_new: functions.gelu('tanh'),
    mish: functions.mish,
    selu: functions.elu(functions.SELU.alpha, functions.SELU),
    silu: functions.swish(1),
    softsign: functions.softsign,
    swish: functions.swish(1),
  }),
)

/** Keras's names of the activations that can be converted. */
export const ACTIVATIONS: ReadonlySet<string> = new Set([
  ...['linear', 'relu', 'relu6', 'leaky_relu', 'softmax', 'log_softmax', 'sigmoid', 'tanh', 'softplus', 'exponential'],
  ...['hard_sigmoid', 'hard_silu', 'hard_swish'],
  ...WRITTEN.keys(),
])

/** TensorFlow's slope where none is given; the Keras layer LeakyReLU has another. */
const LEAKY_SLOPE = 0.2

export interface TfWindow {
  readonly stride: Pair
  readonly dilation: Pair
  /** 'same', 'valid' or explicit rows and columns. */
  readonly padding: 'same' | 'valid' | Pad
}

/** Emits the layers of one Keras layer or graph node. Every method reports its faults and then returns undefined. */
export class TfEmitter extends TfCombiner {
  /** kernel [kh,kw,cin/groups,cout]. */
  conv(x: Value, kernel: DraftTensor, window: TfWindow, bias?: DraftTensor, suffix = ''): Value | undefined {
    const [, , perGroup, cout] = kernel.shape
    if (kernel.shape.length !== 4) return this.#notKernel(kernel, '[height,width,cin,cout]')
    if (!this.#isMap(x)) return undefined
    const groups = x.shape[0] / perGroup
    if (!Number.isInteger(groups) || groups < 1) {
      const expected = `expected ${x.shape[0]} input channels or a divisor`
      return this.fault(
        `tensor ${kernel.from}: ${expected}, got ${formatShape(kernel.shape)} as [height,width,cin,cout]`,
      )
    }
    return this.#convolve(x, kernel, convKernel(this.draft, kernel), window, { cout, groups }, bias, suffix)
  }

  /** kernel [kh,kw,cin,times]. */
  depthwise(x: Value, kernel: DraftTensor, window: TfWindow, bias?: DraftTensor, suffix = ''): Value | undefined {
    const [, , cin, times] = kernel.shape
    if (kernel.shape.length !== 4) return this.#notKernel(kernel, '[height,width,cin,times]')
    if (!this.#isMap(x)) return undefined
    if (cin !== x.shape[0]) {
      const got = `got ${formatShape(kernel.shape)} as [height,width,cin,times]`
      return this.fault(`tensor ${kernel.from}: expected ${x.shape[0]} input channels, ${got}`)
    }
    const sizes = { cout: cin * times, groups: cin }
    return this.#convolve(x, kernel, depthwiseKernel(this.draft, kernel), window, sizes, bias, suffix)
  }

  #convolve(
    x: Value,
    kernel: DraftTensor,
    weight: DraftTensor,
    { stride, dilation, padding }: TfWindow,
    sizes: { readonly cout: number; readonly groups: number },
    bias: DraftTensor | undefined,
    suffix: string,
  ): Value | undefined {
    const size: Pair = [kernel.shape[0], kernel.shape[1]]
    const pad = this.pad(x, reachOf(size, dilation), stride, padding)
    const op = { op: 'conv2d', kernel: size, stride, pad, dilation, ...sizes, bias: !!bias } as const
    return this.layer(op, [x], bias ? { weight, bias } : { weight }, suffix)
  }

  /** kernel [n,cout]; on a map, at every pixel; of rows, for each. */
  dense(x: Value, kernel: DraftTensor, bias?: DraftTensor): Value | undefined {
    const [n, cout] = kernel.shape
    if (kernel.shape.length !== 2) return this.#notKernel(kernel, '[n,cout]')
    if (x.shape.length > 3) return this.fault(`expected at most 3 axes behind the batch, got ${formatShape(x.shape)}`)
    if (x.shape.length === 2) {
      if (this.layout === 'channels_last') return this.onMap(x, (map) => this.dense(map, kernel, bias))
      return this.fault(`expected a vector or a map, got rows ${formatShape(x.shape)}`)
    }
    if (x.shape.length === 3 && this.layout === 'channels_first') {
      return this.fault('expected a vector or a map whose channels come last; a dense layer works along the last axis')
    }
    if (x.shape.length === 3) {
      const pixel: DraftTensor = { ...kernel, shape: [1, 1, n, cout] }
      if (n !== x.shape[0]) return this.fault(`tensor ${kernel.from}: expected ${x.shape[0]} rows, got ${n}`)
      return this.conv(x, pixel, { stride: [1, 1], dilation: [1, 1], padding: 'valid' }, bias)
    }
    if (n !== x.shape[0]) {
      return this.fault(
        `tensor ${kernel.from}: expected ${formatShape([x.shape[0], cout])}, got ${formatShape(kernel.shape)}`,
      )
    }
    const weight = denseKernel(this.draft, kernel, x)
    return this.layer({ op: 'linear', cout, bias: !!bias }, [x], bias ? { weight, bias } : { weight })
  }

  #notKernel(kernel: DraftTensor, expected: string): undefined {
    return this.fault(`tensor ${kernel.from}: expected ${expected}, got ${formatShape(kernel.shape)}`)
  }

  #isMap(x: Value): boolean {
    if (x.shape.length === 3) return true
    this.fault(`expected a map [height,width,channels], got ${formatShape(x.shape)}`)
    return false
  }

  pad(x: Value, reach: Pair, stride: Pair, padding: TfWindow['padding']): Pad {
    if (padding === 'valid') return [0, 0, 0, 0]
    return padding === 'same' ? samePadding([x.shape[1], x.shape[2]], reach, stride) : padding
  }

  /** Averages leave the padding out, as TensorFlow's do. */
  pool(kind: 'max' | 'avg', x: Value, kernel: Pair, { stride, padding }: TfWindow): Value | undefined {
    if (!this.#isMap(x)) return undefined
    const fields = { kernel, stride, pad: this.pad(x, kernel, stride, padding), ceil: false }
    if (kind === 'max') return this.layer({ op: 'maxPool', ...fields }, [x])
    return this.layer({ op: 'avgPool', ...fields, countPad: false }, [x])
  }

  globalPool(kind: 'max' | 'avg', x: Value, keepDims: boolean): Value | undefined {
    if (!this.#isMap(x)) return undefined
    const kernel: Pair = [x.shape[1], x.shape[2]]
    const whole = { kernel, stride: [1, 1], pad: [0, 0, 0, 0], ceil: false } as const
    const pooled = this.layer(kind === 'max' ? { op: 'maxPool', ...whole } : { op: 'globalAvgPool' }, [x])
    return pooled && (keepDims ? pooled : this.flatten(pooled, '/flatten'))
  }

  batchNorm(given: Value, eps: number, tensors: Readonly<Record<string, DraftTensor | undefined>>): Value | undefined {
    if (given.shape.length > 3)
      return this.fault(`expected at most 3 axes behind the batch, got ${formatShape(given.shape)}`)
    return this.onMap(given, (x) => this.#normalised(x, eps, tensors))
  }

  #normalised(x: Value, eps: number, tensors: Readonly<Record<string, DraftTensor | undefined>>): Value | undefined {
    const [count] = x.shape
    const of = (tensor: DraftTensor | undefined, value: number, from: string) =>
      tensor ? inOrder(this.draft, tensor, x) : this.draft.constant(count, value, from)
    return this.layer({ op: 'batchNorm', eps }, [x], {
      weight: of(tensors.gamma, 1, 'ones'),
      bias: of(tensors.beta, 0, 'zeros'),
      running_mean: of(tensors.mean, 0, 'zeros'),
      running_var: of(tensors.variance, 1, 'ones'),
    })
  }

  /** An activation by Keras's name. */
  activation(kind: string, x: Value, suffix = ''): Value | undefined {
    switch (kind) {
      case 'linear':
        return x
      case 'relu':
        return this.remember(this.layer({ op: 'relu' }, [x], {}, suffix), { x, low: 0 })
      case 'relu6':
        return this.layer({ op: 'clip', min: 0, max: 6 }, [x], {}, suffix)
      case 'leaky_relu':
        return this.leakyRelu(x, LEAKY_SLOPE, suffix)
      case 'softmax':
        return this.alongLast(x, 'softmax', suffix)
      case 'sigmoid':
      case 'tanh':
      case 'softplus':
        return this.layer({ op: kind }, [x], {}, suffix)
      case 'exponential':
        return this.layer({ op: 'exp' }, [x], {}, suffix)
      case 'log_softmax':
        return this.alongLast(x, 'logSoftmax', suffix)
      case 'hard_sigmoid':
        return this.#hardSigmoid(x, 0.2, suffix)
      // By Keras 3, which has it in hard_silu as well.
      case 'hard_sigmoid_3':
        return this.#hardSigmoid(x, 1 / 6, suffix)
      case 'hard_silu':
      case 'hard_swish': {
        const gate = this.#hardSigmoid(x, 1 / 6, `${suffix}/gate`)
        return gate && this.layer({ op: 'multiply' }, [x, gate], {}, suffix)
      }
      default:
        return this.written(WRITTEN.get(kind), x, suffix, kind)
    }
  }

  /** A function of several layers. */
  written(
    write: ((make: functions.MakeLayer, x: Value) => Value | undefined) | undefined,
    x: Value,
    suffix = '',
    kind = '',
  ): Value | undefined {
    if (write) return write((op, inputs, name) => this.layer(op, inputs, {}, suffix + (name && `/${name}`)), x)
    return this.fault(`activation: expected ${[...ACTIVATIONS].join(', ')}, got ${quote(kind)}`)
  }

  /** max(0, min(1, slope · x + 1 / 2)). */
  #hardSigmoid(x: Value, slope: number, suffix: string): Value | undefined {
    const line = this.affine(x, slope, 0.5, `${suffix}/affine`)
    return line && this.layer({ op: 'clip', min: 0, max: 1 }, [line], {}, suffix)
  }

  leakyRelu(x: Value, slope: number, suffix = ''): Value | undefined {
    return this.layer({ op: 'leakyRelu', slope }, [x], {}, suffix)
  }

  /** kernel [kh,kw,cout,cin]; the result has `size` rows and columns. */
  convTranspose(
    x: Value,
    kernel: DraftTensor,
    { stride, dilation, padding }: TfWindow,
    size: Pair,
    bias?: DraftTensor,
  ) {
    const [kh, kw, cout, cin] = kernel.shape
    if (kernel.shape.length !== 4) return this.#notKernel(kernel, '[height,width,cout,cin]')
    if (!this.#isMap(x)) return undefined
    if (cin !== x.shape[0]) {
      return this.fault(
        `tensor ${kernel.from}: expected ${x.shape[0]} input channels, got ${formatShape(kernel.shape)}`,
      )
    }
    // As the gradient of a convolution with this padding, which a `same` one splits evenly.
    const reach = reachOf([kh, kw], dilation)
    const cuts = ([0, 1] as const).map((axis) => {
      const over = (x.shape[axis + 1] - 1) * stride[axis] + reach[axis] - size[axis]
      const before = padding === 'same' ? Math.max(0, Math.floor(over / 2)) : padding === 'valid' ? 0 : padding[axis]
      return { before, after: Math.max(0, over - before), extra: Math.max(0, before - over) }
    })
    const pad = [cuts[0].before, cuts[1].before, cuts[0].after, cuts[1].after] as const
    const outputPad = [cuts[0].extra, cuts[1].extra] as const
    const fields = { cout, kernel: [kh, kw], stride, pad, outputPad, dilation, groups: 1, bias: !!bias } as const
    // [kh,kw,cout,cin] counts as a convolution's [kh,kw,cin,cout] with both exchanged.
    const weight = convKernel(this.draft, kernel)
    return this.layer({ op: 'convTranspose2d', ...fields }, [x], bias ? { weight, bias } : { weight })
  }

  /** Rows and columns of `fill`, or fewer where an entry is negative. */
  padMap(x: Value, pad: Pad, fill: number): Value | undefined {
    return pad.every((size) => size === 0) ? x : this.layer({ op: 'pad', pad, fill }, [x])
  }

  /** Channels of zeros before and after the map's own. */
  padChannels(x: Value, channels: Pair): Value | undefined {
    if (channels[0] === 0 && channels[1] === 0) return x
    return this.layer({ op: 'shortcutA', stride: [1, 1], padChannels: channels }, [x], {}, '/channels')
  }

  resize(x: Value, size: Pair, mode: Resize['mode']): Value | undefined {
    if (!this.#isMap(x)) return undefined
    const isPixel = x.shape[1] * x.shape[2] === 1
    return this.layer({ op: 'resize', size, mode: isPixel ? 'broadcast' : mode }, [x])
  }
}
