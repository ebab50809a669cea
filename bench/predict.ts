// `npm run bench -- predict`: how long one call of `predict` takes. A tuner makes thousands of them.
import { networkProfiles } from '../src/net/index.js'
import { predict } from '../src/tune/cost/predict.js'
import { prepareWorkload, type Workload } from '../test/fixtures/workloads.js'
import { table } from './report.js'
import { type Rate, sampleAll, type Variant } from './round-robin.js'

export interface PredictRow {
  readonly network: string
  readonly backend: string
  readonly steps: number
  /** Per call. */
  readonly medianUs: number
  readonly bestUs: number
}

const NETWORKS = ['resnet20-cifar10', 'vgg11-cifar10', 'wrn16-2-cifar10', 'mobilenetv2-cifar10'] as const
const BACKENDS = ['mcc', 'securenn'] as const

/** All networks on both back ends, by turns. */
export async function benchPredict({ json, quick }: { json: boolean; quick: boolean }): Promise<PredictRow[]> {
  const options = { profile: networkProfiles.wan60 }
  const rows = (quick ? NETWORKS.slice(0, 1) : NETWORKS).flatMap((network) =>
    BACKENDS.map((backend) => {
      const { plan } = prepareWorkload({ name: network, options: { backend } } as Workload).compiled
      const variant: Variant = { name: `${network} ${backend}`, work: 1, run: () => void predict(plan, options) }
      return { network, backend, steps: plan.steps.length, variant }
    }),
  )
  const variants = rows.map(({ variant }) => variant)
  const rates = sampleAll(variants, quick ? 5 : 31, 20)
  const timed = rows.map(({ variant, ...row }) => ({ ...row, ...times(rates.get(variant.name)!) }))
  process.stdout.write(`${json ? JSON.stringify({ predict: timed }) : text(timed)}\n`)
  return timed
}

/** From 10^9 calls a second. */
const times = ({ median, best }: Rate) => ({ medianUs: 1e-3 / median, bestUs: 1e-3 / best })

function text(rows: readonly PredictRow[]): string {
  const body = rows.map(({ network, backend, steps, medianUs, bestUs }) => {
    return [network, backend, `${steps}`, medianUs.toFixed(0), bestUs.toFixed(0)]
  })
  return table(['network', 'back end', 'steps', 'µs per call', 'best'], body)
}
