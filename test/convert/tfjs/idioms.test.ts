// Graphs as exporters write them, each converted here and run by TensorFlow.js: what is not refused by name is right.
import { describe, expect, it } from 'vitest'
import { BLOCKS } from './idioms/blocks.js'
import { judge } from './idioms/compare.js'
import { ELEMENTS } from './idioms/elements.js'
import { Graph, type Idiom } from './idioms/graph.js'
import { networkOf } from './idioms/networks.js'
import { SHAPES } from './idioms/shapes.js'
import { SLICES } from './idioms/slices.js'
import { WINDOWS } from './idioms/windows.js'

/** What no network here computes, by the names of the graphs. */
const REFUSED: readonly RegExp[] = [
  // Functions and choices that there is no layer for.
  /^(Sign|Floor|Ceil|Round|Sin|Cos|ZerosLike|OnesLike) of /,
  /^(Cumsum|CropAndResize|Dilation2D|EuclideanNorm|FakeQuantWithMinMaxVars|FloorDiv|FloorMod|GatherNd|LRN)\b/,
  /^(MatrixBandPart|MaxPoolWithArgmax|OneHot|Prod|TopKV2|Cast of a float to)\b/,
  /(as a gate|^Select(V2)? by .*)$/,
  /^DivNoNan of .*(and a (map|vector)$|constants and|and its mean|and rows|and a row|flattened maps|of its channels)/,
  /^DivNoNan of (a map and a map, the|a map and its mean|rows and (their means|a row)|a vector and its mean|a map, the other)/,
  /^Pow of (?!.*and (a number|one number))(?!a value that)|^Pow of .*(per|and a (map|vector)$)|^Pow by 0$/,
  // Two computed matrices, a constant beside a value.
  /of two values$|the matrix first|self-attention|transpose_a|and a constant along|beside a value|class token/,
  // More axes than the value has, or the batch among those that are worked along.
  /more axes|takes the batch along|ArgMax over 1 of a picture without|grown to a column|over \[0|^Transpose \[[13]|Pad of the batch|^M(ax|in) of five axes/,
  // Layouts and samplings that are another computation.
  / NCHW$|channels by 2|that trains|is_training by default/,
  /^ResizeNearestNeighbor to ((20x24|15x18) corners|1x1 half|(7x9|3x3|13x6|9x11|2x3|4x4) (corners|half))$/,
  /^SpaceToBatchND alone|SpaceToBatchND of rows$|the lowest number before Relu/,
  // TF.js leaves the activation out, or takes another epsilon than TensorFlow.
  /^_?Fused\w+ of Relu$|^FusedBatchNorm(V2)?, epsilon by default$/,
]

/** Random networks of what converters write; all are computed here. */
const NETWORKS = Array.from({ length: 50 }, (_, i) => networkOf(i + 1))

/** Whether a message names a node of the graph, its op included. */
function namesNode(text: string, { build }: Idiom): boolean {
  const g = new Graph(1)
  build(g)
  return g.nodes.some(({ name, op }) => text.includes(`"${name}" (${op})`))
}

describe.each(Object.entries({ WINDOWS, ELEMENTS, BLOCKS, SHAPES, SLICES, NETWORKS }))('%s', (_, idioms) => {
  it(`${idioms.length} graphs`, async () => {
    const faults: string[] = []
    for (const idiom of idioms) {
      const { kind, text } = await judge(idiom)
      const isExpected = REFUSED.some((name) => name.test(idiom.name))
      if (kind === 'wrong') faults.push(`${idiom.name}: ${text}`)
      if (kind === 'refused' && !isExpected) faults.push(`${idiom.name}: refused: ${text}`)
      if (kind === 'refused' && !namesNode(text, idiom)) faults.push(`${idiom.name}: names no node: ${text}`)
      if (kind === 'right' && isExpected) faults.push(`${idiom.name}: is computed now`)
    }
    expect(faults).toEqual([])
  })
})
