// Functions of one value that are quadratic from bend to bend, and zero below the first: hard-swish, however a network writes it.
import { effectiveOp, type Layer } from './layers/layers.js'

/** c0 + c1·x + c2·x² */
type Polynomial = readonly [c0: number, c1: number, c2: number]

/** One polynomial more than there are bends, which ascend. */
interface Piecewise {
  readonly bends: readonly number[]
  readonly pieces: readonly Polynomial[]
}

/** Σ sign · [x ≥ at] · (x² + c1·x + c0), times `factor`. */
export interface QuadraticSum {
  readonly factor: number
  readonly terms: readonly { readonly at: number; readonly sign: 1 | -1; readonly c0: number; readonly c1: number }[]
}

/** Constants that a file rounded are taken for what they round. */
const CLOSE = 1e-6
/** As many ReLUs as one value may have. */
const MOST_BENDS = 16

/**
 * The sum that a function is whose every bend starts or ends the same square; null where it is something else.
 * @param root what it is a function of @param layers that compute it, each after what it reads
 */
export function quadraticSum(root: string, layers: readonly Layer[]): QuadraticSum | null {
  const made = new Map<string, Piecewise>([[root, { bends: [], pieces: [[0, 1, 0]] }]])
  for (const layer of layers) {
    const value = follow(
      layer,
      layer.in.map((id) => made.get(id)!),
    )
    if (!value) return null
    made.set(layer.id, value)
  }
  return sumOf(made.get(layers[layers.length - 1].id)!)
}

function sumOf({ bends, pieces }: Piecewise): QuadraticSum | null {
  const steps = bends.map((at, i) => ({ at, by: pieces[i + 1].map((c, power) => c - pieces[i][power]) }))
  const bent = steps.filter(({ by }) => by.some((c) => Math.abs(c) > CLOSE))
  if (bent.length === 0 || bent.length > MOST_BENDS || pieces[0].some((c) => c !== 0)) return null
  const factor = Math.abs(bent[0].by[2])
  if (bent.some(({ by }) => Math.abs(by[2]) < CLOSE || Math.abs(Math.abs(by[2]) / factor - 1) > CLOSE)) return null
  const terms = bent.map(({ at, by: [c0, c1, c2] }) => {
    const sign = c2 > 0 ? (1 as const) : (-1 as const)
    return { at, sign, c0: (sign * c0) / factor, c1: (sign * c1) / factor }
  })
  return { factor, terms }
}

function follow(layer: Layer, [a, b = a]: readonly Piecewise[]): Piecewise | null {
  const op = effectiveOp(layer)
  switch (op.op) {
    case 'identity':
      return a
    case 'affine':
      return {
        ...a,
        pieces: a.pieces.map(([c0, c1, c2]) => [op.factor * c0 + op.offset, op.factor * c1, op.factor * c2]),
      }
    case 'add':
      return joined(a, b, (p, q) => [p[0] + q[0], p[1] + q[1], p[2] + q[2]])
    case 'multiply':
      return joined(a, b, product)
    case 'square':
      return joined(a, a, product)
    case 'relu':
      return clipped(a, 0, Number.POSITIVE_INFINITY)
    case 'clip':
      return clipped(a, op.min, op.max)
    default:
      return null
  }
}

/** Null beyond the second degree. */
function product(p: Polynomial, q: Polynomial): Polynomial | null {
  if (p[1] * q[2] + p[2] * q[1] !== 0 || p[2] * q[2] !== 0) return null
  return [p[0] * q[0], p[0] * q[1] + p[1] * q[0], p[0] * q[2] + p[1] * q[1] + p[2] * q[0]]
}

function joined(a: Piecewise, b: Piecewise, of: (p: Polynomial, q: Polynomial) => Polynomial | null): Piecewise | null {
  const bends = [...new Set([...a.bends, ...b.bends])].sort((x, y) => x - y)
  const at = ({ bends: own, pieces }: Piecewise, from: number) => pieces[own.filter((bend) => bend <= from).length]
  const pieces: Polynomial[] = []
  for (const from of [Number.NEGATIVE_INFINITY, ...bends]) {
    const piece = of(at(a, from), at(b, from))
    if (!piece) return null
    pieces.push(piece)
  }
  return { bends, pieces }
}

/** Null where a square meets a bound. */
function clipped({ bends, pieces }: Piecewise, min: number, max: number): Piecewise | null {
  const out = { bends: [] as number[], pieces: [] as Polynomial[] }
  for (const [i, [c0, c1, c2]] of pieces.entries()) {
    if (c2 !== 0) return null
    const [from, to] = [bends[i - 1] ?? Number.NEGATIVE_INFINITY, bends[i] ?? Number.POSITIVE_INFINITY]
    const crossings = c1 === 0 ? [] : [min, max].map((bound) => (bound - c0) / c1).sort((x, y) => x - y)
    const inside = crossings.filter((x) => x > from && x < to)
    const edges = [from, ...inside, to]
    edges.slice(1).forEach((end, j) => {
      const value = c0 + (c1 === 0 ? 0 : c1 * between(edges[j], end))
      out.pieces.push(value <= min ? [min, 0, 0] : value >= max ? [max, 0, 0] : [c0, c1, 0])
      if (end !== Number.POSITIVE_INFINITY) out.bends.push(end)
    })
  }
  return out
}

function between(from: number, to: number): number {
  if (Number.isFinite(from)) return Number.isFinite(to) ? (from + to) / 2 : from + 1
  return Number.isFinite(to) ? to - 1 : 0
}
