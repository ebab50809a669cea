import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { requireRunnable } from '../../src/model/runnable.js'

const EXAMPLES = new URL('../vectors/examples/', import.meta.url)
const example = (name: string) => readFileSync(new URL(name, EXAMPLES), 'utf8')

function failure(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

const examples = readdirSync(EXAMPLES).filter((f) => f.endsWith('.arch.json'))

function tiny(layers: unknown[], rest: object = {}): unknown {
  const outputs = [(layers.at(-1) as { id: string }).id]
  return { format: 'arch/1', name: 'tiny', inputs: [{ name: 'x', shape: [4, 9, 8] }], outputs, layers, ...rest }
}

const outOf = (layer: object) => parseArchitecture(tiny([{ id: 'a', in: ['x'], ...layer }])).layers[0].out

describe('the example files', () => {
  it.each(examples)('%s parses', (file) => {
    expect(parseArchitecture(example(file), file).layers.length).toBeGreaterThan(5)
  })

  it('a network with open choices parses, and requireRunnable names every such layer in one error', () => {
    const { choices: _, expect: __, ...open } = JSON.parse(String(example('seesaw-tiny-expanded.arch.json')))
    const arch = parseArchitecture(open)
    const error = failure(() => requireRunnable(arch))
    expect(error.code).toBe('UNSUPPORTED')
    const bad = arch.layers.filter((l) => l.op === 'choice')
    expect(bad.length).toBeGreaterThan(1)
    for (const layer of bad) expect(error.message).toContain(`"${layer.id}"`)
  })

  it('ResNet-20 and ResNet-8 can be run', () => {
    for (const file of ['resnet20-cifar10.arch.json', 'resnet8-cifar10.arch.json', 'mnist-cnn3.arch.json']) {
      requireRunnable(parseArchitecture(example(file)))
    }
  })
})

describe('shapes', () => {
  it('pads in the order top, left, bottom, right', () => {
    expect(outOf({ op: 'pad', pad: [1, 2, 3, 5] })).toEqual([4, 13, 15])
    expect(outOf({ op: 'conv2d', cout: 6, kernel: [3, 3], pad: [2, 0, 0, 1], stride: [1, 2] })).toEqual([6, 9, 4])
  })

  it('conv2d knows groups and dilation', () => {
    expect(outOf({ op: 'conv2d', cout: 8, kernel: [3, 2], dilation: [3, 4], groups: 4 })).toEqual([8, 3, 4])
  })

  it('avgPool in ceil mode drops a window that would start in the trailing padding', () => {
    expect(outOf({ op: 'avgPool', kernel: [2, 3], stride: [2, 3], ceil: true })).toEqual([4, 5, 3])
    expect(outOf({ op: 'avgPool', kernel: [2, 2], pad: [1, 1, 1, 1], stride: [4, 3], ceil: true })).toEqual([4, 3, 3])
  })

  it('subsample, shortcutA, globalAvgPool and flatten', () => {
    expect(outOf({ op: 'subsample', stride: [2, 2], offset: [1, 1] })).toEqual([4, 4, 4])
    expect(outOf({ op: 'shortcutA', stride: [2, 2], padChannels: [1, 3] })).toEqual([8, 5, 4])
    expect(outOf({ op: 'globalAvgPool' })).toEqual([4, 1, 1])
    expect(outOf({ op: 'flatten' })).toEqual([288])
  })
})

describe('faulty files', () => {
  it('reports every problem at once, with the layer it is in', () => {
    const file = tiny(
      [
        { id: 'c1', op: 'conv2d', in: ['x'], cout: 6, kernel: [3, 3], groups: 3, colour: 'red' },
        { id: 'c2', op: 'conv2d', in: ['x'], cout: 0, kernel: [3], stride: [1, 1] },
        { id: 'r', op: 'relu', in: ['nowhere'] },
        { id: 'r', op: 'relu', in: ['x'], out: [4, 9, 9] },
        { id: 's', op: 'add', in: ['x'] },
        { id: 't', op: 'add', in: ['u', 'x'] },
        { id: 'u', op: 'relu', in: ['t'] },
        { id: 'v', op: 'relu', in: ['w'] },
        { id: 'w', op: 'warp', in: ['x'] },
        { id: 'l', op: 'linear', in: ['x'], cout: 10 },
        { op: 'relu', in: ['x'] },
        { id: 'big', op: 'conv2d', in: ['x'], cout: 2, kernel: [11, 3] },
      ],
      { outputs: ['nothing'], colour: 1, weights: { layout: 'papyrus' } },
    )
    const { code, problems } = failure(() => parseArchitecture(file, 'bad.json'))
    expect(code).toBe('BAD_FILE')
    const text = problems.join('\n')
    for (const part of [
      'layer "c1": unknown field "colour"',
      'layer "c2": cout: expected an integer >= 1, got 0',
      'layer "c2": kernel: expected 2 integers >= 1, got [3]',
      'layer "r": in: expected an input or an earlier layer, found none of id "nowhere"',
      'layer "r": id: "r" is taken by an earlier layer',
      'layer "r": out: expected [4,9,8] as computed from its input, got [4,9,9]',
      'layer "s": in: expected at least 2 inputs, got ["x"]',
      'layer "t": in: expected no cycle, got',
      'layer "v": in: expected an earlier layer, but "w" stands later in the file',
      'layer "w": op: expected one of conv2d',
      'layer "l": expected an input of shape [n], got [4,9,8]; put a flatten before it',
      'layers[10]: id: expected a non-empty string, got nothing',
      'layer "big": out: the output would be empty',
      'outputs: expected a layer id, got "nothing"',
      'weights: layout: expected one of torch',
      'file: unknown field "colour"',
    ])
      expect(text).toContain(part)
  })

  it('reports groups that do not divide the channels', () => {
    const file = tiny([{ id: 'c', op: 'conv2d', in: ['x'], cout: 5, kernel: [1, 1], groups: 3 }])
    expect(failure(() => parseArchitecture(file)).problems).toHaveLength(2)
  })

  it('compares expect with what the layers make', () => {
    const file = tiny([{ id: 'r', op: 'relu', in: ['x'] }], { expect: { relus: 7 } })
    expect(failure(() => parseArchitecture(file)).problems).toEqual([
      'expect.relus: the layers make 288, the file says 7',
    ])
  })

  it.each(['', 'null', '[]', '{"format":"arch/2"}', '{"__proto__":{"format":"arch/1"}}'])('%j is BAD_FILE', (text) => {
    expect(failure(() => parseArchitecture(text)).code).toBe('BAD_FILE')
  })

  it('any damage to a file is a typed error or a network', () => {
    const source = example('seesaw-tiny-expanded.arch.json')
    const junk = fc.oneof(fc.jsonValue(), fc.constant([]), fc.constant('relu'), fc.integer())
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom('', 'in', 'op', 'out', 'id', 'kernel', 'of', 'pad'),
        junk,
        (at, key, value) => {
          const file = JSON.parse(source)
          const place = at % file.layers.length
          if (key === '') file.layers[place] = value
          else file.layers[place][key] = value
          try {
            parseArchitecture(file)
          } catch (error) {
            expect(error).toBeInstanceOf(RingfenceError)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a long chain of layers backwards is reported, without recursion', () => {
    const layers = Array.from({ length: 20_000 }, (_, i) => ({ id: `n${i}`, op: 'relu', in: [`n${i + 1}`] }))
    expect(failure(() => parseArchitecture(tiny(layers))).problems.length).toBe(20_000)
  })
})

describe('counts', () => {
  it('ResNet-20: 188,416 ReLUs and as many DReLUs', () => {
    const counts = countNetwork(parseArchitecture(example('resnet20-cifar10.arch.json')))
    expect(counts).toMatchObject({ relus: 188_416, drelus: 188_416, reluLayers: 19 })
  })

  it('mnist-cnn3: 11,202 trained parameters, running statistics not counted', () => {
    expect(countNetwork(parseArchitecture(example('mnist-cnn3.arch.json'))).params).toBe(11_202)
  })
})
