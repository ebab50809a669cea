// Small random networks over every op that runs, with random weights, specs and options.
import { type Architecture, parseArchitecture } from '../../../src/model/architecture.js'
import { isActivation } from '../../../src/model/layers/layers.js'
import { parametersOf } from '../../../src/model/parameters.js'
import { toBase64 } from '../../../src/model/relu/mask-bits.js'
import { parseReluSpec, type ReluSpec } from '../../../src/model/relu/spec.js'
import { elementCount } from '../../../src/model/shape.js'
import type { Weights } from '../../../src/model/weights.js'
import type { CompileOptions } from '../../../src/plan/compile/compile.js'
import { type Draw, drawFrom, whole } from '../mcc/gadget-plan.js'

export interface ZooNetwork {
  arch: Architecture
  weights: Weights
  spec: ReluSpec
  options: CompileOptions<'mcc'>
  /** Whether some ReLU is shared by a patch: one flipped bit then moves values that are far from zero. */
  blocks: boolean
  input(): Float32Array
}

interface Grown {
  id: string
  shape: readonly number[]
}

const pick = <T>(draw: Draw, list: readonly T[]): T => list[whole(draw, 0, list.length - 1)]
const pair = (draw: Draw, low: number, high: number) => [whole(draw, low, high), whole(draw, low, high)]

/** Linear ops and ReLUs; max pools, too; or every op there is. */
type Kinds = 'linear' | 'maxPools' | 'all'

/** Grows a network layer by layer; layers whose shape comes out empty are not taken. */
class Garden {
  readonly layers: Record<string, unknown>[] = []
  readonly choices: Record<string, number> = {}
  readonly values: Grown[]
  readonly input: readonly number[]

  constructor(
    private readonly draw: Draw,
    private readonly kinds: Kinds,
  ) {
    this.input = [whole(draw, 1, 4), whole(draw, 4, 7), whole(draw, 4, 7)]
    this.values = [{ id: 'x', shape: this.input }]
  }

  parse(outputs: string[], layers = this.layers): Architecture {
    return parseArchitecture({
      format: 'arch/1',
      name: 'zoo',
      inputs: [{ name: 'x', shape: this.input }],
      outputs,
      layers,
      choices: Object.fromEntries(
        layers.filter(({ op }) => op === 'choice').map(({ key }) => [key, this.choices[key as string]]),
      ),
    })
  }

  /** Whether the layer fits; then it is in. */
  try(op: Record<string, unknown>, from: readonly string[]): boolean {
    const id = `l${this.layers.length}`
    const layer = { id, in: from, ...op }
    let shape: readonly number[]
    try {
      shape = this.parse([id], [...this.layers, layer]).byId.get(id)!.out
    } catch {
      return false
    }
    if (elementCount(shape) > 600) return false
    this.layers.push(layer)
    this.values.push({ id, shape })
    return true
  }

  grow(): void {
    const { draw } = this
    // Mostly in a row, sometimes back to an earlier value.
    const from = draw() < 0.75 ? this.values[this.values.length - 1] : pick(draw, this.values)
    const op = this.#op(from)
    if (op.op === 'add' || op.op === 'weightedSum' || op.op === 'concat') {
      const from0 = op.op === 'concat' ? 1 : 0
      const alike = this.values.filter(({ shape }) => shape.slice(from0).join() === from.shape.slice(from0).join())
      const inputs = [from.id, ...Array.from({ length: whole(draw, 1, 2) }, () => pick(draw, alike).id)]
      this.try(op, inputs)
    } else this.try(op, [from.id])
  }

  #op(from: Grown): Record<string, unknown> {
    const map = from.shape.length === 3
    if (this.kinds === 'all' && this.draw() < 0.5) return this.#bendOrBlend(map, from.shape)
    return map ? this.#mapOp(from) : this.#vectorOp()
  }

  /** Ops that are neither linear maps nor ReLUs of their own. */
  #bendOrBlend(map: boolean, [, h, w]: readonly number[]): Record<string, unknown> {
    const { draw } = this
    const id = this.layers.length
    switch (whole(draw, 0, map ? 8 : 5)) {
      case 0: {
        const [min, max] = pick(draw, [[0, 6], [0, 0.5], [-0.3, 0.2], [-1, 1], [0.1, 0.7]]) // biome-ignore format: a list
        return { op: 'clip', min, max }
      }
      case 1:
        return { op: 'leakyRelu', slope: pick(draw, [0.1, 0.01, -0.5, 1.5]) }
      case 2:
        return { op: 'prelu' }
      case 3:
        return { op: 'weightedSum', coef: `alpha${id}`, norm: pick(draw, ['softmax', 'none']) }
      case 4:
        this.choices[`k${id}`] = whole(draw, 0, 2)
        return {
          op: 'choice',
          key: `k${id}`,
          of: [{ op: 'identity' }, { op: 'relu' }, { op: 'leakyRelu', slope: 0.3 }],
        }
      case 5:
        return { op: 'concat' }
      case 6: {
        const kernel = pair(draw, 1, 3)
        const pad = kernel.map((size) => whole(draw, 0, size >> 1))
        return { op: 'maxPool', kernel, stride: pair(draw, 1, 2), pad: [...pad, ...pad], ceil: draw() < 0.3 }
      }
      default:
        if (h * w === 1) return { op: 'resize', mode: 'broadcast', size: pair(draw, 1, 6) }
        return { op: 'resize', mode: pick(draw, ['nearest', 'bilinear']), size: pair(draw, 2, 8) }
    }
  }

  #mapOp({ shape: [c] }: Grown): Record<string, unknown> {
    const { draw } = this
    const four = (low: number, high: number) => [...pair(draw, low, high), ...pair(draw, low, high)]
    const kernel = pair(draw, 1, 3)
    switch (whole(draw, 0, this.kinds === 'linear' ? 15 : 17)) {
      case 0:
      case 1:
      case 2: {
        const groups = pick(
          draw,
          [1, 1, 2, c].filter((g) => c % g === 0),
        )
        const cout = groups * whole(draw, 1, groups > 2 ? 1 : 3)
        const shape = { kernel, stride: pair(draw, 1, 2), pad: four(0, 2), dilation: pair(draw, 1, 2), groups }
        return { op: 'conv2d', cout, ...shape, bias: draw() < 0.5 }
      }
      case 3:
      case 4:
      case 5:
        return { op: 'relu' }
      case 6:
        return { op: 'batchNorm' }
      case 7:
      case 8:
        return { op: 'add' }
      case 9: {
        const pad = four(0, 1).map((edge, i) => Math.min(edge, kernel[i % 2] - 1))
        const shape = { kernel, stride: pair(draw, 1, 2), pad, ceil: draw() < 0.3, countPad: draw() < 0.5 }
        return { op: 'avgPool', ...shape }
      }
      case 10:
        return { op: 'shortcutA', stride: pair(draw, 1, 2), padChannels: pair(draw, -1, 2) }
      case 11:
        return { op: 'subsample', stride: pair(draw, 1, 2), offset: pair(draw, 0, 1) }
      case 12:
        return { op: 'pad', pad: four(-1, 2) }
      case 13:
        return { op: 'channelScale' }
      case 14:
        return { op: pick(draw, ['identity', 'identity', 'zero']) }
      case 16:
      case 17: {
        const pad = kernel.map((size) => whole(draw, 0, size >> 1))
        return { op: 'maxPool', kernel, stride: pair(draw, 1, 2), pad: [...pad, ...pad] }
      }
      default:
        return { op: draw() < 0.5 ? 'globalAvgPool' : 'flatten' }
    }
  }

  #vectorOp(): Record<string, unknown> {
    const { draw } = this
    const ops = [
      { op: 'linear', cout: whole(draw, 1, 12), bias: draw() < 0.5 },
      { op: 'linear', cout: whole(draw, 1, 12), bias: draw() < 0.5 },
      { op: 'relu' },
      { op: 'add' },
      { op: 'identity' },
      { op: 'zero' },
    ]
    return pick(draw, ops)
  }
}

function randomWeights(arch: Architecture, draw: Draw): Weights {
  const normal = () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())
  const weights = new Map<string, Record<string, Float32Array>>()
  for (const layer of arch.layers) {
    const tensors: Record<string, Float32Array> = {}
    for (const { tensor, shape } of parametersOf(layer)) {
      const length = elementCount(shape)
      const spread = shape.length > 1 ? 1 / Math.sqrt(length / shape[0]) : tensor === 'weight' ? 1 : 0.3
      const value = tensor === 'running_var' ? () => 0.5 + draw() : () => normal() * spread
      tensors[tensor] = Float32Array.from({ length }, value)
    }
    if (Object.keys(tensors).length > 0) weights.set(layer.id, tensors)
  }
  return weights
}

function randomSpec(arch: Architecture, draw: Draw): { spec: ReluSpec; blocks: boolean } {
  let blocks = false
  const layers: Record<string, unknown> = {}
  for (const layer of arch.layers) {
    if (!isActivation(layer)) continue
    const { id, out } = layer
    const kind = pick(draw, ['relu', 'relu', 'relu', 'identity', 'zero', 'block', 'mask'])
    if (kind === 'block' && out.length === 3) {
      blocks = true
      const sizes = [
        [1, 1],
        [2, 2],
        [1, 3],
        [0, 1],
        [1, 0],
        [4, 4],
      ]
      layers[id] = { kind, blocks: Array.from({ length: out[0] }, () => pick(draw, sizes)) }
    } else if (kind === 'mask') {
      const length = elementCount(out)
      const bits = new Uint8Array(Math.ceil(length / 8))
      for (let i = 0; i < length; i++) if (draw() < 0.6) bits[i >> 3] |= 1 << (i & 7)
      const off = pick(draw, ['identity', 'zero'])
      layers[id] = { kind, off, encoding: 'base64-bits-lsb-first', bits: toBase64(bits) }
    } else layers[id] = { kind: kind === 'block' ? 'relu' : kind }
  }
  return { spec: parseReluSpec({ format: 'relu-spec/1', layers }, arch), blocks }
}

/** @param maxPools whether max pools grow, too, or with `all` every op; the same seed then grows another network */
export function growNetwork(seed: number, size: number, { maxPools = false, all = false } = {}): ZooNetwork {
  const draw = drawFrom(seed)
  const garden = new Garden(draw, all ? 'all' : maxPools ? 'maxPools' : 'linear')
  for (let i = 0; i < 3 * size && garden.layers.length < size; i++) garden.grow()
  if (garden.layers.length === 0) garden.try({ op: 'relu' }, ['x'])
  const arch = garden.parse([garden.values[garden.values.length - 1].id])
  const options: CompileOptions<'mcc'> = {
    ring: pick(draw, [28, 30, 31, 32, 32]),
    bits: whole(draw, 12, 16),
    lo: pick(draw, [0, 0, 2, 5]),
    rounds: pick(draw, [12, 12, 20]),
    ...(draw() < 0.3 ? { chunks: whole(draw, 2, 5) } : {}),
  }
  const input = () => Float32Array.from({ length: elementCount(garden.input) }, () => 4 * draw() - 2)
  return { arch, weights: randomWeights(arch, draw), ...randomSpec(arch, draw), options, input }
}

/** Options of `securenn` for a network: exact, or windows for all layers, or layer by layer. */
export function securennOptions(arch: Architecture, seed: number) {
  const draw = drawFrom(seed)
  const window = () => {
    const ignoredMsb = pick(draw, [0, 8, 32, 40, 48, 56])
    return { ignoredMsb, ignoredLsb: Math.min(ignoredMsb, whole(draw, 0, 8)) }
  }
  const windows = arch.layers.filter(({ op }) => op === 'relu').map(({ id }) => [id, window()] as const)
  const layers = (name: 'ignoredMsb' | 'ignoredLsb') => Object.fromEntries(windows.map(([id, w]) => [id, w[name]]))
  const given = pick(draw, [
    {},
    {},
    window(),
    { ignoredMsb: layers('ignoredMsb'), ignoredLsb: layers('ignoredLsb') },
  ] as const)
  const rounds = pick(draw, [12, 12, 20] as const)
  return { backend: 'securenn', fraction: whole(draw, 4, 16), rounds, ...given } as const
}
