// Checkpoints as training scripts leave them: prefixes, entries, objects beside the tensors, several files.
import { describe, expect, it } from 'vitest'
import { convertFile } from '../../../src/convert/convert-file.js'
import { fitWeights } from '../../../src/convert/weights/fit.js'
import { RingfenceError } from '../../../src/errors.js'
import { type Tensor, writeSafetensors } from '../../../src/model/safetensors.js'

const arch = {
  ...{ format: 'arch/1', name: 'two', inputs: [{ name: 'x', shape: [2] }], outputs: ['b'] },
  layers: ['a', 'b'].map((id, i) => ({ id, op: 'linear', in: [['x', 'a'][i]], cout: 2 })),
}
const NAMES = ['a.weight', 'a.bias', 'b.weight', 'b.bias']
const shapeOf = (name: string) => (name.endsWith('bias') ? [2] : [2, 2])
const tensor = (name: string, value = 1): Tensor => {
  const shape = shapeOf(name)
  return { shape, dtype: 'F32', data: new Float32Array(shape.length === 1 ? 2 : 4).fill(value) }
}
const below = (front: string, value?: number): [string, Tensor][] =>
  NAMES.map((name) => [front + name, tensor(name, value)])

function failure(work: () => unknown): RingfenceError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected a failure')
}

describe('front parts of names', () => {
  it.each(['module.', '_orig_mod.', 'model.', 'backbone.', 'state_dict.', 'net.module.', 'ema.model.module.'])(
    'tensors below %s are found, with a note',
    (front) => {
      const { weights, notes } = fitWeights(arch, new Map(below(front)))
      expect(weights.get('b')?.weight).toEqual(new Float32Array(4).fill(1))
      expect(notes).toEqual([`the tensors are those below "${front}"`])
    },
  )

  it('what lies beside them is left out, with a note', () => {
    const tensors = new Map([...below('model.'), ['optimizer.step', tensor('x.bias')] as [string, Tensor]])
    expect(fitWeights(arch, tensors).notes[1]).toBe('1 tensors beside them left out, of "optimizer"')
  })

  it('a tensor more among them is still a problem', () => {
    const tensors = new Map([...below('module.'), ['module.head.bias', tensor('head.bias')] as [string, Tensor]])
    expect(failure(() => fitWeights(arch, tensors)).problems).toEqual([
      'tensor "head.bias" [2]: no layer of network "two" uses it',
    ])
  })

  it('of several the flag that chooses is named, and chooses', () => {
    const tensors = new Map([...below('state_dict.module.', 1), ...below('ema.', 2)])
    expect(failure(() => fitWeights(arch, tensors)).problems).toEqual([
      'unwrap: "state_dict", for the names that begin with "state_dict.module."',
      'unwrap: "ema", for the names that begin with "ema."',
    ])
    expect(fitWeights(arch, tensors, { stripPrefix: 'ema.' }).weights.get('a')?.bias).toEqual(Float32Array.of(2, 2))
    expect(failure(() => fitWeights(arch, tensors, { stripPrefix: 'none.' })).message).toMatch(
      /no tensor's name begins with "none\."/,
    )
  })

  it('and where one entry holds several, their whole front', () => {
    const tensors = new Map([...below('state_dict.model.', 1), ...below('state_dict.ema_model.', 2)])
    expect(failure(() => fitWeights(arch, tensors)).problems).toEqual([
      'stripPrefix: "state_dict.model."',
      'stripPrefix: "state_dict.ema_model."',
    ])
    const chosen = fitWeights(arch, tensors, { stripPrefix: 'state_dict.ema_model.' })
    expect(chosen.weights.get('a')?.bias).toEqual(Float32Array.of(2, 2))
  })

  it('where only some fit, the likely prefix is named', () => {
    const tensors = new Map(below('module.').slice(0, 3))
    expect(failure(() => fitWeights(arch, tensors, { advice: true })).problems.at(-1)).toBe(
      'stripPrefix: some of the names fit behind "module."',
    )
  })
})

describe('safetensors in several files', () => {
  const file = (...names: string[]) =>
    writeSafetensors(new Map(names.map((name) => [name, { shape: shapeOf(name), data: tensor(name).data! }])))
  const files = new Map([
    ['one.safetensors', file('a.weight', 'a.bias')],
    ['two.safetensors', file('b.weight', 'b.bias')],
  ])
  const index = (map: Record<string, string>) =>
    new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: map }))
  const map = {
    'a.weight': 'one.safetensors',
    'a.bias': 'one.safetensors',
    'b.weight': 'two.safetensors',
    'b.bias': 'two.safetensors',
  }
  const convert = (map: Record<string, string>) =>
    convertFile(index(map), { arch: { json: arch, path: 'arch.json' }, readBeside: async (path) => files.get(path) })

  it('are read by their index', async () => {
    const { counts, format } = await convert(map)
    expect(format).toBe('safetensors-index')
    expect(counts.tensors).toBe(4)
  })

  it('that are missing, or lack a tensor, or lie elsewhere are all named', async () => {
    await expect(
      convert({ ...map, 'b.bias': 'three.safetensors', 'b.weight': 'one.safetensors' }),
    ).rejects.toMatchObject({
      problems: [
        'weight_map: expected a tensor "b.weight" in "one.safetensors", found none',
        'weight_map: expected the file "three.safetensors" beside the index, found none',
      ],
    })
    await expect(convert({ ...map, 'b.bias': '../two.safetensors' })).rejects.toThrow(
      /expected a file beside the model, got "..\/two/,
    )
  })
})
