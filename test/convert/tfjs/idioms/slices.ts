// What takes some elements, or puts several values together, along each axis.
import type { Idiom } from './graph.js'

const idiom = (name: string, build: Idiom['build']): Idiom => ({ name, build })
const FLOATS = { T: { type: 'DT_FLOAT' } }

/** [input, begin, end, strides, masks of begin, end, ellipsis, new axes, shrunk axes]. */
type Sliced = readonly [
  readonly number[],
  readonly number[],
  readonly number[],
  readonly number[],
  Readonly<Record<string, number>>,
]
const slices: readonly Sliced[] = [
  [[5, 6, 4], [0, 1, 1, 0], [1, 4, 5, 4], [1, 1, 1, 1], {}],
  [[5, 6, 4], [0, 0, 0, 0], [0, 0, 0, 2], [1, 1, 1, 1], { begin_mask: 7, end_mask: 7 }],
  [[5, 6, 4], [0, 0, 0, 1], [0, 0, 0, 3], [1, 1, 1, 1], { begin_mask: 7, end_mask: 7 }],
  [[5, 6, 4], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], { begin_mask: 7, end_mask: 7, shrink_axis_mask: 8 }],
  [[5, 6, 4], [0, 0, 0, -1], [0, 0, 0, 0], [1, 1, 1, 1], { begin_mask: 7, end_mask: 7, shrink_axis_mask: 8 }],
  [[5, 6, 4], [0, 0, 0, -2], [0, 0, 0, -1], [1, 1, 1, 1], { begin_mask: 7, end_mask: 7, shrink_axis_mask: 8 }],
  [[5, 6, 4], [0, -1], [0, -2], [1, -1], { begin_mask: 3, end_mask: 3 }],
  [[5, 6, 4], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, -1], { begin_mask: 15, end_mask: 15 }],
  [[5, 6, 4], [0, 0, -1, 0], [0, 0, 0, 0], [1, 1, -1, 1], { begin_mask: 11, end_mask: 15 }],
  [[5, 6, 4], [0, 0], [0, 0], [1, -1], { begin_mask: 3, end_mask: 3, ellipsis_mask: 1 }],
  [[5, 6, 4], [0, 0], [0, 1], [1, 1], { ellipsis_mask: 1 }],
  [[5, 6, 4], [0, 1], [0, 3], [1, 1], { ellipsis_mask: 1 }],
  [[5, 6, 4], [0, 1], [0, 2], [1, 1], { ellipsis_mask: 1, shrink_axis_mask: 2 }],
  [[5, 6, 4], [0, 0, 0], [0, 0, 2], [1, 1, 1], { begin_mask: 1, end_mask: 1, ellipsis_mask: 2 }],
  [[5, 6, 4], [0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 2, 1], { begin_mask: 15, end_mask: 15 }],
  [[5, 6, 4], [0, 1, 0, 0], [0, 0, 0, 0], [1, 2, 2, 1], { begin_mask: 13, end_mask: 15 }],
  [[5, 6, 4], [0, 1, 1, 0], [0, 0, 0, 0], [1, 2, 2, 1], { begin_mask: 9, end_mask: 15 }],
  [[5, 6, 4], [0, 1], [0, -1], [1, 1], { begin_mask: 1, end_mask: 1 }],
  [[5, 6, 4], [0, 2], [0, 3], [1, 1], { begin_mask: 1, end_mask: 1, shrink_axis_mask: 2 }],
  [[5, 6, 4], [0, 2, 1], [0, 3, 2], [1, 1, 1], { begin_mask: 1, end_mask: 1, shrink_axis_mask: 6 }],
  [[5, 6, 4], [0, 2, 1, 3], [0, 3, 2, 4], [1, 1, 1, 1], { begin_mask: 1, end_mask: 1, shrink_axis_mask: 14 }],
  [[5, 6, 4], [0], [1], [1], { shrink_axis_mask: 1 }],
  [[5, 6, 4], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], { begin_mask: 15, end_mask: 15, new_axis_mask: 2 }],
  [[6], [0, 0, 0], [0, 0, 0], [1, 1, 1], { begin_mask: 7, end_mask: 7, new_axis_mask: 2 }],
  [[6], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], { begin_mask: 15, end_mask: 15, new_axis_mask: 6 }],
  [[6], [0, 0, 0], [0, 0, 0], [1, 1, 1], { begin_mask: 7, end_mask: 7, new_axis_mask: 4 }],
  [[6], [0, 0], [0, 0], [1, 1], { new_axis_mask: 2, ellipsis_mask: 1 }],
  [[6], [0, 1], [0, 4], [1, 1], { begin_mask: 1, end_mask: 1 }],
  [[6], [0, 1], [1, 4], [1, 1], {}],
  [[6], [0, -3], [0, 0], [1, 1], { begin_mask: 1, end_mask: 3 }],
  [[6], [0, -3], [0, -1], [1, 1], { begin_mask: 1, end_mask: 1 }],
  [[6], [0, 1], [0, 6], [1, 2], { begin_mask: 1, end_mask: 1 }],
  [[6], [0, 2], [0, 3], [1, 1], { begin_mask: 1, end_mask: 1, shrink_axis_mask: 2 }],
  [[3, 4], [0, 1, 0], [0, 3, 0], [1, 1, 1], { begin_mask: 5, end_mask: 5 }],
  [[3, 4], [0, 0, 1], [0, 0, 3], [1, 1, 1], { begin_mask: 3, end_mask: 3 }],
  [[3, 4], [0, 0, 1], [0, 0, 2], [1, 1, 1], { begin_mask: 3, end_mask: 3, shrink_axis_mask: 4 }],
  [[3, 4], [0, 1, 0], [0, 2, 0], [1, 1, 1], { begin_mask: 5, end_mask: 5, shrink_axis_mask: 2 }],
  [[5, 6, 4], [0, 0, 0, 0], [1, 99, 99, 2], [1, 1, 1, 1], {}],
  [[5, 6, 4], [0, -99, 0, 0], [1, 3, 6, 2], [1, 1, 1, 1], {}],
]
const sliced = slices.map(([shape, begin, end, strides, masks]) =>
  idiom(`StridedSlice of [${shape}] [${begin}] to [${end}] by [${strides}] ${JSON.stringify(masks)}`, (g) =>
    g.op('StridedSlice', [g.image(...shape), g.ints(...begin), g.ints(...end), g.ints(...strides)], {
      ...FLOATS,
      ...Object.fromEntries(Object.entries(masks).map(([key, i]) => [key, { i }])),
    }),
  ),
)

const inputs: readonly (readonly number[])[] = [[4, 6, 8], [4, 6], [6]]
const splits = inputs.flatMap((shape) =>
  [...shape.keys()].flatMap((i) => [
    ...[i + 1, i - shape.length].flatMap((axis) => [
      idiom(`Split of [${shape}] along ${axis}`, (g) => {
        const made = g.op('Split', [g.int(axis), g.image(...shape)], { num_split: { i: 2 } })
        return [g.op('Relu', [made]), g.op('Abs', [`${made}:1`])]
      }),
      idiom(`SplitV of [${shape}] along ${axis}`, (g) => {
        const made = g.op('SplitV', [g.image(...shape), g.ints(1, shape[i] - 1), g.int(axis)], { num_split: { i: 2 } })
        return [g.op('Relu', [made]), g.op('Abs', [`${made}:1`])]
      }),
      idiom(`SplitV of [${shape}] along ${axis} with the rest`, (g) => {
        const made = g.op('SplitV', [g.image(...shape), g.ints(1, -1), g.int(axis)], { num_split: { i: 2 } })
        return [g.op('Relu', [made]), g.op('Abs', [`${made}:1`])]
      }),
      idiom(`Unpack of [${shape}] along ${axis}`, (g) => {
        const made = g.op('Unpack', [g.image(...shape)], { num: { i: shape[i] }, axis: { i: axis } })
        return [g.op('Relu', [made]), g.op('Abs', [`${made}:${shape[i] - 1}`])]
      }),
      idiom(`ConcatV2 of [${shape}] along ${axis}`, (g) => {
        const x = g.image(...shape)
        return g.op('ConcatV2', [x, g.op('Relu', [x]), g.int(axis)])
      }),
      idiom(`ConcatV2 of [${shape}] and a constant along ${axis}`, (g) =>
        g.op('ConcatV2', [g.image(...shape), g.w(1, ...shape), g.int(axis)]),
      ),
      idiom(`Pack of [${shape}] along ${axis}`, (g) => {
        const x = g.image(...shape)
        return g.op('Pack', [x, g.op('Relu', [x])], { ...FLOATS, axis: { i: axis } })
      }),
      idiom(`GatherV2 of [${shape}] along ${axis}`, (g) =>
        g.op('GatherV2', [g.image(...shape), g.ints(2, 0, 3), g.int(axis)]),
      ),
      idiom(`GatherV2 of one of [${shape}] along ${axis}`, (g) =>
        g.op('GatherV2', [g.image(...shape), g.int(2), g.int(axis)]),
      ),
      idiom(`GatherV2 of [${shape}] backwards along ${axis}`, (g) =>
        g.op('GatherV2', [g.image(...shape), g.ints(...[...Array(shape[i]).keys()].reverse()), g.int(axis)]),
      ),
      idiom(`ReverseV2 of [${shape}] along ${axis}`, (g) => g.op('ReverseV2', [g.image(...shape), g.ints(axis)])),
      idiom(`ExpandDims of [${shape}] at ${axis}`, (g) => g.op('ExpandDims', [g.image(...shape), g.int(axis)])),
      idiom(`Cumsum of [${shape}] along ${axis}`, (g) =>
        g.op('Cumsum', [g.image(...shape), g.int(axis)], { exclusive: false, reverse: false }),
      ),
    ]),
    idiom(`Tile of [${shape}] along ${i + 1}`, (g) =>
      g.op('Tile', [g.image(...shape), g.ints(1, ...shape.map((_, j) => (i === j ? 2 : 1)))]),
    ),
    idiom(`Slice of [${shape}] along ${i + 1}`, (g) =>
      g.op('Slice', [
        g.image(...shape),
        g.ints(0, ...shape.map((_, j) => (i === j ? 1 : 0))),
        g.ints(-1, ...shape.map((size, j) => (i === j ? 2 : size))),
      ]),
    ),
    idiom(`Slice of [${shape}] along ${i + 1} to the end`, (g) =>
      g.op('Slice', [
        g.image(...shape),
        g.ints(0, ...shape.map((_, j) => (i === j ? 1 : 0))),
        g.ints(1, ...shape.map(() => -1)),
      ]),
    ),
  ]),
)

export const SLICES: readonly Idiom[] = [...sliced, ...splits]
