// Values and gradients of every op, and of the loss, against a framework's own numbers (test/vectors/gradients.py).
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { Norm } from '../../src/gradient/differentiable.js'
import { lossOf } from '../../src/gradient/loss.js'
import { Tape } from '../../src/gradient/tape.js'
import { loadFloatKernels } from '../../src/kernels/float/instance.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { elementCount } from '../../src/model/shape.js'
import { maskBits, network, numbers, weightsOf } from './numbers.js'

interface Case {
  readonly name: string
  readonly shape: readonly number[]
  readonly layers: readonly object[]
  readonly norm?: Norm
  readonly spec?: { readonly kind: string }
  readonly values: readonly number[]
  readonly inputs: readonly number[]
  readonly gradients: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>
}

interface Vectors {
  readonly pictures: number
  readonly loss: Parameters<typeof lossOf>[2] & {
    readonly label: number
    readonly loss: number
    readonly seed: number[]
  }
  readonly cases: readonly Case[]
}

const vectors: Vectors = JSON.parse(readFileSync(new URL('../vectors/gradients.json', import.meta.url), 'utf8'))

/** The vectors have six digits. */
function near(what: string, got: ArrayLike<number>, wanted: readonly number[]): void {
  expect(got.length, what).toBe(wanted.length)
  wanted.forEach((value, i) => {
    if (!(Math.abs(got[i] - value) <= 2e-5 * Math.max(1, Math.abs(value)))) {
      expect.fail(`${what}[${i}]: got ${got[i]}, the framework has ${value}`)
    }
  })
}

it.each(vectors.cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
  const arch = network(one.shape, one.layers)
  const size = elementCount(one.shape)
  const masked = { encoding: 'base64-bits-lsb-first', bits: maskBits(size) }
  const l0 = one.spec?.kind === 'mask' ? { ...one.spec, ...masked } : one.spec
  const spec = l0 && parseReluSpec({ format: 'relu-spec/1', layers: { l0 } }, arch)
  const pictures = Array.from({ length: vectors.pictures }, (_, p) => numbers(size, 100 + p))
  for (const build of ['simd', 'scalar'] as const) {
    const kernels = loadFloatKernels(build)
    const tape = Tape.prepare(arch, weightsOf(arch), { spec, norm: one.norm, inputs: true, kernels })
    const values = tape.forward(pictures)
    near(
      'value',
      values.flatMap((v) => [...v]),
      one.values,
    )
    const { weights, inputs } = tape.backward(values.map(({ length }, p) => numbers(length, 200 + p)))
    near(
      'input',
      inputs.flatMap((v) => [...v]),
      one.inputs,
    )
    expect([...weights.keys()].sort()).toEqual(Object.keys(one.gradients).sort())
    for (const [id, tensors] of Object.entries(one.gradients)) {
      const own = weights.get(id)! as Readonly<Record<string, Float32Array>>
      expect(Object.keys(own).sort()).toEqual(Object.keys(tensors).sort())
      for (const [name, wanted] of Object.entries(tensors)) near(`${id}.${name}`, own[name], wanted)
    }
    tape.release()
  }
})

it('the loss, with smoothed labels and a teacher', () => {
  const { label, loss, seed, ...how } = vectors.loss
  const three = (seed: number) => numbers(7, seed).map((v) => 3 * v)
  const got = lossOf(three(1), label, how, three(2))
  expect(got.loss).toBeCloseTo(loss, 5)
  near('seed', got.seed, seed)
})
