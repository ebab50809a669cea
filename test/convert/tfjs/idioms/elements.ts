// Arithmetic, activations, comparisons, reductions.
import type { Graph, Idiom } from './graph.js'

const idiom = (name: string, build: Idiom['build']): Idiom => ({ name, build })
const positive = (g: Graph, x: string) => g.op('AddV2', [g.op('Square', [x]), g.num(0.5)])

const SIGNED = [
  'Abs',
  'Neg',
  'Relu',
  'Relu6',
  'Elu',
  'Selu',
  'Sigmoid',
  'Tanh',
  'Softplus',
  'Exp',
  'Erf',
  'Square',
  'Sign',
  'Floor',
  'Ceil',
  'Round',
  'Sin',
  'Cos',
  'Expm1',
  'ZerosLike',
  'OnesLike',
  'Identity',
  'Snapshot',
  'StopGradient',
  'LeakyRelu',
]
const POSITIVE = ['Sqrt', 'Rsqrt', 'Log', 'Log1p', 'Reciprocal']
const shapes: readonly (readonly number[])[] = [[3, 4, 2], [6], [3, 4]]
const name = (shape: readonly number[]) => (shape.length === 3 ? 'a map' : shape.length === 2 ? 'rows' : 'a vector')

const ofOne = shapes.flatMap((shape) => [
  ...SIGNED.map((op) => idiom(`${op} of ${name(shape)}`, (g) => g.op(op, [g.image(...shape)]))),
  ...POSITIVE.map((op) => idiom(`${op} of ${name(shape)}`, (g) => g.op(op, [positive(g, g.image(...shape))]))),
])

const TWO = ['AddV2', 'Sub', 'Mul', 'RealDiv', 'DivNoNan', 'Maximum', 'Minimum', 'SquaredDifference', 'Pow']
const constants: readonly (readonly [string, readonly number[], (g: Graph, ...shape: number[]) => string])[] = [
  ['a number', [], (g) => g.num(0.75)],
  ['a number per channel', [2], (g, ...shape) => g.p(...shape)],
  ['a number per channel [1,1,1,c]', [1, 1, 1, 2], (g, ...shape) => g.p(...shape)],
  ['a number per channel [1,1,c]', [1, 1, 2], (g, ...shape) => g.p(...shape)],
  ['a number per pixel', [3, 4, 1], (g, ...shape) => g.p(...shape)],
  ['a number per row [h,1,1]', [3, 1, 1], (g, ...shape) => g.p(...shape)],
  ['a number per column [1,w,1]', [4, 1], (g, ...shape) => g.p(...shape)],
  ['a whole map', [3, 4, 2], (g, ...shape) => g.p(...shape)],
  ['a whole map with its batch', [1, 3, 4, 2], (g, ...shape) => g.p(...shape)],
  ['more axes', [1, 1, 1, 1, 1], (g, ...shape) => g.p(...shape)],
  ['a map that is grown', [1, 3, 4, 1], (g, ...shape) => g.p(...shape)],
]
const withConstants = TWO.flatMap((op) =>
  constants.flatMap(([what, shape, make]) => [
    idiom(`${op} of a map and ${what}`, (g) => g.op(op, [positive(g, g.image(3, 4, 2)), make(g, ...shape)])),
    idiom(`${op} of ${what} and a map`, (g) => g.op(op, [make(g, ...shape), positive(g, g.image(3, 4, 2))])),
  ]),
)
const ofVectors = TWO.flatMap((op) => [
  idiom(`${op} of a vector and its constants`, (g) => g.op(op, [positive(g, g.image(6)), g.p(6)])),
  idiom(`${op} of constants and a vector`, (g) => g.op(op, [g.p(6), positive(g, g.image(6))])),
  idiom(`${op} of a vector and one number [1]`, (g) => g.op(op, [positive(g, g.image(6)), g.p(1)])),
  idiom(`${op} of a vector and one number [1,1]`, (g) => g.op(op, [positive(g, g.image(6)), g.p(1, 1)])),
  idiom(`${op} of a vector and constants [1,6]`, (g) => g.op(op, [positive(g, g.image(6)), g.p(1, 6)])),
  idiom(`${op} of a flattened map and its constants`, (g) =>
    g.op(op, [g.op('Reshape', [positive(g, g.image(2, 3, 2)), g.ints(-1, 12)]), g.p(12)]),
  ),
  idiom(`${op} of rows and a number per column`, (g) => g.op(op, [positive(g, g.image(3, 4)), g.p(4)])),
  idiom(`${op} of rows and a number per row`, (g) => g.op(op, [positive(g, g.image(3, 4)), g.p(3, 1)])),
  idiom(`${op} of square rows and a number per column`, (g) => g.op(op, [positive(g, g.image(4, 4)), g.p(4)])),
  idiom(`${op} of a square map and numbers per column`, (g) => g.op(op, [positive(g, g.image(3, 3, 3)), g.p(3, 1)])),
  idiom(`${op} of a square map and numbers per channel`, (g) => g.op(op, [positive(g, g.image(3, 3, 3)), g.p(3)])),
  idiom(`${op} of a vector grown to a column`, (g) => g.op(op, [positive(g, g.image(6)), g.p(6, 1)])),
])
const grown: readonly (readonly [string, readonly number[]])[] = [
  ['a map', [0]],
  ['its mean per channel', [1, 2]],
  ['its mean per pixel', [3]],
  ['its mean per row', [2, 3]],
  ['its mean per column', [1]],
]
const withValues = TWO.flatMap((op) => [
  ...grown.flatMap(([what, axes]) =>
    [true, false].map((isFirst) =>
      idiom(`${op} of a map and ${what}${isFirst ? '' : ', the other way round'}`, (g) => {
        const x = positive(g, g.image(3, 4, 2))
        const y =
          axes[0] === 0 ? g.op('Relu', [positive(g, 'image')]) : g.op('Mean', [x, g.ints(...axes)], { keep_dims: true })
        return g.op(op, isFirst ? [x, y] : [y, x])
      }),
    ),
  ),
  idiom(`${op} of rows and their means`, (g) => {
    const x = positive(g, g.image(3, 4))
    return g.op(op, [x, g.op('Mean', [x, g.ints(2)], { keep_dims: true })])
  }),
  idiom(`${op} of rows and a row`, (g) => {
    const x = positive(g, g.image(3, 4))
    return g.op(op, [x, g.op('Mean', [x, g.ints(1)], { keep_dims: true })])
  }),
  idiom(`${op} of a vector and its mean`, (g) => {
    const x = positive(g, g.image(6))
    return g.op(op, [x, g.op('Mean', [x, g.ints(1)], { keep_dims: true })])
  }),
  idiom(`${op} of a square map and a vector of its channels`, (g) => {
    const x = positive(g, g.image(3, 3, 3))
    return g.op(op, [x, g.op('Mean', [x, g.ints(1, 2)])])
  }),
  idiom(`${op} of a map and rows`, (g) => {
    const x = positive(g, g.image(3, 3, 3))
    return g.op(op, [x, g.op('Mean', [x, g.ints(1)])])
  }),
  idiom(`${op} of flattened maps`, (g) => {
    const x = positive(g, g.image(2, 3, 4))
    const flat = g.op('Reshape', [x, g.ints(-1, 24)])
    const other = g.op('Reshape', [g.op('Transpose', [x, g.ints(0, 2, 1, 3)]), g.ints(-1, 24)])
    return g.op(op, [flat, other])
  }),
])

const REDUCTIONS = ['Mean', 'Sum', 'Max', 'Min', 'Prod']
const axes: readonly (readonly number[])[] = [
  [1, 2],
  [2, 1],
  [-3, -2],
  [1],
  [2],
  [3],
  [-1],
  [1, 3],
  [2, 3],
  [1, 2, 3],
  [0],
  [0, 1, 2, 3],
  [1, 2, -1],
  [],
]
const reductions = REDUCTIONS.flatMap((op) =>
  [true, false].flatMap((keep_dims) => [
    ...axes.map((list) =>
      idiom(`${op} over [${list}] keep ${keep_dims}`, (g) =>
        g.op(op, [g.image(3, 4, 2), g.ints(...list)], { keep_dims }),
      ),
    ),
    idiom(`${op} of a vector keep ${keep_dims}`, (g) => g.op(op, [g.image(6), g.ints(1)], { keep_dims })),
    idiom(`${op} of a vector by an axis alone keep ${keep_dims}`, (g) =>
      g.op(op, [g.image(6), g.int(-1)], { keep_dims }),
    ),
    idiom(`${op} of rows over 1 keep ${keep_dims}`, (g) => g.op(op, [g.image(3, 4), g.ints(1)], { keep_dims })),
    idiom(`${op} of rows over 2 keep ${keep_dims}`, (g) => g.op(op, [g.image(3, 4), g.ints(2)], { keep_dims })),
    idiom(`${op} of rows over both keep ${keep_dims}`, (g) => g.op(op, [g.image(3, 4), g.ints(1, 2)], { keep_dims })),
    idiom(`${op} of a flattened map keep ${keep_dims}`, (g) =>
      g.op(op, [g.op('Reshape', [g.image(2, 3, 2), g.ints(-1, 12)]), g.ints(1)], { keep_dims }),
    ),
    idiom(`${op} over height and width of one pixel keep ${keep_dims}`, (g) =>
      g.op(op, [g.image(1, 1, 6), g.ints(1, 2)], { keep_dims }),
    ),
    idiom(`${op} of five axes keep ${keep_dims}`, (g) =>
      g.op(op, [g.op('Reshape', [g.image(4, 4, 6), g.ints(-1, 4, 4, 2, 3)]), g.ints(3)], { keep_dims }),
    ),
  ]),
)

const COMPARISONS = ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual']

export const ELEMENTS: readonly Idiom[] = [
  ...ofOne,
  ...withConstants,
  ...ofVectors,
  ...withValues,
  ...reductions,
  ...['Add', 'Div', 'FloorDiv', 'FloorMod'].map((op) =>
    idiom(`${op} of a map and constants`, (g) => g.op(op, [positive(g, g.image(3, 4, 2)), g.p(2)])),
  ),
  ...[0, 0.1, 1, 2, -0.5].flatMap((alpha) =>
    shapes.map((shape) =>
      idiom(`LeakyRelu ${alpha} of ${name(shape)}`, (g) =>
        g.op('LeakyRelu', [g.image(...shape)], { alpha: { f: alpha } }),
      ),
    ),
  ),
  idiom('LeakyRelu by default', (g) => g.op('LeakyRelu', [g.image(3, 4, 2)], { alpha: undefined as never })),
  ...([[2], [1, 1, 2], [1, 1, 1, 2], [1], [3, 4, 2], [1, 1, 1], [3, 1, 1]] as const).map((shape) =>
    idiom(`Prelu of a map by [${shape}]`, (g) => g.op('Prelu', [g.image(3, 4, 2), g.w(...shape)])),
  ),
  idiom('Prelu of a vector', (g) => g.op('Prelu', [g.image(6), g.w(6)])),
  idiom('Prelu of a square map by [3]', (g) => g.op('Prelu', [g.image(3, 3, 3), g.w(3)])),
  idiom('Prelu of rows', (g) => g.op('Prelu', [g.image(3, 4), g.w(4)])),
  idiom('Prelu of square rows by [1,4]', (g) => g.op('Prelu', [g.image(4, 4), g.w(1, 4)])),
  idiom('Prelu of a flattened map', (g) =>
    g.op('Prelu', [g.op('Reshape', [g.image(2, 3, 2), g.ints(-1, 12)]), g.w(12)]),
  ),
  idiom('Prelu in single ops (Keras)', (g) => {
    const x = g.image(3, 4, 2)
    const negative = g.op('Relu', [g.op('Neg', [x])])
    return g.op('AddV2', [g.op('Relu', [x]), g.op('Mul', [g.w(1, 1, 2), g.op('Neg', [negative])])])
  }),
  idiom('LeakyRelu as a maximum', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Maximum', [g.op('Mul', [g.num(0.1), x]), x])
  }),
  idiom('ClipByValue', (g) => g.op('ClipByValue', [g.image(3, 4, 2), g.num(-0.5), g.num(0.3)])),
  idiom('clip_by_value in single ops', (g) =>
    g.op('Maximum', [g.op('Minimum', [g.image(3, 4, 2), g.num(0.3)]), g.num(-0.5)]),
  ),
  idiom('Minimum of Maximum', (g) => g.op('Minimum', [g.op('Maximum', [g.image(3, 4, 2), g.num(-0.5)]), g.num(0.3)])),
  idiom('Maximum of Maximum', (g) => g.op('Maximum', [g.op('Maximum', [g.image(3, 4, 2), g.num(-0.5)]), g.num(0.3)])),
  idiom('Minimum below an earlier maximum', (g) =>
    g.op('Minimum', [g.op('Maximum', [g.image(3, 4, 2), g.num(0.3)]), g.num(-0.2)]),
  ),
  idiom('Maximum above an earlier minimum', (g) =>
    g.op('Maximum', [g.op('Minimum', [g.image(3, 4, 2), g.num(-0.3)]), g.num(0.2)]),
  ),
  idiom('Minimum of Relu', (g) => g.op('Minimum', [g.op('Relu', [g.image(3, 4, 2)]), g.num(0.5)])),
  idiom('Minimum of Relu6', (g) => g.op('Minimum', [g.op('Relu6', [g.image(3, 4, 2)]), g.num(0.5)])),
  idiom('Maximum per channel', (g) => g.op('Maximum', [g.image(3, 4, 2), g.w(2)])),
  idiom('hard sigmoid of Keras', (g) =>
    g.op('ClipByValue', [g.op('AddV2', [g.op('Mul', [g.image(3, 4, 2), g.num(0.2)]), g.num(0.5)]), g.num(0), g.num(1)]),
  ),
  idiom('hard swish', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Mul', [x, g.op('Mul', [g.op('Relu6', [g.op('AddV2', [x, g.num(3)])]), g.num(1 / 6)])])
  }),
  idiom('hard swish, divided', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('RealDiv', [g.op('Mul', [x, g.op('Relu6', [g.op('AddV2', [x, g.num(3)])])]), g.num(6)])
  }),
  idiom('swish', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Mul', [g.op('Sigmoid', [x]), x])
  }),
  idiom('swish of tf.nn (IdentityN)', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('IdentityN', [g.op('Mul', [g.op('Sigmoid', [x]), x]), x], { T: { types: ['DT_FLOAT', 'DT_FLOAT'] } })
  }),
  idiom('second output of IdentityN', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Relu', [
      `${g.op('IdentityN', [g.op('Sigmoid', [x]), x], { T: { types: ['DT_FLOAT', 'DT_FLOAT'] } })}:1`,
    ])
  }),
  idiom('gelu by erf', (g) => {
    const x = g.image(3, 4, 2)
    const phi = g.op('AddV2', [g.op('Erf', [g.op('Mul', [x, g.num(Math.SQRT1_2)])]), g.num(1)])
    return g.op('Mul', [g.op('Mul', [x, g.num(0.5)]), phi])
  }),
  idiom('gelu by tanh', (g) => {
    const x = g.image(3, 4, 2)
    const cubed = g.op('Mul', [g.op('Pow', [x, g.num(3)]), g.num(0.044715)])
    const t = g.op('Tanh', [g.op('Mul', [g.op('AddV2', [x, cubed]), g.num(0.7978846)])])
    return g.op('Mul', [g.op('Mul', [x, g.num(0.5)]), g.op('AddV2', [t, g.num(1)])])
  }),
  ...[2, 0.5, -0.5, -1, 3, 1, 0, 4, 1.5, -2].map((power) =>
    idiom(`Pow by ${power}`, (g) => g.op('Pow', [positive(g, g.image(3, 4, 2)), g.num(power)])),
  ),
  idiom('Pow of a value that is negative by 3', (g) => g.op('Pow', [g.image(3, 4, 2), g.num(3)])),
  idiom('mish', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Mul', [x, g.op('Tanh', [g.op('Softplus', [x])])])
  }),
  ...shapes.flatMap((shape) => [
    idiom(`Softmax of ${name(shape)}`, (g) => g.op('Softmax', [g.image(...shape)])),
    idiom(`LogSoftmax of ${name(shape)}`, (g) => g.op('LogSoftmax', [g.image(...shape)])),
    idiom(`AddN of two of ${name(shape)}`, (g) => {
      const x = g.image(...shape)
      return g.op('AddN', [x, g.op('Relu', [x])])
    }),
    idiom(`AddN of three of ${name(shape)}`, (g) => {
      const x = g.image(...shape)
      return g.op('AddN', [x, g.op('Relu', [x]), g.op('Abs', [x])])
    }),
    ...[...shape.keys()].flatMap((i) =>
      ['ArgMax', 'ArgMin'].flatMap((op) => [
        idiom(`${op} of ${name(shape)} along ${i + 1}`, (g) => g.op(op, [g.image(...shape), g.int(i + 1)])),
        idiom(`${op} of ${name(shape)} along ${i - shape.length}`, (g) =>
          g.op(op, [g.image(...shape), g.int(i - shape.length)]),
        ),
      ]),
    ),
  ]),
  idiom('softmax along an axis in single ops', (g) => {
    const x = g.image(3, 4, 2)
    const power = g.op('Exp', [g.op('Sub', [x, g.op('Max', [x, g.ints(3)], { keep_dims: true })])])
    return g.op('RealDiv', [power, g.op('Sum', [power, g.ints(3)], { keep_dims: true })])
  }),
  idiom('Softmax of a flattened map', (g) => g.op('Softmax', [g.op('Reshape', [g.image(2, 3, 2), g.ints(-1, 12)])])),
  idiom('ArgMax of a flattened map', (g) =>
    g.op('ArgMax', [g.op('Reshape', [g.image(2, 3, 2), g.ints(-1, 12)]), g.int(1)]),
  ),
  idiom('ArgMax, then a cast', (g) =>
    g.op('Cast', [g.op('ArgMax', [g.image(3, 4, 2), g.int(-1)])], { SrcT: { type: 'DT_INT64' } }),
  ),
  idiom('AddN with a constant', (g) => g.op('AddN', [g.image(3, 4, 2), g.w(1, 3, 4, 2)])),
  idiom('AddN of a value and a constant of a vector', (g) => g.op('AddN', [g.image(6), g.w(1, 6)])),
  ...COMPARISONS.flatMap((op) => [
    idiom(`${op} as a gate`, (g) => {
      const x = g.image(3, 4, 2)
      return g.op('Mul', [x, g.op('Cast', [g.op(op, [x, g.num(0.25)])], { SrcT: { type: 'DT_BOOL' } })])
    }),
    idiom(`Select by ${op}`, (g) => {
      const x = g.image(3, 4, 2)
      return g.op('Select', [g.op(op, [x, g.op('ZerosLike', [x])]), x, g.op('Mul', [x, g.num(0.1)])])
    }),
    idiom(`SelectV2 by ${op} 0`, (g) => {
      const x = g.image(3, 4, 2)
      return g.op('SelectV2', [g.op(op, [x, g.num(0)]), x, g.op('Mul', [x, g.num(0.1)])])
    }),
  ]),
  idiom('Cast of a float to an integer', (g) =>
    g.op('Cast', [g.op('Cast', [g.image(3, 4, 2)], { DstT: { type: 'DT_INT32' } })], { SrcT: { type: 'DT_INT32' } }),
  ),
  idiom('Cast of a float to a half', (g) => g.op('Cast', [g.image(3, 4, 2)], { DstT: { type: 'DT_HALF' } })),
]
