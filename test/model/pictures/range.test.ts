// What is said of the values that pictures have for a network.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { pictureRange, rangeNotes } from '../../../src/model/pictures/range.js'

it('the range of levels is a range of values, per channel where they differ', () => {
  expect(pictureRange({ scale: 1, mean: [0, 0, 0], std: [1, 1, 1] })).toBe('0 … 255')
  expect(pictureRange({ scale: 1 / 255, mean: [0.5], std: [0.5] })).toBe('-1 … 1')
  expect(pictureRange({ scale: 1, mean: [0, 5], std: [1, 1], order: 'bgr' })).toBe('0 … 255, -5 … 250, blue first')
})

/** A network whose first layer is what is given. */
function network(first: object, { name = 'net', side = 8, preprocess = {}, family = false } = {}) {
  const layers = [
    { id: 'first', in: ['x'], ...first },
    { id: 'flat', op: 'flatten', in: ['first'] },
    { id: 'out', op: 'linear', in: ['flat'], cout: 2 },
  ]
  const inputs = [{ name: 'x', shape: [3, side, side], preprocess }]
  const arch = parseArchitecture({ format: 'arch/1', name, inputs, outputs: ['out'], layers })
  return family ? { ...arch, family: name } : arch
}
const NORM = { op: 'batchNorm', eps: 0 }
const RELU = { op: 'relu' }
const tensors = (weight: number, mean: number, variance: number) => (_: string, tensor: string) =>
  ({ weight: [weight, weight, weight], running_mean: [mean, mean, mean], running_var: Array(3).fill(variance) })[tensor]
const none = () => undefined

describe('where nothing was said of them', () => {
  const hint = (...args: Parameters<typeof rangeNotes>) => rangeNotes(...args)[0].replace(/^.*?; /, '')

  it('the first layer gives the range away', () => {
    expect(hint(network(NORM), tensors(1, 120, 4000))).toBe(
      'its first layer scales them down itself, so that is likely right',
    )
    expect(hint(network(NORM), tensors(1, 0.45, 0.06))).toContain('scale 1/255 is likely right')
    expect(hint(network(NORM), tensors(1, 0, 1))).toContain('so they are normalised first')
    expect(hint(network(NORM), tensors(64, 120, 3600))).toMatch(/trained on 0 … 240, so that is likely right/)
  })

  it('or the name of a published network', () => {
    const photos = { name: 'resnet50', side: 224 }
    expect(hint(network(RELU, photos), none, { publisher: 'torch' })).toContain('0.485,0.456,0.406')
    expect(hint(network(RELU, photos), none, { publisher: 'keras' })).toContain('bgr and mean 103.939')
    expect(hint(network(RELU, { ...photos, name: 'mobilenet_1.00_224' }), none, { publisher: 'keras' })).toContain(
      'std 0.5',
    )
    expect(hint(network(RELU, { ...photos, family: true }), none)).toContain('torchvision')
    expect(hint(network(RELU, photos), none)).toContain('if the network was trained on 0 … 1')
    expect(hint(network(RELU, { ...photos, side: 32 }), none, { publisher: 'torch' })).toContain('if the network was')
  })
})

it('where it was said, or written, only what it comes to', () => {
  const range = (preprocess: object) => rangeNotes(network(RELU, { preprocess }), none)
  expect(range({ scale: 1 / 255 })).toEqual(['input "x": pictures will have values 0 … 1'])
  const bare = network(RELU)
  expect(rangeNotes(bare, none, { isSaid: true })).toEqual(['input "x": pictures will have values 0 … 255'])
  expect(rangeNotes({ ...bare, inputs: [{ ...bare.inputs[0], shape: [5] }] }, none)).toEqual([])
})
