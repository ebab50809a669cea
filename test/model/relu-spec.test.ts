import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { RingfenceError } from '../../src/errors.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import type { Pair } from '../../src/model/layers/layers.js'
import { blockCount, dreluCount, type ReluLayout, reluCounts, reluLayout } from '../../src/model/relu/layout.js'
import { type LayerRelu, parseReluSpec, resolveRelu } from '../../src/model/relu/spec.js'
import { elementCount } from '../../src/model/shape.js'
import vectors from '../vectors/block-relu.json' with { type: 'json' }

const read = (name: string) => readFileSync(new URL(`../vectors/examples/${name}`, import.meta.url), 'utf8')
const resnet20 = parseArchitecture(read('resnet20-cifar10.arch.json'))
const resnet8 = parseArchitecture(read('resnet8-cifar10.arch.json'))

/** Runs a layout on plain numbers, as its definition reads. */
function apply(layout: ReluLayout, values: readonly number[]): number[] {
  const bits = new Array<number>(layout.singles + layout.patches).fill(0)
  for (let s = 0; s < layout.switched.length; s++) {
    if (layout.group[s] < layout.singles) bits[layout.group[s]] = values[layout.switched[s]] >= 0 ? 1 : 0
  }
  for (let p = 0; p < layout.patches; p++) {
    const elements = layout.patchElements.subarray(layout.patchStart[p], layout.patchStart[p + 1])
    bits[layout.singles + p] = elements.reduce((sum, i) => sum + values[i], 0) >= 0 ? 1 : 0
  }
  const out = new Array<number>(layout.elements).fill(0)
  for (const i of layout.identity) out[i] = values[i]
  for (let s = 0; s < layout.switched.length; s++) {
    out[layout.switched[s]] = bits[layout.group[s]] ? values[layout.switched[s]] : 0
  }
  return out
}

function checkLayout(relu: LayerRelu, shape: readonly number[]): void {
  const layout = reluLayout(relu, shape)
  expect(layout.elements).toBe(elementCount(shape))
  expect(layout.singles + layout.patches).toBe(dreluCount(relu, shape))
  expect(layout.switched.slice().sort()).toEqual(layout.switched)
  const singles = [...layout.group].filter((g) => g < layout.singles)
  expect(singles).toEqual(singles.map((_, i) => i))
  expect(layout.patchStart).toHaveLength(layout.patches + 1)
  expect(layout.patchShift).toHaveLength(layout.patches)
  for (let p = 0; p < layout.patches; p++) {
    const size = layout.patchStart[p + 1] - layout.patchStart[p]
    expect(size).toBeGreaterThan(1)
    expect(2 ** layout.patchShift[p]).toBeGreaterThanOrEqual(size)
  }
  expect(layout.patchElements.length + layout.singles).toBe(layout.switched.length)
  const inOrder = [...layout.switched, ...layout.identity]
  expect(reluCounts(relu, shape)).toEqual({
    switched: [...layout.group].length,
    passed: layout.identity.length,
    singles: new Set(singles).size,
    patches: new Set([...layout.group].filter((g) => g >= layout.singles)).size,
    patchElements: layout.group.length - singles.length,
    inOrder: inOrder.length === layout.elements && inOrder.every((element, i) => element === i),
  })
}

function problemsOf(json: unknown, arch: Architecture): readonly string[] {
  try {
    parseReluSpec(json, arch)
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_FILE' })
    return (error as RingfenceError).problems
  }
  throw new Error('expected an error')
}

describe('published vectors', () => {
  it.each(vectors.dreluCountVectors)('$block on $H x $W needs $drelus comparisons', ({ block, H, W, drelus }) => {
    expect(blockCount(block as unknown as Pair, H, W)).toBe(drelus)
  })

  it.each(vectors.blockReluVectors)('block $block on shape $shape', ({ shape, block, input, output, drelus }) => {
    const relu: LayerRelu = { kind: 'block', blocks: [block as unknown as Pair] }
    checkLayout(relu, [1, ...shape])
    const layout = reluLayout(relu, [1, ...shape])
    expect(layout.singles + layout.patches).toBe(drelus)
    expect(apply(layout, input.flat())).toEqual(output.flat())
  })
})

describe('layouts', () => {
  it('a ragged patch of one element counts as a single', () => {
    const layout = reluLayout({ kind: 'block', blocks: [[2, 2]] }, [1, 3, 3])
    expect(layout).toMatchObject({ singles: 1, patches: 3 })
    expect([...layout.switched]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect([...layout.group]).toEqual([1, 1, 2, 1, 1, 2, 3, 3, 0])
    expect([...layout.patchShift]).toEqual([2, 2, 2])
    expect([...layout.patchElements]).toEqual([0, 1, 3, 4, 2, 5, 6, 7])
  })

  it('a block larger than the map is shifted by the area it covers', () => {
    expect([...reluLayout({ kind: 'block', blocks: [[8, 8]] }, [1, 3, 4]).patchShift]).toEqual([4])
  })

  it('channels of several kinds keep element order', () => {
    const relu: LayerRelu = { kind: 'block', blocks: [[1, 1], [0, 1], [1, 0], [1, 2]] } // biome-ignore format: one line
    const layout = reluLayout(relu, [4, 1, 2])
    expect([...layout.switched]).toEqual([0, 1, 6, 7])
    expect([...layout.group]).toEqual([0, 1, 2, 2])
    expect([...layout.identity]).toEqual([2, 3])
  })

  it('relu, identity and zero on a vector; a mask with either off value', () => {
    const bits = Uint8Array.of(1, 0, 1)
    expect(reluLayout({ kind: 'relu' }, [3])).toMatchObject({ singles: 3, patches: 0 })
    expect([...reluLayout({ kind: 'identity' }, [3]).identity]).toEqual([0, 1, 2])
    expect(reluLayout({ kind: 'zero' }, [3])).toMatchObject({ singles: 0, patches: 0, identity: new Int32Array(0) })
    expect(apply(reluLayout({ kind: 'mask', bits, off: 'identity' }, [3]), [-1, -2, 3])).toEqual([0, -2, 3])
    expect(apply(reluLayout({ kind: 'mask', bits, off: 'zero' }, [3]), [-1, 2, 3])).toEqual([0, 0, 3])
  })
})

describe('spec files', () => {
  it.each([
    ['resnet20-block.relu-spec.json', resnet20, 149_376],
    ['resnet8-12pct.relu-spec.json', resnet8, 8_847],
    ['resnet8-25pct.relu-spec.json', resnet8, 18_432],
  ] as const)('%s makes the DReLUs it expects', (file, arch, drelus) => {
    const spec = parseReluSpec(read(file), arch, file)
    expect(spec.drelus).toBe(drelus)
    for (const layer of arch.layers) if (layer.op === 'relu') checkLayout(resolveRelu(spec, layer), layer.out)
  })

  it('keeps comparison windows, a layer adding to those of the file', () => {
    const spec = parseReluSpec(read('resnet20-block.relu-spec.json'), resnet20)
    expect(spec.layers.get('layer1.0.relu_2')).toMatchObject({
      comparison: { fractionBits: 16, lsbIgnored: 10, msbIgnored: 46 },
    })
  })

  it('without a spec every activation is a plain ReLU', () => {
    expect(resolveRelu(undefined, resnet20.byId.get('relu')!)).toEqual({ kind: 'relu' })
  })

  it('finds a layer by its specName', () => {
    const file = JSON.parse(read('mnist-cnn3.arch.json'))
    for (const layer of file.layers) if (layer.id === 'relu1') layer.specName = 'first'
    const arch = parseArchitecture(file)
    const spec = parseReluSpec({ format: 'relu-spec/1', layers: { first: { kind: 'zero' } } }, arch)
    expect(spec.layers.get('relu1')).toEqual({ kind: 'zero' })
    expect(problemsOf({ format: 'relu-spec/1', layers: { relu1: { kind: 'zero' } } }, arch)[0]).toContain('"first"')
  })

  it('reports every problem at once', () => {
    const problems = problemsOf(
      {
        format: 'relu-spec/1',
        network: 'resnet8-cifar10',
        colour: 1,
        comparison: { lsbIgnored: -1 },
        layers: {
          activation: { kind: 'block', palette: [[1, 1], [0, 0]], index: [2] }, // biome-ignore format: one line
          activation_1: { kind: 'relu', shape: [16, 32, 31] },
          activation_2: { kind: 'mask', off: 'zero', encoding: 'base64-bits-lsb-first', bits: 'AAAA' },
          activation_3: { kind: 'bend' },
          activation_4: { kind: 'block', blocks: [] },
          activation_5: 3,
          conv2d: { kind: 'relu' },
          nothing: { kind: 'relu' },
        },
      },
      resnet8,
    ).join('\n')
    for (const part of [
      'file: unknown field "colour"',
      'file: comparison: lsbIgnored: expected an integer from 0 to 63, got -1',
      'layer "activation": palette: expected [height, width] >= 1, [0,1] (identity) or [1,0] (zero), got [0,0] (entry 1)',
      'layer "activation": index: expected 16, one per channel, got 1',
      'layer "activation": index: expected integers from 0 to 1, got 2 (channel 0)',
      'layer "activation_1": shape: expected [16,32,32] as the network has it, got [16,32,31]',
      'layer "activation_2": bits: expected 2048 bytes for 16384 elements, got 3',
      'layer "activation_3": kind: expected one of relu',
      'layer "activation_4": blocks: expected 32, one per channel, got 0',
      'layer "activation_5": expected an object, got 3',
      'layer "conv2d": expected a relu of network "resnet8-cifar10", but this is a conv2d',
      'layer "nothing": expected a relu of network "resnet8-cifar10", but this is no layer',
    ])
      expect(problems).toContain(part)
  })

  it('refuses an expectation that does not hold, and a spec for another network', () => {
    const file = { format: 'relu-spec/1', layers: {}, expect: { drelus: 5 } }
    expect(problemsOf(file, resnet8)).toEqual(['expect.drelus: the layers make 73728, the file says 5'])
    expect(problemsOf({ ...file, expect: {}, network: 'other' }, resnet8)[0]).toContain('"resnet8-cifar10"')
  })
})
