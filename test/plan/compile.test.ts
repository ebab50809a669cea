import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { runFloat } from '../../src/float/run.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { parametersOf } from '../../src/model/parameters.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { elementCount } from '../../src/model/shape.js'
import type { Weights } from '../../src/model/weights.js'
import { type Calibration, calibrate, cutPoints, parseCalibration } from '../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../src/plan/compile/compile.js'
import { canonicalJson, type Plan, planDigest } from '../../src/plan/plan.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { encodeFixed } from '../../src/ring/codec.js'

const caught = (run: () => unknown): RingfenceError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  return expect.fail('no error was thrown')
}

const network = (layers: object[], shape = [2, 4, 4], outputs?: string[]): Architecture =>
  parseArchitecture({
    format: 'arch/1',
    name: 'small',
    inputs: [{ name: 'x', shape }],
    outputs: outputs ?? [(layers[layers.length - 1] as { id: string }).id],
    layers,
  })

const conv = (id: string, from: string, more: object = {}) => ({
  id,
  op: 'conv2d',
  in: [from],
  cout: 2,
  kernel: [3, 3],
  pad: [1, 1, 1, 1],
  ...more,
})
const relu = (id: string, from: string) => ({ id, op: 'relu', in: [from] })

function weigh(arch: Architecture, size = 0.3): Weights {
  const tensors = (layer: Architecture['layers'][number]) =>
    parametersOf(layer).map(({ tensor, shape }) => {
      const value = (i: number) => (tensor === 'running_var' ? 1 : size * Math.sin(1 + 7 * i))
      return [tensor, Float32Array.from({ length: elementCount(shape) }, (_, i) => value(i))]
    })
  return new Map(arch.layers.map((layer) => [layer.id, Object.fromEntries(tensors(layer))]))
}

const input = (arch: Architecture) =>
  Float32Array.from({ length: elementCount(arch.inputs[0].shape) }, (_, i) => Math.cos(3 * i))

const TWO = network([conv('c1', 'x'), relu('r1', 'c1'), conv('c2', 'r1'), relu('r2', 'c2'), conv('c3', 'r2')])
const ranges = (values: Record<string, number>): Calibration => ({
  format: 'calibration/1',
  source: 'test',
  maxAbs: values,
})
const RANGES = ranges({ input: 1, r1: 3, r2: 3, c3: 5 })
const plan = (options: CompileOptions<'mcc'> = {}) => compile(TWO, weigh(TWO), RANGES, undefined, options)

describe('options', () => {
  it('are all refused at once', () => {
    const error = caught(() => plan({ ring: 40, bits: 40, margin: -1, rounds: 8 as never, lo: { r1: 99, nowhere: 1 } }))
    expect(error.code).toBe('BAD_INPUT')
    expect(error.problems.map((problem) => problem.split(':')[0])).toEqual([
      'ring',
      'bits',
      'margin',
      'lo of r1',
      'lo of nowhere',
      'rounds',
    ])
  })

  it.each([
    [{ ring: 23 }, 'ring'],
    [{ ring: 28.5 }, 'ring'],
    [{ ring: 24, bits: 23 }, 'bits'],
    [{ bits: 3 }, 'bits'],
    [{ bits: Number.NaN }, 'bits'],
    [{ bits: 8, margin: 5 }, 'margin'],
    [{ lo: 16 }, 'lo'],
    [{ lo: 2.5 }, 'lo'],
    [{ chunks: 1 }, 'chunks'],
    [{ chunks: 17 }, 'chunks'],
    [{ chunks: 4, lo: { r2: 14 } }, 'chunks'],
  ] as [CompileOptions<'mcc'>, string][])('%j is refused for its %s', (options, name) => {
    expect(caught(() => plan(options)).problems[0]).toContain(name)
  })

  it('decide ring, widths, windows and rounds', () => {
    const { steps, ring, rounds } = plan({ ring: 30, bits: 14, rounds: 20, lo: { r2: 3 }, chunks: 3 }).plan
    expect([ring, rounds]).toEqual([30, 20])
    expect(steps.map(({ activation }) => activation && [activation.bits, activation.lo])).toEqual([
      [14, 0],
      [14, 3],
      null,
    ])
    for (const { activation } of steps) {
      if (activation) expect(activation.chunks.reduce((a, b) => a + b)).toBe(14 - activation.lo)
      if (activation) expect(activation.chunks).toHaveLength(3)
    }
  })
})

describe('scales', () => {
  it('leave the margin between the calibrated range and the largest right value', () => {
    for (const margin of [0, 1, 2.5]) {
      for (const { scale, activation } of plan({ margin }).plan.steps) {
        if (activation) expect(3 * 2 ** scale * 2 ** margin).toBeLessThanOrEqual(2 ** 14)
        if (activation) expect(3 * 2 ** (scale + 1) * 2 ** margin).toBeGreaterThan(2 ** 14)
      }
    }
  })

  it('compensate truncation: a bias of 2^f - 1', () => {
    const { plan: planned, model } = compile(TWO, weigh(TWO, 0), RANGES)
    planned.steps.forEach(({ activation }, i) => {
      expect(new Set(model.bias[i])).toEqual(new Set([activation ? 2 ** activation.truncate - 1 : 0]))
    })
  })

  it('need a range of everything that is truncated', () => {
    expect(caught(() => compile(TWO, weigh(TWO), ranges({ input: 1, r1: 3, c3: 5 }))).message).toContain(
      'no range for r2',
    )
    expect(caught(() => compile(TWO, weigh(TWO), ranges({ r1: 3, r2: 1, c3: 5 }))).message).toContain(
      'no range for input',
    )
    expect(caught(() => compile(TWO, weigh(TWO), ranges({ input: 1, r1: 3, r2: 3 }))).message).toContain('c3')
  })

  it('keep weights below 16 bits, and refuse weights that leave no room', () => {
    const { model } = plan()
    for (const words of model.weights.values()) expect(Math.max(...words.map(Math.abs))).toBeLessThan(2 ** 15)
    const huge = caught(() => compile(TWO, weigh(TWO, 1e6), RANGES))
    expect(['BAD_INPUT', 'UNSUPPORTED']).toContain(huge.code)
  })
})

describe('comparison windows of a relu-spec', () => {
  const window = (comparison: object, layer: object = {}) => {
    const json = { format: 'relu-spec/1', comparison, layers: { r1: { kind: 'relu', ...layer } } }
    const { steps } = compile(TWO, weigh(TWO), RANGES, parseReluSpec(json, TWO)).plan
    return steps.slice(0, 2).map(({ activation, scale }) => ({ lo: activation!.lo, scale }))
  }

  it('ignore as many low bits as the published window does at its own scale', () => {
    for (const [fractionBits, lsbIgnored] of [
      [10, 6],
      [14, 9],
      [8, 0],
      [16, 7],
    ]) {
      for (const { lo, scale } of window({ fractionBits, lsbIgnored })) {
        expect(lo).toBe(Math.max(0, lsbIgnored + scale - fractionBits))
      }
    }
  })

  it('without a scale count in the bits of the value itself', () => {
    expect(window({ lsbIgnored: 5 }).map(({ lo }) => lo)).toEqual([5, 5])
  })

  it('may differ by layer, and an option goes before the file', () => {
    expect(window({ lsbIgnored: 2 }, { comparison: { lsbIgnored: 4 } }).map(({ lo }) => lo)).toEqual([4, 2])
    const spec = parseReluSpec({ format: 'relu-spec/1', comparison: { lsbIgnored: 2 }, layers: {} }, TWO)
    const { steps } = compile(TWO, weigh(TWO), RANGES, spec, { lo: { r2: 7 } }).plan
    expect(steps.map(({ activation }) => activation?.lo)).toEqual([2, 7, undefined])
  })

  it('that leave nothing to compare are refused', () => {
    expect(caught(() => window({ lsbIgnored: 40 })).message).toContain('leaves nothing to compare')
  })
})

describe('steps without a relu', () => {
  const CHAIN = network([
    conv('a', 'x'),
    conv('b', 'a'),
    { id: 'n', op: 'batchNorm', in: ['b'] },
    { id: 's', op: 'add', in: ['n', 'a'] },
    { id: 'p', op: 'avgPool', in: ['s'], kernel: [2, 2] },
    conv('c', 'p'),
  ])

  it('end where weights meet weights, each value once', () => {
    expect(cutPoints(CHAIN, undefined)).toEqual(['a', 's'])
    const calibration = calibrate(CHAIN, weigh(CHAIN), undefined, [input(CHAIN)])
    expect(Object.keys(calibration.maxAbs).sort()).toEqual(['a', 'c', 'input', 'p', 's'])
    const compiled = compile(CHAIN, weigh(CHAIN), calibration)
    expect(compiled.plan.steps.map(({ id, activation }) => [id, activation?.relu.kind])).toEqual([
      ['a', 'identity'],
      ['s', 'identity'],
      ['c', undefined],
    ])
    const { input: fixed } = compiled.plan
    const { output } = runReference(compiled.plan, compiled.model, encodeFixed(input(CHAIN), fixed.scale, fixed.bits))
    const wanted = runFloat(CHAIN, weigh(CHAIN), undefined, input(CHAIN))
    const unit = 2 ** compiled.plan.steps[2].scale
    wanted.forEach((x, i) => void expect(output[i] / unit).toBeCloseTo(x, 2))
  })

  it('need their ranges, which a calibration file may leave out where no step ends', () => {
    const { maxAbs } = calibrate(CHAIN, weigh(CHAIN), undefined, [input(CHAIN)])
    const { s, ...rest } = maxAbs
    expect(s).toBeGreaterThan(0)
    const json = { format: 'calibration/1', source: 'test', maxAbs: rest }
    expect(caught(() => compile(CHAIN, weigh(CHAIN), parseCalibration(json, CHAIN))).message).toContain(
      'no range for s',
    )
    expect(parseCalibration({ ...json, maxAbs }, CHAIN).maxAbs).toEqual(maxAbs)
    expect(caught(() => parseCalibration({ ...json, maxAbs: { ...maxAbs, y: 1 } }, CHAIN)).code).toBe('BAD_FILE')
  })
})

describe('what cannot run', () => {
  it('is named, all of it', () => {
    const open = (id: string, from: string) => ({ id, op: 'choice', in: [from], key: id, of: [{ op: 'relu' }] })
    const arch = network([open('a', 'x'), open('b', 'a')])
    const error = caught(() => compile(arch, weigh(arch), RANGES))
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.problems.join()).toMatch(/choice: "a", "b"/)
    const padded = network([{ id: 'p', op: 'pad', in: ['x'], pad: [1, 1, 1, 1], fill: 2 }])
    expect(caught(() => compile(padded, weigh(padded), ranges({ input: 1, p: 1 }))).message).toContain('only 0')
  })
})

describe('digest', () => {
  const hex = (value: Plan) => Buffer.from(planDigest(value)).toString('hex')

  it('does not depend on the order of keys', () => {
    const { plan: one } = plan()
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned)
      if (value === null || typeof value !== 'object') return value
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([k, v]) => [k, turned(v)]),
      )
    }
    expect(hex(turned(one) as Plan)).toBe(hex(one))
    expect(hex(JSON.parse(canonicalJson(one)))).toBe(hex(one))
    expect(hex(plan().plan)).toBe(hex(one))
  })

  it('changes with every leaf', () => {
    const { plan: one } = plan()
    const digests = new Set([hex(one)])
    let leaves = 0
    const visit = (value: unknown, change: (next: unknown) => Plan): void => {
      if (value !== null && typeof value === 'object') {
        for (const [key, part] of Object.entries(value)) {
          visit(part, (next) =>
            change(Array.isArray(value) ? value.with(Number(key), next) : { ...value, [key]: next }),
          )
        }
        return
      }
      leaves++
      digests.add(hex(change(typeof value === 'number' ? value + 1 : `${value}!`)))
    }
    visit(one, (next) => next as Plan)
    expect(leaves).toBeGreaterThan(100)
    expect(digests.size).toBe(leaves + 1)
  })
})

describe('a network without calibration', () => {
  it('is refused with what to do', () => {
    const arch = network([{ id: 'r', op: 'relu', in: ['x'] }])
    const error = caught(() => compile(arch, new Map(), undefined))
    expect(error).toMatchObject({ code: 'BAD_INPUT', message: expect.stringMatching(/small: .*ringfence calibrate/) })
  })
})
