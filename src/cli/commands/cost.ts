// `ringfence cost`: what an inference will cost, before there are weights.
import { availableParallelism } from 'node:os'
import { RingfenceError } from '../../errors.js'
import { isModel, readArchitectureFile, readChoices, readJson } from '../../files/architecture-file.js'
import { loadModelDirectory } from '../../files/model-directory.js'
import { findModel } from '../../files/prepared-model.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import { parseReluSpec, type ReluSpec } from '../../model/relu/spec.js'
import { type NetworkProfile, networkProfiles } from '../../net/index.js'
import type { Calibration } from '../../plan/calibrate.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { guardEpsilon } from '../../plan/guard.js'
import type { Plan } from '../../plan/plan.js'
import { measureMachine } from '../../tune/cost/measure.js'
import { type CostPrediction, DEFAULT_MACHINE, predict } from '../../tune/cost/predict.js'
import { publishedCosts } from '../../tune/cost/published.js'
import { shapePlan } from '../../tune/cost/shape-plan.js'
import { type CostReport, costText, type ProfileSeconds } from '../report/cost.js'
import { describeSteps } from '../report/step-words.js'
import { type Command, type Flags, PLAN_FLAGS, planOptions } from '../terminal/arguments.js'
import { inFlags } from '../terminal/flag-words.js'
import { modelNext } from '../terminal/model-next.js'
import { printed } from '../terminal/printed.js'
import { nextCommand, type Paint, painter, quoted } from '../terminal/terminal.js'

const OUTPUTS = ['logits', 'label'] as const

export const cost: Command = {
  name: 'cost',
  summary: 'Predict what a private inference costs: flights, bytes per link, material, seconds. Needs no weights.',
  operands: 'MODEL',
  flags: {
    'relu-spec': { type: 'string', valueHint: 'FILE', description: "a relu-spec, instead of the model's own" },
    choices: { type: 'string', valueHint: 'FILE', description: 'which option every choice of the network takes' },
    variant: { type: 'string', valueHint: 'NAME', description: "the model's variant" },
    ...PLAN_FLAGS,
    output: { type: 'string', valueHint: 'WHAT', description: 'what the client learns: logits (default) or label' },
    network: {
      type: 'string',
      valueHint: 'NET',
      description: `the client's links: ${Object.keys(networkProfiles).join(', ')}, or RTT/UP/DOWN in ms and Mbit/s (default wan60)`,
    },
    'helper-network': {
      type: 'string',
      valueHint: 'NET',
      description: 'the link of server and helper, UP from the server (default lan)',
    },
    measure: { type: 'boolean', description: 'measure this machine first, about two seconds' },
  },
  notes: [
    'MODEL is an architecture file, a folder with a network, or a model that comes with ringfence.',
    'Bytes and flights are exact. Seconds are for parties with a core each, of the kind that was measured.',
  ],
  async run(flags) {
    const order = readOrder(flags)
    await printed(
      flags,
      () => predictModel(order),
      (report) => `${costText(report, process.stdout)}${nextOf(order.model, painter(process.stdout))}\n`,
    )
    return 0
  },
}

/** Of a file the layers are known, and no weights. */
const nextOf = (model: string, paint: Paint): string =>
  isModel(model)
    ? modelNext(model, paint)
    : nextCommand(`inspect ${quoted(model)} --svg layers.svg`, 'draws its layers', paint)

interface NamedNetwork {
  readonly name: string
  readonly profile: NetworkProfile
}

interface Order {
  readonly model: string
  readonly spec: string | undefined
  readonly choices: string | undefined
  readonly variant: string | undefined
  readonly compile: CompileOptions
  readonly network: NamedNetwork
  readonly helperNetwork: NamedNetwork
  readonly measures: boolean
}

function readOrder(flags: Flags): Order {
  const order = {
    model: flags.operand(),
    spec: flags.text('relu-spec'),
    choices: flags.text('choices'),
    variant: flags.text('variant'),
    compile: { ...planOptions(flags), output: flags.oneOf('output', OUTPUTS) },
    network: readNetwork(flags, 'network') ?? named('wan60'),
    helperNetwork: readNetwork(flags, 'helper-network') ?? named('lan'),
    measures: flags.on('measure'),
  }
  flags.check()
  return order
}

const named = (name: keyof typeof networkProfiles): NamedNetwork => ({ name, profile: networkProfiles[name] })

/** A profile's name, or RTT/UP/DOWN. */
function readNetwork(flags: Flags, flag: string): NamedNetwork | undefined {
  const text = flags.text(flag)
  if (text === undefined) return undefined
  if (Object.hasOwn(networkProfiles, text)) return named(text as keyof typeof networkProfiles)
  const parts = text.split('/')
  const [rttMs, up, down] = parts.map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (parts.length === 3 && rttMs >= 0 && up > 0 && down > 0 && [rttMs, up, down].every(Number.isFinite)) {
    return { name: text, profile: { rttMs, upBitsPerSecond: up * 1e6, downBitsPerSecond: down * 1e6 } }
  }
  const known = Object.keys(networkProfiles).join(', ')
  flags.fault(`--${flag}: expected one of ${known}, or RTT/UP/DOWN in ms and Mbit/s as in 60/100/100, got ${text}`)
  return undefined
}

async function predictModel(order: Order): Promise<CostReport> {
  const { arch, spec, calibration } = await readNetworkFiles(order)
  const plan = await inFlags((async () => shapePlan(arch, spec, order.compile, calibration))())
  const machine = order.measures ? measureMachine(`this machine, ${availableParallelism()} cores`) : DEFAULT_MACHINE
  const helperProfile = order.helperNetwork.profile
  const of = (profile: NetworkProfile, each = plan) => predict(each, { profile, helperProfile, machine })
  const prediction = of(order.network.profile)
  const guard = guardCost(plan, prediction, (bare) => of(order.network.profile, bare))
  const others = (Object.keys(networkProfiles) as (keyof typeof networkProfiles)[]).map(named)
  const networks = [order.network, ...others.filter(({ name }) => name !== order.network.name)]
  const profiles = networks.map(({ name, profile }, i): ProfileSeconds => {
    const { online, offline } = (i === 0 ? prediction : of(profile)).total.seconds
    return { name, profile, online, offline }
  })
  const words = describeSteps(plan)
  const steps = prediction.steps.map((step, i) => ({ ...step, op: words[i].op }))
  const links = { profiles, helperNetwork: order.helperNetwork.name, machine: machine.name }
  return { ...prediction, steps, ...links, guard, published: publishedCosts(arch, spec) }
}

/** What a guard adds, beside the same plan without it. */
function guardCost(plan: Plan, { total }: CostPrediction, of: (plan: Plan) => CostPrediction): CostReport['guard'] {
  if (plan.backend !== 'mcc' || !plan.guard) return null
  const { guard, ...bare } = plan
  const without = of(bare).total
  const online = ({ online }: typeof total) => online.up + online.down
  return {
    epsilonLog2: guardEpsilon(plan, guard),
    online: online(total) - online(without),
    dealt: total.offline.helperToServer - without.offline.helperToServer,
    seconds: {
      online: total.seconds.online - without.seconds.online,
      offline: total.seconds.offline - without.seconds.offline,
    },
  }
}

interface NetworkFiles {
  readonly arch: Architecture
  readonly spec: ReluSpec | undefined
  /** Of the spec above, where it was measured. */
  readonly calibration: Calibration | undefined
}

async function readNetworkFiles({ model, spec, choices, variant }: Order): Promise<NetworkFiles> {
  if (isModel(model) && spec === undefined && choices === undefined) {
    const { arch, spec: own, calibration } = await loadModelDirectory(findModel(model), variant)
    return { arch, spec: own, calibration }
  }
  if (variant !== undefined) {
    throw new RingfenceError('BAD_INPUT', '--variant: expected a model, without --relu-spec and --choices')
  }
  const file = await readArchitectureFile(model)
  const arch = parseArchitecture(file.json, file.path, choices === undefined ? undefined : await readChoices(choices))
  const specFile = spec === undefined ? undefined : await readJson(spec)
  return { arch, spec: specFile && parseReluSpec(specFile.json, arch, specFile.path), calibration: undefined }
}
