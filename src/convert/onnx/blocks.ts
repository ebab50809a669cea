// Pixel shuffles that a graph writes as reshapes and a transpose: one layer, or a few, that run privately, where moving the
// axes themselves does not.
import type { ArchDraft, Value } from '../arch-draft.js'
import { type Atom, dimsOf, plainView, sameView, type View } from './view.js'

const part = (axis: number, size: number, step: number): Atom[] => (size === 1 ? [] : [{ axis, size, step }])

/** A map's blocks of channels as pixels, or its blocks of pixels as channels; undefined where the view is no such map. */
export function movedBlocks(
  draft: ArchDraft,
  where: string,
  name: string,
  value: Value,
  view: View,
  batch: number,
): Value | undefined {
  if (view.length !== 4 || value.shape.length !== 3) return undefined
  const [c, h, w] = value.shape
  const [, channels, height, width] = dimsOf(view)
  const [front] = plainView(value.shape, batch)
  const isSeen = (own: View) => sameView(view, [front, ...own])
  const block = height / h
  if (block > 1 && width === block * w && c === channels * block ** 2) {
    const rows = (steps: readonly [number, number, number]) => [
      part(0, channels, steps[0]),
      [...part(1, h, 1), ...part(0, block, steps[1])],
      [...part(2, w, 1), ...part(0, block, steps[2])],
    ]
    const orders = { crd: [block ** 2, block, 1], dcr: [1, channels * block, channels] } as const
    const found = (['crd', 'dcr'] as const).find((order) => isSeen(rows(orders[order])))
    return found && draft.layer(where, `${name}.shuffle`, { op: 'depthToSpace', block, order: found }, [value])
  }
  const size = h / height
  if (!(size > 1) || w !== size * width || channels !== c * size ** 2) return undefined
  const pixels = [part(1, height, size), part(2, width, size)] as const
  const within = [...part(1, size, 1), ...part(2, size, 1)]
  if (isSeen([[...within, ...part(0, c, 1)], ...pixels])) return unshuffled(draft, where, name, value, size)
  if (!isSeen([[...part(0, c, 1), ...within], ...pixels])) return undefined
  const made = unshuffled(draft, where, name, value, size)
  const order = Int32Array.from({ length: channels }, (_, i) => (i % size ** 2) * c + Math.floor(i / size ** 2))
  return made && draft.reordered(where, `${name}.channels`, made, order)
}

/** Every pixel of a block gets channels of its own, those of the block's first row first. */
export function unshuffled(
  draft: ArchDraft,
  where: string,
  name: string,
  value: Value,
  block: number,
): Value | undefined {
  const parts = Array.from({ length: block ** 2 }, (_, i) => {
    const op = { op: 'subsample', stride: [block, block], offset: [Math.floor(i / block), i % block] } as const
    return draft.layer(where, `${name}.${i}`, op, [value])
  })
  if (parts.some((made) => made === undefined)) return undefined
  return draft.layer(where, name, { op: 'concat', axis: 0 }, parts as Value[])
}
