// What a figure depends on beside the code: when it was measured, on what machine, with which versions.
import { existsSync, readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Circumstances {
  /** ISO 8601, UTC. */
  readonly date: string
  /** Processor, cores and memory. */
  readonly machine: string
  /** Version of this package. */
  readonly ringfence: string
  /** Program that ran it, with its version and platform. */
  readonly runtime: string
}

/** Of a measurement that is made now. */
export function circumstances(): Circumstances {
  const { deno, bun, node } = process.versions
  const runtime = deno ? `Deno ${deno}` : bun ? `Bun ${bun}` : `Node ${node}`
  const cores = availableParallelism()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return {
    date: new Date().toISOString(),
    machine: `${cpus()[0]?.model.trim() || 'unknown processor'}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${memory}`,
    ringfence: packageVersion(),
    runtime: `${runtime}, ${platform()} ${arch()}`,
  }
}

/** One line for the foot of a report. */
export const circumstancesWords = ({ date, machine, ringfence, runtime }: Circumstances): string =>
  `${date.slice(0, 16).replace('T', ' ')} UTC · ${machine} · ringfence ${ringfence} · ${runtime}`

/** From the nearest package.json of this package: sources and bundles lie at different depths. */
export function packageVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const file = join(folder, 'package.json')
    const { name, version } = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
    if (name === 'ringfence') return version
    if (folder === dirname(folder)) return 'unknown'
    folder = dirname(folder)
  }
}
