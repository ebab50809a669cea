// Dilated convolutions as TensorFlow 1 writes them: SpaceToBatchND takes every n-th row and column apart, a convolution
// without dilation follows, BatchToSpaceND puts them together.

import { quote } from '../../../model/json/fields.js'
import type { Pad, Pair } from '../../../model/layers/layers.js'
import { formatShape } from '../../../model/shape.js'
import type { NodeRead, NodeReader } from './node.js'

/** The sizes of blocks, and edges before and after rows and columns. */
function blocksOf(n: NodeReader, edgesName: string): { readonly size: Pair; readonly edges: Pad } | undefined {
  const size = n.integers(1)
  const edges = n.integers(2)
  if (!size || !edges) return undefined
  if (size.length !== 2 || !size.every((side) => side >= 1 && side < 2 ** 24))
    return n.refuse(`block_shape: expected two sizes, of rows and columns, got ${quote(size)}`)
  if (edges.length !== 4 || !edges.every((side) => side >= 0 && side < 2 ** 24))
    return n.refuse(`${edgesName}: expected two sizes each for rows and columns, got ${quote(edges)}`)
  return { size: [size[0], size[1]], edges: [edges[0], edges[2], edges[1], edges[3]] }
}

export const spaceToBatch: NodeRead = (n) => {
  const x = n.value()
  const given = blocksOf(n, 'paddings')
  if (!x || !given) return undefined
  const { size, edges: pad } = given
  const sides = [x.shape[1] + pad[0] + pad[2], x.shape[2] + pad[1] + pad[3]]
  if (x.shape.length !== 3 || sides.some((side, i) => side % size[i] !== 0))
    return n.refuse(
      `paddings: expected a map whose sides the blocks ${quote(size)} divide, got ${formatShape(x.shape)}`,
    )
  const value = n.padMap(x, pad, 0)
  return value && { value, blocks: { size, padded: { x, pad } } }
}

export const batchToSpace: NodeRead = (n) => {
  const x = n.value()
  const given = blocksOf(n, 'crops')
  const blocks = n.form()?.blocks
  if (!x || !given) return undefined
  const { size, edges } = given
  if (blocks?.size[0] !== size[0] || blocks?.size[1] !== size[1])
    return n.refuse(`block_shape: expected that of a SpaceToBatchND before, got ${quote(size)}`)
  const value = n.padMap(x, [-edges[0] || 0, -edges[1] || 0, -edges[2] || 0, -edges[3] || 0], 0)
  return value && { value }
}
