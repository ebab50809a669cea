// Which pictures a step sees, and how they are moved. All of it follows from the seed: nothing depends on what was drawn
// before, so that a run can be resumed anywhere.
import type { Shape } from '../model/shape.js'
import type { Recipe } from './recipe.js'

/** A number in [0, 1) of its own for every list of keys: murmur3's mixing (Appleby 2011) over them. Not for secrets. */
export function drawn(...keys: readonly number[]): number {
  let hash = 0x9747b28c
  for (const key of keys) {
    let k = Math.imul(key, 0xcc9e2d51)
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593)
    hash ^= k
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** Uses of drawn numbers, apart from each other. */
export const Use = { split: 1, order: 2, down: 3, right: 4, mirror: 5, errors: 6, paths: 7, weights: 8 } as const

/** A random order of the list (Fisher & Yates). */
function shuffled(list: readonly number[], seed: number, use: number, turn: number): number[] {
  const order = [...list]
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(drawn(seed, use, turn, i) * (i + 1))
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

/** Pictures with their classes. */
export interface LabelledPictures {
  /** CHW, preprocessed. */
  readonly inputs: readonly Float32Array[]
  /** Index of the class per picture. */
  readonly labels: readonly number[]
}

/** Pictures to train on and pictures held out, by number, in their order. */
export interface Split {
  readonly train: readonly number[]
  readonly held: readonly number[]
}

/** Holds out the same share of every class. */
export function splitOf(labels: readonly number[], { holdout, seed }: Recipe): Split {
  const byClass = new Map<number, number[]>()
  labels.forEach((label, i) => {
    const members = byClass.get(label) ?? []
    members.push(i)
    byClass.set(label, members)
  })
  const held = new Set<number>()
  for (const [label, members] of byClass) {
    const mixed = shuffled(members, seed, Use.split, label)
    for (const i of mixed.slice(0, Math.floor(holdout * members.length))) held.add(i)
  }
  const all = labels.map((_, i) => i)
  return { train: all.filter((i) => !held.has(i)), held: all.filter((i) => held.has(i)) }
}

/** The batches of an epoch; pictures that fill no whole one wait for another epoch's order. */
export function batchesOf(train: readonly number[], epoch: number, { batch, seed }: Recipe): number[][] {
  const order = shuffled(train, seed, Use.order, epoch)
  const whole = Math.max(Math.floor(order.length / batch), 1)
  return Array.from({ length: whole }, (_, i) => order.slice(i * batch, (i + 1) * batch))
}

/** The picture as an epoch sees it: moved and perhaps mirrored, zeros where nothing was. */
export function moved(
  input: Float32Array,
  shape: Shape,
  picture: number,
  epoch: number,
  { shift, flip, seed }: Recipe,
): Float32Array {
  if (shape.length !== 3 || (shift === 0 && !flip)) return input
  const [channels, h, w] = shape
  const offset = (use: number) => Math.floor(drawn(seed, use, epoch, picture) * (2 * shift + 1)) - shift
  const [down, right] = [offset(Use.down), offset(Use.right)]
  const mirror = flip && drawn(seed, Use.mirror, epoch, picture) < 0.5
  const out = new Float32Array(input.length)
  for (let row = 0; row < channels * h; row++) {
    const from = (row % h) - down
    if (from < 0 || from >= h) continue
    const line = (row - (row % h) + from) * w
    for (let x = Math.max(right, 0); x < Math.min(w + right, w); x++) {
      const column = x - right
      out[row * w + x] = input[line + (mirror ? w - 1 - column : column)]
    }
  }
  return out
}
