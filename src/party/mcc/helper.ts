// The helper on `mcc`: deals one-time material to a server for one of its clients, off line.
import { RingfenceError } from '../../errors.js'
import { scoped } from '../../kernels/scope.js'
import { busy, type Link, Phase } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { dealInference } from '../../protocol/mcc/dealing.js'
import { keptAlive } from '../admission.js'
import type { HelpedClient } from '../backend.js'
import { BATCH_BYTES, BUNDLE_BYTES, DEAL_BYTES, decodeBatch, ID_BYTES, writeInference } from '../messages.js'
import { asRingfenceError } from '../options.js'
import { sendPieces } from '../transfer.js'

/** Serves a client's requests until it leaves. */
export async function dealForClient(client: HelpedClient<MccPlan>): Promise<void> {
  const { link, registration, session, held, idleMs, unusedMs, deadlineMs } = client
  let left = false
  void link.closed.then(() => {
    left = true
  })
  let waitMs = unusedMs
  for (;;) {
    const request = await nextRequest(link, waitMs)
    if (!request) return
    const { first, count, grant } = request
    const until = registration.grants.check(grant, session, first, count)
    held.deal(client.key, first, count)
    held.until = Math.max(held.until, until)
    waitMs = idleMs
    for (let i = 0; i < count && !left; i++) {
      await keptAlive(link, deadlineMs, () =>
        held.mutex.take(() => registration.mutex.take(() => deal(client, first + i))),
      )
      link.send(Kind.dealt, Phase.offline, 0, new Uint8Array(0))
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

async function deal(client: HelpedClient<MccPlan>, inference: number): Promise<void> {
  const { k, registration, session, streams, onBundle } = client
  const { link, planned, share } = registration
  if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
  const head = new Uint8Array(BUNDLE_BYTES)
  head.set(session)
  writeInference(head.subarray(ID_BYTES), inference)
  const toServer = new Emission(client)
  const guard = await registration.guard
  const began = performance.now()
  try {
    link.send(Kind.bundle, Phase.offline, 0, head)
    await scoped(k, async (k) => {
      const [ch, sh, own] = [streams.ch.on(k).ofInference(inference), streams.sh.on(k), streams.own.on(k)]
      await dealInference(k, planned, share, { ch, sh, own }, inference, toServer.step, guard)
    })
    onBundle?.(performance.now() - began)
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

  readonly step = async (step: number, message: Parameters<typeof sendPieces>[4]): Promise<void> => {
    const { registration, deadlineMs } = this.client
    this.broken = true
    await sendPieces(registration.link, Kind.material, Phase.offline, step, message, { deadlineMs })
    this.broken = false
  }
}
