// `npm run bench -- NAME [flags]`
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Command, Flags } from '../src/cli/terminal/arguments.js'
import { commandHelp } from '../src/cli/terminal/help-text.js'
import { RingfenceError } from '../src/errors.js'
import { nodeHost, PARTY_FLAG, playComparison } from './compare/host.node.js'
import { playParty } from './processes/parties.js'
import { benchAccuracy } from './suites/accuracy.js'
import { benchBrowser } from './suites/browser.js'
import { BACKENDS, benchCompare } from './suites/compare.js'
import { benchCost, echoMessages } from './suites/cost.js'
import { benchDistortion } from './suites/distortion.js'
import { benchEndToEnd } from './suites/e2e.js'
import { benchExact } from './suites/exact.js'
import { benchFaults } from './suites/faults.js'
import { benchFloat } from './suites/float.js'
import { benchInspect } from './suites/inspect.js'
import { benchKernels } from './suites/kernels.js'
import { benchKnapsack } from './suites/knapsack.js'
import { benchLoad, LOAD } from './suites/load.js'
import { benchRelu } from './suites/relu.js'
import { benchSecurenn, playSecurenn } from './suites/securenn.js'
import { benchSoak, SOAK } from './suites/soak.js'

/** Reads its own flags; a RingfenceError is for the user. */
type Bench = (flags: readonly string[]) => Promise<unknown>

const BENCHES: ReadonlyMap<string, Bench> = new Map([
  ['kernels', plain(benchKernels)],
  ['knapsack', plain(benchKnapsack)],
  ['distortion', plain(benchDistortion)],
  ['float', plain(benchFloat)],
  ['exact', plain(benchExact)],
  ['inspect', plain(benchInspect)],
  ['accuracy', plain(benchAccuracy)],
  ['e2e', plain(benchEndToEnd)],
  ['relu', plain(benchRelu)],
  ['securenn', plain(benchSecurenn)],
  ['browser', plain(benchBrowser)],
  ['load', withFlags(LOAD, benchLoad)],
  ['soak', withFlags(SOAK, benchSoak)],
  ['faults', plain(benchFaults)],
  ['cost', plain(benchCost)],
  ['compare', (flags) => benchCompare(flags, nodeHost(fileURLToPath(import.meta.url)))],
])
const USAGE = `usage: bench ${[...BENCHES.keys()].join('|')} [--json] [--quick]; compare has more flags (--help), load and soak too`

/** A bench that knows two flags. */
function plain(bench: (options: { json: boolean; quick: boolean }) => Promise<unknown>): Bench {
  return (flags) => {
    const unknown = flags.filter((flag) => flag !== '--json' && flag !== '--quick')
    if (unknown.length > 0) throw new RingfenceError('BAD_INPUT', `unknown: ${unknown.join(' ')}\n${USAGE}`)
    return bench({ json: flags.includes('--json'), quick: flags.includes('--quick') })
  }
}

/** A bench whose flags are read as a command's are. */
function withFlags(
  command: Pick<Command, 'name' | 'summary' | 'flags'>,
  bench: (flags: Flags) => Promise<unknown>,
): Bench {
  return async (args) => {
    const flags = new Flags(command, args)
    if (flags.on('help')) process.stdout.write(commandHelp(command, process.stdout))
    else await bench(flags)
  }
}

/** Runs one bench; the result is the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...flags] = args
  const bench = BENCHES.get(name)
  if (!bench) {
    const asked = name === '--help' || name === '-h'
    process[asked ? 'stdout' : 'stderr'].write(`${USAGE}\n`)
    return asked ? 0 : 1
  }
  try {
    await bench(flags)
    return 0
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    process.stderr.write(`${error.message}\n`)
    return 1
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--party') playParty()
  else if (process.argv[2] === '--securenn') playSecurenn()
  else if (process.argv[2] === '--echo') void echoMessages()
  else if (process.argv[2] === PARTY_FLAG) playComparison(BACKENDS)
  else process.exitCode = await main(process.argv.slice(2))
}
