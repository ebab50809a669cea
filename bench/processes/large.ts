// `npm run bench -- large`: networks at the sizes that papers run, whole, in three processes: what each party's memory and an
// inference take. An interrupted run goes on where it was.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { prepareModel } from '../../src/files/prepared-model.js'
import type { Backend } from '../../src/plan/plan.js'
import { planMemory } from '../../src/protocol/memory.js'
import { writeWorkload } from '../../test/fixtures/workloads.js'
import { megabytes, table } from '../report.js'
import { type Measured, measure } from './parties.js'

interface Large {
  readonly name: 'resnet50-imagenet' | 'deeplabv3-mobilenetv2'
  readonly backend: Backend
  /** 4×4: 6.25 % of the comparisons. */
  readonly block?: readonly [number, number]
  /** Low bits of 16 that comparisons ignore. */
  readonly lo?: number
}

const NETWORKS: readonly Large[] = [
  { name: 'resnet50-imagenet', backend: 'mcc' },
  { name: 'resnet50-imagenet', backend: 'mcc', lo: 6 },
  { name: 'deeplabv3-mobilenetv2', backend: 'mcc', block: [4, 4] },
  { name: 'deeplabv3-mobilenetv2', backend: 'securenn', block: [4, 4] },
]

export interface LargeRow extends Measured {
  readonly network: string
  readonly backend: Backend
  /** What `planMemory` says, bytes. */
  readonly declared: Readonly<Record<'client' | 'server' | 'helper', number>>
}

export const LARGE = {
  name: 'bench large',
  summary: 'ResNet-50 at 224×224 and DeepLabV3-MobileNetV2 at 512×512 with 6 % blocks, whole: memory, bytes, seconds.',
  flags: {
    only: { type: 'string', valueHint: 'N', description: 'only the Nth of them' },
    rows: {
      type: 'string',
      valueHint: 'FILE',
      description: 'rows that were measured: read from there, new ones added',
    },
  },
} as const

/** Nobody answers for as long as a party of these computes. */
const DEADLINE_MS = 3_600_000

const nameOf = ({ name, block, lo }: Large): string =>
  [name, block && `${block.join('×')} blocks`, lo && `${16 - lo} of 16 bits`].filter(Boolean).join(', ')

export async function benchLarge(flags: Flags): Promise<LargeRow[]> {
  const only = flags.integer('only', 1, NETWORKS.length)
  const file = flags.text('rows')
  flags.check()
  const known = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
  const earlier = known.map((line) => JSON.parse(line) as LargeRow)
  const rows: LargeRow[] = []
  for (const large of only === undefined ? NETWORKS : [NETWORKS[only - 1]]) {
    const same = (row: LargeRow) => row.network === nameOf(large) && row.backend === large.backend
    const row = earlier.find(same) ?? (await one(large))
    rows.push(row)
    if (file !== undefined && !earlier.some(same)) appendFileSync(file, `${JSON.stringify(row)}\n`)
  }
  process.stdout.write(flags.on('json') ? `${JSON.stringify({ large: rows })}\n` : `${text(rows)}\n`)
  return rows
}

async function one(large: Large): Promise<LargeRow> {
  const say = (what: string) => process.stderr.write(`${nameOf(large)}, ${large.backend}: ${what}\n`)
  const { name, backend, block, lo } = large
  const options = { backend, ...(lo !== undefined && { lo }) }
  const workload = { name, block, options }
  const folder = mkdtempSync(join(tmpdir(), 'ringfence-large-'))
  try {
    say('measuring ranges')
    writeWorkload(workload, folder)
    const { prepared: _, ...declared } = planMemory((await prepareModel(folder, undefined, options)).compiled.plan)
    say('one inference in three processes')
    const measured = await measure({ workload, folder, warmup: 0, runs: 1, deadlineMs: DEADLINE_MS })
    return { network: nameOf(large), backend, declared, ...measured }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function text(rows: readonly LargeRow[]): string {
  const head = ['network', 'back end', 'off line, s', 'on line, s', 'flights', 'on line', 'helper → server']
  const parties = ['client', 'server', 'helper'] as const
  const body = rows.map(({ network, backend, runs: [run], bytes, peakMemoryMB, declared }) => [
    ...[
      network,
      backend,
      (run.offlineMs / 1000).toFixed(1),
      (run.onlineMs / 1000).toFixed(1),
      `${bytes.online.flights}`,
    ],
    megabytes(bytes.online.up + bytes.online.down + bytes.online.helper),
    megabytes(bytes.offline.helperToServer),
    ...parties.map((party) => `${peakMemoryMB[party]} (${Math.round(declared[party] / 2 ** 20)})`),
  ])
  return table([...head, ...parties.map((party) => `${party}, MB (kernels at most)`)], body)
}
