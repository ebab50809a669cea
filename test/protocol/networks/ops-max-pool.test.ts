// What a max pool costs: comparisons and steps as docs/protocol.md declares them, flights and bytes as they are measured.
import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { elementCount } from '../../../src/model/shape.js'
import { Meter } from '../../../src/net/index.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { planCost } from '../../../src/protocol/mcc/cost.js'
import { securennCost } from '../../../src/protocol/securenn/cost.js'
import { layOut } from '../../../src/protocol/step.js'
import { localParties } from '../../../src/testing.js'
import { drawFrom } from '../mcc/gadget-plan.js'
import { measured } from '../securenn/waves.js'

interface Pool {
  kernel: readonly [number, number]
  stride: readonly [number, number]
  pad: readonly [number, number, number, number]
}

const three: Pool = { kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] }
const two: Pool = { kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0] }
const dense: Pool = { kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1] }
const bar: Pool = { kernel: [1, 4], stride: [1, 4], pad: [0, 0, 0, 0] }

/** Comparisons per output and steps of the pool alone, in pairs and, where windows are three long, at once. */
const cases: [string, Pool, number, number, [number, number]?][] = [
  ['3×3 by 2', three, 6, 4, [9, 2]],
  ['2×2 by 2', two, 3, 2],
  ['3×3 by 1', dense, 4, 4, [6, 2]],
  ['1×4 by 4', bar, 3, 2],
]

function pooled(pool: Pool, relu: boolean) {
  const window = { cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] }
  const layers = [
    { id: 'conv', op: 'conv2d', in: ['x'], ...window },
    ...(relu ? [{ id: 'relu', op: 'relu', in: ['conv'] }] : []),
    { id: 'pool', op: 'maxPool', in: [relu ? 'relu' : 'conv'], ...pool },
  ]
  const inputs = [{ name: 'x', shape: [2, 8, 12] }]
  const arch = parseArchitecture({ format: 'arch/1', name: 'pool', inputs, outputs: ['pool'], layers })
  const draw = drawFrom(3)
  const values = (length: number) => Float32Array.from({ length }, () => 2 * draw() - 1)
  const weights = new Map([['conv', { weight: values(54), bias: values(3) }]])
  const input = values(elementCount([2, 8, 12]))
  const outputs = elementCount(arch.byId.get('pool')!.out)
  return { arch, weights, calibration: calibrate(arch, weights, undefined, [input]), input, outputs }
}

describe.each(cases)('a max pool of %s', (_, pool, perOutput, steps, atOnce = [perOutput, steps]) => {
  it.each([
    ['alone', false, 'trips'],
    ['with the ReLU in front of it, which comes behind it', true, 'trips'],
    ['alone, sparing bytes', false, 'bytes'],
  ] as const)('%s on mcc', async (__, relu, pools) => {
    const [perPool, trips] = pools === 'trips' ? atOnce : [perOutput, steps]
    const { arch, weights, calibration, input, outputs } = pooled(pool, relu)
    const compiled = compile(arch, weights, calibration, undefined, pools === 'trips' ? {} : { pools })
    const planned = layOut(loadKernels(), compiled.plan)
    const declared = planCost(planned)
    planned.release()
    const comparisons = declared.steps.map((step) => step.comparisons)
    const own = relu ? 1 : 0
    expect(comparisons.reduce((a, b) => a + b)).toBe((perPool + own) * outputs)
    // A round trip for every step of comparisons, and the output.
    expect(comparisons.filter((count) => count > 0)).toHaveLength(trips + own)
    expect(comparisons).toHaveLength(trips + own + 1)
    const meter = new Meter()
    const parties = await localParties(compiled, { client: { meter } })
    await parties.client.run(input)
    const { online } = meter.report().links.server
    await parties.release()
    expect(online.flights).toBe(2 * (trips + own + 1))
    expect(online.flights).toBe(declared.total.flights)
    expect(online.bytesSent).toBe(declared.total.online.up)
    expect(online.bytesReceived).toBe(declared.total.online.down)
  })

  it('on securenn', async () => {
    const { arch, weights, calibration, input, outputs } = pooled(pool, false)
    const compiled = compile(arch, weights, calibration, undefined, { backend: 'securenn' })
    const planned = layOut(loadKernels(), compiled.plan)
    const declared = securennCost(planned)
    planned.release()
    const comparisons = declared.steps.map((step) => step.comparisons)
    expect(comparisons.reduce((a, b) => a + b)).toBe(perOutput * outputs)
    const { bytes, flights } = await measured(compiled, input)
    expect(flights).toBe(declared.flights)
    expect(flights).toBe(2 + 9 * steps + 1)
    expect(bytes).toEqual(declared.total)
  })
})
