// `ringfence demo`: helper, server and client as three processes on this machine classify pictures privately, and a
// judge holds every logit against a plain-text rerun.
import { resolve } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { type ImageFile, imageInputs, readImageFiles } from '../../files/image-files.js'
import { findModel, type PreparedModel, packagedModels, prepareModel } from '../../files/prepared-model.js'
import { FloatNetwork } from '../../float/network.js'
import type { Resize } from '../../model/pictures/resize.js'
import { exitStatus, judge } from '../../party/local/judge.js'
import { type MaskSeeds, revealMasks } from '../../party/local/parties.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { planDigest } from '../../plan/plan.js'
import type { OnStage } from '../../tune/progress.js'
import { askOnce, type DelegateOrder, type DelegateReady, type OwnerOrder } from '../process/demo-delegated.js'
import type {
  Bytes,
  ClientOrder,
  ClientReady,
  HelperReady,
  HelperTraffic,
  PictureOrder,
  PrivateRun,
  Revealed,
  ServerOrder,
  SetUp,
  StepDone,
} from '../process/demo-facts.js'
import type { DemoOutcome } from '../process/demo-outcome.js'
import { PartyProcess } from '../process/party-process.js'
import { demoReport, demoText, JSON_NOTES } from '../report/demo.js'
import {
  type Command,
  DEADLINE_FLAG,
  type Flags,
  NETWORK_FLAG,
  PLAN_FLAGS,
  planOptions,
  RESIZE_FLAG,
  seconds,
  toHex,
} from '../terminal/arguments.js'
import { inFlags } from '../terminal/flag-words.js'
import { printed, type Work } from '../terminal/printed.js'

const DEFAULT_MODEL = 'resnet20-cifar10'
/** How far the progress bar is when the judge begins; 64-bit integers make a rerun the longest part by far. */
const JUDGE_FROM = { mcc: 0.9, securenn: 0.3 } as const

export const demo: Command = {
  name: 'demo',
  summary: 'Classify pictures privately with three processes on this machine, and check every bit of the result.',
  operands: '[IMAGE…]',
  flags: {
    model: { type: 'string', valueHint: 'NAME', description: `a packaged model or a folder (${DEFAULT_MODEL})` },
    variant: { type: 'string', valueHint: 'NAME', description: "one of the model's variants" },
    images: { type: 'string', valueHint: 'FILE…', description: "pictures of yours instead of the model's samples" },
    ...RESIZE_FLAG,
    delegate: {
      type: 'boolean',
      description: "a fourth process, the delegate, plays the client; the pictures' owner sends one request each",
    },
    ...NETWORK_FLAG,
    ...DEADLINE_FLAG,
    ...PLAN_FLAGS,
  },
  notes: [
    `Models that come with ringfence: ${packagedModels().join(', ')}.`,
    'The exit status is 0 only when the private logits equal the integer reference bit for bit.',
    ...JSON_NOTES,
  ],
  async run(flags) {
    const order = await readOrder(flags)
    const outcome = await printed(
      flags,
      (how) => runDemo(order, how),
      (outcome) => demoText(outcome, process.stdout),
      demoReport,
    )
    const escaped = outcome.cheat !== undefined && outcome.cheat.code !== 'CHEATED'
    return escaped ? 1 : exitStatus(outcome.images.map(({ judgement }) => judgement))
  },
}

interface DemoOrder extends PreparedModel {
  readonly folder: string
  readonly options: CompileOptions
  readonly network: DemoOutcome['network']
  readonly resize: Resize | undefined
  readonly deadlineMs: number | undefined
  /** A delegate plays the client. */
  readonly delegate: boolean
  readonly images: readonly (ImageFile & { label: number | undefined; input: Float32Array })[]
}

async function readOrder(flags: Flags): Promise<DemoOrder> {
  const name = flags.text('model') ?? DEFAULT_MODEL
  const variant = flags.text('variant')
  const first = flags.text('images')
  const network = flags.network()
  const resize = flags.resize()
  const deadlineMs = seconds(flags, 'deadline')
  const delegate = flags.on('delegate')
  const options = { ...planOptions(flags), ...(delegate && { delegated: true }) }
  if (options.backend === 'securenn') flags.refuse(['delegate'], 'only mcc can be delegated')
  flags.check()
  const folder = resolve(findModel(name))
  const prepared = await inFlags(prepareModel(folder, variant, options))
  const given = [...(first === undefined ? [] : [first]), ...flags.operands]
  const samples = given.length > 0 ? given.map((file) => ({ file, label: undefined })) : prepared.model.samples
  if (samples.length === 0) {
    throw new RingfenceError('BAD_INPUT', `${name} has no sample pictures; name some after --images`)
  }
  const files = await readImageFiles(samples.map(({ file }) => file))
  const inputs = imageInputs(files, prepared.compiled.plan, resize)
  const images = files.map((file, i) => ({ ...file, label: samples[i].label, input: inputs[i] }))
  return { ...prepared, folder, options, network, resize, deadlineMs, delegate, images }
}

type PlayedRun = Pick<DemoOutcome, 'processes' | 'setUp' | 'serverHelper' | 'cheat'> & {
  readonly runs: readonly PrivateRun[]
  readonly seeds: MaskSeeds
}

async function runDemo(order: DemoOrder, how: Work): Promise<DemoOutcome> {
  const { compiled, model, network } = order
  const played = await play(order, how)
  const { arch, weights, spec } = model
  const from = JUDGE_FROM[compiled.plan.backend]
  const images = order.images.map(({ file, label, input }, i) => {
    const done = from + ((1 - from) * i) / order.images.length
    how.onProgress({ stage: 'rerunning in plain text', done, detail: `picture ${i + 1} of ${order.images.length}` })
    const started = performance.now()
    const float = FloatNetwork.prepare(arch, weights, { spec })
    const [plaintext] = float.run([input])
    float.release()
    const plaintextMs = performance.now() - started
    const run = played.runs[i]
    const masks = revealMasks(compiled.plan, played.seeds, run.inference)
    const judgement = judge(compiled, masks, { raw: run.raw, input, plaintext })
    return { file, label, plaintextPrediction: largest(plaintext), plaintextMs, run, judgement }
  })
  const { processes, setUp, serverHelper, cheat } = played
  const { name, variant } = model
  return {
    model: name,
    variant,
    plan: compiled.plan,
    network,
    processes,
    setUp,
    serverHelper,
    images,
    coarse: compiled.coarse,
    cheat,
  }
}

/** Starts the three processes, has every picture classified, and ends them whatever happens. */
async function play(order: DemoOrder, { signal, onProgress }: Work): Promise<PlayedRun> {
  const helper = new PartyProcess('helper')
  const server = new PartyProcess('server')
  const client = new PartyProcess('client')
  const owner = order.delegate ? new PartyProcess('owner') : undefined
  const parties = [...(owner ? [owner] : []), client, server, helper]
  let onInterrupt = () => {}
  const interrupted = new Promise<never>((_, reject) => {
    onInterrupt = () => reject(new RingfenceError('ABORTED', 'the demo was interrupted'))
  })
  signal.addEventListener('abort', onInterrupt)
  try {
    return await Promise.race([interrupted, direct({ helper, server, client }, owner, order, onProgress)])
  } finally {
    signal.removeEventListener('abort', onInterrupt)
    await Promise.all(parties.map((party) => party.stop()))
  }
}

async function direct(
  { helper, server, client }: Record<'helper' | 'server' | 'client', PartyProcess>,
  owner: PartyProcess | undefined,
  order: DemoOrder,
  onProgress: OnStage,
): Promise<PlayedRun> {
  const { folder, options, model, images, network, deadlineMs } = order
  onProgress({ stage: 'starting the helper', done: 0.02 })
  const helperReady = await helper.call<HelperReady>('helper', { deadlineMs })
  onProgress({ stage: 'starting the server; it sends its masked weights to the helper', done: 0.06 })
  const serverReady = await server.call<SetUp & { url: string }>('server', {
    folder,
    variant: model.variant,
    options,
    helper: helperReady,
    deadlineMs,
    delegateKey: owner && (await client.call<Uint8Array>('delegateKey')),
  } satisfies ServerOrder)
  onProgress({ stage: owner ? 'connecting the delegate and the owner' : 'connecting the client', done: 0.12 })
  const wires = { server: serverReady.url, helper: helperReady, network: network?.profile, deadlineMs }
  const clientReady = await (owner ? joinDelegate(client, owner, wires) : client.call<ClientReady>('client', wires))
  requireSamePlan(clientReady, order)
  const { plan } = order.compiled
  const dealsAhead = plan.backend === 'mcc'
  const runs: PrivateRun[] = []
  for (const [i, { file }] of images.entries()) {
    const which = `picture ${i + 1} of ${images.length}`
    const picture: PictureOrder = { file: resolve(file), resize: order.resize }
    const show = (done: number, what: string) => {
      const share = 0.15 + ((JUDGE_FROM[plan.backend] - 0.15) * (i + done)) / images.length
      onProgress({ stage: 'classifying', done: share, detail: `${which}  ${what}`.trimEnd() })
    }
    show(0, dealsAhead ? 'dealing' : '')
    client.onEvent = ({ phase, done, layer }: StepDone) => {
      const share = dealsAhead ? (phase === 'prepare' ? 0 : 0.5) + done / 2 : done
      show(share, `${phase === 'prepare' ? 'off' : 'on'} line ${layer}`)
    }
    const steps = plan.steps.length
    runs.push(await (owner ? askOnce({ client, owner }, picture, steps) : client.call<PrivateRun>('classify', picture)))
  }
  const ch = await client.call<Revealed>('reveal')
  const sh = await server.call<Revealed>('reveal', ch.session)
  if (ch.session !== sh.session) throw new RingfenceError('PROTOCOL', 'client and server revealed different sessions')
  // A delegate has one more dealt by the time that it is ready again.
  if (owner) await client.call('delegateReady')
  const total = await server.call<HelperTraffic>('helperTraffic', plan.steps.length)
  const cheat = await playCheat({ client, owner }, order, { server: serverReady.url, helper: helperReady })
  return {
    runs,
    cheat,
    seeds: { ch: ch.seed, sh: sh.seed, model: ch.model! },
    setUp: { server: serverReady, client: clientReady },
    serverHelper: perInference(total, { dealt: images.length + (owner ? 1 : 0), run: images.length }),
    processes: {
      helper: { pid: helper.pid, url: helperReady.url },
      server: { pid: server.pid, url: serverReady.url },
      client: { pid: client.pid, url: (clientReady as Partial<DelegateReady>).url },
      owner: owner && { pid: owner.pid },
    },
  }
}

/** Beside the honest client of a guarded plan, one that is not; a delegate, of which there is one, is no more. */
async function playCheat(
  { client, owner }: { client: PartyProcess; owner: PartyProcess | undefined },
  { compiled: { plan }, images, network, resize, deadlineMs }: DemoOrder,
  at: { server: string; helper: HelperReady },
): Promise<DemoOutcome['cheat']> {
  if (plan.backend !== 'mcc' || !plan.guard) return undefined
  const picture = { file: resolve(images[0].file), resize }
  const changed = 'one bit of one reply'
  if (!owner) {
    const order = { ...at, network: network?.profile, deadlineMs, ...picture }
    return { changed, code: await client.call<string>('cheat', order) }
  }
  await client.call('deviate')
  const code = await owner.call('ask', picture).then(
    () => 'none',
    (error: unknown) => (error instanceof RingfenceError ? error.code : 'HOST'),
  )
  return { changed, code }
}

/** The delegate in the client's process, and who asks it in the owner's. */
async function joinDelegate(
  client: PartyProcess,
  owner: PartyProcess,
  { server, helper, network, deadlineMs }: ClientOrder,
): Promise<DelegateReady> {
  const delegateKey = await client.call<Uint8Array>('delegateKey')
  const ready = await client.call<DelegateReady>('delegate', { server, helper, deadlineMs } satisfies DelegateOrder)
  const asked = { server, delegate: ready.url, delegateKey, network, deadlineMs } satisfies OwnerOrder
  await owner.call('owner', asked)
  return ready
}

function perInference(total: HelperTraffic, { dealt, run }: { dealt: number; run: number }): HelperTraffic {
  const shared = ({ up, down }: Bytes, count: number): Bytes => ({ up: up / count, down: down / count })
  return {
    setUp: total.setUp,
    offline: shared(total.offline, dealt),
    online: shared(total.online, run),
    steps: total.steps.map((step) => shared(step, run)),
  }
}

/** The judge compiled the network itself; client and server must have run exactly that plan. */
function requireSamePlan({ planDigest: ran }: ClientReady, { compiled }: DemoOrder): void {
  if (ran === toHex(planDigest(compiled.plan))) return
  throw new RingfenceError('PLAN_MISMATCH', 'client and server ran another plan than the one the judge compiled')
}

const largest = (values: Float32Array): number => values.reduce((best, x, i) => (x > values[best] ? i : best), 0)
