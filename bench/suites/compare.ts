// `npm run bench -- compare`: what comparing with zero costs per compared bit, for every back end and chain shape.
import { throwIfAny } from '../../src/errors.js'
import type { Host } from '../compare/host.js'
import { mcc } from '../compare/mcc/backend.js'
import { parseOptions } from '../compare/options.js'
import { csv, html, json, svg, text } from '../compare/report.js'
import { type Comparison, compare } from '../compare/rows.js'
import { securenn } from '../compare/securenn/backend.js'

/** The back ends there are; a new one is added here. */
export const BACKENDS = [mcc, securenn] as const

/**
 * Runs the bench as its command line says.
 * @returns what was measured
 * @throws RingfenceError BAD_INPUT for flags, files or sizes that cannot work, UNSUPPORTED when no bit count can run;
 *   before any work
 */
export async function benchCompare(flags: readonly string[], host: Host): Promise<Comparison> {
  const options = parseOptions(flags, BACKENDS, host.memory)
  const files = [options.svg, options.html].filter((file) => file !== undefined)
  const reasons = await Promise.all(files.map((file) => host.unwritable(file)))
  const problems = reasons.flatMap((reason, i) => (reason === null ? [] : [`${files[i]}: ${reason}`]))
  throwIfAny('BAD_INPUT', 'bench compare cannot write its charts:', problems)
  try {
    const comparison = await compare(options, host)
    const shown = {
      table: () => text(comparison, host.columns),
      json: () => json(comparison),
      csv: () => csv(comparison),
    }
    host.print(shown[options.format]())
    if (options.svg !== undefined) await host.write(options.svg, svg(comparison))
    if (options.html !== undefined) await host.write(options.html, html(comparison))
    return comparison
  } finally {
    host.close()
  }
}
