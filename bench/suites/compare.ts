// `npm run bench -- compare`: what comparing with zero costs per compared bit, for every back end and chain shape.
import { throwIfAny } from '../../src/errors.js'
import { chartsSvg } from '../compare/figures.js'
import type { Host } from '../compare/host.js'
import { mcc } from '../compare/mcc/backend.js'
import { parseOptions, usage } from '../compare/options.js'
import { csv, html, json, text } from '../compare/report.js'
import { type Comparison, compare } from '../compare/rows.js'
import { securenn } from '../compare/securenn/backend.js'

/** The back ends there are; a new one is added here. */
export const BACKENDS = [mcc, securenn] as const

/**
 * Runs the bench as its command line says.
 * @returns what was measured, or null when only the usage was asked for
 * @throws RingfenceError BAD_INPUT for flags, files or sizes that cannot work, UNSUPPORTED when no bit count can run;
 *   before any work
 */
export async function benchCompare(flags: readonly string[], host: Host): Promise<Comparison | null> {
  if (flags.includes('--help') || flags.includes('-h')) {
    host.print(usage(BACKENDS))
    return null
  }
  const options = parseOptions(flags, BACKENDS, host.memory)
  const files = [options.svg, options.html].filter((file) => file !== undefined)
  const reasons = await Promise.all(files.map((file) => host.unwritable(file)))
  const problems = reasons.flatMap((reason, i) => (reason === null ? [] : [`${files[i]}: ${reason}`]))
  throwIfAny('BAD_INPUT', 'bench compare cannot write its charts:', problems)
  try {
    const comparison = await compare(options, host)
    host.print({ table: text, json, csv }[options.format](comparison))
    if (options.svg !== undefined) await host.write(options.svg, chartsSvg(comparison))
    if (options.html !== undefined) await host.write(options.html, html(comparison))
    return comparison
  } finally {
    host.close()
  }
}
