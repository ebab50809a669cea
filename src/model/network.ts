// What a network is: an `arch/1` file as it is once checked.
import type { Layer } from './layers/layers.js'
import type { Shape } from './shape.js'

/** How a picture of values 0..255 becomes an input: `(value * scale - mean[channel]) / std[channel]`. */
export interface Preprocess {
  readonly scale: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** 'bgr' where the network takes blue first, as those of OpenCV and Caffe; mean and std are in that order. */
  readonly order?: 'bgr'
}

/** An input of the network. */
export interface NetworkInput {
  readonly name: string
  /** CHW, or of a vector. */
  readonly shape: Shape
  /** 'hwc' where its values are given with the channels of each pixel side by side; channels first without it. */
  readonly layout?: 'hwc'
  readonly preprocess: Preprocess
}

/** How a file of weights names the tensors of layers. */
export interface WeightNames {
  readonly layout: 'torch' | 'keras' | 'onnx' | 'tfjs'
  /** Taken off the front of every tensor name of the weight file, where it is there. */
  readonly stripPrefix?: string
  /** Name of the entry of a checkpoint that holds the tensors; in a flat file it is a prefix `<unwrap>.`. */
  readonly unwrap?: string
  /** `<layer id>` or `<layer id>.<tensor>` to the name (or the name's front part) in the weight file. */
  readonly map: Readonly<Record<string, string>>
}

/** An `arch/1` file, checked: layers in an order in which each follows its inputs, with the shapes of all values. */
export interface Architecture {
  readonly format: 'arch/1'
  readonly name: string
  /** The family whose short form the file was in; for people, the layers say everything. */
  readonly family?: string
  readonly inputs: readonly NetworkInput[]
  /** Layer ids. */
  readonly outputs: readonly string[]
  /** In an order in which they can be computed. */
  readonly layers: readonly Layer[]
  readonly byId: ReadonlyMap<string, Layer>
  readonly weights: WeightNames
  /** One name per output element; empty when the file gives none. */
  readonly labels: readonly string[]
}
