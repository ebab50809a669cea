// What the JSON of a plan looks like: its fields, and the range of every number in it.
import {
  anyObject,
  base64,
  byField,
  type Form,
  integer,
  list,
  nullable,
  number,
  object,
  oneOf,
  optional,
  text,
  tuple,
} from '../model/json/form.js'
import { MAX_CHUNK } from './compile/chunks.js'
import { curveForm } from './curves/check.js'
import { MAX_PLACES, MAX_SIGMA, MIN_SIGMA } from './guard.js'
import { maxPoolForm } from './max-pools.js'
import { productForm } from './products.js'
import { quadraticForm } from './quadratics.js'

type Fields = Readonly<Record<string, Form>>

const MAX_STEPS = 4096
const MAX_OPERATIONS = 4096
const MAX_OUTPUTS = 256
/** ReLUs of one value. */
const MAX_COPIES = 16

const size = integer(1, 2 ** 24)
const natural = integer(0, 2 ** 24)
const whole = integer()
const map = tuple(size, size, size)
const shape = list(size, 1, 3)
const pair = tuple(size, size)
const naturals = tuple(natural, natural)
const quad = tuple(natural, natural, natural, natural)
const id = text(256)
/** Branches that were folded into one convolution are all named. */
const ids = text(2 ** 16)
const bitmap = base64(2 ** 24)
const numbers = list(number)
const chunk = integer(1, MAX_CHUNK)

const geometry = object({
  cin: size,
  h: size,
  w: size,
  cout: size,
  kernel: pair,
  stride: pair,
  pad: quad,
  dilation: pair,
  groups: size,
})

const blends = list(tuple(natural, natural, natural), 1, 2 ** 14)
const factors = list(whole)
const lift: Form = (value, at, problems) => (Array.isArray(value) ? factors : whole)(value, at, problems)

const of = natural
const operations: Readonly<Record<string, Fields>> = {
  tensor: { tensor: natural },
  conv: { of, layer: ids, geometry, scale: whole },
  lift: { of, factor: lift },
  scale: { of, factor: whole },
  poolSum: { of, kernel: pair, stride: pair, pad: quad },
  resize: { of, rows: blends, columns: blends, bits: integer(0, 15) },
  embed: { of, stride: pair, from: naturals, at: tuple(integer(-(2 ** 24), 2 ** 24), natural, natural) },
  add: { of: list(natural, 1) },
  zero: {},
}
const operation = byField(
  'op',
  Object.fromEntries(
    Object.entries(operations).map(([op, fields]) => [op, object({ op: oneOf(op), ...fields, out: map })]),
  ),
)

const kind = oneOf('relu', 'identity', 'zero')
const relu = byField('kind', {
  relu: object({ kind }),
  identity: object({ kind }),
  zero: object({ kind }),
  block: object({ kind: oneOf('block'), blocks: list(naturals) }),
  mask: object({ kind: oneOf('mask'), off: oneOf('identity', 'zero'), bits: bitmap, passed: optional(bitmap) }),
})

const bends = optional(
  object({
    shifts: list(whole, 1, MAX_COPIES),
    sum: nullable(object({ signs: list(oneOf(1, -1)), plus: whole })),
  }),
)

const mccActivation = object({
  ...{ truncate: natural, bits: integer(2, 32), lo: natural, chunks: list(chunk), relu, bends },
  curve: optional(curveForm),
  quadratic: optional(quadraticForm),
  maxPool: optional(maxPoolForm),
  wins: optional(oneOf(true)),
})

const ignored = integer(0, 62)
const securennActivation = object({ truncate: ignored, ignoredMsb: ignored, ignoredLsb: ignored, relu, bends })

const outputs = object({
  opened: list(object({ id, shape, shift: integer(0, 64) }), 1, MAX_OUTPUTS),
  tail: list(anyObject),
  names: list(id, 1, MAX_OUTPUTS),
})

const guard = object({
  sigma: integer(MIN_SIGMA, MAX_SIGMA),
  signs: nullable(
    object({
      sets: integer(1, 8),
      traps: integer(1, MAX_PLACES),
      bits: integer(2, 32),
      chunks: list(chunk, 0, 16),
    }),
  ),
})

/** @param step what steps have beside an activation; @param own what plans have */
const planOf = (backend: string, ring: Form, activation: Form, step: Fields, own: Fields): Form =>
  object({
    ...own,
    format: oneOf('plan/1'),
    backend: oneOf(backend),
    network: id,
    ring,
    rounds: oneOf(12, 20),
    input: object({
      shape,
      layout: optional(oneOf('hwc')),
      scale: integer(-32, 32),
      bits: integer(2, 32),
      preprocess: object({ scale: number, mean: numbers, std: numbers, order: optional(oneOf('bgr')) }),
    }),
    labels: list(id),
    outputs: optional(outputs),
    steps: list(
      object({
        id,
        linear: list(operation, 1, MAX_OPERATIONS),
        out: map,
        scale: integer(-64, 64),
        activation: nullable(activation),
        ...step,
      }),
      1,
      MAX_STEPS,
    ),
  })

export const planForm: Form = byField('backend', {
  mcc: planOf('mcc', integer(24, 32), mccActivation, { product: optional(productForm) }, { guard: optional(guard) }),
  securenn: planOf('securenn', integer(64, 64), securennActivation, {}, {}),
})
