// The helper on `mcc`: deals one-time material to a server for one of its clients, off line.
import { RingfenceError } from '../../errors.js'
import { type Link, Phase } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { dealInference } from '../../protocol/mcc/inference.js'
import type { HelpedClient } from '../backend.js'
import { BATCH_BYTES, decodeBatch, ID_BYTES, INFERENCE_BYTES, writeInference } from '../messages.js'
import { asRingfenceError } from '../options.js'
import { sendPieces } from '../transfer.js'

/** Serves a client's requests until it leaves. */
export async function dealForClient(client: HelpedClient<MccPlan>): Promise<void> {
  const { link, registration, ledger, idleMs } = client
  let left = false
  void link.closed.then(() => {
    left = true
  })
  for (;;) {
    const request = await nextRequest(link, idleMs)
    if (!request) return
    ledger.burn(request.first, request.count)
    for (let i = 0; i < request.count && !left; i++) {
      await registration.mutex.take(() => deal(client, request.first + i))
      link.send(Kind.dealt, Phase.offline, 0, new Uint8Array(0))
    }
  }
}

/** The client's next request, or null when it has left. */
async function nextRequest(link: Link, deadlineMs: number): Promise<{ first: number; count: number } | null> {
  try {
    return decodeBatch(await link.receive(Kind.deal, Phase.offline, 0, BATCH_BYTES, { deadlineMs }))
  } catch (error) {
    if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
    throw error
  }
}

async function deal(client: HelpedClient<MccPlan>, inference: number) {
  const { k, registration, session, streams, deadlineMs, onBundle } = client
  const { link, planned, share } = registration
  if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
  const head = new Uint8Array(ID_BYTES + INFERENCE_BYTES)
  head.set(session)
  writeInference(head.subarray(ID_BYTES), inference)
  const ch = streams.ch.ofInference(inference)
  const began = performance.now()
  try {
    link.send(Kind.bundle, Phase.offline, 0, head)
    await dealInference(k, planned, share, { ...streams, ch }, inference, (step, message) =>
      sendPieces(link, Kind.material, Phase.offline, step, message, { deadlineMs }),
    )
    onBundle?.(performance.now() - began)
  } catch (cause) {
    // Half a bundle is on its way: nothing that follows on this link would be understood.
    registration.open = false
    link.fail(asRingfenceError(cause))
    throw cause
  } finally {
    ch.release()
  }
}
