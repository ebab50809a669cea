// When a server guards its plans without being asked, and what it says where it cannot.
import { describe, expect, it, test } from 'vitest'
import { serve } from '../../src/cli/commands/services/serve.js'
import { compiledGuarded, guardsByDefault, whatClientsCanDo } from '../../src/cli/process/guarding.js'
import { Flags } from '../../src/cli/terminal/arguments.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../src/plan/compile/compile.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { randomWeights } from '../fixtures/networks.js'
import { failure, tinyNetwork } from '../party/fixture.js'

const flagsOf = (...args: string[]) => new Flags(serve, args)
const faultsOf = (flags: Flags): string => {
  try {
    flags.check()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

describe('a server guards by itself', () => {
  test.each([
    [true, [], {}, false],
    [false, [], {}, true],
    [false, ['--no-guard'], {}, false],
    [false, ['--guard'], {}, false],
    [false, [], { backend: 'securenn' }, false],
  ] as const)('%s where it is given %j %j, clients known: %s', (by, args, options, known) => {
    const flags = flagsOf(...args)
    expect(guardsByDefault(flags, options, known)).toBe(by)
    expect(faultsOf(flags)).toBe('')
  })

  it('is told once', () => {
    const flags = flagsOf('--guard', '--no-guard')
    guardsByDefault(flags, {}, false)
    expect(faultsOf(flags)).toMatch(/--guard and --no-guard: give one of them/)
  })

  it('asks what is meant where low bits are to be ignored', () => {
    const flags = flagsOf('--lo', '4')
    guardsByDefault(flags, { lo: 4 }, false)
    expect(faultsOf(flags)).toMatch(/--lo: where anybody may connect plans are guarded.*--no-guard/)
    const unguarded = flagsOf('--lo', '4', '--no-guard')
    guardsByDefault(unguarded, { lo: 4 }, false)
    expect(faultsOf(unguarded)).toBe('')
  })

  it('says which of the three it is', () => {
    expect(whatClientsCanDo(true, true, 'mcc')).toMatch(/are caught, at about twice the work \(--no-guard/)
    expect(whatClientsCanDo(true, false, 'mcc')).toBe('clients that deviate are caught, and may come back')
    expect(whatClientsCanDo(false, false, 'mcc')).toMatch(/read its weights \(--no-guard\)/)
    expect(whatClientsCanDo(false, false, 'securenn')).toMatch(/securenn has no guard/)
  })
})

describe('a network', () => {
  it('is compiled with a guard', async () => {
    const { plan } = await compiledGuarded(async (options) => tinyNetwork(1, 2, options as never), {})
    expect((plan as MccPlan).guard?.sigma).toBe(16)
  })

  const square = parseArchitecture({
    format: 'arch/1',
    name: 'square',
    inputs: [{ name: 'x', shape: [2, 3, 3] }],
    outputs: ['c'],
    layers: [
      { id: 'square', op: 'multiply', in: ['x', 'x'] },
      { id: 'c', op: 'conv2d', in: ['square'], cout: 1, kernel: [1, 1] },
    ],
  })
  const compiled = async (options: CompileOptions) => {
    const weights = randomWeights(square, 1)
    return compile(
      square,
      weights,
      calibrate(square, weights, undefined, [new Float32Array(18).fill(1)]),
      undefined,
      options,
    )
  }

  it('that cannot be guarded is refused, with what to do', async () => {
    expect(await failure(compiledGuarded(compiled, {}))).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/anybody may connect here; give --tokens or --jwks, or --no-guard/),
      problems: [expect.stringMatching(/square: products/)],
    })
  })

  it('that cannot be compiled at all is told as that', async () => {
    const error = await failure(compiledGuarded(compiled, { ring: 99 }))
    expect(error).toMatchObject({ code: 'BAD_INPUT', message: expect.not.stringMatching(/guard/) })
  })
})
