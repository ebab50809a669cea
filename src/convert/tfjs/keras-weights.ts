// Which weights a Keras layer has, and where an exporter put them.
import { quote } from '../../model/json/fields.js'
import type { KerasCall } from './topology.js'
import type { TfWeights } from './weights.js'

/** Finds a layer's weights whatever scopes an exporter put in front of their names. */
export class KerasWeights {
  readonly #bySuffix = new Map<string, string[]>()

  constructor(readonly weights: TfWeights) {
    for (const name of weights.names) {
      const suffix = name.split('/').slice(-2).join('/')
      const names = this.#bySuffix.get(suffix) ?? []
      names.push(name)
      this.#bySuffix.set(suffix, names)
    }
  }

  /** Full names that may be meant: the exact one alone where it is there. */
  names(layer: string, weight: string): readonly string[] {
    const exact = `${layer}/${weight}`
    if (this.weights.has(exact)) return [exact]
    const suffix = exact.split('/').slice(-2).join('/')
    return (this.#bySuffix.get(suffix) ?? []).filter((name) => name === exact || name.endsWith(`/${exact}`))
  }
}

/** The weights of each class, by their names in Keras 2 and 3, with the flag that turns them off. */
const WEIGHTS: Readonly<Record<string, readonly { readonly names: readonly string[]; readonly flag?: string }[]>> = {
  Conv2DTranspose: [{ names: ['kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  Conv2D: [{ names: ['kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  DepthwiseConv2D: [{ names: ['depthwise_kernel', 'kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  SeparableConv2D: [
    { names: ['depthwise_kernel'] },
    { names: ['pointwise_kernel'] },
    { names: ['bias'], flag: 'use_bias' },
  ],
  Dense: [{ names: ['kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  PReLU: [{ names: ['alpha'] }],
  BatchNormalization: [
    { names: ['gamma'], flag: 'scale' },
    { names: ['beta'], flag: 'center' },
    { names: ['moving_mean'] },
    { names: ['moving_variance'] },
  ],
}

/** What the call lacks: weights of no name or of several. */
export function missingWeights(call: KerasCall, weights: KerasWeights): string[] {
  const wanted = Object.hasOwn(WEIGHTS, call.className) ? WEIGHTS[call.className] : []
  return wanted.flatMap(({ names, flag }) => {
    if (flag !== undefined && call.config[flag] === false) return []
    const found = names.flatMap((name) => weights.names(call.layer, name))
    const expected = `${call.where}: expected a weight ${quote(`${call.layer}/${names[0]}`)}`
    if (found.length === 1) return []
    return [found.length === 0 ? `${expected}, found none` : `${expected}, found ${found.map(quote).join(', ')}`]
  })
}
