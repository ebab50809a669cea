// The default calibration: the narrowest windows that answer as float does, factors where rounding is what changes answers.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import type { Weights } from '../../src/model/weights.js'
import { calibrateNetwork, compile, evaluateNetwork } from '../../src/plan.js'
import { randomWeights } from '../fixtures/networks.js'

const CLASSES = 4
const arch: Architecture = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [4, 4, 4] }],
  outputs: ['fc'],
  layers: [
    { id: 'conv', op: 'conv2d', in: ['x'], cout: 16, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'relu', op: 'relu', in: ['conv'] },
    { id: 'conv2', op: 'conv2d', in: ['relu'], cout: 16, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'relu2', op: 'relu', in: ['conv2'] },
    { id: 'flat', op: 'flatten', in: ['relu2'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: CLASSES },
  ],
})
const weights = randomWeights(arch, 11)

/** The network with a head whose classes all tie on one picture. */
function tied(own: Weights, picture: Float32Array): Weights {
  const [logits] = FloatNetwork.prepare(arch, own).run([picture])
  const fc = own.get('fc')!
  const bias = logits.map((value, i) => (fc.bias?.[i] ?? 0) - value)
  return new Map(own).set('fc', { ...fc, bias })
}

/** Alike but for little, so that classes are told apart by little. */
const pictures = (count: number, apart: number): Float32Array[] =>
  Array.from({ length: count }, (_, n) =>
    Float32Array.from({ length: 64 }, (_, i) => Math.sin(2 * i) + apart * Math.sin((n + 3) * (i + 1.7))),
  )

/** The network with the channels of its last map up to 2^10 times smaller, and the head's weights as much larger. */
function spread(): Weights {
  const own = new Map([...weights].map(([id, tensors]) => [id, { ...tensors }]))
  const size = (c: number) => 2 ** (-c / 1.5)
  const conv = own.get('conv2')!
  own.set('conv2', {
    weight: conv.weight!.map((w, i) => w * size(Math.floor(i / (16 * 9)))),
    ...(conv.bias && { bias: conv.bias.map((b, c) => b * size(c)) }),
  })
  const fc = own.get('fc')!
  own.set('fc', { ...fc, weight: fc.weight!.map((w, i) => w / size(Math.floor((i % 256) / 16))) })
  return own
}

describe('the default calibration', () => {
  it('reads as few bits as still answer as float does', async () => {
    const network = { arch, weights, spec: undefined }
    const easy = await calibrateNetwork(network, pictures(12, 1))
    const quiet = await calibrateNetwork(network, pictures(12, 1), { target: { noise: 0.02 } })
    expect(easy.agreement).toEqual({ pictures: 12, agreeing: 12 })
    expect(easy.windowBits).toBe(quiet.windowBits)
    expect(quiet.agreement).toBeNull()

    const alike = pictures(24, 0.05)
    const close = { ...network, weights: tied(weights, pictures(1, 0)[0]) }
    const narrow = await calibrateNetwork(close, alike, { target: { noise: 0.02 } })
    const hard = await calibrateNetwork(close, alike)
    expect(hard.windowBits).toBeGreaterThan(narrow.windowBits)
    const agreeing = async (calibration: typeof hard.calibration) => {
      const [{ reference }] = await evaluateNetwork({ ...close, calibration }, alike)
      return reference.agreeing
    }
    expect(await agreeing(narrow.calibration)).toBeLessThan(await agreeing(hard.calibration))
    expect(hard.agreement!.agreeing).toBe(hard.agreement!.pictures)
  })

  it('takes factors per channel where rounding over uneven channels changes answers', async () => {
    const network = { arch, weights: tied(spread(), pictures(1, 0)[0]), spec: undefined }
    const inputs = pictures(24, 0.05)
    const exact = await calibrateNetwork(network, inputs, { target: 'exact' })
    const [{ reference }] = await evaluateNetwork({ ...network, calibration: exact.calibration }, inputs)
    expect(reference.agreeing).toBeLessThan(20)
    const { calibration, agreement } = await calibrateNetwork(network, inputs)
    expect(calibration.channels).toBeDefined()
    expect(agreement!.pictures).toBe(24)
    expect(agreement!.agreeing).toBeGreaterThan(reference.agreeing + 4)
    expect(compile(arch, network.weights, calibration).coarse).toBeUndefined()
  })

  it('refuses a share that is none', async () => {
    const network = { arch, weights, spec: undefined }
    const wrong = calibrateNetwork(network, pictures(2, 1), { target: { agreement: 1.5 } })
    await expect(wrong).rejects.toThrow('expected an agreement above 0 and at most 1, got 1.5')
  })
})
