// `npm run bench -- NAME [flags]`
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Command, type FlagDefinitions, Flags } from '../src/cli/terminal/arguments.js'
import { reportFailure } from '../src/cli/terminal/failure-report.js'
import { commandHelp, listed } from '../src/cli/terminal/help-text.js'
import { columnsOf, painter } from '../src/cli/terminal/terminal.js'
import { RingfenceError } from '../src/errors.js'
import { nodeHost, PARTY_FLAG, playComparison } from './compare/host.node.js'
import { description } from './compare/options.js'
import { benchDelegate } from './delegate/bench.js'
import { DELEGATED_FLAG, playDelegated } from './delegate/parties.js'
import { benchGuard, GUARD } from './guard/bench.js'
import { benchEndToEnd, E2E } from './inference/e2e.js'
import { benchProfile, PROFILE } from './inference/profile.js'
import { benchRelu, RELU } from './inference/relu.js'
import { benchScaling, SCALING } from './inference/scaling.js'
import { benchThroughput, THROUGHPUT } from './inference/throughput.js'
import { benchPredict } from './predict.js'
import { benchLarge, LARGE } from './processes/large.js'
import { benchFaults } from './service/faults.js'
import { benchLoad, LOAD } from './service/load.js'
import { benchScale, SCALE } from './service/scale.js'
import { benchSoak, SOAK } from './service/soak.js'
import { benchAccuracy } from './suites/accuracy.js'
import { benchBrowser } from './suites/browser.js'
import { BACKENDS, benchCompare } from './suites/compare.js'
import { benchCost, echoMessages } from './suites/cost.js'
import { benchDistortion } from './suites/distortion.js'
import { benchExact } from './suites/exact.js'
import { benchFinetune } from './suites/finetune.js'
import { benchFloat } from './suites/float.js'
import { benchInspect } from './suites/inspect.js'
import { benchKernels } from './suites/kernels.js'
import { benchKnapsack } from './suites/knapsack.js'
import { benchSearch, SEARCH } from './suites/search.js'
import { benchSecurenn, playSecurenn } from './suites/securenn.js'
import { benchTrain } from './suites/train.js'

/** A bench as its help describes it. It reads its own flags; a RingfenceError is for the user. */
type Bench = Pick<Command, 'summary' | 'flags' | 'notes'> & {
  readonly run: (args: readonly string[]) => Promise<unknown>
}

const QUICK = { quick: { type: 'boolean', description: 'a rough look' } } as const satisfies FlagDefinitions

const BENCHES: ReadonlyMap<string, Bench> = new Map(
  Object.entries({
    kernels: plain('Every kernel against its yardstick, one thread.', benchKernels),
    relu: withFlags(RELU, benchRelu),
    e2e: withFlags(E2E, benchEndToEnd),
    profile: withFlags(PROFILE, benchProfile),
    scaling: withFlags(SCALING, benchScaling),
    large: withFlags(LARGE, benchLarge),
    throughput: withFlags(THROUGHPUT, benchThroughput),
    securenn: plain('The same two on the published protocol.', benchSecurenn),
    compare: {
      ...description(BACKENDS),
      run: (args) => benchCompare(args, nodeHost(fileURLToPath(import.meta.url))),
    },
    cost: plain('What the cost model predicts against what three processes take.', benchCost),
    exact: plain('Large networks, every output value against the integer reference.', benchExact),
    accuracy: plain('The packaged ResNet-20 on the test images of CIFAR-10.', benchAccuracy),
    distortion: plain('A whole distortion table of ResNet-8 on every core.', benchDistortion),
    knapsack: plain('The exact knapsack at the sizes of published networks and beyond.', benchKnapsack),
    float: plain('The plain engine on whole networks against TensorFlow.js.', benchFloat),
    train: plain('A training step beside forward passes of the plain engine and of TensorFlow.js.', benchTrain),
    finetune: plain(
      'ResNet-20 for 25, 12 and 6 % of its comparisons on CIFAR-10, resumed where it was.',
      benchFinetune,
    ),
    search: withFlags(SEARCH, benchSearch),
    guard: withFlags(GUARD, benchGuard),
    predict: plain('What one prediction of a cost takes.', benchPredict),
    inspect: plain('The command inspect on every network of the literature.', benchInspect),
    delegate: plain('What an owner of inputs waits for through a delegate, beside a direct client.', benchDelegate),
    browser: plain('The same client in Chromium and in Node.', benchBrowser),
    load: withFlags(LOAD, benchLoad),
    soak: withFlags(SOAK, benchSoak),
    scale: withFlags(SCALE, benchScale),
    faults: plain('Sixteen clients while parties are killed, held still and cut off at random.', benchFaults),
  } satisfies Record<string, Bench>),
)

/** A bench that knows two flags. */
function plain(summary: string, bench: (options: { json: boolean; quick: boolean }) => Promise<unknown>): Bench {
  const run = async (args: readonly string[]) => {
    const flags = new Flags({ name: 'bench', flags: QUICK }, args)
    flags.check()
    return bench({ json: flags.on('json'), quick: flags.on('quick') })
  }
  return { summary, flags: QUICK, run }
}

function help(): string {
  const rows = [...BENCHES].map(([name, { summary }]) => [name, summary] as const)
  const usage = `${painter(process.stdout)('bold', 'usage')}  npm run bench -- NAME [--help] [--json] …`
  return [usage, '', ...listed(rows, columnsOf(process.stdout), painter(process.stdout)), ''].join('\n')
}

/** A bench whose flags are read as a command's are. */
function withFlags(
  command: Pick<Command, 'name' | 'summary' | 'flags'>,
  bench: (flags: Flags) => Promise<unknown>,
): Bench {
  return { ...command, run: (args) => bench(new Flags(command, args)) }
}

/** Runs one bench; the result is the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  const bench = BENCHES.get(name)
  const asks = (arg: string) => arg === '--help' || arg === '-h'
  try {
    if (name !== undefined && asks(name)) process.stdout.write(help())
    else if (!bench) {
      const known = [...BENCHES.keys()].join(', ')
      const problem = name === undefined ? 'no bench is named' : `there is no bench ${name}`
      throw new RingfenceError('BAD_INPUT', `${problem}; there are ${known}. See npm run bench -- --help`)
    } else if (rest.some(asks)) process.stdout.write(commandHelp({ ...bench, name: `bench ${name}` }, process.stdout))
    else await bench.run(rest)
    return 0
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    reportFailure(error, rest.includes('--json'))
    return 1
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === DELEGATED_FLAG) playDelegated()
  else if (process.argv[2] === '--securenn') playSecurenn()
  else if (process.argv[2] === '--echo') void echoMessages()
  else if (process.argv[2] === PARTY_FLAG) playComparison(BACKENDS)
  else process.exitCode = await main(process.argv.slice(2))
}
