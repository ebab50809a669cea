// What compile makes of activations with more than one bend: how many copies, which shifts, and what comes back.
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { toBase64 } from '../../src/model/relu/mask-bits.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { stepLayout } from '../../src/plan/plan.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { decodeFixed, encodeFixed } from '../../src/ring/codec.js'

const shape = [4, 3, 3]
const input = Float32Array.from({ length: 36 }, (_, i) => 3 * Math.cos(5 * i))

/** x, the activation, and a layer of secret weights that reads it. */
function compiled(activation: object, relu?: object, backend: 'mcc' | 'securenn' = 'mcc') {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'bends',
    inputs: [{ name: 'x', shape }],
    outputs: ['y'],
    layers: [
      { id: 'a', in: ['x'], ...activation },
      { id: 'y', op: 'channelScale', in: ['a'] },
    ],
  })
  const slopes = { weight: Float32Array.of(0.25, -0.5, 1.5, 0) }
  const ones = { weight: new Float32Array(4).fill(1) }
  const weights = new Map<string, Record<string, Float32Array>>([['y', ones]])
  if ((activation as { op: string }).op === 'prelu') weights.set('a', slopes)
  const spec = relu && parseReluSpec({ format: 'relu-spec/1', layers: { a: relu } }, arch)
  const made = compile(arch, weights, calibrate(arch, weights, spec, [input]), spec, { backend } as { backend: 'mcc' })
  const { plan, model } = made
  const { output } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits))
  const found = decodeFixed(output, backend === 'mcc' ? plan.steps[plan.steps.length - 1].scale : plan.input.scale)
  return { plan, found, wanted: runFloat(arch, weights, spec, input) }
}

function expectClose({ found, wanted }: ReturnType<typeof compiled>): void {
  wanted.forEach((value, i) => {
    expect(Math.abs(value - found[i]), `${i}: ${found[i]} for ${value}`).toBeLessThan(0.01)
  })
}

const mask = (off: string) => {
  const bits = new Uint8Array(5)
  for (let i = 0; i < 36; i += 3) bits[i >> 3] |= 1 << (i & 7)
  return { kind: 'mask', off, encoding: 'base64-bits-lsb-first', bits: toBase64(bits) }
}

describe.each(['mcc', 'securenn'] as const)('on %s', (backend) => {
  it('a clip is one step before the next layer, whatever its floor, and its copies come back as one', () => {
    for (const [min, max] of [
      [0, 1.5],
      [-1, 1],
      [0.25, 2],
    ]) {
      const made = compiled({ op: 'clip', min, max }, undefined, backend)
      const [step, ...rest] = made.plan.steps
      expect(rest.length).toBe(1)
      expect(step.out).toEqual(shape)
      const [low, high] = [min, max].map((bound) => Math.round(bound * 2 ** step.scale))
      expect(step.activation!.bends).toEqual({ shifts: [-low, -high], sum: { signs: [1, -1], plus: low } })
      expectClose(made)
    }
  })

  it('a clip by channels: linear, zero, plain', () => {
    const blocks = [
      [0, 1],
      [1, 0],
      [1, 1],
      [1, 1],
    ]
    const made = compiled({ op: 'clip', min: -0.5, max: 1 }, { kind: 'block', blocks }, backend)
    expect(made.plan.steps[0].activation!.relu).toEqual({
      kind: 'block',
      blocks: [...blocks, [1, 0], [1, 0], [1, 1], [1, 1]],
    })
    expectClose(made)
  })

  it('a clip with a mask is zero or passes where the mask is off: the second copy has nothing to take off there', () => {
    expectClose(compiled({ op: 'clip', min: -0.5, max: 1 }, mask('zero'), backend))
    const made = compiled({ op: 'clip', min: -0.5, max: 1 }, mask('identity'), backend)
    const { switched, identity } = stepLayout(made.plan.steps[0])!
    expect([switched.length, identity.length]).toEqual([2 * 12, 24])
    expect([...identity]).toEqual(Array.from({ length: 36 }, (_, i) => i).filter((i) => i % 3 > 0))
    // Values that the clip would have cut pass.
    expect(made.wanted.filter((value) => value > 1.1 || value < -0.6).length).toBeGreaterThan(5)
    expectClose(made)
  })

  it('a leaky ReLU comes back as the ReLU and the value, for slopes that only the server knows', () => {
    for (const activation of [{ op: 'leakyRelu', slope: 0.1 }, { op: 'prelu' }]) {
      const made = compiled(activation, undefined, backend)
      const [step] = made.plan.steps
      expect(step.out).toEqual([8, 3, 3])
      expect(step.activation!.bends).toEqual({ shifts: [0, 0], sum: null })
      expect(JSON.stringify(made.plan)).not.toMatch(/1\.5|0\.1/)
      expectClose(made)
      expectClose(compiled(activation, mask('identity'), backend))
      const zeroed = compiled(activation, mask('zero'), backend)
      expect([...zeroed.wanted].filter((value, i) => i % 3 > 0 && value !== 0)).toEqual([])
      expectClose(zeroed)
    }
  })
})
