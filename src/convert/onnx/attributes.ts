// Attributes that a node's reader did not ask for: an attribute is at its default, changes nothing, or is an error that
// names it. Names and defaults: onnx/docs/Operators.md and, of older sets, Changelog.md.
import { quote } from '../../model/json/fields.js'
import type { OnnxAttribute } from './proto.js'

/** Any value means the same at inference. */
const ANY = Symbol('any value')
type Neutral = number | string | typeof ANY

/** Of every op: `consumed_inputs` was a hint of the first operator set. */
const EVERYWHERE: Readonly<Record<string, Neutral>> = { consumed_inputs: ANY }
/** Broadcasting before set 7 had to be asked for, and could start at any axis. */
const OLD_BROADCAST = { broadcast: ANY } as const

/** Values that change nothing, by op and attribute. */
const NEUTRAL: Readonly<Record<string, Readonly<Record<string, Neutral>>>> = {
  Add: OLD_BROADCAST,
  BatchNormalization: { momentum: ANY, spatial: 1, is_test: 1 },
  Cast: { saturate: ANY, round_mode: ANY },
  Div: OLD_BROADCAST,
  Dropout: { ratio: ANY, seed: ANY, is_test: 1 },
  Gemm: OLD_BROADCAST,
  MaxPool: { storage_order: ANY },
  Mul: OLD_BROADCAST,
  Resize: { cubic_coeff_a: ANY, extrapolation_value: ANY, exclude_outside: 0, antialias: 0 },
  Sub: OLD_BROADCAST,
}

/** What an attribute must be, or undefined when it changes nothing. */
export function attributeFault(op: string, name: string, value: OnnxAttribute): string | undefined {
  const own = Object.hasOwn(NEUTRAL, op) ? NEUTRAL[op] : {}
  const neutral = Object.hasOwn(own, name) ? own[name] : EVERYWHERE[name]
  if (neutral === ANY) return undefined
  const got = given(value)
  if (neutral === undefined) return `an attribute that is not known here, got ${quote(got)}`
  return got === neutral ? undefined : `expected ${neutral}, got ${quote(got)}; another value is not supported`
}

function given({ text, float, int, floats, ints, tensor }: OnnxAttribute): unknown {
  return text ?? float ?? int ?? (tensor ? 'a tensor' : floats.length > 0 ? floats : ints)
}
