// `npm run bench -- profile`: where the time of a private ResNet-18 goes, per party and phase. docs/performance.md shows the table.
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { ask, report, type Used, withParties } from '../processes/parties.js'
import type { Parts } from '../processes/timed.js'
import { median, table } from '../report.js'

/** Milliseconds per inference, medians. */
export interface PartyProfile {
  /** Of the processor. */
  cpuMs: number
  parts: Parts
  gcMs: number
  /** Of the processor, for none of the above. */
  restMs: number
}

export interface PhaseProfile {
  /** As the client sees it. */
  wallMs: number
  client: PartyProfile
  server: PartyProfile
  helper: PartyProfile
}

export interface ProfileReport {
  network: string
  runs: number
  offline: PhaseProfile
  online: PhaseProfile
}

const NETWORK = 'resnet18-cifar100'
const ROLES = ['client', 'server', 'helper'] as const
/** After a phase: what was sent has come, and what is done ahead is done. */
const REST_MS = 60

export const PROFILE = {
  name: 'bench profile',
  summary: 'Where the time of a private ResNet-18 goes, per party and phase.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look' },
    markdown: { type: 'boolean', description: 'print the tables of docs/performance.md' },
  },
} as const

export async function benchProfile(flags: Flags): Promise<ProfileReport> {
  const [quick, markdown] = [flags.on('quick'), flags.on('markdown')]
  flags.check()
  const runs = quick ? 3 : 15
  const job = {
    workload: { name: NETWORK, options: { ring: 32, bits: 16, lo: 0 } },
    warmup: 0,
    runs: 0,
    timed: true,
  } as const
  const result = await withParties(job, 1, async ({ clients: [client], server, helper }) => {
    const all = [client, server, helper]
    const rounds: { offline: Round; online: Round }[] = []
    for (let i = -3; i < runs; i++) {
      const start = await rested(all)
      const began = performance.now()
      await ask(client, 'prepare')
      const offlineMs = performance.now() - began
      const between = await rested(all)
      const onlineMs = await ask<number>(client, 'infer')
      const end = await rested(all)
      if (i < 0) continue
      rounds.push({
        offline: { wallMs: offlineMs, before: start, after: between },
        online: { wallMs: onlineMs, before: between, after: end },
      })
    }
    const of = (phase: 'offline' | 'online') => phaseOf(rounds.map((round) => round[phase]))
    return { network: NETWORK, runs, offline: of('offline'), online: of('online') }
  })
  const show = markdown ? markdownText : text
  process.stdout.write(`${flags.on('json') ? JSON.stringify(result) : show(result)}\n`)
  return result
}

/** What a client's phase took, and what each process had used before and after it. */
interface Round {
  readonly wallMs: number
  readonly before: readonly Used[]
  readonly after: readonly Used[]
}

async function rested(children: Parameters<typeof report>[0]): Promise<Used[]> {
  await new Promise((resolve) => setTimeout(resolve, REST_MS))
  return report(children)
}

function phaseOf(rounds: readonly Round[]): PhaseProfile {
  const partyOf = (i: number): PartyProfile => {
    const middle = (of: (used: Used) => number) =>
      median(rounds.map(({ before, after }) => of(after[i]) - of(before[i])))
    const names = Object.keys(rounds[0].after[i].parts)
    const parts = Object.fromEntries(names.map((name) => [name, middle(({ parts }) => parts[name] ?? 0)]))
    const [cpuMs, gcMs] = [middle((used) => used.cpuMs), middle((used) => used.gcMs)]
    const known = Object.values(parts).reduce((sum, ms) => sum + ms, gcMs)
    return { cpuMs, parts, gcMs, restMs: Math.max(0, cpuMs - known) }
  }
  const [client, server, helper] = ROLES.map((_, i) => partyOf(i))
  return { wallMs: median(rounds.map(({ wallMs }) => wallMs)), client, server, helper }
}

function rowsOf(phase: PhaseProfile): string[][] {
  const names = [...new Set(ROLES.flatMap((role) => Object.keys(phase[role].parts)))]
  const ms = (value: number) => (value < 0.05 ? '' : value.toFixed(1))
  const row = (name: string, of: (party: PartyProfile) => number) => [name, ...ROLES.map((role) => ms(of(phase[role])))]
  const rows = names.map((name) => row(name, ({ parts }) => parts[name] ?? 0))
  return [
    ...rows.filter(([, ...cells]) => cells.some((cell) => cell !== '')),
    row('collecting garbage', ({ gcMs }) => gcMs),
    row('everything else', ({ restMs }) => restMs),
    row('all of it', ({ cpuMs }) => cpuMs),
  ]
}

const titleOf = (name: string, { wallMs }: PhaseProfile): string =>
  `${name}: ${wallMs.toFixed(1)} ms as the client sees it`
const HEAD = ['processor ms per inference', ...ROLES]

const text = ({ offline, online, runs }: ProfileReport): string =>
  [
    `${NETWORK}, medians of ${runs}; with every part timed, which takes a little itself`,
    ...[['on line', online] as const, ['off line', offline] as const].map(
      ([name, phase]) => `${titleOf(name, phase)}\n\n${table(HEAD, rowsOf(phase))}`,
    ),
  ].join('\n\n')

function markdownText({ offline, online }: ProfileReport): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [['On line', online] as const, ['Off line', offline] as const]
    .map(([name, phase]) =>
      [titleOf(name, phase), '', line(HEAD), '|---|---:|---:|---:|', ...rowsOf(phase).map(line)].join('\n'),
    )
    .join('\n\n')
}
