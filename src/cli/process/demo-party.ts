// The three roles of the demo, each in a process of its own. They talk to one another over WebSockets only; the channel
// to the parent carries orders, results, and the seeds that the judge needs.
import { RingfenceError } from '../../errors.js'
import { imageInputs, readImageFiles } from '../../files/image-files.js'
import { prepareModel } from '../../files/prepared-model.js'
import { connect, Meter, Phase, shape } from '../../net/index.js'
import { listen } from '../../net/websocket-server.node.js'
import { Client } from '../../party/client/client.js'
import { Helper } from '../../party/helper/helper.js'
import { AUDIT } from '../../party/options.js'
import { Server } from '../../party/server.js'
import { planDigest } from '../../plan/plan.js'
import { toHex } from '../terminal/arguments.js'
import { DelegateRole, OwnerRole } from './demo-delegated.js'
import {
  bytesOf,
  type ClientOrder,
  type ClientReady,
  type HelperReady,
  helperTraffic,
  LOOPBACK,
  type Patience,
  type PictureOrder,
  type PrivateRun,
  Reveal,
  type ServerOrder,
  type SetUp,
  type StepDone,
  stepTraffic,
} from './demo-facts.js'
import { withChangedReplies } from './deviating.js'
import { answerCalls, reportEvent } from './party-process.js'

/** Plays whichever role the parent asks for, until the parent leaves. */
export async function playParty(): Promise<number> {
  const reveal = new Reveal()
  const meter = new Meter()
  const [delegate, owner] = [new DelegateRole(meter, reveal), new OwnerRole()]
  let client: Client
  await answerCalls({
    helper: startHelper,
    server: (order: ServerOrder) => startServer(order, meter, reveal),
    client: async (order: ClientOrder) => {
      const started = performance.now()
      client = await startClient(order, meter, reveal)
      const ready = { planDigest: toHex(planDigest(client.plan)), bytes: bytesOf(meter, 'setup') }
      return { ...ready, ms: performance.now() - started } satisfies ClientReady
    },
    classify: (picture: PictureOrder) => classify(client, meter, picture),
    cheat: (order: ClientOrder & PictureOrder) => cheat(order),
    helperTraffic: async (steps: number) => helperTraffic(meter, steps),
    reveal: (session?: string) => reveal.get(session),
    delegateKey: delegate.key,
    delegate: delegate.start,
    delegateReady: delegate.ready,
    lent: delegate.lent,
    deviate: delegate.deviate,
    owner: owner.start,
    ask: owner.ask,
  })
  process.exit(0)
}

async function startHelper({ deadlineMs }: Patience): Promise<HelperReady> {
  const party = await Helper.create({ deadlineMs, onError: complain })
  const { url } = await listen({ ...LOOPBACK, onConnection: (channel) => void party.run(channel) })
  return { url, publicKey: party.publicKey }
}

async function startServer(
  { folder, variant, options: plan, helper, delegateKey, deadlineMs }: ServerOrder,
  meter: Meter,
  reveal: Reveal,
) {
  const { compiled } = await prepareModel(folder, variant, plan)
  const started = performance.now()
  const options = {
    helperKey: helper.publicKey,
    delegateKey,
    deadlineMs,
    meter,
    onError: complain,
    [AUDIT]: reveal.audit,
  }
  const party = await Server.create(compiled, () => connect(helper.url), options)
  const ms = performance.now() - started
  const exchange = () => (delegateKey ? party.exchange : undefined)
  const { url } = await listen({ ...LOOPBACK, exchange, onConnection: (channel) => void party.run(channel) })
  return { url, ms, bytes: bytesOf(meter, 'setup') } satisfies SetUp & { url: string }
}

async function startClient(order: ClientOrder, meter: Meter, reveal: Reveal): Promise<Client> {
  const { server, helper, network, deadlineMs } = order
  const wires = await Promise.all([server, helper.url].map((url) => connect(url)))
  const [toServer, toHelper] = network ? wires.map((wire) => shape(wire, network)) : wires
  const options = { helperKey: helper.publicKey, deadlineMs, meter, [AUDIT]: reveal.audit }
  return Client.create({ ...options, server: toServer, helper: toHelper })
}

async function classify(client: Client, meter: Meter, { file, resize }: PictureOrder): Promise<PrivateRun> {
  const [input] = imageInputs(await readImageFiles([file]), client.plan, resize)
  meter.reset(Phase.offline)
  meter.reset(Phase.online)
  const options = { onProgress: throttled() }
  const started = performance.now()
  const prepares = client.plan.backend === 'mcc'
  if (prepares) await client.prepare(1, options)
  const offlineMs = prepares ? performance.now() - started : 0
  const { inference, raw, scale, prediction, milliseconds } = await client.run(input, options)
  const offline = bytesOf(meter, 'offline')
  const steps = stepTraffic(meter, client.plan.steps.length)
  return {
    ...{ inference, raw, scale, prediction, onlineMs: milliseconds, offlineMs, steps },
    offline: { server: offline.server, helper: offline.helper },
  }
}

/** A second client changes one bit of its first reply; the code of the error that it ends with, or `none`. */
async function cheat({ server, helper, file, resize, deadlineMs }: ClientOrder & PictureOrder): Promise<string> {
  const wires = await Promise.all([server, helper.url].map((url) => connect(url)))
  const toServer = withChangedReplies(wires[0], () => true)
  const options = { helperKey: helper.publicKey, deadlineMs }
  const client = await Client.create({ server: toServer, helper: wires[1], ...options })
  try {
    const [input] = imageInputs(await readImageFiles([file]), client.plan, resize)
    await client.run(input)
    return 'none'
  } catch (error) {
    return error instanceof RingfenceError ? error.code : 'HOST'
  } finally {
    await client.release()
  }
}

/** Forwards progress, but not so often that it would disturb what is measured. */
function throttled() {
  let last = 0
  return (progress: { phase: 'prepare' | 'run'; step: number; steps: number; layer: string }) => {
    const now = performance.now()
    if (now - last < 50) return
    last = now
    const { phase, step, steps, layer } = progress
    reportEvent({ phase, done: step / steps, layer } satisfies StepDone)
  }
}

/** The demo itself tells of the one that deviates. */
function complain(error: Error): void {
  if (error instanceof RingfenceError && error.code === 'CHEATED') return
  process.stderr.write(`${error.message}\n`)
}
