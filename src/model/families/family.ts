// A family of networks: from the short form's `params` to the layers of the explicit form, JSON to JSON. What is
// parsed, hashed and agreed upon is the explicit form, so a family can change only what a file says, never what it is.
import type { Choices } from '../choices.js'
import type { Fields, Json } from '../json/fields.js'
import type { Op, Pad, Pair } from '../layers/layers.js'
import type { Shape } from '../shape.js'

/** What a short `arch/1` file asks of its family. */
export interface FamilyRequest {
  readonly name: string
  /**
   * The file's `params`. A family reads every parameter through it, so that all faults are collected; fields that it
   * did not read are reported as unknown afterwards.
   */
  readonly params: Fields
  /** Reports a fault outside `params`, e.g. of the choices. After any fault the returned network is thrown away. */
  readonly problem: (text: string) => void
  /** Option by key, as the file or a choices file gives them; {} when there are none. */
  readonly choices: Choices
  /** The shape that the file's first input states; the family's own when undefined. */
  readonly inputShape: Shape | undefined
  /** How many labels the file has, which is how many classes it expects; undefined when it has none. */
  readonly labelCount: number | undefined
}

/** The fields of an explicit `arch/1` file that a family makes; see `Architecture`. */
export interface FamilyNetwork {
  /** `{ name, shape, preprocess? }`; the file's own inputs are laid over them, field by field. */
  readonly inputs: readonly Json[]
  readonly outputs: readonly string[]
  readonly layers: readonly Json[]
  readonly weights?: Json
  readonly labels?: readonly string[]
}

export type Family = (request: FamilyRequest) => FamilyNetwork

export interface ConvFields {
  readonly cout: number
  /** A number stands for both directions. */
  readonly kernel: number | Pair
  readonly stride?: number | Pair
  /** A number stands for all four sides; default 0. */
  readonly pad?: number | Pad
  readonly dilation?: number | Pair
  readonly groups?: number
  /** Default false: a batch norm follows most convolutions of the literature. */
  readonly bias?: boolean
}

export interface PoolFields {
  readonly kernel: number | Pair
  /** Default: the kernel. */
  readonly stride?: number | Pair
  readonly pad?: number | Pad
  readonly ceil?: boolean
  /** Of average pools only. */
  readonly countPad?: boolean
}

/** Collects layers in the order of computation; every method returns the new layer's id, the next layer's input. */
export class LayerList {
  readonly layers: Json[] = []

  add(op: Op, id: string, input: string | readonly string[], fields: Json = {}): string {
    this.layers.push({ id, op, in: typeof input === 'string' ? [input] : [...input], ...fields })
    return id
  }

  conv2d(id: string, input: string, { cout, kernel, stride, pad, dilation, groups, bias }: ConvFields): string {
    return this.add('conv2d', id, input, {
      cout,
      kernel: pair(kernel),
      stride: pair(stride ?? 1),
      pad: sides(pad ?? 0),
      dilation: pair(dilation ?? 1),
      groups: groups ?? 1,
      bias: bias ?? false,
    })
  }

  batchNorm(id: string, input: string, eps = 1e-5): string {
    return this.add('batchNorm', id, input, { eps })
  }

  relu(id: string, input: string): string {
    return this.add('relu', id, input)
  }

  linear(id: string, input: string, cout: number, bias = true): string {
    return this.add('linear', id, input, { cout, bias })
  }

  maxPool(id: string, input: string, fields: PoolFields): string {
    return this.add('maxPool', id, input, pool(fields))
  }

  /** `countPad` defaults to true, as in PyTorch. */
  avgPool(id: string, input: string, fields: PoolFields): string {
    return this.add('avgPool', id, input, { ...pool(fields), countPad: fields.countPad ?? true })
  }
}

function pool({ kernel, stride, pad, ceil }: PoolFields): Json {
  return { kernel: pair(kernel), stride: pair(stride ?? kernel), pad: sides(pad ?? 0), ceil: ceil ?? false }
}

function pair(value: number | Pair): Pair {
  return typeof value === 'number' ? [value, value] : value
}

function sides(value: number | Pad): Pad {
  return typeof value === 'number' ? [value, value, value, value] : value
}
