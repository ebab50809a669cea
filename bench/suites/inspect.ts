// `npm run bench -- inspect`: the command itself, as a process, on every network of the literature.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { RingfenceError } from '../../src/errors.js'
import { type LiteratureFile, literature } from '../../test/fixtures/literature.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { median, table } from '../report.js'

export interface InspectRow {
  readonly network: string
  readonly layers: number
  readonly relus: number
  readonly params: number
  /** Median, from the start of the process to its end. */
  readonly seconds: number
  /** Of both processor modes, where the system tells; on a busy machine this is the time to look at. */
  readonly cpuSeconds: number | undefined
  readonly met: boolean
}

/** Seconds. */
const TARGET = 1
const SLOWEST = 5

/** All networks; prints the slowest ones and a verdict, or with `json` one JSON document of all. */
export async function benchInspect({ json, quick }: { json: boolean; quick: boolean }): Promise<InspectRow[]> {
  const cli = fileURLToPath(new URL('dist/cli.js', REPOSITORY))
  if (!existsSync(cli)) throw new RingfenceError('BAD_INPUT', `${cli}: expected the built program; npm run build`)
  const folder = mkdtempSync(join(tmpdir(), 'ringfence-inspect-'))
  try {
    const rows: InspectRow[] = []
    for (const network of literature()) rows.push(await inspected(cli, folder, network, quick ? 1 : 3))
    rows.sort((a, b) => b.seconds - a.seconds)
    process.stdout.write(`${json ? JSON.stringify({ inspect: rows, target: TARGET }) : text(rows)}\n`)
    return rows
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function inspected(cli: string, folder: string, network: LiteratureFile, runs: number): Promise<InspectRow> {
  const put = (name: string, value: unknown): string => {
    const path = join(folder, name)
    writeFileSync(path, JSON.stringify(value))
    return path
  }
  const choices = network.choices ? ['--choices', put('choices.json', network.choices)] : []
  const args = [cli, 'inspect', put('arch.json', network.file), ...choices, '--json']
  const [seconds, cpu]: [number[], number[]] = [[], []]
  let found = ''
  for (let run = 0; run < runs; run++) {
    const [since, before] = [performance.now(), childSeconds()]
    found = (await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 26 })).stdout
    seconds.push((performance.now() - since) / 1000)
    const after = childSeconds()
    if (before !== undefined && after !== undefined) cpu.push(after - before)
  }
  const { layers, relus, params } = JSON.parse(found)
  const time = median(seconds)
  return {
    ...{ network: network.name, layers: layers.length, relus, params, seconds: time, met: time <= TARGET },
    cpuSeconds: cpu.length > 0 ? median(cpu) : undefined,
  }
}

/** Processor time of children that have ended (proc(5): cutime and cstime, in hundredths); undefined outside of Linux. */
function childSeconds(): number | undefined {
  if (!existsSync('/proc/self/stat')) return undefined
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

function text(rows: readonly InspectRow[]): string {
  const head = ['slowest networks', 'layers', 'ReLUs', 'parameters', 'seconds', 'CPU seconds', 'met']
  const body = rows
    .slice(0, SLOWEST)
    .map((r) => [
      ...[r.network, `${r.layers}`, r.relus.toLocaleString('en'), r.params.toLocaleString('en'), r.seconds.toFixed(2)],
      ...[r.cpuSeconds?.toFixed(2) ?? '', r.met ? 'yes' : 'NO'],
    ])
  const slow = rows.filter(({ met }) => !met).length
  const all = `${rows.length} networks, largest ${rows[0].seconds.toFixed(2)} s, target ${TARGET} s`
  return `${table(head, body)}\n\n${all}: ${slow === 0 ? 'met by all' : `NOT MET by ${slow}`}`
}
