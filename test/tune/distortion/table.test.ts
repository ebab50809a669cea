// Distortion tables: what is read, what is written, what is refused.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { formatDistortionTable, isComplete, parseDistortionTable } from '../../../src/tune/distortion/table.js'

const model = (name: string) =>
  readFileSync(new URL(`../../../models/resnet20-cifar10/${name}`, import.meta.url), 'utf8')
const resnet20 = parseArchitecture(model('arch.json'))

const small = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'input', shape: [2, 4, 4] }],
  outputs: ['b'],
  layers: [
    { id: 'a', op: 'relu', in: ['input'], specName: 'first' },
    { id: 'flat', op: 'flatten', in: ['a'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    { id: 'b', op: 'relu', in: ['fc'] },
  ],
})
const good = () => ({
  format: 'distortion/1',
  network: 'small',
  images: 12,
  palette: [
    [1, 1],
    [8, 8],
    [0, 1],
  ],
  palettes: {
    b: [
      [1, 1],
      [0, 1],
    ],
  } as Record<string, number[][]>,
  shapes: { first: [2, 4, 4], b: [3] } as Record<string, number[]>,
  identity: { b: 0.75 } as Record<string, number>,
  layers: {
    first: [
      [0, null, 0.5],
      [0, null, 0.25],
    ],
    b: [
      [0, 1],
      [0, 2],
      [0, 3],
    ],
  } as Record<string, unknown>,
})

describe('reading', () => {
  test('takes names, palettes, shapes and values as they stand', () => {
    const { layers, images, network } = parseDistortionTable(JSON.stringify(good()), small)
    expect([network, images, [...layers.keys()]]).toEqual(['small', 12, ['first', 'b']])
    expect([...layers.get('first')!.values]).toEqual([0, Number.NaN, 0.5, 0, Number.NaN, 0.25])
    expect(layers.get('b')!.identity).toBe(0.75)
    expect([...layers.get('b')!.values]).toEqual([0, 1, 0, 2, 0, 3])
    expect([...layers.values()].every(isComplete)).toBe(true)
  })

  test('reads the table of the shipped ResNet-20, and again what it writes of it', () => {
    const table = parseDistortionTable(model('distortion.json'), resnet20)
    expect(table.layers.size).toBe(19)
    expect(table.images).toBe(128)
    const again = parseDistortionTable(formatDistortionTable(table), resnet20)
    expect(again).toEqual(table)
  })

  test('a table half measured is read when it is asked for, and written with its holes', () => {
    const partial = { ...good(), layers: { first: [[0, null, null], null] } }
    expect(() => parseDistortionTable(partial, small)).toThrow(RingfenceError)
    const table = parseDistortionTable(partial, small, { partial: true })
    expect(isComplete(table.layers.get('first')!)).toBe(false)
    const again = parseDistortionTable(formatDistortionTable(table), small, { partial: true })
    expect(again).toEqual(table)
  })
})

describe('refusals', () => {
  const problems = (json: unknown): readonly string[] => {
    try {
      parseDistortionTable(json, small)
    } catch (error) {
      expect((error as RingfenceError).code).toBe('BAD_FILE')
      return (error as RingfenceError).problems
    }
    throw new Error('was accepted')
  }

  test('list holes, wrong numbers, wrong rows and unknown layers together', () => {
    const file = good()
    file.layers = {
      first: [
        [0, null, null],
        [0, null],
      ],
      b: [
        [0, -1],
        [0, 'x'],
        [0, 3],
      ],
      c: [],
    }
    file.shapes.b = [4]
    expect(problems(file)).toEqual([
      'layer "c": network "small" has no activation of this name',
      'layer "first": channel 0, block [0,1]: expected a number >= 0, got null',
      'layer "first": channel 1: expected 3 numbers, one per candidate, got 2',
      'layer "b": shape: expected [3] as the network has it, got [4]',
      'layer "b": channel 0, block [0,1]: expected a number >= 0, got -1',
      'layer "b": channel 1, block [0,1]: expected a number >= 0, got "x"',
    ])
  })

  test('say when a layer is missing, has too few rows, or another network was measured', () => {
    const file = good()
    file.network = 'other'
    file.layers = { b: [[0, 1]] }
    expect(problems(file)).toEqual([
      'file: network: expected "small", the network it is used with, got "other"',
      'layer "first": not measured',
      'layer "b": expected 3 rows, one per channel, got 1',
    ])
  })

  test('do not take a candidate that is no block, nor fields nobody knows', () => {
    const problem = problems({
      ...good(),
      palettes: {
        b: [
          [0, 0],
          [1, 1],
        ],
      },
      extra: 1,
    })
    expect(problem[0]).toBe('file: unknown field "extra"')
    expect(problem[1]).toMatch(/^layer "b": palette: expected a list of \[height, width\] >= 1/)
  })

  test('are cut when there are too many', () => {
    const file = good()
    file.layers.first = Array(40).fill([Number.NaN])
    file.shapes = {}
    file.layers.b = Array(3).fill(['', ''])
    expect(problems(file).length).toBeLessThan(25)
  })
})
