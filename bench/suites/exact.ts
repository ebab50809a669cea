// `npm run bench -- exact`: networks that no test has the time for, run privately on both back ends with random weights, and
// every output value held against the integer reference.
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { Meter } from '../../src/net/index.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../src/plan/compile/compile.js'
import { inputWords } from '../../src/plan/ends.js'
import type { Backend } from '../../src/plan/plan.js'
import { localParties, runReference } from '../../src/testing.js'
import { randomWeights } from '../../test/fixtures/networks.js'
import { sampleInput } from '../../test/fixtures/workloads.js'
import { table } from '../report.js'

/** A Seesaw network for CIFAR-100 whose sample layers kept a few branches each. */
export const SEESAW_PRUNED = {
  format: 'arch/1',
  name: 'seesaw-pruned',
  family: 'seesaw',
  params: {
    dataset: 'cifar',
    blockConfig: [2, 1, 1],
    kept: [
      ['skip_connect', 'conv_3x3', 'dil_conv_3x3'],
      ['conv_7x1_1x7', 'conv_1x1'],
      ['avg_pool_3x3', 'conv_5x1_1x5', 'group_8_conv_3x3'],
      ['skip_connect', 'sep_conv_3x3', 'van_conv_3x3'],
    ],
  },
  choices: { default_1: 1, default_2: 0, default_3: 1, default_4: 1 },
}

/** DeepLabV3 on MobileNetV2 for pictures of 128×128 and five classes. */
export const deeplab = (params: object = {}) => ({
  format: 'arch/1',
  name: 'deeplabv3-mobilenetv2',
  family: 'deeplabv3',
  params: { backbone: 'mobilenetv2', numClasses: 5, ...params },
  inputs: [{ shape: [3, 128, 128] }],
})

export interface ExactRow {
  readonly network: string
  readonly backend: Backend
  /** Output values, how many of them are not the reference's, and values that left their range on the way. */
  readonly values: number
  readonly differing: number
  readonly overflows: number
  /** Largest difference from the float network, and that network's largest value. */
  readonly error: number
  readonly range: number
  /** Of the online phase, between client and server. */
  readonly flights: number
  /** Of the private run and of the reference. */
  readonly seconds: readonly [number, number]
}

/** Runs one input privately, once more by the integer reference under the same masks, and in float. */
export async function runExactly(arch: Architecture, options: CompileOptions): Promise<ExactRow> {
  const weights = randomWeights(arch, 1)
  const inputs = [1, 2].map((seed) => sampleInput(arch, seed))
  const compiled = compile(arch, weights, calibrate(arch, weights, undefined, inputs), undefined, options)
  const { plan, model } = compiled
  const meter = new Meter()
  const parties = await localParties(compiled, { party: { deadlineMs: 600_000 }, client: { meter } })
  try {
    const start = performance.now()
    const { raw, logits, inference } = await parties.client.run(inputs[0])
    const done = performance.now()
    const words = inputWords(plan, inputs[0])
    const { output, overflows } = runReference(plan, model, words, parties.masks(inference))
    const seconds = [(done - start) / 1000, (performance.now() - done) / 1000] as const
    const [wanted] = FloatNetwork.prepare(arch, weights).run(inputs.slice(0, 1))
    return {
      ...{ network: arch.name, backend: plan.backend, values: output.length, overflows, seconds },
      differing: Math.abs(raw.length - output.length) + output.filter((word, i) => word !== raw[i]).length,
      error: wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - logits[i])), 0),
      range: wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
      flights: meter.report().links.server.online.flights,
    }
  } finally {
    await parties.release()
  }
}

const isExact = ({ differing, overflows }: ExactRow): boolean => differing + overflows === 0

/** All networks on both back ends, or with `quick` the smaller one; prints a table, or with `json` one JSON document. */
export async function benchExact({ json, quick }: { json: boolean; quick: boolean }): Promise<{ exact: ExactRow[] }> {
  const files = quick ? [SEESAW_PRUNED] : [SEESAW_PRUNED, deeplab()]
  const exact: ExactRow[] = []
  for (const file of files) {
    for (const backend of ['mcc', 'securenn'] as const)
      exact.push(await runExactly(parseArchitecture(file), { backend }))
  }
  process.stdout.write(`${json ? JSON.stringify({ exact }) : text(exact)}\n`)
  return { exact }
}

function text(rows: readonly ExactRow[]): string {
  const head = ['network', 'back end', 'values', 'differ', 'overflow', 'error', 'range', 'private, s', 'reference, s']
  const body = rows.map((r) => [
    ...[
      r.network,
      r.backend,
      `${r.values}`,
      `${r.differing}`,
      `${r.overflows}`,
      r.error.toFixed(5),
      r.range.toFixed(3),
    ],
    ...r.seconds.map((s) => s.toFixed(1)),
  ])
  const verdict = rows.every(isExact)
    ? `all of ${rows.length} runs equal the integer reference bit for bit`
    : `NOT EQUAL to the integer reference: ${rows.filter((row) => !isExact(row)).length} of ${rows.length} runs`
  return `${table(head, body)}\n\n${verdict}`
}
