// What an attribute of a node holds, and those that its reader did not ask for: such a one is at its default, changes
// nothing, or is an error that names it. Names and defaults: onnx/docs/Operators.md and, of older sets, Changelog.md.
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
  ArgMax: { select_last_index: 0 },
  BatchNormalization: { momentum: ANY, spatial: 1, is_test: 1 },
  Cast: { saturate: ANY, round_mode: ANY },
  CastLike: { saturate: ANY, round_mode: ANY },
  Div: OLD_BROADCAST,
  Dropout: { ratio: ANY, seed: ANY, is_test: 1 },
  Gemm: OLD_BROADCAST,
  MaxPool: { storage_order: ANY },
  Mod: { fmod: 0 },
  Mul: OLD_BROADCAST,
  Range: { stash_type: ANY },
  // The first two are of modes that are refused.
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

export type AttributeKind = keyof OnnxAttribute

const KIND_WORDS: Readonly<Record<AttributeKind, string>> = {
  ...{ float: 'a float', int: 'an integer', text: 'a string', tensor: 'a tensor' },
  ...{ floats: 'a list of floats', ints: 'a list of integers' },
}

/** Why an attribute is not of a kind, or undefined when it is; a list of no elements is of either kind. */
export function kindFault(value: OnnxAttribute, kind: AttributeKind): string | undefined {
  const isList = kind === 'floats' || kind === 'ints'
  const isOther = Object.entries(value).some(([name, held]) => {
    return name !== kind && held !== undefined && !(Array.isArray(held) && held.length === 0)
  })
  if (!isOther && (isList || value[kind] !== undefined)) return undefined
  return `expected ${KIND_WORDS[kind]}, got ${quote(given(value))}`
}
