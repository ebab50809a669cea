// The helper on `mcc`: deals one-time material to a server for one of its clients, off line.
import { RingfenceError } from '../../errors.js'
import type { Region } from '../../kernels/instance.js'
import { busy, type Link, Phase } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { keptAlive } from '../admission.js'
import type { HelpedClient } from '../backend.js'
import { type Bundle, dealJob, wipeJob } from '../helper/dealing.js'
import { BATCH_BYTES, BUNDLE_BYTES, DEAL_BYTES, decodeBatch, ID_BYTES, writeInference } from '../messages.js'
import { asRingfenceError } from '../options.js'
import { sendPieces } from '../transfer.js'

/** Serves a client's requests until it leaves. */
export async function dealForClient(client: HelpedClient<MccPlan>): Promise<void> {
  const { link, registration, session, held, key, idleMs, unusedMs, deadlineMs } = client
  let over = false
  void link.closed.then(() => {
    over = true
  })
  /** In its turn, unless nobody waits for it any more. */
  const inTurn = (inference: number) =>
    held.turns.take(async () => {
      if (!over) await registration.making.take(() => deal(client, inference))
    })
  let waitMs = unusedMs
  for (;;) {
    const request = await nextRequest(link, waitMs)
    if (!request) return
    const { first, count, grant } = request
    const until = registration.grants.check(grant, session, first, count)
    held.deal(key, first, count)
    held.until = Math.max(held.until, until)
    waitMs = idleMs
    const deals = Array.from({ length: count }, (_, i) => track(registration.deals, inTurn(first + i)))
    try {
      for (const dealt of deals) {
        await keptAlive(link, deadlineMs, () => dealt)
        if (!over) link.send(Kind.dealt, Phase.offline, 0, new Uint8Array(0))
      }
    } catch (error) {
      over = true
      await Promise.allSettled(deals)
      throw error
    }
  }
}

/** The client's next request, or null when it has left. */
async function nextRequest(link: Link, deadlineMs: number) {
  try {
    const payload = await link.receive(Kind.deal, Phase.offline, 0, DEAL_BYTES, { deadlineMs })
    return { ...decodeBatch(payload), grant: payload.subarray(BATCH_BYTES) }
  } catch (error) {
    if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
    throw error
  }
}

/** Notes a task for as long as it runs; whoever waits for it learns how it ended. */
function track(running: Set<Promise<void>>, task: Promise<void>): Promise<void> {
  running.add(task)
  void task.catch(() => undefined).then(() => running.delete(task))
  return task
}

async function deal(client: HelpedClient<MccPlan>, inference: number): Promise<void> {
  const { registration, streams, onBundle } = client
  if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
  await registration.guard
  const began = performance.now()
  const job = dealJob(streams, inference)
  try {
    const { deliverAt: url } = registration
    const bundle = await registration.dealer!.begin(job, url === undefined ? url : { url, session: client.session })
    if (!bundle.delivered) await registration.mutex.take(() => send(client, inference, bundle))
    onBundle?.(performance.now() - began)
  } finally {
    wipeJob(job)
  }
}

async function send(client: HelpedClient<MccPlan>, inference: number, bundle: Bundle): Promise<void> {
  const { registration, session } = client
  const { link } = registration
  if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
  const head = new Uint8Array(BUNDLE_BYTES)
  head.set(session)
  writeInference(head.subarray(ID_BYTES), inference)
  const toServer = new Emission(client)
  try {
    link.send(Kind.bundle, Phase.offline, 0, head)
    await bundle.send(toServer.step)
  } catch (cause) {
    const error = asRingfenceError(cause)
    if (toServer.broken) {
      registration.open = false
      link.fail(error)
      throw error
    }
    // What was sent of the bundle is whole messages: the server drops it and reads on.
    link.send(Kind.undealt, Phase.offline, 0, new Uint8Array(0))
    throw error.code === 'HOST' ? busy('the helper', client.deadlineMs) : error
  }
}

/** A bundle on its way to the server. */
class Emission {
  /** A message ended in its middle: nothing that follows on the link would be understood. */
  broken = false

  constructor(private readonly client: HelpedClient<MccPlan>) {}

  readonly step = async (step: number, message: Region | Uint8Array): Promise<void> => {
    const { registration, deadlineMs } = this.client
    this.broken = true
    await sendPieces(registration.link, Kind.material, Phase.offline, step, message, { deadlineMs })
    this.broken = false
  }
}
