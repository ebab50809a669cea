// A supernet: a network whose ReLUs, and sums of paths, are still to be chosen. Which choices there are, what they cost, and
// what is left when they are made.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { effectiveOp, type Layer } from '../../model/layers/layers.js'
import { parametersOf } from '../../model/parameters.js'
import { partOf } from '../../model/part.js'
import { parseReluSpec, type ReluSpec } from '../../model/relu/spec.js'
import { reluSpecFile } from '../../model/relu/spec-file.js'
import { elementCount } from '../../model/shape.js'
import type { LayerTensors, Weights } from '../../model/weights.js'
import { type PredictOptions, predict } from '../../tune/cost/predict.js'
import { shapePlan } from '../../tune/cost/shape-plan.js'
import { drawn, Use } from '../pictures.js'
import type { PricedChoice, SearchCosts } from './objective.js'

/** Seesaw's own model of costs: by multiplication and by ReLU, in a unit that it does not state. */
export const SEESAW_COSTS = { linear: 3.55361855670103e-6, nonlinear: 0.228753397836538 } as const

/** ReLUs that may be left out: those of `choice` layers, or all where the network has none. */
export function openRelus(arch: Architecture): readonly Layer[] {
  const relus = arch.layers.filter((layer) => effectiveOp(layer).op === 'relu')
  const open = relus.filter(({ op }) => op === 'choice')
  return open.length > 0 ? open : relus
}

/**
 * By the published constants: multiplications and ReLUs, whatever runs them.
 * @param arch with the ReLU of every choice taken
 * @param sums ids of weighted sums of norm `none` of which one input is to stay (ProxylessNAS); others keep all (Seesaw)
 */
export function countedCosts(
  arch: Architecture,
  { linear, nonlinear } = SEESAW_COSTS,
  sums: readonly string[] = [],
): SearchCosts {
  const { layers, macs, relus } = countNetwork(arch)
  const macsOf = new Map(layers.map(({ id, macs }) => [id, macs]))
  const priced = openRelus(arch).map((layer): PricedChoice => {
    return { layer: layer.id, kind: 'relu', costs: [0, nonlinear * elementCount(layer.out)] }
  })
  const paths = sums.map((id): PricedChoice => {
    const costs = ownMacs(arch, arch.byId.get(id)!, macsOf).map((count) => linear * count)
    return { layer: id, kind: 'path', costs }
  })
  const sum = (choices: readonly PricedChoice[]) =>
    choices.reduce((total, { costs }) => total + costs.reduce((a, b) => a + b, 0), 0)
  return {
    linear: linear * macs - sum(paths),
    nonlinear: nonlinear * relus - sum(priced),
    choices: [...priced, ...paths],
  }
}

/** Ids of the sums of which one input may be chosen: those of norm `none` with several. */
export function openSums(arch: Architecture): readonly string[] {
  const isOpen = (layer: Layer) => layer.op === 'weightedSum' && layer.norm === 'none' && layer.in.length > 1
  return arch.layers.filter(isOpen).map(({ id }) => id)
}

/**
 * By this package's model of costs: on-line seconds of a private inference. An option costs what the network with it takes
 * more than the network with the cheapest one, all other ReLUs being left out and all other sums their first input: the
 * latency table of ProxylessNAS, for kernels and widths as for ReLUs. The network of all the cheapest is the linear part.
 * @param sums as `countedCosts` takes them
 */
export function predictedCosts(arch: Architecture, network: PredictOptions, sums: readonly string[] = []): SearchCosts {
  const first = new Map(sums.map((id) => [id, 0]))
  const seconds = (paths: ReadonlyMap<string, number>, on?: string) => {
    const chosen = paths.size > 0 ? chosenPaths(arch, paths) : arch
    const off = openRelus(chosen).flatMap(({ id }) => (id === on ? [] : [id]))
    return predict(shapePlan(chosen, withoutRelus(chosen, new Set(off))), network).total.seconds.online
  }
  const without = seconds(first)
  const relus = openRelus(arch).map(({ id }): PricedChoice => {
    const own = pathsTo(arch, id, first)
    return { layer: id, kind: 'relu', costs: [0, Math.max(seconds(own, id) - seconds(own), 0)] }
  })
  let linear = without
  const paths = sums.map((layer): PricedChoice => {
    const all = arch.byId.get(layer)!.in.map((_, k) => seconds(new Map(first).set(layer, k)) - without)
    const least = Math.min(...all)
    linear += least
    return { layer, kind: 'path', costs: all.map((cost) => cost - least) }
  })
  return { linear, nonlinear: 0, choices: [...relus, ...paths] }
}

/** The first inputs, but where another one is what a layer is behind. */
function pathsTo(arch: Architecture, id: string, first: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const paths = new Map(first)
  for (const sum of first.keys()) {
    const layer = arch.byId.get(sum)!
    const k = layer.in.findIndex((input) => partOf(arch, [input]).byId.has(id))
    const before = layer.in.every((input) => partOf(arch, [input]).byId.has(id))
    if (k > 0 && !before) paths.set(sum, k)
  }
  return paths
}

/** Multiplications of the layers that only one input of a sum needs. */
function ownMacs(arch: Architecture, sum: Layer, macsOf: ReadonlyMap<string, number>): number[] {
  const readers = new Map<string, number>()
  for (const { in: inputs } of arch.layers) for (const id of inputs) readers.set(id, (readers.get(id) ?? 0) + 1)
  return sum.in.map((input) => {
    let [total, id] = [0, input]
    for (;;) {
      const layer = arch.byId.get(id)
      if (!layer || readers.get(id) !== 1) return total
      total += macsOf.get(id) ?? 0
      if (layer.in.length !== 1) return total
      id = layer.in[0]
    }
  })
}

/** The network in which each of these sums is the one input that was taken, and what only the others needed is gone. */
export function chosenPaths(arch: Architecture, options: ReadonlyMap<string, number>): Architecture {
  const layers = arch.layers.map((layer): Layer => {
    const taken = layer.op === 'weightedSum' ? options.get(layer.id) : undefined
    if (taken === undefined) return layer
    const { id, out, in: inputs, inShapes, tensors } = layer
    return { id, out, in: [inputs[taken]], inShapes: [inShapes[taken]], tensors, op: 'identity' }
  })
  return partOf({ ...arch, layers }, arch.outputs)
}

/** The ReLU spec in which these are identity. */
export function withoutRelus(arch: Architecture, off: ReadonlySet<string>): ReluSpec {
  const layers = new Map([...off].map((id) => [id, { kind: 'identity' as const }]))
  return parseReluSpec(reluSpecFile(arch, layers), arch)
}

/**
 * Names of the branches that each sample layer of a Seesaw network keeps: those of the largest weights, in their order.
 * @param left what an earlier pruning kept
 */
export function keptBranches(
  arch: Architecture,
  weights: Weights,
  ops: readonly string[],
  most: number,
  left?: readonly (readonly string[])[],
): readonly (readonly string[])[] {
  const sums = arch.layers.filter((layer) => layer.op === 'weightedSum' && layer.id.startsWith('samples.'))
  return sums.map(({ id }, s) => {
    const alpha = weights.get(id)!.coef!
    const open = ops.map((_, k) => k).filter((k) => left?.[s].includes(ops[k]) ?? true)
    const kept = new Set(open.sort((a, b) => alpha[b] - alpha[a] || a - b).slice(0, most))
    return ops.filter((_, k) => kept.has(k))
  })
}

/** Weights of a network that keeps some layers of another one. */
export function inherited(arch: Architecture, weights: Weights): Weights {
  return new Map(
    arch.layers.flatMap((layer) => {
      const own = weights.get(layer.id)
      if (parametersOf(layer).length === 0) return []
      if (!own) throw new RingfenceError('BAD_INPUT', `layer ${layer.id}: the other network has no such weights`)
      return [[layer.id, own] as const]
    }),
  )
}

/**
 * Weights to begin with: kernels and matrices normal with the variance 2 / inputs (He et al. 2015), norms that change
 * nothing, biases 0, coefficients of sums up to 1e-3.
 */
export function freshWeights(arch: Architecture, seed: number): Weights {
  return new Map(
    arch.layers.flatMap((layer, l) => {
      const tensors = parametersOf(layer).map(({ tensor, shape }, t) => {
        const size = elementCount(shape)
        const at = (i: number) => drawn(seed, Use.weights, l, t, i)
        if (tensor === 'coef') return [tensor, Float32Array.from({ length: size }, (_, i) => 1e-3 * at(i))] as const
        if (tensor === 'bias' || tensor === 'running_mean') return [tensor, new Float32Array(size)] as const
        if (shape.length < 2) return [tensor, new Float32Array(size).fill(1)] as const
        const scale = Math.sqrt((2 * shape[0]) / size)
        const normal = (i: number) => Math.sqrt(-2 * Math.log(1 - at(2 * i))) * Math.cos(2 * Math.PI * at(2 * i + 1))
        return [tensor, Float32Array.from({ length: size }, (_, i) => scale * normal(i))] as const
      })
      return tensors.length > 0 ? [[layer.id, Object.fromEntries(tensors) as LayerTensors] as const] : []
    }),
  )
}
