// Whole networks on the published protocol: ResNet18-CIFAR100 with random weights, three processes on loopback, exact and
// as its authors would run it: one comparison per 4×4 block on 16 of 64 bits.

import type { Workload } from '../../test/fixtures/workloads.js'
import { median, megabytes, milliseconds, table } from '../report.js'
import { type Measured, measure } from './parties.js'

export interface SecurennNetworkRow {
  name: string
  online: { ms: number; bestMs: number; up: number; down: number; helper: number; bytes: number; rounds: number }
  setup: { clientDown: number; serverToHelper: number }
  target: { ms: number; bytes: number }
  peakMemoryMB: Measured['peakMemoryMB']
  runs: number
}

/** Flights of the whole protocol, from its declared cost: the meters see one link each. */
type Rounds = (workload: Workload) => number

const CASES: { name: string; workload: Workload; target: { ms: number; bytes: number } }[] = [
  {
    name: 'exact, a comparison per ReLU',
    workload: { name: 'resnet18-cifar100', options: { backend: 'securenn' } },
    target: { ms: 2000, bytes: 320e6 },
  },
  {
    name: '6.25 % DReLUs, 16 bits',
    workload: {
      name: 'resnet18-cifar100',
      options: { backend: 'securenn', ignoredMsb: 48, ignoredLsb: 4 },
      block: [4, 4],
    },
    target: { ms: 800, bytes: 35e6 },
  },
]

export async function measureNetworks(quick: boolean, rounds: Rounds): Promise<SecurennNetworkRow[]> {
  const rows: SecurennNetworkRow[] = []
  for (const { name, workload, target } of CASES) {
    const measured = await measure({ workload, warmup: 1, runs: quick ? 1 : 7 })
    const times = measured.runs.map((run) => run.onlineMs)
    const { up, down, helper } = measured.bytes.online
    const { clientDown, serverToHelper } = measured.bytes.setup
    rows.push({
      name,
      online: {
        ms: median(times),
        bestMs: Math.min(...times),
        up,
        down,
        helper,
        bytes: up + down + helper,
        rounds: rounds(workload),
      },
      setup: { clientDown, serverToHelper },
      target,
      peakMemoryMB: measured.peakMemoryMB,
      runs: times.length,
    })
  }
  return rows
}

export function networkText(rows: readonly SecurennNetworkRow[]): string {
  const cells = rows.map(({ name, online, target, setup, peakMemoryMB: peak }) => [
    name,
    milliseconds(online.ms),
    milliseconds(online.bestMs),
    `≤ ${milliseconds(target.ms)}`,
    megabytes(online.bytes),
    `≤ ${megabytes(target.bytes)}`,
    `${online.rounds}`,
    megabytes(setup.serverToHelper),
    `${peak.client} / ${peak.server} / ${peak.helper} MB`,
  ])
  const head = ['ResNet18-CIFAR100, 557,056 ReLUs', 'median', 'best', 'target', 'all links', 'target', 'flights']
  return table([...head, 'F, once', 'peak memory c / s / h'], cells)
}
