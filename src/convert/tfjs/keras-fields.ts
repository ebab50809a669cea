// Fields of a Keras layer's config that its reader did not ask for: such a one is at its default, of training alone, or an
// error that names it. Names: keras.io/api/layers, of Keras 2 and 3, and what TF.js itself writes.
import { isObject, quote } from '../../model/json/fields.js'

/** Any value means the same at inference. */
const ANY = Symbol('any value')
type Neutral = number | typeof ANY

/** Names, and how a layer came to be. */
const OF_ALL: Readonly<Record<string, Neutral>> = {
  ...{ name: ANY, trainable: ANY, input_spec: ANY, autocast: ANY, build_config: ANY, activity_regularizer: ANY },
  ...{ batch_input_shape: ANY, batch_shape: ANY, input_shape: ANY, input_dtype: ANY, input_dim: ANY, batch_size: ANY },
}

const WINDOW = { rank: 2, implementation: ANY } as const
/** The others have it from the class that they extend. */
const NOT_GROUPED = { ...WINDOW, groups: 1 } as const
const NOISE = { data_format: ANY, rate: ANY, seed: ANY, noise_shape: ANY, stddev: ANY, l1: ANY, l2: ANY } as const

/** Values that change nothing, by class and field. */
const OF_CLASS: Readonly<Record<string, Readonly<Record<string, Neutral>>>> = {
  ActivityRegularization: NOISE,
  AlphaDropout: NOISE,
  BatchNormalization: { momentum: ANY, renorm_momentum: ANY, fused: ANY, synchronized: ANY },
  Conv2D: WINDOW,
  Conv2DTranspose: NOT_GROUPED,
  DepthwiseConv2D: NOT_GROUPED,
  Dropout: NOISE,
  GaussianDropout: NOISE,
  GaussianNoise: NOISE,
  InputLayer: { optional: ANY },
  SeparableConv2D: NOT_GROUPED,
  SpatialDropout2D: NOISE,
}

/** What a field must be, or undefined when it changes nothing. */
export function fieldFault(className: string, name: string, value: unknown): string | undefined {
  if (value === null || value === undefined || value === false) return undefined
  if (/_(initializer|regularizer|constraint)$/.test(name)) return undefined
  if (name === 'dtype') return className === 'InputLayer' ? undefined : typeFault(value)
  const own = Object.hasOwn(OF_CLASS, className) ? OF_CLASS[className] : {}
  const neutral = Object.hasOwn(own, name) ? own[name] : Object.hasOwn(OF_ALL, name) ? OF_ALL[name] : undefined
  if (neutral === ANY || neutral === value) return undefined
  const got = `got ${quote(value)}`
  return neutral === undefined ? `a field that is not known here, ${got}` : `expected ${neutral}, ${got}`
}

/** A data type or, in newer files, a policy: {class_name: 'DTypePolicy', config: {name: 'mixed_float16'}}. */
function typeFault(value: unknown): string | undefined {
  const isFloat = (name: unknown) => typeof name === 'string' && /^(mixed_)?b?float\d*$/.test(name)
  const isPolicy = isObject(value) && value.class_name === 'DTypePolicy'
  const name = isPolicy && isObject(value.config) ? value.config.name : 'float32'
  return (isPolicy ? isFloat(name) : isFloat(value)) ? undefined : `expected floats, got ${quote(value)}`
}
